"""What a self-supervised method is to the pretraining loop."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor, nn

from sarl_training.networks import Encoder
from sarl_training.views import View, ViewConfig, ViewPlan


class Method(nn.Module, ABC):
    """Networks and objective of one method. All its state is in the state dict, so that a resumed run is the same."""

    Config: ClassVar[type]
    """Frozen dataclass of the method's settings."""
    PRESETS: ClassVar[dict[str, dict[str, Any]]]
    """`paper` and `recommended`: differences over the defaults of the whole pretraining config, nested as it is."""

    encoder: Encoder
    """The network that is kept after pretraining."""

    def plan(self, config: ViewConfig, size: int) -> tuple[ViewPlan, ...]:
        """The views that `forward` takes of every image, given the settings that views share and the image size."""
        return (ViewPlan(config, size), ViewPlan(config, size))

    @abstractmethod
    def forward(self, *views: View) -> dict[str, Tensor]:
        """Named terms, each a scalar; `loss` is what is minimised, the others are its parts before weighting."""

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Weight in `loss` of every other term."""

    def before_step(self, step: int, total: int) -> None:
        """Called before each step with its number (from 0) and how many there will be: for schedules."""

    def after_step(self) -> None:
        """Called after each step of the optimiser."""

    def spared(self) -> Iterable[str]:
        """Names of matrices that get no weight decay under the recommended settings."""
        return ()

"""What a self-supervised method is to the pretraining loop."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor, nn

from sarl_training.networks import Encoder
from sarl_training.views import View, ViewConfig, ViewPlan

PAPER_SCALE: dict[str, Any] = {"image_size": 224, "epochs": 100, "batch_size": 256}
"""Image size, epochs and batch size at which SARL's paper compares the methods."""

FEW_STEPS: dict[str, Any] = {"batch_size": 256}
"""`recommended` of the baselines whose papers have LARS or SGD: the common AdamW. As published, those hardly move a
network in the hundreds or few thousand steps of a lab's run (models/LOG.md); a target network then follows at 0.99."""

ASYMMETRIC_VIEWS: dict[str, Any] = {
    "views": {"crop_scale": (0.08, 1.0), "blur": 1.0, "blur_second": 0.1, "solarize": 0.0, "solarize_second": 0.2}
}
"""BYOL's two pipelines, also those of Barlow Twins and VICReg: the second view is blurred less and solarised."""

MOCO_V2_VIEWS: dict[str, Any] = {
    "views": {"crop_scale": (0.2, 1.0), "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "blur": 0.5}
}
"""The pipeline of MoCo v2 (Chen et al. 2020), also that of SimSiam and DenseCL."""


class Method(nn.Module, ABC):
    """Networks and objective of one method.

    All its state is in the state dict, so that a resumed run is the same; several processes learn what one with the
    whole batch does, up to rounding.
    """

    Config: ClassVar[type]
    """Frozen dataclass of the method's settings."""
    PRESETS: ClassVar[dict[str, dict[str, Any]]]
    """`paper` and `recommended`: differences over the defaults of the whole pretraining config, nested as it is."""

    OWN_VIEWS: ClassVar[dict[str, Any]]
    """What the method's own paper changes in SARL's views, nested as a preset is; left out by `--augment shared`."""

    encoder: Encoder
    """The network that is kept after pretraining."""

    def plan(self, config: ViewConfig, size: int) -> tuple[ViewPlan, ...]:
        """The views that `forward` takes of every image, given the settings that views share and the image size."""
        return (ViewPlan(config.first(), size), ViewPlan(config.second(), size))

    @abstractmethod
    def forward(self, *views: View) -> dict[str, Tensor]:
        """Named terms, each a scalar; `loss` is what is minimised, the others are its parts before weighting."""

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """Weight in `loss` of every other term."""

    def weighted(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The terms and their weighted sum, `loss`."""
        weights = self.weights()
        return {"loss": sum(weights[name] * term for name, term in terms.items()), **terms}

    def before_step(self, step: int, total: int) -> None:
        """Called before each step with its number (from 0) and how many there will be: for schedules."""

    def after_step(self) -> None:
        """Called after each step of the optimiser."""

    def steady(self) -> Iterable[str]:
        """Names of parameters that keep the peak learning rate throughout."""
        return ()

    def spared(self) -> Iterable[str]:
        """Names of matrices that get no weight decay under the recommended settings."""
        return ()

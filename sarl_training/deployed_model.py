"""What becomes an ONNX graph: a trunk (encoder and readout), which may be quantised, and heads, which stay float32.

RGB bytes in, SI units out.
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from sarl_training.deployment_heads import RegressionHead
from sarl_training.familiarity import Familiarity, channel_statistics
from sarl_training.networks import Encoder, Features, normalise
from sarl_training.readouts import READOUTS

READOUT = "spatial"
UNFAMILIARITY = "unfamiliarity"
SALIENCY = "saliency"


class TrunkFeatures(NamedTuple):
    """What the heads see of an image, and what the overlay shows."""

    phi_BF: Tensor
    """The readout."""
    channels_BC: Tensor
    """Channel statistics of the early layers, for familiarity."""
    saliency_BHW: Tensor
    """Sum over channels of |layer 2| (the S of Eq. 3)."""


class Trunk(nn.Module):
    """`image_BHWC` uint8 RGB -> `TrunkFeatures`. The layers are the encoder's own; layer 4 is not read."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder
        self.eval()

    @staticmethod
    def saliency_size(image_size: int) -> int:
        """Side of the saliency map in cells: layer 2 halves three times, rounding up."""
        return -(-image_size // 8)

    def forward(self, image_BHWC: Tensor) -> TrunkFeatures:
        edges = self.encoder.stem[:3](normalise(image_BHWC))
        layer1 = self.encoder.layer1(self.encoder.stem[3](edges))
        layer2 = self.encoder.layer2(layer1)
        layer3 = self.encoder.layer3(layer2)
        features = Features(layer3.mean((2, 3)), {"layer2": layer2, "layer3": layer3})
        statistics = channel_statistics(edges, layer1, layer2)
        return TrunkFeatures(READOUTS[READOUT](features), statistics, layer2.abs().sum(1))


class Heads(nn.Module):
    """`(phi_BF, channels_BC)` -> the outputs in the order of `output_names`; covariances grow with unfamiliarity."""

    def __init__(self, heads: Mapping[str, nn.Module], familiarity: Familiarity) -> None:
        super().__init__()
        self.heads, self.familiarity = nn.ModuleDict(heads), familiarity
        self.eval()

    @property
    def output_names(self) -> list[str]:
        """`<head>`, and `<head>_covariance` after each head that gives one; then `unfamiliarity`."""
        names: list[str] = []
        for head in self.heads:
            names.extend([head, covariance_name(head)] if self._uncertain(head) else [head])
        return [*names, UNFAMILIARITY]

    def forward(self, phi_BF: Tensor, channels_BC: Tensor) -> tuple[Tensor, ...]:
        unfamiliarity_B = self.familiarity(channels_BC)
        outputs: list[Tensor] = []
        for name, head in self.heads.items():
            if self._uncertain(name):
                value_BD, covariance_BDD = head(phi_BF)
                outputs += [value_BD, covariance_BDD * self.familiarity.growth(name, unfamiliarity_B)[:, None, None]]
            else:
                outputs.append(head(phi_BF))
        return (*outputs, unfamiliarity_B[:, None])

    def _uncertain(self, head: str) -> bool:
        return isinstance(self.heads[head], RegressionHead)


class DeployedModel(nn.Module):
    """`image_BHWC` uint8 RGB -> the outputs of the heads, then `saliency`, in the order of `output_names`."""

    def __init__(self, trunk: Trunk, heads: Heads) -> None:
        super().__init__()
        self.trunk, self.heads = trunk, heads
        self.eval()

    @property
    def output_names(self) -> list[str]:
        return [*self.heads.output_names, SALIENCY]

    def forward(self, image_BHWC: Tensor) -> tuple[Tensor, ...]:
        features = self.trunk(image_BHWC)
        return *self.heads(features.phi_BF, features.channels_BC), features.saliency_BHW


def covariance_name(head: str) -> str:
    """Name of the covariance output that goes with a head."""
    return f"{head}_covariance"

"""Encoder, spatial readout and heads as one module: RGB bytes in, SI units out. What `onnx_file` turns into a graph."""

from collections.abc import Mapping

from torch import Tensor, nn

from sarl_training.deployment_heads import RegressionHead
from sarl_training.networks import Encoder, normalise
from sarl_training.readouts import READOUTS

READOUT = "spatial"


class DeployedModel(nn.Module):
    """`image_BHWC` uint8 RGB -> the outputs of all heads, in the order of `output_names`."""

    def __init__(self, encoder: Encoder, heads: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, nn.ModuleDict(heads)
        self.eval()

    @property
    def output_names(self) -> list[str]:
        """`<head>`, and `<head>_covariance` after each head that gives one."""
        names: list[str] = []
        for head in self.heads:
            names.extend([head, covariance_name(head)] if self._uncertain(head) else [head])
        return names

    def forward(self, image_BHWC: Tensor) -> tuple[Tensor, ...]:
        phi_BF = READOUTS[READOUT](self.encoder(normalise(image_BHWC)))
        outputs: list[Tensor] = []
        for name, head in self.heads.items():
            outputs.extend(head(phi_BF) if self._uncertain(name) else [head(phi_BF)])
        return tuple(outputs)

    def _uncertain(self, head: str) -> bool:
        return isinstance(self.heads[head], RegressionHead)


def covariance_name(head: str) -> str:
    """Name of the covariance output that goes with a head."""
    return f"{head}_covariance"

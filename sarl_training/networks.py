"""The encoder, the heads of pretraining, and the file an encoder travels in."""

import json
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from sarl_training.atomic_file import write_atomically
from sarl_training.errors import DataRefused

ARCHITECTURE = "resnet18"
EMBEDDING = 512
MAP_CHANNELS = {"layer2": 128, "layer3": 256, "layer4": 512}
ENCODER_FILE = "encoder.safetensors"
BEST_ENCODER_FILE = "encoder_best.safetensors"  # best by the online probe


class Features(NamedTuple):
    """What the encoder says of an image."""

    embedding_BD: Tensor
    """Average of the layer-4 map, D = 512."""
    maps: dict[str, Tensor]
    """Feature maps B×C×H×W by layer name, with the channels of `MAP_CHANNELS` and strides 8, 16, 32."""


class Encoder(nn.Module):
    """ResNet-18 from random weights. Takes images normalised by `normalise`, gives `Features`."""

    def __init__(self) -> None:
        import torchvision

        super().__init__()
        resnet = torchvision.models.resnet18(weights=None)
        self.stem = nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool)
        self.layer1, self.layer2, self.layer3, self.layer4 = resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4
        self.to(memory_format=torch.channels_last)

    def forward(self, x_BCHW: Tensor) -> Features:
        layer2 = self.layer2(self.layer1(self.stem(x_BCHW)))
        layer3 = self.layer3(layer2)
        layer4 = self.layer4(layer3)
        return Features(layer4.mean(dim=(2, 3)), {"layer2": layer2, "layer3": layer3, "layer4": layer4})


def projector() -> nn.Sequential:
    """Embedding to projection, 512-2048-256, with a batch norm without scale or shift at the end."""
    return nn.Sequential(
        nn.Linear(EMBEDDING, 2048),
        nn.BatchNorm1d(2048),
        nn.ReLU(inplace=True),
        nn.Linear(2048, 256),
        nn.BatchNorm1d(256, affine=False),
    )


def predictor() -> nn.Sequential:
    """Online projection to target projection, 256-512-256."""
    return nn.Sequential(nn.Linear(256, 512), nn.BatchNorm1d(512), nn.ReLU(inplace=True), nn.Linear(512, 256))


def normalise(images_BHWC: Tensor) -> Tensor:
    """uint8 RGB images to the encoder's input: B×3×H×W float, channels last, (x / 255 - 0.5) / 0.5."""
    return images_BHWC.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last).mul(2 / 255).sub(1)


def save_encoder(encoder: nn.Module, path: Path, metadata: dict[str, object]) -> None:
    """Write weights and metadata (kept as strings) as safetensors, atomically."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    text = {
        "architecture": ARCHITECTURE,
        **{key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()},
    }
    write_atomically(Path(path), safetensors.torch.save(weights, metadata=text), durable=True)


def load_encoder(path: Path) -> tuple[Encoder, dict[str, str]]:
    """Read an encoder file, or the one in a run folder: the encoder in eval mode and its metadata.

    A missing, truncated or foreign file, or another architecture, raises DataRefused.
    """
    path = Path(path)
    if path.is_dir():
        of_tasks = [] if (path / ENCODER_FILE).exists() else sorted(path.glob(f"*/{ENCODER_FILE}"))
        if of_tasks:
            folders = ", ".join(str(file.parent) for file in of_tasks)
            raise DataRefused(f"{path}: holds an encoder for each task; give one of them: {folders}")
        path = path / ENCODER_FILE
    if path.suffix == ".onnx":
        raise DataRefused(f"{path}: an exported model, not an encoder; give the run folder that it was exported from")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except FileNotFoundError as error:
        raise DataRefused(
            f"{path}: no such file; give a run folder of `sarl-train pretrain` or its {ENCODER_FILE}"
        ) from error
    except (OSError, safetensors.SafetensorError) as error:
        raise DataRefused(
            f"{path}: not a whole safetensors file ({error}); run `sarl-train pretrain` again or copy it again"
        ) from error
    if metadata.get("architecture") != ARCHITECTURE:
        raise DataRefused(
            f"{path}: architecture {metadata.get('architecture')!r}, but only {ARCHITECTURE!r} can be loaded; "
            "pretrain an encoder with this version"
        )
    spoilt = next((name for name, tensor in weights.items() if not tensor.isfinite().all()), None)
    if spoilt is not None:
        raise DataRefused(f"{path}: {spoilt} holds numbers that are not finite; pretrain again or copy the file again")
    encoder = Encoder()
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise DataRefused(
            f"{path}: weights do not fit {ARCHITECTURE}: {str(error).splitlines()[1].strip()}; "
            "pretrain an encoder with this version"
        ) from error
    return encoder.eval(), metadata

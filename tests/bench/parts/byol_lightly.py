"""BYOL as one writes it with lightly 1.6.0 and a torchvision DataLoader, in the way of lightly's own example.

The same networks as `sarl-train pretrain byol`, crops and colours as in SARL's views; the loop and its input differ.
"""

import copy
import os
from collections.abc import Iterator
from pathlib import Path

import torch
import torchvision
from lightly.data import LightlyDataset
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
from lightly.models.utils import deactivate_requires_grad, update_momentum
from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
from torch import Tensor, nn

EMA_DECAY = 0.996


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        resnet = torchvision.models.resnet18()
        self.backbone = nn.Sequential(*list(resnet.children())[:-1])
        self.projection_head = BYOLProjectionHead(512, 4096, 256)
        self.prediction_head = BYOLPredictionHead(256, 4096, 256)
        self.backbone_momentum = copy.deepcopy(self.backbone)
        self.projection_head_momentum = copy.deepcopy(self.projection_head)
        deactivate_requires_grad(self.backbone_momentum)
        deactivate_requires_grad(self.projection_head_momentum)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.prediction_head(self.projection_head(self.backbone(x_BCHW).flatten(1)))

    def forward_momentum(self, x_BCHW: Tensor) -> Tensor:
        return self.projection_head_momentum(self.backbone_momentum(x_BCHW).flatten(1)).detach()


class LightlyLoop:
    """One step after another over a folder of image files; `autocast` runs the networks in bfloat16."""

    def __init__(self, folder: Path, size: int, batch_size: int, device: torch.device, *, autocast: bool) -> None:
        self.device, self.autocast = device, autocast
        self.network = _Network().to(device)
        self.criterion = NegativeCosineSimilarity()
        self.optimiser = torch.optim.SGD(self.network.parameters(), lr=0.06)
        same = {"input_size": size, "min_scale": 0.2, "gaussian_blur": 1.0, "solarization_prob": 0.0}
        transform = BYOLTransform(BYOLView1Transform(**same), BYOLView2Transform(**same))
        self.loader = torch.utils.data.DataLoader(
            LightlyDataset(str(folder), transform=transform),
            batch_size=batch_size, shuffle=True, drop_last=True, num_workers=os.cpu_count() or 1,
        )  # fmt: skip

    def batches(self) -> Iterator:
        """One epoch; its worker processes end when it is closed."""
        return iter(self.loader)

    def take_step(self, batch: tuple) -> None:
        """The body of the example's loop."""
        network = self.network
        x0, x1 = (x.to(self.device) for x in batch[0])
        update_momentum(network.backbone, network.backbone_momentum, m=EMA_DECAY)
        update_momentum(network.projection_head, network.projection_head_momentum, m=EMA_DECAY)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            p0, p1 = network(x0), network(x1)
            z0, z1 = network.forward_momentum(x0), network.forward_momentum(x1)
        loss = 0.5 * (self.criterion(p0.float(), z1.float()) + self.criterion(p1.float(), z0.float()))
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad()

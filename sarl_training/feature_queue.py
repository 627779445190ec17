"""The last so many feature vectors of training, first in, first out; unlike lightly's memory bank it is resumed."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FeatureQueue(nn.Module):
    """`rows_QD`, at first random unit vectors; the buffers travel in the state dict."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("rows_QD", F.normalize(torch.randn(size, width), dim=1))
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, rows_BD: Tensor) -> None:
        """Put rows in the place of the oldest ones; of more than the size only the last stay."""
        size = len(self.rows_QD)
        rows_BD = rows_BD.detach()[-size:].to(self.rows_QD.dtype)
        places_B = (self.next + torch.arange(len(rows_BD), device=self.next.device)) % size
        self.rows_QD[places_B] = rows_BD
        self.next.copy_((self.next + len(rows_BD)) % size)

"""Batch norms whose statistics are those of the batch of all processes."""

import torch
from torch import Tensor, nn

from sarl_training import distributed


def synchronise_batch_norms(module: nn.Module, device: torch.device) -> nn.Module:
    """Replace all batch norms of `module` if several processes train; names, parameters and buffers stay the same."""
    if distributed.world_size() == 1:
        return module
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(parent, name, _SyncBatchNorm.sharing(child))
    return module


class _SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """For CPUs, where torch has none. Every process must have as many samples."""

    @classmethod
    def sharing(cls, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> "_SyncBatchNorm":
        """A norm with the parameters and buffers of `norm`."""
        new = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        new._parameters, new._buffers = norm._parameters, norm._buffers
        return new.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (2, 4):
            raise ValueError(f"batch norm of a {input.ndim}-dimensional input: 2 or 4 dimensions are possible")

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        dims = [0, *range(2, x.ndim)]
        with torch.autocast(x.device.type, enabled=False):
            exact = x.to(torch.promote_types(x.dtype, torch.float32))
            local = torch.stack(torch.var_mean(exact, dims, correction=0))[None]
            variances_WC, means_WC = distributed.gather(local).unbind(dim=1)
            mean_C = means_WC.mean(dim=0)
            variance_C = variances_WC.mean(dim=0) + (means_WC - mean_C).square().mean(dim=0)
            self._track(mean_C.detach(), variance_C.detach(), x.numel() // x.shape[1] * distributed.world_size())
            scale_C = (variance_C + self.eps).rsqrt()
            if self.weight is not None:
                scale_C = scale_C * self.weight
            shift_C = -mean_C * scale_C if self.bias is None else self.bias - mean_C * scale_C
            shape = (1, -1, *[1] * (x.ndim - 2))
            return torch.addcmul(shift_C.view(shape), exact, scale_C.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _track(self, mean_C: Tensor, variance_C: Tensor, count: int) -> None:
        if self.track_running_stats:
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean_C, self.momentum)
            self.running_var.lerp_(variance_C * count / (count - 1), self.momentum)

"""The linear probe: one linear layer on frozen embeddings, trained for several seeds at once (paper IV-A).

Embeddings are standardised on train before the layer, and the layer is folded back onto the raw embedding: the same
linear map, but 200 epochs are then enough to reach it. Without, AdamW stops far short of the least-squares solution
on a pretrained encoder, whose dimensions differ much in scale, and not on a random one (models/LOG.md). The scale has
the floor of `ridge`: a unit of the encoder that fires on three images of train would else decide what others are.

Shapes: S seeds, N samples, B batch, F features, D outputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from sarl_training.ridge import floored

BATCH_SIZE = 32  # the paper has none; at 256 a task of 750 labels gets 3 steps an epoch, too few (models/LOG.md)
REGRESSION_EPOCHS, REGRESSION_LR = 200, 0.01
CLASSIFICATION_EPOCHS, CLASSIFICATION_LR, CLASSIFICATION_MOMENTUM = 100, 0.02, 0.9


@dataclass(frozen=True)
class LinearProbe:
    """S independent linear layers."""

    weight_SFD: Tensor
    bias_S1D: Tensor

    def predict(self, x_NF: Tensor) -> Tensor:
        """[S, N, D]: label units for regression, logits for classification."""
        return x_NF @ self.weight_SFD + self.bias_S1D


def fit_regression_probe(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], seeds: Sequence[int], epochs: int = REGRESSION_EPOCHS
) -> LinearProbe:
    """AdamW on the mean squared error of targets [N, D] standardised on train.

    The epoch with the least val error is kept, per seed.
    """
    mean_D, std_D = train[1].mean(0), train[1].std(0, correction=0).clamp_min(1e-12)

    def loss_S(prediction_SBD: Tensor, target_SBD: Tensor) -> Tensor:
        return (prediction_SBD - target_SBD).square().mean((1, 2))

    def error_S(prediction_SND: Tensor, target_ND: Tensor) -> Tensor:
        return (prediction_SND - target_ND).abs().mean((1, 2))

    standardised = [(x, (y - mean_D) / std_D) for x, y in (train, val)]
    probe = _fit(standardised, mean_D.numel(), seeds, epochs, lambda p: AdamW(p, REGRESSION_LR), loss_S, error_S)
    return LinearProbe(probe.weight_SFD * std_D, probe.bias_S1D * std_D + mean_D)


def fit_classification_probe(
    train: tuple[Tensor, Tensor],
    val: tuple[Tensor, Tensor],
    classes: int,
    seeds: Sequence[int],
    epochs: int = CLASSIFICATION_EPOCHS,
) -> LinearProbe:
    """SGD on the cross entropy of labels [N]; the epoch with the best val Top-1 is kept, per seed."""

    def loss_S(logits_SBD: Tensor, label_SB: Tensor) -> Tensor:
        return functional.cross_entropy(logits_SBD.movedim(2, 1), label_SB, reduction="none").mean(1)

    def error_S(logits_SND: Tensor, label_N: Tensor) -> Tensor:
        return (logits_SND.argmax(2) != label_N).float().mean(1)

    def optimizer(parameters: list[Tensor]) -> Optimizer:
        return SGD(parameters, CLASSIFICATION_LR, CLASSIFICATION_MOMENTUM)

    return _fit([train, val], classes, seeds, epochs, optimizer, loss_S, error_S)


def _fit(
    splits: Sequence[tuple[Tensor, Tensor]],
    outputs: int,
    seeds: Sequence[int],
    epochs: int,
    make_optimizer: Callable[[list[Tensor]], Optimizer],
    loss_S: Callable[[Tensor, Tensor], Tensor],
    error_S: Callable[[Tensor, Tensor], Tensor],
) -> LinearProbe:
    """Train all seeds in one batched layer: the loss is a sum over seeds, so no seed sees another's gradient."""
    (raw_NF, y_N), (raw_val, y_val) = splits
    mean_F, scale_F = raw_NF.mean(0), floored(raw_NF.var(0, correction=0)).sqrt().clamp_min(1e-12)
    x_NF, x_val = ((raw - mean_F) / scale_F for raw in (raw_NF, raw_val))
    randoms = [torch.Generator().manual_seed(seed) for seed in seeds]
    weight, bias = _initial_layer(randoms, x_NF.shape[1], outputs, x_NF.device)
    optimizer = make_optimizer([weight, bias])
    schedule = CosineAnnealingLR(optimizer, epochs * -(-len(x_NF) // BATCH_SIZE))
    best = LinearProbe(weight.detach().clone(), bias.detach().clone())
    least_S = torch.full((len(seeds),), torch.inf, device=x_NF.device)
    for _ in range(epochs):
        order_SN = torch.stack([torch.randperm(len(x_NF), generator=random) for random in randoms]).to(x_NF.device)
        for index_SB in order_SN.split(BATCH_SIZE, dim=1):
            loss = loss_S(torch.baddbmm(bias, x_NF[index_SB], weight), y_N[index_SB]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            now_S = error_S(x_val @ weight + bias, y_val)
            better_S = now_S < least_S
            least_S = torch.where(better_S, now_S, least_S)
            best.weight_SFD[better_S], best.bias_S1D[better_S] = weight[better_S], bias[better_S]
    folded_SFD = best.weight_SFD / scale_F[:, None]
    return LinearProbe(folded_SFD, best.bias_S1D - torch.einsum("f,sfd->sd", mean_F, folded_SFD)[:, None])


def _initial_layer(
    randoms: Sequence[torch.Generator], features: int, outputs: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """U(-1, 1) / sqrt(F), as `nn.Linear` draws; drawn on the CPU so that every device starts the same."""
    bound = features**-0.5
    drawn = [torch.empty(features + 1, outputs).uniform_(-bound, bound, generator=random) for random in randoms]
    layer = torch.stack(drawn).to(device)
    return layer[:, :-1].clone().requires_grad_(), layer[:, -1:].clone().requires_grad_()

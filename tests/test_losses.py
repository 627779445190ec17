"""The four losses against NumPy versions written from the equations, cell by cell, and the rules that hold for all."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sarl_training import losses
from sarl_training.losses.prototype_distribution import part_distribution

WARPS = {
    "identity": [[1, 0, 0], [0, 1, 0]],
    "flip": [[-1, 0, 0], [0, 1, 0]],
    "zoom and flip": [[-0.61, 0, 0.23], [0, 0.47, -0.31]],
    "partial overlap": [[1.13, 0, 0.71], [0, 0.93, -0.52]],
    "partial overlap, flip": [[-1.9, 0, 0.37], [0, 1.31, 0.82]],
    "corner": [[1.07, 0, 1.81], [0, 1.07, -1.79]],
    "none": [[1, 0, 2.1], [0, 1, 0]],
    "rotation": [[0.8, -0.53, 0.1], [0.53, 0.8, 0.2]],
}


def centre(index: int, count: int) -> float:
    return (2 * index + 1) / count - 1


def warped(warp, column: int, row: int, width: int, height: int) -> np.ndarray:
    return np.asarray(warp)[:, :2] @ [centre(column, width), centre(row, height)] + np.asarray(warp)[:, 2]


def is_inside(point) -> bool:
    return bool(np.all(np.abs(point) <= 1))


def bilinear(image_HW: np.ndarray, x: float, y: float) -> float:
    """Value at a normalised point, border pixels repeated."""
    height, width = image_HW.shape
    column, row = ((x + 1) * width - 1) / 2, ((y + 1) * height - 1) / 2
    left, top = int(np.floor(column)), int(np.floor(row))
    value = 0.0
    for r, wr in ((top, top + 1 - row), (top + 1, row - top)):
        for c, wc in ((left, left + 1 - column), (left + 1, column - left)):
            value += wr * wc * image_HW[np.clip(r, 0, height - 1), np.clip(c, 0, width - 1)]
    return value


def pooled(map_CHW: np.ndarray, grid: int) -> np.ndarray:
    """Adaptive average pooling: P×C, row by row."""
    _, height, width = map_CHW.shape
    bounds = lambda i, n: slice(i * n // grid, -(-(i + 1) * n // grid))  # noqa: E731
    return np.array(
        [map_CHW[:, bounds(i, height), bounds(j, width)].mean(axis=(1, 2)) for i in range(grid) for j in range(grid)]
    )


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def reference_global(prediction, target) -> float:
    return float(np.mean([2 - 2 * unit(p) @ unit(t) for p, t in zip(prediction, target, strict=True)]))


def reference_saliency(online, target, warps) -> float:
    per_sample = []
    for o, t, warp in zip(online, target, warps, strict=True):
        so, st_ = np.abs(o).sum(axis=0), np.abs(t).sum(axis=0)
        so, st_ = so / np.sqrt((so**2).sum()), st_ / np.sqrt((st_**2).sum())
        height, width = so.shape
        if st_.shape != so.shape:
            st_ = np.array(
                [[bilinear(st_, centre(j, width), centre(i, height)) for j in range(width)] for i in range(height)]
            )
        squared = []
        for i in range(height):
            for j in range(width):
                point = warped(warp, j, i, width, height)
                if is_inside(point):
                    squared.append((so[i, j] - bilinear(st_, *point)) ** 2)
        if squared:
            per_sample.append(np.mean(squared))
    return float(np.mean(per_sample)) if per_sample else 0.0


def reference_prototypes(online, target, prototypes, grid=7, temperature=0.1) -> float:
    def distribution(map_CHW):
        logits = unit(pooled(map_CHW, grid)) @ unit(prototypes).T / temperature
        exponentials = np.exp(logits)
        return (exponentials / exponentials.sum(axis=1, keepdims=True)).mean(axis=0)

    total = 0.0
    for o, t in zip(online, target, strict=True):
        qo, qt = distribution(o), distribution(t)
        total += (qo * np.log(qo / qt)).sum() + (qt * np.log(qt / qo)).sum()
    return float(total / len(online))


def reference_affinity(online, target, warps, grid=6, min_regions=2) -> float:
    per_sample = []
    for o, t, warp in zip(online, target, warps, strict=True):
        ao, at = (1 - unit(pooled(m, grid)) @ unit(pooled(m, grid)).T for m in (o, t))
        regions = {}
        for i in range(grid):
            for j in range(grid):
                x, y = warped(warp, j, i, grid, grid)
                if is_inside((x, y)):
                    column, row = (min(int((v + 1) / 2 * grid), grid - 1) for v in (x, y))
                    regions[i * grid + j] = row * grid + column
        if len(regions) >= min_regions:
            squared = [(ao[i, j] - at[regions[i], regions[j]]) ** 2 for i in regions for j in regions]
            per_sample.append(np.mean(squared))
    return float(np.mean(per_sample)) if per_sample else 0.0


def random_maps(seed: int, *shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def warp_tensor(*names: str) -> torch.Tensor:
    return torch.tensor([WARPS[name] for name in names], dtype=torch.float32)


def test_global_term_agrees_with_numpy():
    prediction, target = random_maps(0, 5, 16)
    expected = reference_global(prediction.numpy(), target.numpy())
    assert losses.normalized_mse(prediction, target).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", WARPS)
@pytest.mark.parametrize("size", [(14, 14), (7, 5)])
def test_spatial_terms_agree_with_numpy(name, size):
    online, target = random_maps(1, 2, 8, *size)
    warp = warp_tensor(name, name)
    arrays = online.double().numpy(), target.double().numpy(), warp.double().numpy()
    assert losses.saliency_alignment(online, target, warp).item() == pytest.approx(
        reference_saliency(*arrays), abs=1e-5
    )
    expected = reference_affinity(*arrays)
    assert losses.region_affinity_matching(online, target, warp).item() == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_samples_without_overlap_do_not_count():
    online, target = random_maps(2, 3, 4, 14, 14)
    mixed = warp_tensor("none", "partial overlap", "zoom and flip")
    for loss, reference in (
        (losses.saliency_alignment, reference_saliency),
        (losses.region_affinity_matching, reference_affinity),
    ):
        expected = reference(online.double().numpy(), target.double().numpy(), mixed.double().numpy())
        assert loss(online, target, mixed).item() == pytest.approx(expected, rel=1e-4, abs=1e-8)
        assert loss(online, target, mixed).item() == pytest.approx(
            loss(online[1:], target[1:], mixed[1:]).item(), abs=1e-6
        )


@pytest.mark.parametrize("min_regions", [1, 2, 4, 37])
def test_regions_grid_and_least_number(min_regions):
    online, target = random_maps(3, 4, 6, 10, 10)
    warp = warp_tensor("corner", "partial overlap", "flip", "none")
    arrays = online.double().numpy(), target.double().numpy(), warp.double().numpy()
    value = losses.region_affinity_matching(online, target, warp, grid=5, min_regions=min_regions).item()
    assert value == pytest.approx(reference_affinity(*arrays, grid=5, min_regions=min_regions), rel=1e-4, abs=1e-8)


def test_target_of_another_size_is_resized():
    online, _ = random_maps(4, 2, 4, 8, 8)
    _, target = random_maps(5, 2, 4, 12, 6)
    warp = warp_tensor("partial overlap", "flip")
    expected = reference_saliency(online.double().numpy(), target.double().numpy(), warp.double().numpy())
    assert losses.saliency_alignment(online, target, warp).item() == pytest.approx(expected, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize(
    ("size", "grid", "temperature"), [((14, 14), 7, 0.1), ((10, 9), 7, 0.1), ((4, 4), 7, 0.2), ((8, 8), 3, 1.0)]
)
def test_prototype_term_agrees_with_numpy(size, grid, temperature):
    online, target = random_maps(6, 3, 8, *size)
    prototypes = torch.randn(5, 8, generator=torch.Generator().manual_seed(7))
    arrays = online.double().numpy(), target.double().numpy(), prototypes.double().numpy()
    value = losses.prototype_distribution_alignment(
        online, target, prototypes, grid=grid, temperature=temperature
    ).item()
    assert value == pytest.approx(reference_prototypes(*arrays, grid=grid, temperature=temperature), rel=1e-4, abs=1e-8)


def all_losses(online, target, prototypes, warp) -> dict[str, torch.Tensor]:
    return {
        "global": losses.normalized_mse(online.flatten(1), target.flatten(1)),
        "sal": losses.saliency_alignment(online, target, warp),
        "ppda": losses.prototype_distribution_alignment(online, target, prototypes),
        "ram": losses.region_affinity_matching(online, target, warp),
    }


@pytest.mark.parametrize("name", ["partial overlap", "none"])
def test_gradients_reach_online_maps_and_prototypes_only(name):
    online, target = (t.requires_grad_() for t in random_maps(8, 2, 4, 14, 14))
    prototypes = torch.randn(3, 4, requires_grad=True)
    for term, value in all_losses(online, target, prototypes, warp_tensor(name, name)).items():
        gradients = torch.autograd.grad(value, [online, target, prototypes], allow_unused=True)
        assert gradients[1] is None, f"{term} reaches the target"
        assert torch.isfinite(gradients[0]).all()
        assert (gradients[2] is None) == (term != "ppda")
        if name != "none" or term in ("global", "ppda"):
            assert gradients[0].abs().sum() > 0, f"{term} does not reach the online map"


def test_prototypes_learn_through_the_online_side_only():
    """The gradient must be that of a loss whose target distribution is a constant."""
    online, target = random_maps(9, 2, 4, 14, 14)
    prototypes = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    direction, step = torch.randn(3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64), 1e-3
    leaf = prototypes.float().requires_grad_()
    losses.prototype_distribution_alignment(online, target, leaf).backward()

    fixed = part_distribution(target.double(), prototypes, 7, 0.1)

    def loss(p):
        q = part_distribution(online.double(), p, 7, 0.1)
        return ((q - fixed) * (q.log() - fixed.log())).sum(dim=1).mean()

    slope = (loss(prototypes + step * direction) - loss(prototypes - step * direction)) / (2 * step)
    assert (leaf.grad * direction).sum().item() == pytest.approx(slope.item(), rel=1e-2)


def test_losses_vanish_between_equal_views_and_survive_empty_maps():
    online, _ = random_maps(10, 2, 4, 12, 12)
    prototypes = torch.randn(3, 4)
    for term, value in all_losses(online, online, prototypes, warp_tensor("identity", "identity")).items():
        assert value.item() == pytest.approx(0, abs=1e-6), term
    zeros = torch.zeros(2, 4, 12, 12, requires_grad=True)
    for term, value in all_losses(zeros, zeros, prototypes, warp_tensor("flip", "none")).items():
        assert torch.isfinite(value), term
        (gradient,) = torch.autograd.grad(value, zeros)
        assert torch.isfinite(gradient).all(), term


def test_losses_compute_in_float32_under_autocast():
    online, target = random_maps(11, 2, 4, 14, 14)
    prototypes, warp = torch.randn(3, 4), warp_tensor("partial overlap", "flip")
    plain = all_losses(online, target, prototypes, warp)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = all_losses(online, target, prototypes, warp)
        half = all_losses(online.bfloat16(), target.bfloat16(), prototypes.bfloat16(), warp)
    for term, value in plain.items():
        assert mixed[term].dtype == half[term].dtype == torch.float32
        assert mixed[term].item() == value.item(), term


@given(st.integers(0, 10_000), st.floats(0.05, 20), st.floats(0.05, 20))
@settings(max_examples=20, deadline=None)
def test_losses_do_not_depend_on_the_scale_of_maps(seed, a, b):
    online, target = random_maps(seed, 1, 3, 7, 7)
    prototypes, warp = torch.randn(3, 3, generator=torch.Generator().manual_seed(seed)), warp_tensor("zoom and flip")
    scaled = all_losses(a * online, b * target, b * prototypes, warp)
    for term, value in all_losses(online, target, prototypes, warp).items():
        assert scaled[term].item() == pytest.approx(value.item(), rel=1e-3, abs=1e-7), term


def test_wrong_shapes_are_named():
    online, target = random_maps(12, 2, 4, 6, 6)
    warp = warp_tensor("flip", "flip")
    with pytest.raises(ValueError, match="online 2×4×6×6 and target 2×4×6 maps"):
        losses.saliency_alignment(online, target[..., 0], warp)
    with pytest.raises(ValueError, match="warp 1×2×3: must be 2×2×3"):
        losses.region_affinity_matching(online, target, warp[:1])
    with pytest.raises(ValueError, match="prototypes 3×5: must be K×4"):
        losses.prototype_distribution_alignment(online, target, torch.randn(3, 5))
    with pytest.raises(ValueError, match="prediction 2×4 and target 2×5"):
        losses.normalized_mse(torch.randn(2, 4), torch.randn(2, 5))
    with pytest.raises(ValueError, match="same B and C"):
        losses.prototype_distribution_alignment(online[:1], target, torch.randn(3, 4))

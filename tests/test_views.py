"""Augmented views: where they come from, what their colours become, and that they are the same again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from torch.nn import functional as F

from sarl_training import geometry, photometric, views
from sarl_training.errors import UsageError

PLAIN = views.ViewConfig(crop_scale=(1, 1), crop_ratio=(1, 1), flip=0, jitter=0, grayscale=0, blur=0)


def random_images(batch: int, height: int, width: int | None = None, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, height, width or height, 3), dtype=torch.uint8, generator=generator)


def make(images, config=views.ViewConfig(), samples=None, size=32, seed=0, epoch=0, view=0) -> views.View:  # noqa: B008
    samples = np.arange(len(images)) if samples is None else np.asarray(samples)
    return views.make_view(images, samples, size, config, seed=seed, epoch=epoch, view=view)


def test_a_view_depends_on_its_sample_and_not_on_its_batch():
    images = random_images(6, 32)
    config = views.ViewConfig(crop_scale=(0.2, 1), flip=0.5)
    whole, part = make(images, config), make(images[[4, 1]], config, samples=[4, 1])
    torch.testing.assert_close(part.x_BCHW, whole.x_BCHW[[4, 1]], rtol=0, atol=1e-6)
    assert torch.equal(part.to_source_B23, whole.to_source_B23[[4, 1]])
    again = make(images, config)
    assert torch.equal(again.x_BCHW, whole.x_BCHW)
    for other in ({"seed": 1}, {"epoch": 1}, {"view": 1}, {"samples": [9, 8, 7, 6, 5, 3]}):
        assert not torch.equal(make(images, config, **other).to_source_B23, whole.to_source_B23), other


def test_random_numbers_are_uniform_and_unrelated():
    draws = views.uniform(0, np.arange(20_000), 0, 0, count=4)
    assert draws.min() >= 0
    assert draws.max() < 1
    histogram = np.stack([np.histogram(column, 20, (0, 1))[0] for column in draws.T])
    assert np.abs(histogram / 1000 - 1).max() < 0.15
    others = [views.uniform(s, np.arange(20_000), e, v, count=1) for s, e, v in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    correlation = np.corrcoef(np.hstack([draws, *others]).T) - np.eye(7)
    assert np.abs(correlation).max() < 0.03


def test_crops_have_the_sizes_asked_for():
    config = views.ViewConfig(crop_scale=(0.2, 1.0), crop_ratio=(3 / 4, 4 / 3), flip=0.5)
    affine = views.draw_affine(np.arange(5000), config, seed=0, epoch=0, view=0).double()
    width, height = affine[:, 0, 0].abs(), affine[:, 1, 1]
    area, ratio = width * height, width / height
    assert 0.2 - 1e-6 <= area.min() < 0.21
    assert 0.98 < area.max() <= 1 + 1e-6
    assert 0.75 - 1e-6 <= ratio.min() < 0.76
    assert 1.32 < ratio.max() <= 4 / 3 + 1e-6
    assert (affine[:, 0, 0] < 0).double().mean() == pytest.approx(0.5, abs=0.03)
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)
    assert geometry.apply(affine, corners).abs().max() <= 1 + 1e-6


def test_same_zoom_gives_both_views_one_size_at_two_places():
    config = views.ViewConfig(crop_scale=(0.2, 0.5), same_zoom=True, flip=0)
    a, b = (views.draw_affine(np.arange(50), config, seed=0, epoch=0, view=view) for view in (0, 1))
    assert torch.equal(a[:, :, :2], b[:, :, :2])
    assert not torch.isclose(a[:, :, 2], b[:, :, 2]).all(dim=1).any()
    assert a[:, 0, 0].unique().numel() > 40


@pytest.mark.parametrize(("height", "width", "size"), [(32, 32, 32), (40, 24, 48)])
def test_growing_is_bilinear_sampling_at_the_map(height, width, size):
    images = random_images(5, height, width)
    config = views.ViewConfig(crop_scale=(0.2, 0.4), flip=0.5)
    affine = views.draw_affine(np.arange(5), config, seed=0, epoch=0, view=0)
    grid = F.affine_grid(affine, [5, 3, size, size], align_corners=False)
    expected = F.grid_sample(
        images.permute(0, 3, 1, 2) / 255, grid, mode="bilinear", padding_mode="border", align_corners=False
    )
    torch.testing.assert_close(views.resample(images, affine, size), expected, rtol=0, atol=2e-5)


def test_shrinking_does_not_alias():
    """Stripes one pixel wide become gray, as in torch's antialiased resize."""
    images = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    images[:, :, ::2] = 255
    whole = torch.eye(2, 3)[None]
    expected = F.interpolate(images.permute(0, 3, 1, 2) / 255, (16, 16), mode="bilinear", antialias=True)
    torch.testing.assert_close(views.resample(images, whole, 16), expected, rtol=0, atol=2e-3)


def test_an_unchanged_view_is_the_normalised_image():
    images = random_images(3, 32)
    view = make(images, PLAIN)
    torch.testing.assert_close(view.x_BCHW, (images.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5, rtol=0, atol=1e-5)
    assert view.x_BCHW.is_contiguous(memory_format=torch.channels_last)
    mirrored = make(images, replace(PLAIN, flip=1.0))
    torch.testing.assert_close(mirrored.x_BCHW, view.x_BCHW.flip(3), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (photometric.adjust_brightness, tv.adjust_brightness, (0.0, 0.6, 1.4)),
        (photometric.adjust_contrast, tv.adjust_contrast, (0.0, 0.6, 1.4)),
        (photometric.adjust_saturation, tv.adjust_saturation, (0.0, 0.8, 1.2)),
        (photometric.shift_hue, tv.adjust_hue, (-0.5, -0.1, 0.07)),
    ],
)
def test_colours_change_as_in_torchvision(ours, theirs, factors):
    x = torch.rand(3, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    x[:, :, 0] = x[:, :1, 0]  # a gray row
    expected = torch.stack([theirs(image, factor) for image, factor in zip(x, factors, strict=True)])
    torch.testing.assert_close(ours(x, torch.tensor(factors)), expected, rtol=0, atol=1e-4)


def test_blur_is_a_gaussian_that_scales_with_the_image():
    x = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    blurred = views._blur(x, torch.tensor([True, False]), torch.tensor([2.0, 2.0]))
    expected = tv.gaussian_blur(x[0], [13, 13], [1.0, 1.0])
    torch.testing.assert_close(blurred[0, :, 6:-6, 6:-6], expected[:, 6:-6, 6:-6], rtol=0, atol=1e-4)
    torch.testing.assert_close(blurred[1], x[1], rtol=0, atol=1e-6)
    flat = views._blur(torch.full_like(x, 0.3), torch.tensor([True, True]), torch.tensor([2.0, 0.1]))
    torch.testing.assert_close(flat, torch.full_like(x, 0.3))


def test_probabilities_of_colour_changes():
    images = random_images(1, 8).expand(400, -1, -1, -1)
    gray = make(images, replace(PLAIN, grayscale=0.2), size=8).x_BCHW
    assert (gray.std(dim=1).amax(dim=(1, 2)) < 1e-5).float().mean() == pytest.approx(0.2, abs=0.06)
    jittered = make(images, replace(PLAIN, jitter=0.8), size=8).x_BCHW
    unchanged = (jittered - make(images, PLAIN, size=8).x_BCHW).abs().amax(dim=(1, 2, 3)) < 1e-3
    assert unchanged.float().mean() == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"crop_scale": (0.0, 1.0)}, "--views.crop-scale 0.0 1.0"),
        ({"crop_scale": (0.5, 1.2)}, "none above 1"),
        ({"crop_ratio": (2.0, 1.0)}, "the smaller first"),
        ({"flip": 1.5}, "--views.flip 1.5"),
        ({"hue": 0.6}, "--views.hue 0.6"),
    ],
)
def test_impossible_views_are_named(change, named):
    with pytest.raises(UsageError, match=named):
        views.ViewConfig(**change)

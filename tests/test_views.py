"""Augmented views: where they come from, what their colours become, and that they are the same again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.transforms.v2 as transforms
import torchvision.transforms.v2.functional as tv
from scipy.stats import ks_2samp
from torch.nn import functional as F
from torchvision import transforms as classic

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


def test_solarisation_inverts_the_upper_half_as_in_torchvision():
    x = torch.rand(4, 3, 9, 11, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0, :3] = torch.tensor([0.5, 0.0, 1.0])
    done = photometric.solarize(x, torch.tensor([True, False, True, False]))
    torch.testing.assert_close(done[::2], tv.solarize(x[::2], 0.5))
    assert torch.equal(done[1::2], x[1::2])


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


def test_the_second_view_has_settings_of_its_own():
    images = random_images(1, 8).expand(400, -1, -1, -1)
    config = replace(PLAIN, solarize=0.0, solarize_second=0.2)
    plain = make(images, PLAIN, size=8).x_BCHW
    assert torch.equal(make(images, config.first(), size=8).x_BCHW, plain)
    changed = (make(images, config.second(), size=8, view=1).x_BCHW - plain).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert changed.float().mean() == pytest.approx(0.2, abs=0.06)
    both = replace(PLAIN, blur=1.0, solarize=0.3)
    assert both.first() == both.second() == both
    asymmetric = replace(PLAIN, blur=1.0, blur_second=0.1)
    assert (asymmetric.first().blur, asymmetric.second().blur) == (1.0, 0.1)


def test_a_further_draw_does_not_move_the_others():
    few, many = (views.uniform(3, np.arange(9), 1, 2, count=count) for count in (8, 9))
    assert np.array_equal(few, many[:, :8])


SAMPLES = 1000
ALIKE = 1e-3  # least p-value of a two-sample Kolmogorov-Smirnov test; the numbers are fixed, so this cannot flicker


def test_crops_are_distributed_as_in_torchvision():
    torch.manual_seed(0)
    large = torch.empty(3, 1000, 1000)
    theirs = np.array([
        classic.RandomResizedCrop.get_params(large, (0.2, 1.0), (3 / 4, 4 / 3))
        for _ in range(SAMPLES)
    ])  # fmt: skip
    top, left, height, width = theirs.T / 1000
    affine = views.draw_affine(np.arange(SAMPLES), views.ViewConfig(flip=0), seed=0, epoch=0, view=0).double().numpy()
    our_width, our_height = affine[:, 0, 0], affine[:, 1, 1]
    our_left, our_top = (affine[:, 0, 2] - our_width + 1) / 2, (affine[:, 1, 2] - our_height + 1) / 2
    pairs = {
        "area": (width * height, our_width * our_height),
        "ratio": (width / height, our_width / our_height),
        "left": (left, our_left),
        "top": (top, our_top),
    }
    for name, (reference, ours) in pairs.items():
        assert ks_2samp(reference, ours, method="asymp").pvalue > ALIKE, name


SIZE, SCALE = 32, 32 / views.BLUR_REFERENCE
STAGES = {
    "crop": (transforms.RandomResizedCrop(SIZE, (0.2, 1.0), antialias=True), {"crop_scale": (0.2, 1.0)}),
    "flip": (transforms.RandomHorizontalFlip(), {"flip": 0.5}),
    "jitter": (
        transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)], 0.8),
        {"jitter": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1},
    ),
    "grayscale": (transforms.RandomGrayscale(0.2), {"grayscale": 0.2}),
    "blur": (
        transforms.GaussianBlur(2 * round(views.BLUR_RADIUS * SCALE) + 1, (0.1 * SCALE, 2 * SCALE)),
        {"blur": 1.0, "blur_sigma": (0.1, 2.0)},
    ),
    "solarize": (transforms.RandomSolarize(0.5, 0.2), {"solarize": 0.2}),
}  # in the order of the pipeline; at 32 px the blur is the 224 px one, scaled


@pytest.mark.parametrize("stages", [[name] for name in STAGES] + [list(STAGES)], ids="+".join)
def test_views_are_distributed_as_in_torchvision(stages):
    """The paper's pipeline and BYOL's solarisation on one image, each stage alone and all together.

    torchvision draws the order of the colour changes anew every time; here it is fixed.
    """
    side = 64 if "crop" in stages else SIZE
    generator = torch.Generator().manual_seed(1)
    image = F.interpolate(torch.rand(1, 3, 12, 12, generator=generator), (side, side), mode="bicubic").clamp(0, 1)[0]
    image = (image * 255).round() / 255
    pipeline = transforms.Compose([STAGES[name][0] for name in stages])
    torch.manual_seed(0)
    theirs = torch.stack([pipeline(image) for _ in range(SAMPLES)])
    config = replace(PLAIN, **{key: value for name in stages for key, value in STAGES[name][1].items()})
    config = replace(config, crop_ratio=(3 / 4, 4 / 3)) if "crop" in stages else config
    images = (image * 255).round().to(torch.uint8).permute(1, 2, 0).repeat(SAMPLES, 1, 1, 1)
    ours = (make(images, config, size=SIZE).x_BCHW + 1) / 2
    other = statistics(ours)
    for name, value in statistics(theirs).items():
        assert ks_2samp(value, other[name], method="asymp").pvalue > ALIKE, name
    assert ours.mean().item() == pytest.approx(theirs.mean().item(), abs=0.01)
    assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.03)


def statistics(x_BCHW: torch.Tensor) -> dict[str, np.ndarray]:
    """Per view: brightness, contrast, colour, sharpness, sides; all but the border, where the two blur differently.

    A little noise hides differences in the last of 8 bits.
    """
    x_BCHW = x_BCHW[:, :, 3:-3, 3:-3]
    luma = photometric.gray(x_BCHW)
    brightness = luma.mean(dim=(1, 2, 3))
    left, right = luma.chunk(2, dim=3)
    values = {
        "brightness": brightness,
        "contrast": luma.std(dim=(1, 2, 3)) / brightness,
        "colour": (x_BCHW - luma).abs().mean(dim=(1, 2, 3)) / brightness,
        "red": x_BCHW[:, 0].mean(dim=(1, 2)) / brightness,
        "blue": x_BCHW[:, 2].mean(dim=(1, 2)) / brightness,
        "sharpness x": luma.diff(dim=3).abs().mean(dim=(1, 2, 3)) / luma.std(dim=(1, 2, 3)),
        "sharpness y": luma.diff(dim=2).abs().mean(dim=(1, 2, 3)) / luma.std(dim=(1, 2, 3)),
        "left and right": left.mean(dim=(1, 2, 3)) - right.mean(dim=(1, 2, 3)),
    }
    noise = np.random.default_rng(0)
    return {name: value.numpy() + noise.uniform(0, 0.01, len(value)) for name, value in values.items()}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"solarize_second": -0.1}, "--views.solarize-second -0.1"),
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

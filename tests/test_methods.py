"""Every method of the registry, and that it learns; then what is SARL's own."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch
from small_methods import build_small

from sarl_training import config as settings
from sarl_training import losses, pretrain
from sarl_training.errors import UsageError
from sarl_training.geometry import view_to_view
from sarl_training.methods import METHODS, Method
from sarl_training.methods.sarl import SARL
from sarl_training.optim import OptimConfig, build_optimiser
from sarl_training.views import View, ViewConfig, make_view

SIZE, BATCH = 32, 8


def bars(seed: int = 0) -> torch.Tensor:
    """Bright bars at random angles on gray: uint8 images."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    angle, shift = rng.uniform(0, np.pi, BATCH), rng.uniform(-6, 6, BATCH)
    distance = np.cos(angle)[:, None, None] * x + np.sin(angle)[:, None, None] * y - shift[:, None, None]
    values = np.where(np.abs(distance) < 3, 220, 90).astype(np.uint8)
    return torch.from_numpy(np.repeat(values[..., None], 3, axis=3))


def views_of(method: Method, epoch: int = 0, images: int = 0, config: ViewConfig = ViewConfig()) -> list[View]:  # noqa: B008
    draw = {"seed": 0, "epoch": epoch}
    plan = method.plan(config, SIZE)
    pixels = bars(images)
    return [make_view(pixels, np.arange(BATCH), s, c, view=i, **draw) for i, (c, s) in enumerate(plan)]


def optimiser_of(method: Method) -> torch.optim.Optimizer:
    return build_optimiser(method, OptimConfig(), method.spared(), method.steady())


def take_step(method: Method, optimiser: torch.optim.Optimizer, views: list[View], step: int, total: int) -> dict:
    method.before_step(step, total)
    terms = method(*views)
    optimiser.zero_grad()
    terms["loss"].backward()
    optimiser.step()
    method.after_step()
    return {name: term.item() for name, term in terms.items()}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_describes_itself(name):
    method = METHODS[name]
    assert method.__doc__
    assert is_dataclass(method.Config)
    assert set(method.PRESETS) == {"paper", "recommended"}
    for preset in method.PRESETS:
        for augment in ("own", "shared"):
            config = pretrain.parse([
                name, "--data", "d", "--out", "o", "--preset", preset, "--augment", augment,
            ])  # fmt: skip
            assert config.method == settings.from_dict(config.method, settings.to_dict(config)["method"])
    paper = pretrain.parse([name, "--data", "d", "--out", "o", "--preset", "paper"])
    assert (paper.image_size, paper.epochs, paper.batch_size) == (224, 100, 256)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_learns(name):
    """On views that stay the same; a queue needs images that it does not hold, and is full of noise at first."""
    method = build_small(name)
    optimiser, total = optimiser_of(method), 8
    history = []
    for step in range(total):
        views = views_of(method, images=step if name == "densecl" else 0)
        terms = take_step(method, optimiser, views, step, total)
        assert {"loss", *method.weights()} == set(terms)
        assert all(np.isfinite(value) for value in terms.values()), terms
        history.append(terms["loss"])
    fall = {"swav": 0.05, "cplearn": 0.01, "densecl": 0.05}.get(name, 0.2)
    start = 3 if name == "densecl" else 0
    first, last = np.mean(history[start : start + 2]), np.mean(history[-2:])
    assert last < first - fall * abs(first), f"the loss of {name} does not fall: {history}"


@pytest.mark.parametrize("name", METHODS)
def test_gradients_reach_all_of_the_online_network_and_none_of_the_target(name):
    method = build_small(name)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = method(*views_of(method))
    assert all(term.ndim == 0 and term.dtype == torch.float32 for term in terms.values()), "losses are float32"
    weighted = sum(method.weights()[term] * terms[term] for term in method.weights())
    assert terms["loss"].item() == pytest.approx(weighted.item(), rel=1e-5)
    terms["loss"].backward()
    for parameter_name, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"no gradient reaches {parameter_name}"
        else:
            assert parameter.grad is None, f"a gradient reaches {parameter_name}"
    assert method.encoder.stem[0].weight.grad.abs().max() > 0
    assert {n.split(".")[0] for n, p in method.named_parameters() if not p.requires_grad} <= {"target"}


@pytest.mark.parametrize("name", METHODS)
def test_all_state_is_in_the_state_dict(name):
    """A method that keeps anything else would go another way after a resumption."""
    first = build_small(name)
    optimiser = torch.optim.SGD(first.parameters(), 0.01)  # keeps nothing itself
    for step in range(3):
        take_step(first, optimiser, views_of(first, images=step), step, 4)
    second = METHODS[name](first.config)
    second.load_state_dict(first.state_dict())
    follower = torch.optim.SGD(second.parameters(), 0.01)
    views = views_of(first, images=3)
    assert take_step(first, optimiser, views, 3, 4) == take_step(second, follower, views, 3, 4)
    for (key, value), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(value, other), key


def test_the_target_moves_after_the_step_by_the_decay():
    method = build_small("byol")
    before = method.target.network.encoder.layer4[1].conv2.weight.clone()
    with torch.no_grad():
        method.encoder.layer4[1].conv2.weight.add_(1.0)
    method.after_step()
    moved = method.target.network.encoder.layer4[1].conv2.weight - before
    torch.testing.assert_close(moved, torch.full_like(moved, 1 - method.config.ema_decay), rtol=1e-3, atol=1e-5)


def test_the_terms_of_sarl_are_those_of_the_paper():
    method = build_small("sarl")
    first, second = views_of(method)
    state = {name: value.clone() for name, value in method.state_dict().items()}
    terms = method(first, second)
    method.load_state_dict(state)
    online = [method.online(view.x_BCHW) for view in (first, second)]
    target = [method.target(view.x_BCHW) for view in (first, second)]
    warps = [view_to_view(a.to_source_B23, b.to_source_B23) for a, b in ((first, second), (second, first))]
    directions = [(online[0], target[1], warps[0]), (online[1], target[0], warps[1])]

    def mean_of_both(loss) -> float:
        return sum(loss(o[0].maps, t[0].maps, warp).item() for o, t, warp in directions) / 2

    expected = {
        "global": sum(losses.normalized_mse(method.predictor(o[1]), t[1]).item() for o, t, _ in directions),
        "sal": sum(
            mean_of_both(lambda o, t, w, k=k: losses.saliency_alignment(o[k], t[k], w))
            for k in ("layer2", "layer3", "layer4")
        )
        / 3,
        "ppda": mean_of_both(
            lambda o, t, _: losses.prototype_distribution_alignment(o["layer3"], t["layer3"], method.prototypes_KC)
        ),
        "ram": mean_of_both(lambda o, t, w: losses.region_affinity_matching(o["layer3"], t["layer3"], w)),
    }
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-4), name


def test_paper_preset_has_the_papers_numbers():
    paper = SARL.PRESETS["paper"]
    config = settings.from_dict(SARL.Config(), paper["method"])
    assert (config.sal_weight, config.ppda_weight, config.ram_weight) == (0.10, 0.05, 0.02)
    assert (config.ema_decay, config.prototypes) == (0.996, 32)
    assert (paper["epochs"], paper["batch_size"], paper["image_size"]) == (100, 256, 224)
    optim = settings.from_dict(OptimConfig(), paper["optim"])
    assert optim == OptimConfig(lr=1e-3, weight_decay=1e-4, decay_all=True, schedule="constant", warmup=0.0)
    assert "views" not in paper, "the defaults are the paper's views"
    views = ViewConfig()
    assert (views.crop_scale, views.flip, views.jitter, views.grayscale) == ((0.2, 1.0), 0.5, 0.8, 0.2)
    assert (views.brightness, views.contrast, views.saturation, views.hue) == (0.4, 0.4, 0.2, 0.1)
    assert (views.blur, views.blur_sigma) == (1.0, (0.1, 2.0))


def test_impossible_settings_are_named():
    with pytest.raises(UsageError, match=r"ema-decay 1\.5"):
        METHODS["byol"].Config(ema_decay=1.5)
    with pytest.raises(UsageError, match="sal_weight=-1"):
        METHODS["sarl"].Config(sal_weight=-1)
    assert {f.name for f in fields(METHODS["byol"].Config)} < {f.name for f in fields(METHODS["sarl"].Config)}

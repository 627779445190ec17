"""Every method of the registry, and that it learns; then what is SARL's own."""

from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch

from sarl_training import config as settings
from sarl_training import losses
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


def two_views(epoch: int = 0) -> tuple[View, View]:
    draw = {"size": SIZE, "config": ViewConfig(flip=0.5), "seed": 0, "epoch": epoch}
    return make_view(bars(), np.arange(BATCH), view=0, **draw), make_view(bars(), np.arange(BATCH), view=1, **draw)


def build(name: str) -> Method:
    torch.manual_seed(0)
    return METHODS[name](METHODS[name].Config())


@pytest.mark.parametrize("name", METHODS)
def test_a_method_describes_itself(name):
    method = METHODS[name]
    assert method.__doc__
    assert is_dataclass(method.Config)
    assert set(method.PRESETS) == {"paper", "recommended"}
    for values in method.PRESETS.values():
        settings.from_dict(method.Config(), values.get("method", {}))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_learns(name):
    method = build(name)
    optimiser = build_optimiser(method, OptimConfig(), method.spared())
    views, history = two_views(), []
    for _ in range(15):
        terms = method(*views)
        assert {"loss", *method.weights()} == set(terms)
        assert all(term.ndim == 0 and torch.isfinite(term) for term in terms.values()), terms
        optimiser.zero_grad()
        terms["loss"].backward()
        optimiser.step()
        method.after_step()
        history.append(terms["loss"].item())
    assert np.mean(history[-3:]) < 0.8 * np.mean(history[:3]), f"the loss of {name} does not fall: {history}"


@pytest.mark.parametrize("name", METHODS)
def test_gradients_reach_all_of_the_online_network_and_none_of_the_target(name):
    method = build(name)
    terms = method(*two_views())
    weighted = sum(method.weights()[term] * terms[term] for term in method.weights())
    assert terms["loss"].item() == pytest.approx(weighted.item(), rel=1e-5)
    terms["loss"].backward()
    for parameter_name, parameter in method.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"no gradient reaches {parameter_name}"
        else:
            assert parameter.grad is None, f"a gradient reaches {parameter_name}"
    assert {n.split(".")[0] for n, p in method.named_parameters() if not p.requires_grad} <= {"target"}


@pytest.mark.parametrize("name", METHODS)
def test_all_state_is_in_the_state_dict(name):
    """A method that keeps anything else would go another way after a resumption."""
    first, second = build(name), build(name)
    optimiser = build_optimiser(first, OptimConfig(), first.spared())
    first(*two_views())["loss"].backward()
    optimiser.step()
    first.after_step()
    second.load_state_dict(first.state_dict())
    for term, value in first(*two_views(1)).items():
        assert torch.equal(value, second(*two_views(1))[term]), term


def test_the_target_moves_after_the_step_by_the_decay():
    method = build("byol")
    before = method.target.network.encoder.layer4[1].conv2.weight.clone()
    with torch.no_grad():
        method.encoder.layer4[1].conv2.weight.add_(1.0)
    method.after_step()
    moved = method.target.network.encoder.layer4[1].conv2.weight - before
    torch.testing.assert_close(moved, torch.full_like(moved, 1 - method.config.ema_decay), rtol=1e-3, atol=1e-5)


def test_the_terms_of_sarl_are_those_of_the_paper():
    method = build("sarl")
    first, second = two_views()
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

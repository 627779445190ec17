"""What is each baseline's own: its views, schedules, queue, frozen parts; and the optimisers they are trained with."""

import math

import numpy as np
import pytest
import torch
from lightly.utils.lars import LARS as LightlyLARS
from small_methods import build_small
from test_methods import BATCH, take_step, views_of
from torch import nn

from sarl_training import config as settings
from sarl_training import losses, pretrain
from sarl_training.errors import UsageError
from sarl_training.lars import LARS
from sarl_training.methods import METHODS
from sarl_training.optim import OptimConfig, build_optimiser, learning_rate, set_rate
from sarl_training.target_network import AveragedTarget


def parsed(name: str, *words: str):
    return pretrain.parse([name, "--data", "d", "--out", "o", *words])


def plan_of(name: str, *words: str, size: int = 224):
    """The plan needs the settings alone: no networks are built."""
    config = parsed(name, *words)
    method = METHODS[name].__new__(METHODS[name])
    nn.Module.__init__(method)
    method.config = config.method
    return method.plan(config.views, size)


@pytest.mark.parametrize("name", ["byol", "barlow_twins", "vicreg", "minc", "cplearn"])
def test_the_second_view_is_blurred_less_and_solarised(name):
    first, second = plan_of(name)
    assert (first.config.blur, first.config.solarize) == (1.0, 0.0)
    assert (second.config.blur, second.config.solarize) == (0.1, 0.2)
    assert first.config.crop_scale == second.config.crop_scale == (0.08, 1.0)
    assert (first.config.brightness, first.config.saturation, first.config.hue) == (0.4, 0.2, 0.1)


@pytest.mark.parametrize(
    ("name", "strength", "crop"), [("simclr", 0.8, 0.08), ("simsiam", 0.4, 0.2), ("densecl", 0.4, 0.2)]
)
def test_both_views_are_alike(name, strength, crop):
    first, second = plan_of(name)
    assert first == second
    assert (first.config.brightness, first.config.saturation, first.config.blur) == (strength, strength, 0.5)
    assert first.config.crop_scale == (crop, 1.0)


def test_swav_has_small_views_blurred_as_wide():
    plan = plan_of("swav")
    assert [view.size for view in plan] == [224, 224] + [96] * 6
    assert [view.config.crop_scale for view in plan] == [(0.14, 1.0)] * 2 + [(0.05, 0.14)] * 6
    small = plan[2].config.blur_sigma
    assert np.array(small) * 96 / 224 == pytest.approx((0.1, 2.0)), "pixels of the small view"
    assert [view.size for view in plan_of("swav", size=128)][2:] == [56] * 6
    assert [view.size for view in plan_of("swav", size=64)][2:] == [32] * 6, "none below what the encoder can use"


@pytest.mark.parametrize("preset", ["paper", "recommended"])
def test_shared_views_are_sarls_for_all(preset):
    shared = {name: plan_of(name, "--preset", preset, "--augment", "shared") for name in METHODS}
    assert all(plan == shared["sarl"] for plan in shared.values())
    assert shared["sarl"] == plan_of("sarl", "--preset", preset)
    assert len(shared["swav"]) == 2


def test_flags_go_on_top_of_own_views():
    first, second = plan_of("byol", "--views.flip", "0", "--views.solarize-second", "0.5", "--views.blur", "0.3")
    assert (first.config.flip, second.config.flip) == (0, 0)
    assert (first.config.blur, second.config.blur) == (0.3, 0.1)
    assert second.config.solarize == 0.5
    assert len(plan_of("swav", "--method.small-views", "1")) == 3
    with pytest.raises(UsageError, match="--augment theirs: unknown views"):
        parsed("byol", "--augment", "theirs")


def test_own_views_survive_the_record():
    config = parsed("byol")
    values = settings.to_dict(config)
    assert values["augment"] == "own" and values["views"]["blur_second"] == 0.1
    assert settings.from_dict(parsed("byol", "--augment", "shared"), values) == config
    assert settings.from_dict(config, {"views": {"blur_second": None}}).views.blur_second is None


def test_the_decay_of_byols_target_rises_to_one():
    method = METHODS["byol"](parsed("byol", "--preset", "paper").method)
    decays = []
    for step in (0, 50, 99):
        method.before_step(step, 100)
        decays.append(method.ema_decay)
    assert decays[:2] == pytest.approx([0.99, 0.995])
    assert 0.9999 < decays[2] < 1


def test_simsiams_blocks_begin_as_the_identity_and_its_predictor_keeps_its_rate():
    method = build_small("simsiam")
    assert all(block.bn2.weight.abs().max() == 0 for block in method.encoder.layer3)
    optimiser = build_optimiser(method, OptimConfig(name="sgd", lr=0.1), steady=method.steady())
    set_rate(optimiser, 0.01, peak=0.1)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert all(rates[id(p)] == 0.1 for p in method.predictor.parameters())
    assert all(rates[id(p)] == 0.01 for p in [*method.encoder.parameters(), *method.projector.parameters()])


def test_simsiams_loss_is_the_mean_cosine_but_for_a_constant():
    method = build_small("simsiam")
    views = views_of(method)
    loss = method(*views)["loss"]
    z = [method.projector(method.encoder(view.x_BCHW).embedding_BD) for view in views]
    cosines = [nn.functional.cosine_similarity(method.predictor(z[i]), z[1 - i]).mean() for i in (0, 1)]
    assert loss.item() == pytest.approx(1 - sum(cosines).item() / 2, abs=1e-5)


def test_swavs_prototypes_stay_while_frozen_and_have_norm_one():
    method = build_small("swav", freeze=0.5)
    optimiser = build_optimiser(method, OptimConfig(weight_decay=0.1, decay_all=True))
    before = method.prototypes_KD.detach().clone()
    for step in range(4):
        take_step(method, optimiser, views_of(method, images=step), step, 4)
        moved = (method.prototypes_KD.detach() - before).abs().max().item()
        assert moved < 1e-6 if step < 2 else moved > 1e-4, f"step {step}"
        torch.testing.assert_close(method.prototypes_KD.detach().norm(dim=1), torch.ones(12))


def test_swavs_queue_is_filled_from_its_start_and_used_when_full():
    method = build_small("swav", queue=2 * BATCH, queue_start=0.4)
    noise = [queue.rows_QD.clone() for queue in method.queues]
    sizes = []
    for step in range(5):
        method.before_step(step, 5)
        sizes.append(len(method.queued(0, BATCH)))
        views = views_of(method, images=step)
        with torch.no_grad():
            method(*views)
        unchanged = all(torch.equal(q.rows_QD, old) for q, old in zip(method.queues, noise, strict=True))
        assert unchanged == (step < 2), f"step {step}"
    assert sizes == [0, 0, 0, 0, 2 * BATCH]
    torch.testing.assert_close(method.queues[0].rows_QD.norm(dim=1), torch.ones(2 * BATCH))


def test_mincs_moment_follows_the_target():
    method = build_small("minc")
    views = views_of(method)
    before = method.moment_DD.clone()
    with torch.no_grad():
        method(*views)
        targets = torch.cat([method.target(view.x_BCHW)[1] for view in views])
    expected = method.config.moment_decay * before + (1 - method.config.moment_decay) * losses.second_moment(targets)
    torch.testing.assert_close(method.moment_DD, expected, rtol=1e-3, atol=1e-6)
    assert method.moment_DD.trace().item() == pytest.approx(0.2, rel=1e-3)


def test_cplearns_codes_are_signs_and_never_trained():
    method = build_small("cplearn")
    assert set(method.codes_FC.unique().tolist()) == {-1, 1}
    assert "codes_FC" in method.state_dict()
    assert method.codes_FC.float().mean().abs() < 0.02


def test_densecls_keys_do_not_depend_on_the_batch():
    method = build_small("densecl")
    for step in range(2):
        optimiser = torch.optim.SGD(method.parameters(), 0.01)
        take_step(method, optimiser, views_of(method, images=step), step, 4)
    x = views_of(method)[0].x_BCHW
    whole = method.target(x)[0]
    torch.testing.assert_close(method.target(x[:3])[0], whole[:3], rtol=1e-4, atol=1e-5)
    assert method.train().target.network.training is False
    assert not torch.equal(method.online(x)[0], whole)


def test_averaged_statistics_start_as_a_plain_mean_and_go_on_exponentially():
    online = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    target = AveragedTarget(online)
    seen = []
    for step in range(6):
        online[1].running_mean.fill_(float(step))
        seen.append(float(step))
        target.update(online, 0.75)
        if step < 4:
            assert target.network[1].running_mean[0].item() == pytest.approx(np.mean(seen)), "1/t >= 1 - decay"
    assert target.network[1].running_mean[0].item() == pytest.approx(0.75 * (0.75 * 1.5 + 0.25 * 4) + 0.25 * 5)
    assert target.network[1].num_batches_tracked == 0


def test_lars_steps_in_proportion_to_the_norm_of_what_is_decayed():
    torch.manual_seed(0)
    module = nn.Linear(5, 4)
    weight, bias = (p.detach().numpy().copy() for p in (module.weight, module.bias))
    optimiser = build_optimiser(module, OptimConfig(name="lars", lr=0.5, vector_lr=0.1, weight_decay=0.01))
    velocity = slide = 0.0
    for _ in range(2):
        optimiser.zero_grad()
        module(torch.ones(1, 5)).square().sum().backward()
        w_gradient, b_gradient = module.weight.grad.numpy().copy(), module.bias.grad.numpy().copy()
        norm = np.linalg.norm
        trust = 0.001 * norm(weight) / (norm(w_gradient) + 0.01 * norm(weight) + 1e-8)
        velocity = 0.9 * velocity + trust * (w_gradient + 0.01 * weight)
        weight = weight - 0.5 * velocity
        slide = 0.9 * slide + b_gradient
        bias = bias - 0.1 * 0.5 * slide
        optimiser.step()
        np.testing.assert_allclose(module.weight.detach().numpy(), weight, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(module.bias.detach().numpy(), bias, rtol=1e-5, atol=1e-6)


def test_lars_is_lightlys():
    """Also for a parameter or a gradient that is 0, and groups with and without decay."""
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.zeros(2)), nn.Parameter(torch.randn(5)),
            nn.Parameter(torch.randn(6)), nn.Parameter(torch.randn(1))]  # fmt: skip
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]

    def groups(parameters):
        return [{"params": parameters[:3], "weight_decay": 0.1}, {"params": parameters[3:], "weight_decay": 0.0}]

    optimisers = LARS(groups(ours), lr=0.3), LightlyLARS(groups(theirs), lr=0.3, momentum=0.9)
    for step in range(4):
        gradients = [torch.randn_like(p) for p in ours]
        gradients[2] *= step % 2  # none in every other step
        gradients[4] = None
        for parameters, optimiser in zip((ours, theirs), optimisers, strict=True):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = None if gradient is None else gradient.clone()
            optimiser.step()
        for left, right in zip(ours, theirs, strict=True):
            torch.testing.assert_close(left, right, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "kind"), [("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)]
)
def test_the_other_optimisers_are_torchs(name, kind):
    optimiser = build_optimiser(nn.Linear(2, 2), OptimConfig(name=name))
    assert type(optimiser) is kind
    if name == "sgd":
        assert optimiser.defaults["momentum"] == 0.9


def test_rates_of_vectors_and_the_end_of_the_cosine():
    config = OptimConfig(lr=2.0, warmup=0.0, final_lr=0.01, vector_lr=0.25)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[0] == 2
    assert rates[-1] == pytest.approx(0.02 + 1.98 * 0.5 * (1 + math.cos(math.pi * 0.99)))
    optimiser = build_optimiser(nn.Linear(2, 2), config)
    set_rate(optimiser, 1.0, peak=2.0)
    assert sorted(group["lr"] for group in optimiser.param_groups) == [0.25, 1.0]


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: OptimConfig(name="lars", weight_decay=0.0), "lars adapts decayed parameters only"),
        (lambda: OptimConfig(final_lr=2.0), "final-lr 2.0"),
        (lambda: METHODS["simclr"].Config(temperature=0.0), "temperature 0.0"),
        (lambda: METHODS["barlow_twins"].Config(width=1), "width=1"),
        (lambda: METHODS["vicreg"].Config(variance=-1.0), "variance=-1"),
        (lambda: METHODS["swav"].Config(prototypes=1), "prototypes=1"),
        (lambda: METHODS["swav"].Config(freeze=2.0), "freeze 2.0"),
        (lambda: METHODS["swav"].Config(small_scale=(0.3, 0.1)), "small-scale 0.3 0.1"),
        (lambda: METHODS["minc"].Config(moment_decay=1.0), "moment_decay=1.0"),
        (lambda: METHODS["cplearn"].Config(codes=1), "codes=1"),
        (lambda: METHODS["densecl"].Config(queue=0), "queue=0"),
    ],
)
def test_impossible_settings_are_named(build, named):
    with pytest.raises(UsageError, match=named):
        build()


def test_the_papers_numbers():
    """Where the sources say them; see the comments beside the presets."""
    expected = {
        "byol": ("lars", 0.45, 1e-6, 0.1),
        "simclr": ("lars", 0.3, 1e-6, 0.1),
        "simsiam": ("sgd", 0.05, 1e-4, 0.0),
        "barlow_twins": ("lars", 0.4, 1.5e-6, 0.1),
        "vicreg": ("lars", 0.3, 1e-6, 0.1),
        "swav": ("lars", 0.6, 1e-6, 0.0),
        "minc": ("lars", 0.3, 1e-4, 0.1),
        "cplearn": ("adam", 1e-3, 1e-4, 0.1),
        "densecl": ("sgd", 0.03, 1e-4, 0.0),
        "sarl": ("adamw", 1e-3, 1e-4, 0.0),
    }
    assert set(expected) == set(METHODS)
    for name, numbers in expected.items():
        optim = parsed(name, "--preset", "paper").optim
        assert (optim.name, optim.lr, optim.weight_decay, optim.warmup) == numbers, name
        assert optim.decay_all == (name in ("sarl", "simsiam", "densecl", "swav")), name
    methods = {name: parsed(name, "--preset", "paper").method for name in METHODS}
    assert (methods["barlow_twins"].width, methods["vicreg"].width, methods["swav"].prototypes) == (8192, 8192, 3000)
    assert (methods["cplearn"].width, methods["cplearn"].codes) == (2048, 16384)

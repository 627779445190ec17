"""The pretraining run: what it writes, that a resumed run is the same run, and how it stops when something is wrong."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import yaml
from state_comparison import assert_same

from sarl_training import config as settings
from sarl_training import diagnostics, pretrain, pretraining
from sarl_training.errors import DataRefused, RunFailed, UsageError
from sarl_training.methods import METHODS
from sarl_training.networks import load_encoder

IMAGES, BATCH, STEPS_PER_EPOCH = 26, 8, 3


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for index in range(IMAGES):
        image = np.full((40, 40, 3), 90, np.uint8)
        ends = rng.integers(0, 40, (2, 2)).tolist()
        cv2.line(image, ends[0], ends[1], (230, 180, 120), 4)
        cv2.imwrite(str(folder / f"{index:03d}.png"), image)
    return folder


@pytest.fixture
def out(tmp_path):
    """A run folder that goes with the test: checkpoints are large."""
    yield tmp_path / "run"
    shutil.rmtree(tmp_path)


def words(images, out, *more: str, method: str = "byol") -> list[str]:
    common = f"--image-size 32 --batch-size {BATCH} --epochs 2 --log-every 2 --device cpu".split()
    return [method, "--data", str(images), "--out", str(out), *common, *more]


def start(images, out, *more: str, method: str = "byol") -> None:
    pretrain.run(pretrain.parse(words(images, out, *more, method=method)))


def resume(out, *more: str, method: str = "byol") -> None:
    pretrain.run(pretrain.parse([method, "--out", str(out), "--resume", *more]))


def metrics(out) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in line.items() if k not in ("images_per_second", "time", "memory_peak_mb")} for line in lines
    ]


def newest_state(out) -> dict:
    return torch.load(max((out / "checkpoints").iterdir()), weights_only=True)


def interrupt_before_step(monkeypatch, step: int, error: BaseException) -> None:
    take_step = pretraining.Pretraining.take_step

    def interrupted(self, measure):
        if self.step == step:
            raise error
        return take_step(self, measure)

    monkeypatch.setattr(pretraining.Pretraining, "take_step", interrupted)


def test_a_run_leaves_an_encoder_and_its_story(images, out, capsys):
    start(images, out, method="sarl")
    encoder, metadata = load_encoder(out)
    assert encoder(torch.zeros(1, 3, 32, 32)).embedding_BD.shape == (1, 512)
    assert metadata["method"] == "sarl"
    assert metadata["image_size"] == "32"
    assert metadata["simulated"] == "false"
    assert metadata["steps"] == "6/6"
    assert {"architecture", "run", "commit", "config_sha256", "data_sha256", "sensor"} <= metadata.keys()
    lines = metrics(out)
    assert [line["step"] for line in lines] == [2, 4, 6]
    expected = {"loss", "global", "sal", "ppda", "ram", "lr", "feature_std", "effective_rank", "gradient/sal"}
    assert all(expected <= line.keys() and np.isfinite(list(line.values())).all() for line in lines)
    assert (
        yaml.safe_load((out / "config.yaml").read_text())["method"]["sal_weight"] == METHODS["sarl"].Config().sal_weight
    )
    assert json.loads((out / "provenance.json").read_text())["images"] == IMAGES
    assert list((out / "tensorboard").iterdir())
    assert "encoder.safetensors" in capsys.readouterr().out
    with pytest.raises(UsageError, match="already holds a run"):
        start(images, out, method="sarl")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_run_measures_after_steps_that_it_did_not(images, out):
    start(images, out, "--compile")
    assert [line["step"] for line in metrics(out)] == [2, 4, 6]


def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(images, out, monkeypatch):
    straight, broken = out / "straight", out / "broken"
    start(images, straight, method="sarl")
    with monkeypatch.context() as patch:
        interrupt_before_step(patch, 5, KeyboardInterrupt())
        with pytest.raises(
            RunFailed, match=r"after step 5 of 6, saved after step 5.*sarl-train pretrain sarl --out \S+broken --resume"
        ):
            start(images, broken, "--checkpoint-minutes", "0", method="sarl")
    assert newest_state(broken)["step"] == 5, "in the middle of the second epoch"
    resume(broken, method="sarl")
    assert_same(newest_state(straight), newest_state(broken))
    assert_same(load_encoder(straight)[0].state_dict(), load_encoder(broken)[0].state_dict())
    assert [line["step"] for line in metrics(broken)] == [2, 4, 6]
    assert metrics(broken)[:2] == metrics(straight)[:2]


def test_a_truncated_checkpoint_is_passed_over(images, out, caplog):
    start(images, out)
    expected = newest_state(out)
    newest = max((out / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[: 10**6])
    resume(out)
    assert newest.name in caplog.text
    assert_same(expected, newest_state(out))


def test_a_resumed_run_keeps_its_settings(images, out, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        interrupt_before_step(patch, 0, KeyboardInterrupt())
        with pytest.raises(RunFailed, match="after step 0"):
            start(images, out, "--optim.lr", "0.002")
    assert pretrain.parse(["byol", "--out", str(out), "--resume"]).optim.lr == 0.002
    with pytest.raises(UsageError, match=r"optim\.lr: 0\.002 recorded, 0\.1 asked for"):
        resume(out, "--optim.lr", "0.1")
    with pytest.raises(UsageError, match="epochs: 2 recorded, 3 asked for"):
        resume(out, "--epochs", "3")
    with pytest.raises(UsageError, match="holds a run of 'byol', not of 'sarl'"):
        resume(out, method="sarl")
    with pytest.raises(UsageError, match="no run to resume"):
        resume(tmp_path / "nothing")
    other = tmp_path / "other"
    shutil.copytree(images, other)
    (other / "000.png").unlink()
    with pytest.raises(DataRefused, match="the images have SHA-256"):
        resume(out, "--data", str(other))
    moved = tmp_path / "moved"
    shutil.copytree(images, moved)
    pretrain.run(pretrain.parse(["byol", "--out", str(out), "--data", str(moved), "--resume"]))
    assert load_encoder(out)[1]["steps"] == "6/6"


def test_a_checkpoint_of_something_else_is_refused(images, out, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_before_step(patch, 0, KeyboardInterrupt())
        with pytest.raises(RunFailed):
            start(images, out)
    (out / "checkpoints").mkdir()
    torch.save(
        {"step": 3, "best": 0.0, "method": {"weight": torch.zeros(2)}, "optimiser": {}},
        out / "checkpoints" / "step_00000003.pt",
    )
    with pytest.raises(DataRefused, match="not one of this method and architecture"):
        resume(out)


def test_a_non_finite_loss_stops_and_keeps_the_last_good_checkpoint(images, out, monkeypatch):
    forward = METHODS["byol"].forward
    calls = []

    def poisoned(self, first, second):
        calls.append(1)
        terms = forward(self, first, second)
        return {name: term * float("nan") for name, term in terms.items()} if len(calls) > STEPS_PER_EPOCH else terms

    monkeypatch.setattr(METHODS["byol"], "forward", poisoned)
    with pytest.raises(RunFailed, match="step 4: loss, global not finite") as failure:
        start(images, out)
    assert "\n" not in str(failure.value)
    state = newest_state(out)
    assert state["step"] == STEPS_PER_EPOCH
    assert all(torch.isfinite(value).all() for value in state["method"].values())
    assert all(torch.isfinite(value).all() for value in load_encoder(out)[0].state_dict().values())


def test_a_full_disk_stops_in_one_line_and_keeps_the_old_checkpoint(images, out, monkeypatch):
    saves = []

    def full(descriptor: int) -> None:
        saves.append(1)
        if len(saves) > 2:  # the checkpoint and the encoder of the first epoch
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunFailed, match=r"No space left on device.*--resume$") as failure:
        start(images, out)
    assert "\n" not in str(failure.value)
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["step_00000003.pt"]
    assert newest_state(out)["step"] == STEPS_PER_EPOCH


def test_a_collapse_raises_the_alarm():
    """All embeddings one: std 0 and rank 1; spread embeddings are fine."""
    torch.manual_seed(0)
    spread = torch.randn(200, 512)
    one = torch.ones(200, 512) + 1e-3 * torch.randn(200, 1)
    assert diagnostics.feature_std(spread) == pytest.approx(1, abs=0.02)
    assert diagnostics.effective_rank(spread) > 150
    assert diagnostics.feature_std(one) < 0.01
    assert diagnostics.effective_rank(one) < 1.1
    assert not diagnostics.collapse_alarm(diagnostics.feature_std(spread), diagnostics.effective_rank(spread))
    assert "collapsing" in diagnostics.collapse_alarm(diagnostics.feature_std(one), diagnostics.effective_rank(one))


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--image-size", "7"], "--image-size 7: must be a multiple of 8 from 32"),
        (["--image-size", "100"], "--image-size 100"),
        (["--batch-size", "64"], "--batch-size 64: more than the 26 images"),
        (["--batch-size", "1"], "--batch-size 1: must be at least 2"),
        (["--preset", "best"], "--preset best: unknown preset; known: paper, recommended"),
        (["--views.crop-scale", "0.5", "2"], "--views.crop-scale"),
        (["--optim.lr", "-1"], "lr must be above 0"),
        (["--method.ema-decay", "2"], "ema-decay 2.0"),
        (["--device", "cuda"], "--device cuda"),
    ],
)
def test_wrong_words_are_named_and_nothing_is_written(images, out, more, named):
    if more[-1] == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(UsageError, match=named):
        start(images, out, *more)
    assert not out.exists()


def test_unknown_method_names_the_known_ones():
    for argv in (["nosuch"], [], ["--epochs", "3"]):
        with pytest.raises(UsageError, match=f"known: {', '.join(METHODS)}"):
            pretrain.parse(argv)
    with pytest.raises(SystemExit) as stop:
        pretrain.parse(["sarl", "--data", "d", "--out", "o", "--method.sal-wieght", "3"])
    assert stop.value.code == 2


def test_missing_or_empty_data_is_refused(tmp_path, out):
    with pytest.raises(DataRefused, match="no such folder"):
        start(tmp_path / "nothing", out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataRefused, match="no images"):
        start(tmp_path / "empty", out)
    assert not out.exists()


def test_presets_set_defaults_and_flags_go_on_top():
    argv = ["sarl", "--data", "d", "--out", "o"]
    recommended, paper = pretrain.parse(argv), pretrain.parse([*argv, "--preset", "paper"])
    assert recommended.preset == "recommended"
    assert (paper.batch_size, paper.method.sal_weight, paper.optim.schedule) == (256, 0.1, "constant")
    assert paper.views.crop_scale == (0.2, 1.0)
    changed = pretrain.parse(
        [*argv, "--preset", "paper", "--method.sal-weight", "0.3", "--views.crop-scale", ".4", ".9"]
    )
    assert changed.method.sal_weight == 0.3
    assert changed.views.crop_scale == (0.4, 0.9)
    assert changed.method.ppda_weight == 0.05


def test_a_config_survives_yaml():
    config = pretrain.parse(["sarl", "--data", "d", "--out", "o", "--views.flip", "0.5", "--optim.lr", "1e-4"])
    values = yaml.safe_load(settings.to_yaml(config))
    default = pretrain.parse(["sarl", "--data", "x", "--out", "x"])
    assert settings.from_dict(default, values) == config
    assert settings.config_hash(settings.from_dict(default, values)) == settings.config_hash(config)
    assert settings.config_hash(default) != settings.config_hash(config)
    moved = replace(config, out=config.out / "other", resume=True)
    assert settings.config_hash(moved, ("out", "resume")) == settings.config_hash(config, ("out", "resume"))
    with pytest.raises(UsageError, match=r"config\.views\.flop: unknown setting; known: crop_scale"):
        settings.from_dict(default, {"views": {"flop": 1.0}})
    with pytest.raises(UsageError, match=r"config\.epochs: 'many' is not a int"):
        settings.from_dict(default, {"epochs": "many"})
    with pytest.raises(UsageError, match="'tpu' is not one of auto, cpu, cuda"):
        settings.from_dict(default, {"device": "tpu"})

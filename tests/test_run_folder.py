"""What a run leaves on disk, and what becomes of it when things go wrong."""

import json
import sys

import numpy as np
import pytest
import torch

from sarl_training.errors import DataRefused, RunFailed, UsageError
from sarl_training.run_folder import RunFolder, git_commit, provenance

ORIGIN = {"data_sha256": "a" * 64}
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.start("seed: 3\n", ORIGIN)
    return folder


def files(folder: RunFolder) -> list[str]:
    return sorted(p.name for p in (folder.path / "checkpoints").iterdir())


def test_a_used_folder_is_not_started_again(folder):
    assert folder.recorded_config() == {"seed": 3}
    with pytest.raises(UsageError, match="already holds a run; add --resume"):
        folder.start("seed: 4\n", ORIGIN)
    assert folder.recorded_config() == {"seed": 3}


def test_resuming_needs_a_run_and_the_same_images(folder, tmp_path):
    with pytest.raises(UsageError, match="no run to resume"):
        RunFolder(tmp_path / "other").recorded_config()
    assert not (tmp_path / "other").exists()
    with pytest.raises(DataRefused, match=r"bbbbbbbbbbbb.*began with aaaaaaaaaaaa"):
        folder.resume({"data_sha256": "b" * 64})
    folder.resume({**ORIGIN, "commit": "x"})
    assert json.loads(folder.origin_file.read_text())["resumed"] == [{**ORIGIN, "commit": "x"}]
    folder.config_file.write_text("{ not: yaml: at all")
    with pytest.raises(DataRefused, match="cannot be read as YAML"):
        folder.recorded_config()


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_run_without_its_provenance_is_not_resumed(folder, content):
    folder.origin_file.unlink()
    if content is not None:
        folder.origin_file.write_text(content)
    with pytest.raises(DataRefused, match="does not say which images the run began with"):
        folder.resume(ORIGIN)


def test_the_last_two_checkpoints_are_kept(folder):
    assert folder.load_checkpoint(CPU) is None
    for step in (1, 2, 30):
        folder.save_checkpoint(step, {"step": step, "weights": torch.full((3,), float(step))})
    assert files(folder) == ["step_00000002.pt", "step_00000030.pt"]
    assert folder.load_checkpoint(CPU)["weights"].tolist() == [30.0] * 3


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_used(folder, caplog):
    for step in (1, 2):
        folder.save_checkpoint(step, {"step": step, "weights": torch.zeros(1000)})
    newest = folder.path / "checkpoints" / "step_00000002.pt"
    whole = newest.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"junk" * 100):
        newest.write_bytes(damaged)
        caplog.clear()
        assert folder.load_checkpoint(CPU)["step"] == 1
        assert "step_00000002.pt" in caplog.text
    (folder.path / "checkpoints" / "step_00000001.pt").write_bytes(whole[:-20])
    with pytest.raises(DataRefused, match="none of 2 checkpoints can be read"):
        folder.load_checkpoint(CPU)


def test_a_flipped_bit_is_found_or_does_no_harm(folder, caplog):
    """torch.load alone takes most of them for whole."""
    folder.save_checkpoint(1, {"step": 1, "weights": torch.zeros(500)})
    weights = torch.randn(500, generator=torch.Generator().manual_seed(0))
    newest = folder.save_checkpoint(2, {"step": 2, "weights": weights})
    whole, rng, found = newest.read_bytes(), np.random.default_rng(0), 0
    for position in rng.integers(0, len(whole), 200):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << rng.integers(8)
        newest.write_bytes(damaged)
        caplog.clear()
        state = folder.load_checkpoint(CPU)
        found += state["step"] == 1
        assert state["step"] == 1 or torch.equal(state["weights"], weights), position
        assert ("step_00000002.pt" in caplog.text) == (state["step"] == 1)
    assert found > 100


def test_a_checkpoint_is_not_to_blame_when_memory_runs_out(folder, monkeypatch):
    folder.save_checkpoint(1, {"step": 1})

    def full(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        folder.load_checkpoint(CPU)


def test_checkpoints_cannot_run_code(folder):
    class Trap:
        def __reduce__(self):
            return print, ("executed",)

    path = folder.path / "checkpoints" / "step_00000001.pt"
    path.parent.mkdir()
    torch.save({"step": Trap()}, path)
    with pytest.raises(DataRefused):
        folder.load_checkpoint(CPU)


def test_a_full_disk_leaves_the_old_checkpoints(folder, monkeypatch):
    for step in (1, 2):
        folder.save_checkpoint(step, {"step": step})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunFailed, match=r"step_00000003\.pt: .*No space left on device") as failure:
        folder.save_checkpoint(3, {"step": 3})
    assert "\n" not in str(failure.value)
    assert files(folder) == ["step_00000001.pt", "step_00000002.pt"]
    assert folder.load_checkpoint(CPU)["step"] == 2


def test_metrics_of_steps_that_come_again_are_dropped(folder):
    folder.forget_metrics_after(0)
    for step in (10, 20, 30):
        folder.log({"step": step, "loss": step / 10})
    with folder.metrics_file.open("a") as file:
        file.write('{"step": 40, "lo')
    folder.forget_metrics_after(20)
    assert [json.loads(line)["step"] for line in folder.metrics_file.read_text().splitlines()] == [10, 20]


def test_provenance_names_the_commit():
    assert len(git_commit().removesuffix("-dirty")) == 40 or git_commit() == "unknown"
    assert {"command", "commit", "started", "torch"} <= provenance().keys()


@pytest.mark.parametrize(
    ("program", "command"),
    [
        ("/opt/sarl/.venv/bin/sarl-train", "sarl-train --out 'my run'"),
        ("/opt/sarl/sarl_training/__main__.py", "python -m sarl_training --out 'my run'"),
        ("tests/bench/training.py", "python tests/bench/training.py --out 'my run'"),
    ],
)
def test_a_recorded_command_can_be_typed_again(monkeypatch, program: str, command: str) -> None:
    monkeypatch.setattr(sys, "argv", [program, "--out", "my run"])
    assert provenance()["command"] == command

"""What the benchmark plans, what it takes as done, and in which order it goes: no training here."""

import fcntl
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_dataset import write_dataset

from sarl_training.benchmarking import schedule
from sarl_training.benchmarking.expected import passes, spelled
from sarl_training.benchmarking.plan import ABLATIONS, BASELINES, SHARED_VIEWS, TABLES, TASKS, Run, ablation, plan
from sarl_training.benchmarking.presets import PRESETS
from sarl_training.benchmarking.records import means, merge_record, read_records
from sarl_training.benchmarking.settings import fine_tuning, identity, pretrain_config, supervise_config
from sarl_training.benchmarking.sources import Sources
from sarl_training.benchmarking.work import Workplace
from sarl_training.cli import main
from sarl_training.dataset import Dataset
from sarl_training.errors import ExitStatus, RunFailed, UsageError
from sarl_training.label_budget import with_labels
from sarl_training.methods import METHODS
from sarl_training.simulate import SUITES

CPU = PRESETS["cpu"]
MANY = dict.fromkeys(TASKS, 1000)


def test_table_1_has_every_method_and_bound_with_three_seeds() -> None:
    runs = plan(["table1"], CPU, MANY)
    pretrained = {(run.subject, run.seed) for run in runs if run.kind == "pretrain"}
    assert pretrained == {(m, s) for m in ("sarl", "sarl_paper", *BASELINES) for s in range(3)}
    assert {"sarl", *BASELINES} == set(METHODS)
    assert {run.subject for run in runs if run.kind == "probe"} >= {"random_init", "mean", "sarl_paper"}
    assert {run.detail for run in runs if run.kind == "supervise"} == set(TASKS)


def test_shared_views_are_runs_of_their_own_that_differ_in_views_only() -> None:
    shared = plan(["table1"], CPU, MANY, "shared")
    both = {run.subject for run in [*shared, *plan(["table1"], CPU, MANY)] if run.kind == "pretrain"}
    assert both == {"sarl", "sarl_paper", *BASELINES, *(name + SHARED_VIEWS for name in BASELINES)}
    configs = {
        subject: pretrain_config(Run("cpu", "pretrain", subject, 0), Path("d"), Path("o"), "cpu") for subject in both
    }
    for name in set(BASELINES) - {"swav"}:  # whose small views go as well
        own, other = configs[name], configs[name + SHARED_VIEWS]
        assert other.views == configs["sarl"].views != own.views
        assert replace(other, views=own.views, augment="own") == own


def test_ablations_are_the_seven_subsets_and_byol_and_differ_in_weights_only() -> None:
    assert len(ABLATIONS) == 8 and ablation(("sal", "ppda", "ram")) == "sarl"
    whole = pretrain_config(Run("cpu", "pretrain", "sarl", 0), Path("d"), Path("o"), "cpu")
    for terms in ABLATIONS:
        config = pretrain_config(Run("cpu", "pretrain", ablation(terms), 0), Path("d"), Path("o"), "cpu")
        weights = {term: getattr(config.method, f"{term}_weight") for term in ("sal", "ppda", "ram")}
        assert {term for term, weight in weights.items() if weight} == set(terms)
        assert replace(config, method=whole.method) == whole
    assert {run.subject for run in plan(["table3"], CPU, MANY) if run.kind == "probe"} == set(map(ablation, ABLATIONS))


def test_the_plan_is_the_same_again_has_nothing_twice_and_needs_come_first() -> None:
    runs = plan(["all"], CPU, MANY)
    assert runs == plan(TABLES, CPU, MANY) and len({run.key for run in runs}) == len(runs)
    for place, run in enumerate(runs):
        assert set(run.needs) <= set(runs[:place]), run.key


def test_the_transfer_table_has_the_papers_methods_on_four_sensors() -> None:
    runs = [run for run in plan(["table2"], CPU, MANY) if run.kind == "transfer" and run.seed == 0]
    assert {run.sensor for run in runs} == {"magictac_t", "magictac_d", "gelsight", "pnutac"}
    bounds = {"random_init", "supervised"}
    assert {run.subject for run in runs} == {"simclr", "byol", "barlow_twins", "sarl"} | bounds
    assert all(bool(run.needs) != (run.subject in bounds) for run in runs)
    assert all(run.detail in SUITES[CPU.transfer_suite] for run in runs)
    full = Run("full", "transfer", "sarl", 0, "gelsight", "carbide_tools")
    assert fine_tuning(full).lr == 1e-2 and fine_tuning(full).epochs == 60


def test_budgets_stop_at_the_labels_there_are() -> None:
    runs = plan(["labels"], CPU, {"edge_pose": 300, "shape": 90})
    assert {run.detail for run in runs if run.kind == "labels"} == {"20", "50", "all"}
    assert {"edge_pose@50", "shape"} <= {run.detail for run in runs if run.kind == "supervise"}
    config = supervise_config(Run("cpu", "supervise", "supervised", 0, detail="shape@20"), Path("d"), Path("o"), "cpu")
    assert config.labels == 20 and config.tasks == ("shape",) and config.batch_size <= 10
    assert {run.detail for run in plan(["labels"], CPU, {"shape": 90}) if run.kind == "supervise"} == {
        "shape@20", "shape@50", "shape",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["sarl", *BASELINES])
def test_full_trains_as_published_and_few_steps_are_taken_with_adam(name: str) -> None:
    few = pretrain_config(Run("cpu", "pretrain", name, 0), Path("d"), Path("o"), "cpu")
    assert few.optim.name in ("adamw", "adam") and few.optim.lr == 1e-3
    assert (few.image_size, few.epochs, few.batch_size) == (CPU.image_size, CPU.epochs, CPU.batch_size)
    whole = pretrain_config(Run("full", "pretrain", name, 0), Path("d"), Path("o"), "cpu")
    assert (whole.image_size, whole.epochs, whole.batch_size) == (224, 100, 256)
    if name != "sarl":
        assert whole.optim.name == METHODS[name].PRESETS["paper"]["optim"]["name"]


def test_identity_follows_settings_and_needs_but_not_the_place() -> None:
    runs = plan(["all"], CPU, MANY)
    identities = {identity(run) for run in runs}
    assert len(identities) == len(runs)
    probe = next(run for run in runs if run.kind == "probe" and run.needs)
    assert identity(replace(probe, needs=())) != identity(probe)


def record(key: str, **more: object) -> dict[str, object]:
    return {"key": key, "kind": "probe", "preset": "cpu", **more}


def test_records_are_merged_by_key_and_never_lose_others(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    merge_record(path, record("cpu/probe/byol/vitactip/s0", test={"shape/top1": 0.25}))
    merge_record(path, record("cpu/probe/byol/vitactip/s1", test={"shape/top1": 0.75}))
    merge_record(path, record("cpu/probe/byol/vitactip/s0", test={"shape/top1": 0.5}))
    assert set(read_records(path)) == {"cpu/probe/byol/vitactip/s0", "cpu/probe/byol/vitactip/s1"}
    written = json.loads(path.read_text())["means"]["cpu/probe/byol/vitactip"]["shape/top1"]
    assert written == {"mean": 0.625, "std": 0.125, "seeds": 2}
    assert means([record("cpu/pretrain/byol/vitactip/s0")]) == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"records": 3}'])
def test_a_spoilt_results_file_is_refused_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (tmp_path / "results.json").write_text(text)
    words = ["benchmark", "readouts", "--preset", "smoke", "--work", tmp_path / "work", "--out", tmp_path]
    assert main([str(word) for word in words]) == ExitStatus.REFUSED
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and "results.json" in error
    assert (tmp_path / "results.json").read_text() == text


def test_what_is_recorded_is_skipped_unless_settings_data_or_needed_files_changed(tmp_path: Path) -> None:
    place = Workplace(tmp_path, Sources(tmp_path / "data", CPU), "cpu")
    runs = plan(["table3"], CPU, MANY)
    records = {run.key: {"config_sha256": identity(run), "data_sha256": ""} for run in runs}
    assert schedule.left_to_do(runs, records, place) == []
    probe = next(run for run in runs if run.kind == "probe")
    changed = {**records, probe.key: {**records[probe.key], "data_sha256": "other"}}
    assert schedule.left_to_do(runs, changed, place) == [*probe.needs, probe], "its encoder is gone, so it comes first"
    artifact = place.artifact(probe.needs[0])
    artifact.parent.mkdir(parents=True)
    artifact.touch()
    assert schedule.left_to_do(runs, changed, place) == [probe]


def test_a_run_starts_when_what_it_needs_is_done() -> None:
    first, second = Run("cpu", "pretrain", "byol", 0), Run("cpu", "pretrain", "byol", 1)
    probe = Run("cpu", "probe", "byol", 0, needs=(first,))
    assert schedule.next_ready([probe, second], [first]) == second
    assert schedule.next_ready([probe], [second]) == probe
    assert schedule.next_ready([probe], [first]) is None


def test_what_failed_stops_only_what_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, other = Run("cpu", "pretrain", "byol", 0), Run("cpu", "pretrain", "sarl", 0)
    runs = [first, Run("cpu", "probe", "byol", 0, needs=(first,)), other]
    done = []

    def work(run: Run, place: Workplace) -> dict[str, object]:
        if run == first:
            raise RuntimeError("out\nof memory")
        return {"key": run.key}

    monkeypatch.setattr(schedule, "perform", work)
    failed = schedule.do_here(runs, Workplace(tmp_path, Sources(tmp_path, CPU), "cpu"), done.append)
    assert done == [{"key": other.key}]
    assert failed == {first.key: "RuntimeError: out of memory", runs[1].key: f"needs {first.key}, which failed"}


def test_a_full_disk_stops_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(run: Run, place: Workplace) -> dict[str, object]:
        try:
            raise OSError(28, "No space left on device")
        except OSError as error:
            raise RunFailed("x: cannot write") from error

    monkeypatch.setattr(schedule, "perform", full)
    runs = [Run("cpu", "pretrain", name, 0) for name in ("byol", "sarl")]
    with pytest.raises(RunFailed, match="cannot write"):
        schedule.do_here(runs, Workplace(tmp_path, Sources(tmp_path, CPU), "cpu"), lambda record: None)


def test_an_interrupted_benchmark_shows_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(runs: list[Run], place: Workplace, store: schedule.Store) -> dict[str, str]:
        key = "smoke/probe/byol/vitactip/s0"
        row = {"sensor": "vitactip", "detail": "", "simulated": True, "device": "Toy", "commit": "c", "seed": 0}
        store({**record(key), **row, "preset": "smoke", "data_sha256": "f", "test": {"shape/top1": 0.25}})
        raise KeyboardInterrupt

    monkeypatch.setattr(schedule, "do_here", interrupted)
    monkeypatch.setattr(Sources, "simulate_missing", lambda *_: None)
    words = ["benchmark", "table1", "--preset", "smoke", "--device", "cpu", "--work", tmp_path, "--out", tmp_path]
    assert main([str(word) for word in words]) == ExitStatus.FAILED
    assert "interrupted; what is done is kept" in capsys.readouterr().err
    assert "| BYOL | 25.0 |" in (tmp_path / "RESULTS.md").read_text()


def test_work_grows_with_images_epochs_and_views() -> None:
    sarl, swav = (passes(Run("cpu", "pretrain", name, 0), MANY) for name in ("sarl", "swav"))
    assert sarl == pytest.approx(6000 * CPU.epochs * 2.7) and swav > sarl
    few, whole = (passes(Run("cpu", "supervise", "supervised", 0, detail=d), MANY) for d in ("shape@20", "shape"))
    assert few / whole == 20 / 1000
    assert [spelled(s) for s in (45, 3600 * 6 + 600, 1200)] == ["45 s", "6 h 10 min", "20 min"]


def test_a_budget_of_labels_is_nested_keeps_test_and_its_proportions(tmp_path: Path) -> None:
    table = Dataset.open(write_dataset(tmp_path / "data", {"edge_pose": 100})).table("edge_pose", "vitactip")
    small, large = with_labels(table, 20, seed=3), with_labels(table, 40, seed=3)
    for budget, count in ((small, 20), (large, 40)):
        assert np.isin(budget.split, ["train", "val"]).sum() == count and len(budget) == len(table)
        assert (budget.split == "val").sum() == count // 4
        assert ((budget.split == "test") == (table.split == "test")).all()
        assert (budget.split[budget.split == "train"] == table.split[budget.split == "train"]).all()
    assert set(np.flatnonzero(small.split == "train")) < set(np.flatnonzero(large.split == "train"))
    assert (with_labels(table, 20, seed=4).split != small.split).any()
    for count in (7, 81):
        with pytest.raises(UsageError, match=f"--labels {count}"):
            with_labels(table, count, seed=0)


def test_two_benchmarks_do_not_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "smoke").mkdir()
    with (tmp_path / "smoke" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = ["benchmark", "readouts", "--preset", "smoke", "--work", str(tmp_path), "--device", "cpu"]
        assert main(words) == ExitStatus.USAGE
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and "another benchmark" in error
    assert not (tmp_path / "smoke" / "data").exists()

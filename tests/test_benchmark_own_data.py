"""`benchmark --data`: an own dataset's results stand beside the simulated ones, never in their place."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_dataset import write_dataset

from sarl_training.benchmarking import pages, schedule
from sarl_training.benchmarking.expected import expected_seconds
from sarl_training.benchmarking.plan import TASKS, Run, plan
from sarl_training.benchmarking.presets import PRESETS
from sarl_training.benchmarking.records import Record
from sarl_training.benchmarking.settings import identity
from sarl_training.benchmarking.sources import Sources
from sarl_training.benchmarking.work import Workplace, perform
from sarl_training.cli import main
from sarl_training.device import device_name
from sarl_training.errors import DataRefused, ExitStatus

SMOKE = PRESETS["smoke"]
MANY = dict.fromkeys(TASKS, 1000)


def test_keys_carry_an_own_dataset_and_are_as_ever_without_one() -> None:
    simulated, own = plan(["all"], SMOKE, MANY), plan(["all"], SMOKE, MANY, dataset="lab-01234567")
    assert "smoke/supervise/supervised/vitactip/shape@20/s0" in {run.key for run in simulated}
    assert [run.key for run in own] == [run.key.replace("smoke/", "smoke@lab-01234567/", 1) for run in simulated]
    assert {run.preset for run in own} == {"smoke"}
    assert all(need in own for run in own for need in run.needs)


def test_an_own_dataset_has_another_name_when_its_contents_change(tmp_path: Path) -> None:
    def name(folder: str, count: int, called: str) -> str:
        return Sources(
            tmp_path, SMOKE, write_dataset(tmp_path / folder, {"shape": count}, info={"name": called})
        ).name()

    first = name("a", 10, "Lab 3/left")
    assert re.fullmatch(r"Lab_3_left-[0-9a-f]{8}", first)
    assert name("b", 10, "Lab 3/left") == first != name("c", 11, "Lab 3/left")
    assert Sources(tmp_path, SMOKE).name() == ""


def test_data_that_changed_on_the_way_is_refused_and_nothing_is_removed(tmp_path: Path) -> None:
    own = write_dataset(tmp_path / "own", {"edge_pose": 20})
    place = Workplace(tmp_path / "work", Sources(tmp_path, SMOKE, own), "cpu")
    run = Run(f"smoke@{place.sources.name()}", "probe", "mean", 0)
    assert perform(run, place)["data_sha256"].startswith(run.scope[-8:])
    labels = own / "edge_pose" / "vitactip" / "labels.csv"
    labels.write_text("\n".join(labels.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(DataRefused, match="changed"):
        perform(run, place)
    assert (place.run_folder(run.key) / "identity").exists()


def measured_nothing(run: Run, place: Workplace) -> Record:
    """A record as of `perform`."""
    return {
        "key": run.key, "kind": run.kind, "preset": run.preset, "seed": run.seed, "sensor": run.sensor, "detail": "",
        "commit": "c", "config_sha256": identity(run), "data_sha256": place.sources.hash(run.data), "simulated": True,
        "device": "Toy", "continued": False, "wall_s": 1.0,
        **({"test": {"shape/top1": 0.25, "edge_pose/mean": 1.0}} if run.kind == "probe" else {}),
    }  # fmt: skip


def test_own_data_stands_beside_the_simulated_and_both_are_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(schedule, "perform", measured_nothing)
    work, own = tmp_path / "work", write_dataset(tmp_path / "own", {"shape": 60}, info={"name": "lab"})
    write_dataset(work / "smoke" / "data" / "main", {"edge_pose": 60})  # as if it had been simulated

    def benchmark(*more: object) -> dict[str, Record]:
        words = ["benchmark", "table3", "--preset", "smoke", "--device", "cpu", "--work", work, *more]
        assert main([str(word) for word in words]) == 0
        return json.loads((work / "smoke" / "results" / "results.json").read_text())["records"]

    simulated = benchmark()
    both = benchmark("--data", own)
    assert len(both) == 2 * len(simulated) and {key: both[key] for key in simulated} == simulated
    page = (work / "smoke" / "results" / "RESULTS.md").read_text()
    assert re.findall("^### .*", page, re.MULTILINE)[1].startswith("### Preset `smoke`, dataset `lab-")
    hashes = re.findall(r"^\*device: .*; data: (.*?); images", page, re.MULTILINE)
    assert len(hashes) == 2 == len(set(hashes)) and all(len(found) == 8 for found in hashes)
    capsys.readouterr()
    assert benchmark() == benchmark("--data", own) == both
    assert capsys.readouterr().out.count(", 0 to do") == 2


@pytest.mark.parametrize(
    ("names", "tasks", "sensors", "said"),
    [
        (["table4"], ["shape"], ["vitactip"], "shape or grating or material for tactip or vitac, which table4 needs"),
        (["all"], ["shape"], ["vitactip"], "that is enough for table1 table2 table3 labels readouts"),
        (["table2"], ["printed_objects"], ["magictac_t"], "no images for vitactip, which table2 needs; there is pr"),
        (["table1"], ["printed_objects"], ["magictac_t"], "no labels of shape or grating or material or force"),
        (["table1"], ["contact"], ["vitactip"], "there is contact (vitactip); that is enough for table2"),
        (["table2", "fig4"], ["shape"], ["vitactip", "vitac"], "no labels of edge_pose for vitactip, which fig4 needs"),
        (["labels"], ["edge_pose"], ["tactip"], "there is edge_pose (tactip); that is enough for no table"),
    ],
)  # fmt: skip
def test_a_dataset_that_lacks_what_a_table_needs_is_refused_before_the_plan(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    tasks: list[str],
    sensors: list[str],
    said: str,
) -> None:
    own = write_dataset(tmp_path / "own", dict.fromkeys(tasks, 60), sensors)
    check_refused(tmp_path, own, names, said, capsys)


def test_a_dataset_without_a_split_or_a_batch_is_refused_before_the_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = write_dataset(tmp_path / "small", {"shape": 35})
    check_refused(tmp_path, small, ["table3"], "28 images of vitactip in train and val; preset smoke", capsys)
    own = write_dataset(tmp_path / "own", {"shape": 60}, ("vitactip", "tactip", "vitac"))
    labels = own / "shape" / "tactip" / "labels.csv"
    labels.write_text(labels.read_text().replace(",val", ",train"))
    check_refused(tmp_path, own, ["table4"], "shape/tactip/labels.csv: no val sample", capsys)


def check_refused(tmp_path: Path, own: Path, names: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["benchmark", *names, "--preset", "smoke", "--device", "cpu", "--work", tmp_path / "work", "--data", own]
    assert main([str(word) for word in [*words, "--plan-only"]]) == ExitStatus.REFUSED
    shown = capsys.readouterr()
    assert "\n" not in shown.err.strip() and said in shown.err and str(own) in shown.err
    assert shown.out == ""


def test_tasks_that_own_data_has_for_other_sensors_only_are_left_out(tmp_path: Path) -> None:
    own = write_dataset(tmp_path / "own", {"shape": 60})
    write_dataset(tmp_path / "other", {"edge_pose": 60}, ("tactip",))
    (tmp_path / "other" / "edge_pose").rename(own / "edge_pose")
    sources = Sources(tmp_path, SMOKE, own)
    sources.check(["table1", "table2", "labels"])
    assert sources.labelled() == {"shape": 48}


def test_tables_of_own_real_data_say_real_but_for_the_stand_in_sensors(tmp_path: Path) -> None:
    records = {}
    for run in plan(["all"], SMOKE, {"shape": 40}, dataset="lab-01234567"):
        if run.kind in ("pretrain", "probe", "transfer"):
            test = {"top1": 0.5} if run.kind == "transfer" else {"shape/top1": 0.25}
            records[run.key] = {
                "key": run.key, "kind": run.kind, "seed": 0, "sensor": run.sensor, "detail": run.detail, "commit": "c",
                "data_sha256": "f" * 64, "simulated": run.kind == "transfer", "device": "Toy", "test": test,
            }  # fmt: skip
    pages.write_page(tmp_path, records)
    headings = re.findall("^###+ .*", (tmp_path / "RESULTS.md").read_text(), re.MULTILINE)
    images = {heading.partition(":")[0]: re.findall(r"\((real|simulated)[;,)]", heading) for heading in headings}
    assert images.pop("#### Table II") == ["simulated"]
    assert len(images) == 4 and all(found == ["real"] for found in images.values())


def test_times_of_another_dataset_are_not_taken() -> None:
    cpu = torch.device("cpu")
    runs = plan(["fig4"], SMOKE, {"edge_pose": 20}, dataset="lab-01234567")
    own = [{**_timed(run), "wall_s": 2.0} for run in runs]
    others = [
        _timed(replace(run, scope="smoke")) for run in [*runs, Run("", "supervise", "supervised", 0, detail="shape")]
    ]
    seconds, how = expected_seconds(runs, [*own, *others], {"edge_pose": 20}, SMOKE, cpu)
    assert seconds == pytest.approx(2.0 * len(runs)) and how.startswith(f"from {len(runs)} finished")


def _timed(run: Run) -> Record:
    return {
        "key": run.key, "kind": run.kind, "preset": run.preset, "seed": run.seed, "sensor": run.sensor,
        "detail": run.detail, "device": device_name(torch.device("cpu")), "continued": False, "wall_s": 1000.0,
    }  # fmt: skip

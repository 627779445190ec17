"""RESULTS.md from records alone: every table and picture, the paper's numbers in their own columns, the rest kept."""

import itertools
import re
from pathlib import Path

import pytest

from sarl_training.benchmarking import pages, paper_numbers, tables
from sarl_training.benchmarking.cells import Numbers
from sarl_training.benchmarking.figures import log_ticks
from sarl_training.benchmarking.plan import TASKS, plan
from sarl_training.benchmarking.presets import PRESETS
from sarl_training.benchmarking.records import Record
from sarl_training.cli import main
from sarl_training.errors import DataRefused
from sarl_training.tasks import TASKS as ALL_TASKS

LABELLED = dict.fromkeys(TASKS, 400)
METRICS = {
    name: (*ALL_TASKS[name].columns, "mean") if ALL_TASKS[name].kind == "regression" else ("top1", "top5")
    for name in TASKS
}


def made_up(preset: str) -> dict[str, Record]:
    """A record for every run of a preset, each number different."""
    counter = itertools.count(1)
    records = {}
    for run in plan(["all"], PRESETS[preset], LABELLED):
        names = [f"{task}/{axis}" for task in TASKS for axis in METRICS[task]]
        if run.kind == "supervise":
            names = [name for name in names if name.startswith(run.detail.partition("@")[0] + "/")]
        if run.kind == "transfer":
            names = ["top1", "top5"]
        prefixes = {
            "labels": ("gap+sgd/", "spatial+ridge/"),
            "readouts": [f"{r}+{f}/" for r in ("gap", "multipool", "spatial") for f in ("ridge", "sgd")],
        }.get(run.kind, ("",))
        values = {p + n: next(counter) / 10000 for p in prefixes for n in names}
        records[run.key] = {
            "key": run.key, "kind": run.kind, "preset": preset, "seed": run.seed, "sensor": run.sensor,
            "detail": run.detail, "commit": "0123456789abcdef-dirty", "data_sha256": "f" * 64, "simulated": True,
            "device": "Toy", **({"test": values} if run.kind not in ("pretrain", "scatter") else {}),
        }  # fmt: skip
        if run.kind == "readouts":
            costs = {"gap": (512, 2.0), "multipool": (896, 2.5), "spatial": (12288, 1.5)}
            records[run.key]["cost"] = {
                f"{r}/{k}": v for r, pair in costs.items() for k, v in zip(("features", "ms"), pair, strict=True)
            }
        if run.kind == "scatter":
            points = [[float(i), 2.0 * i, 3.0 * i] for i in range(20)]
            records[run.key] |= {
                "axes": ["x (mm)", "z (mm)", "theta (deg)"],
                "points": dict.fromkeys(("true", "sarl", "supervised"), points),
            }
    return records


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "RESULTS.md").write_text(f"# Mine\n\nkept above\n\n{pages.BEGIN}\nold\n{pages.END}\n\nkept below\n")
    pages.write_page(folder, made_up("cpu"))
    return folder


def test_the_readout_that_export_ships_is_shown_for_every_encoder() -> None:
    records = {key: record for key, record in made_up("cpu").items() if record["seed"] == 0}
    records["cpu/heads/simclr/vitactip/s0"]["test"]["edge_pose/z_mm"] = 0.0321
    lines = tables.table1(Numbers("cpu", records.values()))
    start = next(number for number, line in enumerate(lines) if "read as `export` does" in line)
    names = [line.split("|")[1].strip() for line in lines[start:] if line.startswith("|")][2:]
    others = [name for subject, name in tables.NAMES.items() if subject not in ("supervised", "mean")]
    assert names == ["Supervised (its own head)", *others]
    (row,) = (line for line in lines[start:] if line.startswith("| SimCLR"))
    assert row.split("|")[9].strip() == "0.0321"


def test_every_table_is_there_whole_and_says_where_it_is_from(page: Path) -> None:
    text = (page / "RESULTS.md").read_text()
    for title in ("Table I:", "Table II:", "Table III:", "Table IV:", "Fig. 4:", "Labels:", "Readouts:"):
        headings = [line for line in text.splitlines() if line.startswith("####") and title in line]
        assert headings, title
        assert all("(simulated" in heading for heading in headings if "Fig" not in heading)
    origins = [line for line in text.splitlines() if line.startswith("*device:")]
    assert len(origins) >= 9
    for line in origins:
        assert "Toy" in line and "preset: cpu" in line and "commit: 0123456-dirty" in line and "simulated" in line
    assert "seeds: 0, 1, 2" in origins[0]
    assert "of 3 seeds" not in text


def test_tables_with_sarl_recommended_say_that_the_papers_is_another_recipe(page: Path) -> None:
    sections = re.split(r"^#### ", (page / "RESULTS.md").read_text(), flags=re.MULTILINE)
    said = [section.partition(":")[0] for section in sections if "\nSARL, here, has its `recommended`" in section]
    assert said == ["Table II", "Table III", "Table IV"]


def test_a_missing_seed_is_said(tmp_path: Path) -> None:
    records = {key: record for key, record in made_up("cpu").items() if key != "cpu/probe/byol/vitactip/s1"}
    pages.write_page(tmp_path, records)
    rows = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if "2 of 3 seeds" in line]
    assert rows and all(line.startswith("| BYOL") for line in rows)


def test_a_first_seed_of_all_is_said_once(tmp_path: Path) -> None:
    records = {key: record for key, record in made_up("cpu").items() if key.endswith("/s0")}
    pages.write_page(tmp_path, records)
    text = (tmp_path / "RESULTS.md").read_text()
    assert text.count("1 of 3 seeds so far") == text.count("of 3 seeds") == 1


def test_methods_that_were_not_run_are_named(page: Path, tmp_path: Path) -> None:
    assert "Not run yet" not in (page / "RESULTS.md").read_text()
    records = {key: record for key, record in made_up("cpu").items() if "/swav/" not in key and "/minc/" not in key}
    pages.write_page(tmp_path, records)
    assert "Not run yet: SwAV, MINC." in (tmp_path / "RESULTS.md").read_text()


def test_a_baseline_has_a_row_for_each_choice_of_views(tmp_path: Path) -> None:
    records = made_up("cpu")
    for key, record in list(records.items()):
        if "/probe/byol/" in key:
            other = key.replace("byol", "byol_shared_views")
            records[other] = {**record, "key": other}
    pages.write_page(tmp_path, records)
    rows = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if line.startswith("| BYOL")]
    assert any(line.startswith("| BYOL, SARL's views |") for line in rows) and "Not run yet" not in "".join(rows)


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    records = {key: record for key, record in made_up("cpu").items() if key.endswith("/s0") or "/byol/" not in key}
    pages.write_page(tmp_path, records)
    rows = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if line.startswith("| BYOL")]
    assert any("1 of 3 seeds" in line for line in rows)
    assert all("±" not in line for line in rows if "1 of 3 seeds" in line)


def test_no_number_that_was_measured_is_missing(page: Path) -> None:
    rows = [line for line in (page / "RESULTS.md").read_text().splitlines() if line.startswith("| ")]
    tables = [line.split("|")[1:-1] for line in rows if "---" not in line]
    header: list[str] = []
    for cells in tables:
        if any("here" in cell or cell.strip() in ("labels", "readout", "method") for cell in cells):
            header = cells
            continue
        for name, cell in zip(header, cells, strict=True):
            if "paper" not in name:
                assert cell.strip() != "–", (name, cells)


def test_the_papers_numbers_are_in_columns_that_say_so(page: Path) -> None:
    lines = (page / "RESULTS.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith("| BYOL") and "82.67" in line)
    header = next(line for line in lines if line.startswith("| method | shape Top-1"))
    named = list(zip(header.split("|"), row.split("|"), strict=True))
    assert all(("paper (real)" in name) == (cell.strip() in {"82.67", "99.94", "83.80", "100.00", "98.36", "99.66"})
               for name, cell in named[2:-1])  # fmt: skip
    assert paper_numbers.TABLE1["sarl_paper"]["edge_pose/mean"] == pytest.approx(
        sum(paper_numbers.EDGE_AXES["sarl_paper"]) / 3, abs=1e-4
    )


def test_what_stands_around_the_generated_part_stays(page: Path) -> None:
    text = (page / "RESULTS.md").read_text()
    assert text.startswith("# Mine\n\nkept above\n\n") and text.endswith("\n\nkept below\n") and "old" not in text
    pages.write_page(page, made_up("cpu"))
    assert (page / "RESULTS.md").read_text() == text
    assert (page / "pictures" / "fig4_cpu.png").stat().st_size > 5000
    assert (page / "pictures" / "labels_cpu.png").stat().st_size > 5000


def test_a_page_without_markers_gets_them_and_half_of_them_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("# By hand\n")
    pages.write_page(tmp_path, {})
    assert path.read_text().startswith("# By hand\n\n" + pages.BEGIN)
    path.write_text(path.read_text().replace(pages.END, ""))
    with pytest.raises(DataRefused, match="marker"):
        pages.write_page(tmp_path, {})


def test_a_table_names_the_commits_of_its_encoders_too(tmp_path: Path) -> None:
    records = made_up("cpu")
    for key, record in records.items():
        if "/pretrain/byol/" in key:
            record["commit"] = "fedcba9876543210"
    pages.write_page(tmp_path, records)
    origins = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if line.startswith("*device:")]
    assert "commit: 0123456-dirty, fedcba9;" in origins[0]


@pytest.mark.parametrize(("value", "shown"), [(2.0, "2.00"), (0.66, "0.660"), (0.0767321, "0.0767"), (123.4, "123")])
def test_errors_have_three_digits(value: float, shown: str) -> None:
    record = {"key": "cpu/probe/byol/vitactip/s0", "preset": "cpu", "test": {"force/mean": value}}
    assert Numbers("cpu", [record]).cell("probe/byol/vitactip", "force/mean") == shown


@pytest.mark.parametrize("low", [0.011, 0.052, 0.73, 1.02, 2.1, 5.3, 9.6, 42.0])
@pytest.mark.parametrize("ratio", [1.05, 1.5, 2.4, 4.8, 9.0, 60.0, 4000.0])
def test_a_log_axis_has_three_ticks_whatever_it_spans(low: float, ratio: float) -> None:
    ticks = [tick for tick in log_ticks(low, low * ratio).tick_values(low, low * ratio) if low <= tick <= low * ratio]
    assert len({f"{tick:g}" for tick in ticks}) >= 3


def test_smoke_tables_say_that_they_say_nothing(tmp_path: Path) -> None:
    pages.write_page(tmp_path, made_up("smoke"))
    headings = [line for line in (tmp_path / "RESULTS.md").read_text().splitlines() if line.startswith("#### Table")]
    assert headings and all("smoke: says nothing" in heading for heading in headings)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["table9"], "table9"),
        ([], "name a part"),
        (["table1", "--preset", "huge"], "huge"),
        (["table1", "--data", "nowhere"], "nowhere"),
        (["table1", "--preset", "smoke", "--work", __file__], "is a file, not a folder"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", *words]) in (2, 3)
    error = capsys.readouterr().err.strip()
    assert "\n" not in error and said in error

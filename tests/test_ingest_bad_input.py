"""Foreign data that is broken, hostile or in the wrong units: refused by name, and nothing half-written stays."""

import csv
import math
import zipfile
from pathlib import Path

import foreign_layouts as layouts
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sarl_training.adapters.axes import Axis, choose_axes, header_unit
from sarl_training.adapters.base import natural, runs_of
from sarl_training.adapters.sheet import parse_sheet
from sarl_training.adapters.tree import open_tree, unsafe
from sarl_training.cli import main
from sarl_training.dataset import Dataset
from sarl_training.errors import DataRefused, SarlError, UsageError
from sarl_training.group_splits import assign_splits
from sarl_training.tasks.declared import declaration, regression_task, tasks_of
from sarl_training.units import ACCEPTED, SI

FLAT = ["--sensor", "vitactip", "--task", "mine", "--labels", "labels.csv"]


def ingest(*words: object) -> int:
    return main(["ingest", *map(str, words)])


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Forty frames and a table of their depths."""
    for k in range(40):
        layouts.picture(tmp_path / "data" / f"{k}.png", k)
    write(tmp_path, [f"{k}.png,{k / 10}" for k in range(40)])
    return tmp_path


def write(root: Path, lines: list[str], header: str = "image,depth") -> None:
    (root / "data" / "labels.csv").write_text("\n".join([header, *lines]) + "\n")


def refused(root: Path, capsys, *words: object) -> tuple[int, str]:
    """Exit code and the one line of the error; nothing may be left."""
    status = ingest(*words, "--out", root / "out")
    error = capsys.readouterr().err.strip().splitlines()
    assert status in (2, 3) and len(error) == 1 and error[0].startswith("sarl-train: ")
    assert not list(root.glob("out*"))
    return status, error[0]


def test_rows_that_cannot_be_used_are_counted_with_reasons(flat, capsys):
    lines = [f"{k}.png,{k / 10}" for k in range(40)]
    lines[3], lines[5], lines[7], lines[9] = "3.png,nan", "5.png,", "7.png,0.7,1", "../../secret.png,0.9"
    lines[11], lines[13] = "missing.png,1.1", "C:\\frames\\13.png,1.3"
    write(flat, lines)
    (flat / "data/15.png").write_bytes((flat / "data/15.png").read_bytes()[:200])
    (flat / "data/17.png").write_bytes((flat / "data/16.png").read_bytes())
    assert ingest("flat", flat / "data", "--out", flat / "out", *FLAT, "--axes", "depth:mm") == 0
    with (flat / "out/read.csv").open(newline="") as file:
        reasons = {line["source"]: line["refused"] for line in csv.DictReader(file) if line["refused"]}
    assert "is nan" in reasons["labels.csv:5"] and "not a number" in reasons["labels.csv:7"]
    assert "3 cells" in reasons["labels.csv:9"] and "leads out" in reasons["labels.csv:11"]
    assert "no such image: missing.png" in reasons["labels.csv:13"] and "absolute path" in reasons["labels.csv:15"]
    assert "does not decode" in reasons["15.png"] or "not an image" in reasons["15.png"]
    assert reasons["17.png"] == "same content as 16.png, but other labels"
    assert reasons["16.png"] == "same content as 17.png, but other labels"
    assert reasons["13.png"] == "no usable row in labels.csv"
    assert len(Dataset.open(flat / "out").table("mine", "vitactip", ["depth_mm"])) == 31
    assert "no usable row in labels.csv (3.png and 5 more)" in capsys.readouterr().out


def test_mixed_and_unknown_units_are_refused(flat, capsys):
    words = ["flat", flat / "data", *FLAT, "--axes"]
    assert "furlong" in refused(flat, capsys, *words, "depth:furlong")[1]
    assert "its unit is needed" in refused(flat, capsys, *words, "depth")[1]
    assert "width" in refused(flat, capsys, *words, "width:mm")[1]
    write(flat, [f"{k}.png,{k / 10} {'mm' if k != 20 else 'cm'}" for k in range(40)])
    status, error = refused(flat, capsys, *words, "depth:mm")
    assert status == 3 and "labels.csv: line 22" in error and "20 cm" in error.replace("2.0", "20")
    write(flat, [f"{k}.png,{k / 10}" for k in range(40)], header="image,depth_m")
    assert "says m" in refused(flat, capsys, *words, "depth:mm")[1]
    write(flat, [f"{k}.png,{k},{k}" for k in range(40)], header="image,depth_m,depth (mm)")
    assert "both depth_m and depth (mm)" in refused(flat, capsys, *words, "depth:mm")[1]


def test_labels_that_never_change_are_refused(flat, capsys):
    write(flat, [f"{k}.png,2.0" for k in range(40)])
    assert "depth_mm is 2 in every row" in refused(flat, capsys, "flat", flat / "data", *FLAT, "--axes", "depth:mm")[1]


def test_sources_that_are_not_there_or_not_this(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("hello")
    for layout in ("tacverse", "bristol", "multidiffsense", "class_folders", "flat"):
        words = ["--sensor", "vitactip", *(["--task", "mine"] if layout == "class_folders" else [])]
        assert refused(tmp_path, capsys, layout, tmp_path / "empty", *words)[0] == 3
        assert "no such file" in refused(tmp_path, capsys, layout, tmp_path / "nowhere", *words)[1]
        assert "unpack it first" in refused(tmp_path, capsys, layout, tmp_path / "file.txt", *words)[1]
    assert "known: tacverse" in refused(tmp_path, capsys, "zarr", tmp_path)[1]
    layouts.class_folders(tmp_path / "tools")
    assert "--sensor" in refused(tmp_path, capsys, "class_folders", tmp_path / "tools", "--task", "tool")[1]
    assert "--task" in refused(tmp_path, capsys, "class_folders", tmp_path / "tools", "--sensor", "digit")[1]
    words = ["class_folders", tmp_path / "tools", "--sensor", "digit", "--task"]
    assert "x_mm" in refused(tmp_path, capsys, *words, "edge_pose")[1]
    assert "lower-case" in refused(tmp_path, capsys, *words, "My Task")[1]
    assert "leads out" in refused(tmp_path, capsys, *words, "tool", "--region", 0, 0, 400, 400)[1]


def test_an_archive_that_leads_out_of_itself_is_refused(tmp_path, capsys):
    for k, name in enumerate(("../evil.png", "/etc/evil.png", "a/../../evil.png", "C:\\evil.png")):
        path = tmp_path / f"{k}.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/1.png", b"x")
            archive.writestr(name, b"x")
        assert "do not use this archive" in refused(tmp_path, capsys, "flat", path, "--sensor", "digit")[1]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_damaged_file_in_an_archive_is_refused_and_the_others_are_read(tmp_path, method):
    path, content = tmp_path / "data.zip", np.random.default_rng(0).integers(0, 9, 4000, np.uint8).tobytes()
    for seed in range(20):
        with zipfile.ZipFile(path, "w", method) as archive:
            archive.writestr("damaged.bin", content)
            damageable = archive.infolist()[0].compress_size
            archive.writestr("whole.bin", content)
        data, random = bytearray(path.read_bytes()), np.random.default_rng(seed)
        start = 50 + int(random.integers(damageable - 20))
        data[start : start + 4] = bytes(byte ^ 0x5A for byte in data[start : start + 4])
        path.write_bytes(data)
        with open_tree(path) as tree:
            with pytest.raises(ValueError, match="cannot be read"):
                tree.read("damaged.bin")
            assert tree.read("whole.bin") == content


def test_tables_that_differ_between_folders_are_refused(tmp_path, capsys):
    layouts.bristol(tmp_path / "data", count=3)
    table = tmp_path / "data/cr_tactip/surface_3d/val/targets_images.csv"
    table.write_text(table.read_text().replace("shear_x", "shift_x"))
    assert "shear_x, shift_x" in refused(tmp_path, capsys, "bristol", tmp_path / "data")[1]


@pytest.mark.parametrize(
    "tasks",
    [
        [], {"shear": {}}, {"shear": {"kind": "regression", "columns": ["x_furlong"]}},
        {"shear": {"kind": "regression", "columns": []}}, {"edge_pose": {"kind": "regression", "columns": ["x_mm"]}},
        {"Shear": {"kind": "classification"}}, {"shear": {"kind": "ranking", "columns": ["x_mm"]}}, {"shear": 3},
        {"force_covariance": {"kind": "classification"}},
        {"many": {"kind": "regression", "columns": [f"a{i}_mm" for i in range(17)]}},
    ],
)  # fmt: skip
def test_a_dataset_that_declares_nonsense_is_refused(tasks):
    with pytest.raises(DataRefused, match="tasks"):
        tasks_of({"tasks": tasks}, Path("dataset.json"))


# ---- parsers


names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_table_or_refused(data):
    try:
        sheet = parse_sheet("x.csv", data)
    except SarlError as error:
        assert "\n" not in str(error)
        return
    assert all(set(row.cells) == set(sheet.columns) for row in sheet.rows)


rows = st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False, width=32)] * 3), min_size=1, max_size=8)


@given(rows, st.sampled_from(",;\t"), st.sampled_from(["", " ", "  "]), st.integers(0, 2))
def test_a_table_is_read_whatever_blanks_surround_it(rows, delimiter, blank, empty):
    lines = [delimiter.join(blank + name + blank for name in ("fx", "fy", "fz"))]
    for row in rows:
        lines += [delimiter * 2] * empty + [delimiter.join(blank + repr(value) + blank for value in row)]
    sheet = parse_sheet("x.csv", ("\ufeff" + "\r\n".join(lines)).encode())
    assert sheet.columns == ("fx", "fy", "fz") and not sheet.ragged and sheet.blank == empty * len(rows)
    axes = choose_axes(["fx:N", "fy:N", "fz:N"], sheet.columns, "x.csv")
    assert [tuple(axis.read(row.cells[axis.column]) for axis in axes) for row in sheet.rows] == rows


@given(st.floats(-1e6, 1e6), st.sampled_from(sorted(ACCEPTED)), st.booleans(), st.booleans())
def test_units_convert_and_come_back(value, unit, negative, written):
    axis = Axis("a", "a", unit, -1.0 if negative else 1.0)
    suffix = f" {unit}" if written and unit != "1" else ""
    stored = axis.read(f"{value!r}{suffix}")
    dataset_unit, scale = ACCEPTED[unit]
    assert stored == pytest.approx((-value if negative else value) * scale) and dataset_unit in SI


@given(st.text(max_size=40))
def test_cells_are_numbers_or_refused(cell):
    try:
        value = Axis("a", "a", "mm").read(cell)
    except (ValueError, DataRefused):
        return
    assert math.isfinite(value)


@given(st.text(max_size=40))
def test_axes_are_chosen_or_refused(wish):
    try:
        (axis,) = choose_axes([wish], ["depth", "pose_6", "fx (N)"], "x.csv")
    except (UsageError, DataRefused) as error:
        assert "--axes" in str(error)
        return
    assert axis.column in ("depth", "pose_6", "fx (N)") and axis.source_unit in ACCEPTED


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("shear_x_mm", ("shear_x", "mm")), ("fz (N)", ("fz", "N")), ("yaw [rad]", ("yaw", "rad")),
        ("depth mm", ("depth", "mm")),
        ("theta_degrees", ("theta", "deg")), ("pose_x", ("pose_x", None)), ("mm", ("mm", None)), ("sum", ("sum", None)),
        ("torque (Nmm)", ("torque", "Nmm")),
    ],
)  # fmt: skip
def test_header_units(header, expected):
    assert header_unit(header) == expected


@given(names)
def test_a_safe_name_stays_inside(name):
    if unsafe(name) is None:
        inside = Path("/base", name.replace("\\", "/"))
        assert Path("/base") in [inside, *inside.parents] and ".." not in inside.parts


@given(st.lists(st.text(max_size=8), max_size=20))
def test_natural_order_is_an_order(words):
    assert sorted(sorted(words, key=natural), key=natural) == sorted(words, key=natural)
    assert sorted(["press-10", "press-2", "press-1"], key=natural) == ["press-1", "press-2", "press-10"]


@given(st.integers(1, 400), st.integers(1, 30))
def test_a_sequence_is_cut_in_enough_stretches(count, length):
    runs = runs_of([str(k) for k in range(count)], length)
    groups = list(runs.values())
    assert groups == sorted(groups) and max(groups.count(group) for group in set(groups)) <= length
    assert len(set(groups)) >= min(count, 7)


@given(st.dictionaries(names, st.sampled_from("abc"), min_size=1, max_size=60), st.integers(0, 5))
def test_splits_depend_on_names_and_seed_only(strata, seed):
    shares = (0.70, 0.15, 0.15)
    splits = assign_splits(strata, {}, shares, seed)
    assert splits == assign_splits(dict(reversed(strata.items())), {}, shares, seed) and set(splits) == set(strata)
    for stratum in set(strata.values()):
        mine = [splits[group] for group, other in strata.items() if other == stratum]
        assert len(mine) < 3 or {"train", "val", "test"} == set(mine)
        assert abs(mine.count("train") - 0.7 * len(mine)) <= 2


@given(st.dictionaries(names, st.sampled_from(["train", "val"]), min_size=1, max_size=60))
def test_given_splits_are_kept(provided):
    splits = assign_splits(dict.fromkeys(provided, ""), provided, (0.70, 0.15, 0.15), 0)
    assert all((splits[group] == "train") == (split == "train") for group, split in provided.items())


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), st.sampled_from(sorted(SI)), min_size=1, max_size=16
    )
)
def test_a_declared_task_comes_back(axes):
    task = regression_task("mine", axes)
    assert tasks_of({"tasks": {"mine": declaration(task)}}, Path("x"))["mine"] == task
    assert (dict(zip(task.axes, task.units, strict=True))) == axes


@pytest.mark.parametrize("name", ["saliency", "unfamiliarity", "diagnostics", "overlay", "force", "mine_covariance"])
def test_a_name_that_the_model_file_or_the_node_has_is_refused(name):
    with pytest.raises(UsageError, match=f"{name}: already means something else"):
        regression_task(name, {"depth": "mm"})

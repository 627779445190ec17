"""`sarl-train ingest` on each public layout: what comes out is the dataset format, with the source's labels."""

import csv
import json
import zipfile
from pathlib import Path

import foreign_layouts as layouts
import numpy as np
import pytest

from sarl_training.adapters import ADAPTERS
from sarl_training.adapters.base import sensor_name
from sarl_training.cli import main
from sarl_training.dataset import Dataset
from sarl_training.dataset_writer import DatasetWriter
from sarl_training.image_file import decode_image


def ingest(*words: object) -> int:
    return main(["ingest", *map(str, words)])


def read_csv(folder: Path) -> list[dict[str, str]]:
    with (folder / "read.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def check_splits(out: Path) -> None:
    """Every split filled, no group or contact in two, all sensors of a contact in one: as `ssl_pool` checks it."""
    dataset = Dataset.open(out)
    for task in dataset.tasks():
        for sensor in dataset.sensors(task):
            table = dataset.table(task, sensor)
            assert set(table.split) == {"train", "val", "test"}
            dataset.ssl_pool(sensor)


@pytest.mark.parametrize("layout", ADAPTERS)
def test_every_layout_has_help(layout, capsys):
    assert ingest(layout, "--help") == 0
    assert "--out" in capsys.readouterr().out


def test_bristol_keeps_its_split_and_its_labels(tmp_path, capsys):
    layouts.bristol(tmp_path / "data")
    assert ingest("bristol", tmp_path / "data", "--out", tmp_path / "out") == 0
    check_splits(tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.info["simulated"] is False
    assert dataset.info["tasks"]["pose_shear"]["columns"] == ["pose_z_mm", "pose_rx_deg", "shear_x_mm"]
    table = dataset.table("pose_shear", "tactip", ["pose_z_mm", "pose_rx_deg", "shear_x_mm"])
    trained = {group for group, split in zip(table.group_id, table.split, strict=True) if split == "train"}
    assert len(trained) == 30 and all("/train/" in group for group in trained)  # nothing of val crosses into train
    assert sorted(np.unique(table.split[table.split != "train"], return_counts=True)[1]) == [15, 15]
    assert "pose_x, pose_y" in capsys.readouterr().out
    source = (tmp_path / "data/cr_tactip/surface_3d/train/targets_images.csv").read_text().splitlines()[1].split(",")
    first = list(table.group_id).index("cr_tactip/surface_3d/train/image_1")
    assert table.targets(["pose_z_mm", "pose_rx_deg", "shear_x_mm"])[first] == pytest.approx(
        [float(source[4]), float(source[5]), float(source[8])]
    )
    stored = (tmp_path / "out/pose_shear/tactip" / table.images[first].relative_to(table.path.parent)).read_bytes()
    assert stored == (tmp_path / "data/cr_tactip/surface_3d/train/processed_images/image_1.png").read_bytes()


def test_bristol_takes_splits_from_the_source_and_below_it_only(tmp_path):
    folder = layouts.bristol(tmp_path / "test") / "cr_tactip/surface_3d"
    for name, splits in (("train", {"train"}), ("day 1", {"train", "val", "test"})):
        (folder / "train").rename(folder / name)
        assert ingest("bristol", folder / name, "--out", tmp_path / name) == 0
        assert set(Dataset.open(tmp_path / name).table("pose_shear", "tactip").split) == splits


def test_bristol_keeps_the_sensor_that_was_named(tmp_path):
    layouts.bristol(tmp_path / "data")
    for word, name in (("tactip_v2", "tactip_v2"), ("Digit 360", "digit_360"), ("ViTacTip", "vitactip")):
        assert ingest("bristol", tmp_path / "data", "--out", tmp_path / name, "--sensor", word) == 0
        assert Dataset.open(tmp_path / name).sensors("pose_shear") == [name]


def test_bristol_old_columns_and_axes_by_name(tmp_path):
    layouts.bristol(tmp_path / "data", old=True)
    words = ["--task", "tilt", "--axes", "depth=pose_3:mm", "roll=-pose_4:deg", "slide=move_1:mm"]
    assert ingest("bristol", tmp_path / "data", "--out", tmp_path / "out", *words) == 0
    table = Dataset.open(tmp_path / "out").table("tilt", "tactip", ["depth_mm", "roll_deg", "slide_mm"])
    source = (tmp_path / "data/cr_tactip/surface_3d/val/targets.csv").read_text().splitlines()[3].split(",")
    row = list(table.group_id).index("cr_tactip/surface_3d/val/image_3")
    expected = [float(source[4]), -float(source[5]), float(source[8])]
    assert table.targets(["depth_mm", "roll_deg", "slide_mm"])[row] == pytest.approx(expected)


def test_units_are_converted(tmp_path):
    for k in range(40):
        layouts.picture(tmp_path / "data" / f"{k}.png", k)
    lines = ["image;depth_cm;turn (rad);load [mN]", *(f"{k}.png;{k / 10};{k / 100};{k * 100}" for k in range(40))]
    (tmp_path / "data" / "labels.csv").write_text("\n".join(lines))
    words = [
        "--sensor",
        "ViTacTip",
        "--task",
        "mine",
        "--labels",
        "labels.csv",
        "--axes",
        "depth:cm",
        "turn",
        "load:mN",
    ]
    assert ingest("flat", tmp_path / "data", "--out", tmp_path / "out", *words) == 0
    table = Dataset.open(tmp_path / "out").table("mine", "vitactip", ["depth_mm", "turn_deg", "load_N"])
    assert table.targets(["depth_mm", "turn_deg", "load_N"])[20] == pytest.approx([20.0, np.degrees(0.2), 2.0])


def test_a_built_in_task_takes_its_axes_by_name(tmp_path, capsys):
    layouts.multidiffsense(tmp_path / "data")
    axes = ["--axes", "x=pose_1:mm", "z=pose_2:mm", "theta=pose_6:deg"]
    assert ingest("multidiffsense", tmp_path / "data", "--out", tmp_path / "out", "--task", "edge_pose", *axes) == 0
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.table("edge_pose", "vitactip", ["x_mm", "z_mm", "theta_deg"]) and not dataset.info["tasks"]
    words = ["--task", "edge_pose", "--axes", "x=pose_1:deg", "z=pose_2:mm", "theta=pose_6:deg"]
    assert ingest("multidiffsense", tmp_path / "data", "--out", tmp_path / "bad", *words) == 2
    assert "x_mm, z_mm, theta_deg" in capsys.readouterr().err and not (tmp_path / "bad").exists()


def test_multidiffsense_pairs_sensors_by_contact(tmp_path, capsys):
    layouts.multidiffsense(tmp_path / "data")
    (tmp_path / "data/tactile/1/ViTac/target/1_ViTac_4.png").unlink()
    layouts.picture(tmp_path / "data/tactile/1/ViTac/target/1_ViTac_99.png", 999)
    assert ingest("multidiffsense", tmp_path / "data", "--out", tmp_path / "out") == 0
    check_splits(tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.sensors("pose") == ["tactip", "vitac", "vitactip"]
    splits = {}
    for sensor in dataset.sensors("pose"):
        table = dataset.table("pose", sensor)
        for latent, split in zip(table.latent_id, table.split, strict=True):
            assert splits.setdefault(latent, split) == split
    assert len(splits) == 10 and len(dataset.table("pose", "vitac")) == 9
    printed = capsys.readouterr().out
    assert "5 empty rows" in printed and "no row in any table (" in printed and "1_ViTac_99.png)" in printed


def test_tacverse_all_parts(tmp_path, capsys):
    root = layouts.tacverse(tmp_path / "Tactile")
    layouts.picture(root / "Grating_Classification/ViTac/Blackline/odd name.jpg", 9999)
    assert ingest("tacverse", root, "--out", tmp_path / "out") == 0
    check_splits(tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.tasks() == ["force", "grating", "shape"]
    assert dataset.sensors("shape") == ["gelsight_no_marker"]
    assert dataset.table("shape", "gelsight_no_marker").class_names == ("cone", "sphere", "wave")
    grating = dataset.table("grating", "vitac")
    assert grating.class_names == ("0.30mm", "0.35mm", "1.50mm") and set(grating.columns["pattern"]) == {"blackline"}
    assert len(set(grating.group_id)) == 30 and len(grating) == 57
    force = dataset.table("force", "vitactip", ["fx_N", "fy_N", "fz_N"])
    assert force.targets(["fx_N", "fy_N", "fz_N"])[10] == pytest.approx([0.1, -0.2, -1.3])
    printed = capsys.readouterr().out
    assert "names no unit" in printed and "not <Sensor>/<Pattern>" in printed and "odd name.jpg)" in printed


def test_a_zip_archive_reads_as_the_folder_does(tmp_path):
    root = layouts.tacverse(tmp_path / "Tactile")
    with zipfile.ZipFile(tmp_path / "tactile.zip", "w") as archive:
        for file in sorted(root.rglob("*.*")):
            archive.write(file, file.relative_to(tmp_path))
    for source, out in ((root, "folder"), (tmp_path / "tactile.zip", "zip")):
        assert ingest("tacverse", source, "--out", tmp_path / out, "--task", "force") == 0
    labels = [(tmp_path / out / "force/vitactip/labels.csv").read_bytes() for out in ("folder", "zip")]
    assert labels[0] == labels[1]


def test_class_folders_keep_neighbours_together(tmp_path):
    layouts.class_folders(tmp_path / "tools")
    words = ["--task", "tool", "--sensor", "GelSight", "--splits", "60/20/20"]
    assert ingest("class_folders", tmp_path / "tools", "--out", tmp_path / "out", *words) == 0
    check_splits(tmp_path / "out")
    dataset = Dataset.open(tmp_path / "out")
    table = dataset.table("tool", "gelsight")
    assert dataset.info["tasks"] == {"tool": {"kind": "classification", "columns": ["label"]}}
    assert table.class_names == ("type_2", "type_10")
    assert {tuple(np.unique(table.split[table.columns["label"] == c])) for c in (0, 1)} == {("test", "train", "val")}
    for group in set(table.group_id):
        assert len(set(table.split[table.group_id == group])) == 1 and (table.group_id == group).sum() == 5


def test_class_folders_keep_given_splits(tmp_path):
    layouts.class_folders(tmp_path / "tools", count=6, splits=("train", "valid", "test"))
    words = ["--task", "material", "--sensor", "digit"]
    assert ingest("class_folders", tmp_path / "tools", "--out", tmp_path / "out", *words) == 0
    table = Dataset.open(tmp_path / "out").table("material", "digit")
    for group, split in zip(table.group_id, table.split, strict=True):
        assert group.startswith(split)


def test_class_folders_named_by_numbers_keep_their_classes(tmp_path):
    names = ("1", "2", "3")
    for c, name in enumerate(names):
        for k in range(20):
            layouts.picture(tmp_path / "grades" / name / f"{k}.png", 100 * c + k)
    words = ["--task", "grade", "--sensor", "digit"]
    assert ingest("class_folders", tmp_path / "grades", "--out", tmp_path / "out", *words) == 0
    table = Dataset.open(tmp_path / "out").table("grade", "digit")
    folders = [group.split("/")[0] for group in table.group_id]
    assert table.class_names == names and [names[label] for label in table.columns["label"]] == folders


def test_contact_classes_have_one_order(tmp_path, capsys):
    for c, name in enumerate(("contact", "no_contact")):
        for k in range(40):
            layouts.picture(tmp_path / "touch" / name / f"{k}.png", 500 * c + k)
    words = ["--task", "contact", "--sensor", "vitactip"]
    assert ingest("class_folders", tmp_path / "touch", "--out", tmp_path / "out", *words) == 0
    table = Dataset.open(tmp_path / "out").table("contact", "vitactip")
    folders = [group.split("/")[0] for group in table.group_id]
    assert set(zip(folders, table.columns["label"].tolist(), strict=True)) == {("contact", 1), ("no_contact", 0)}
    (tmp_path / "touch" / "contact").rename(tmp_path / "touch" / "touching")
    assert ingest("class_folders", tmp_path / "touch", "--out", tmp_path / "bad", *words) == 3
    assert "call them no_contact and contact" in capsys.readouterr().err and not (tmp_path / "bad.partial").exists()


def test_flat_unlabelled_is_a_pool(tmp_path):
    for k in range(60):
        layouts.picture(tmp_path / "frames" / f"press-{k}.png", k)
    assert ingest("flat", tmp_path / "frames", "--out", tmp_path / "out", "--sensor", "vitactip") == 0
    dataset = Dataset.open(tmp_path / "out")
    table = dataset.table("unlabelled", "vitactip")
    assert len(dataset.ssl_pool("vitactip")) == (table.split != "test").sum() == 52
    words = ["--sensor", "vitactip", "--task", "press", "--axes", "order=frame:1"]
    assert ingest("flat", tmp_path / "frames", "--out", tmp_path / "ordered", *words) == 0
    table = Dataset.open(tmp_path / "ordered").table("press", "vitactip", ["order_1"])
    assert table.columns["order_1"].tolist() == list(range(60))


def test_names_from_another_machine(tmp_path, capsys):
    for k in range(40):
        layouts.picture(tmp_path / "a" / f"{k}.png", k)
    lines = ["img_names,radius", *(f"/home/someone/{'a' if k else 'b'}/{k}.png,{k}" for k in range(40))]
    (tmp_path / "annotate.csv").write_text("\n".join(lines))
    words = ["--labels", tmp_path / "annotate.csv", "--sensor", "digit", "--task", "ball", "--axes", "radius:px"]
    assert ingest("flat", tmp_path / "a", "--out", tmp_path / "bad", *words) == 3
    assert "absolute path" in capsys.readouterr().err and not (tmp_path / "bad.partial").exists()
    assert ingest("flat", tmp_path / "a", "--out", tmp_path / "out", *words, "--match-tail") == 0
    assert len(read_csv(tmp_path / "out")) == 40


def test_region_and_size(tmp_path):
    layouts.class_folders(tmp_path / "tools")
    words = ["--task", "tool", "--sensor", "digit", "--region", 4, 8, 32, 24, "--image-size", 32]
    assert ingest("class_folders", tmp_path / "tools", "--out", tmp_path / "out", *words) == 0
    assert decode_image(Dataset.open(tmp_path / "out").table("tool", "digit").images[0]).shape == (32, 32, 3)


def test_an_interrupted_ingest_goes_on(tmp_path, monkeypatch):
    layouts.class_folders(tmp_path / "tools")
    words = ["class_folders", tmp_path / "tools", "--out", tmp_path / "out", "--task", "tool", "--sensor", "digit"]
    add, calls = DatasetWriter.add_encoded, []

    def cut(self, *args):
        calls.append(args)
        if len(calls) == 30:
            raise KeyboardInterrupt
        return add(self, *args)

    monkeypatch.setattr(DatasetWriter, "add_encoded", cut)
    assert ingest(*words) == 1 and (tmp_path / "out.partial").exists() and not (tmp_path / "out").exists()
    assert ingest(*words) == 2  # asks for --resume
    assert ingest(*words, "--seed", 1, "--resume") == 2  # other settings
    images = Path("tool/digit/images")
    stored = {file.name: file.stat().st_ino for file in (tmp_path / "out.partial" / images).iterdir()}
    assert ingest(*words, "--resume") == 0
    assert len(stored) == 29 and len([*(tmp_path / "out" / images).iterdir()]) == 80
    assert all((tmp_path / "out" / images / name).stat().st_ino == file for name, file in stored.items())
    again = [*words[:3], tmp_path / "again", *words[4:]]
    assert ingest(*again) == 0
    labels = "tool/digit/labels.csv"
    assert (tmp_path / "out" / labels).read_bytes() == (tmp_path / "again" / labels).read_bytes()
    assert json.loads((tmp_path / "out/dataset.json").read_text())["licence"] == "not given"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("GelsigntNoMarker", "gelsight_no_marker"), ("GelsightNoMarker", "gelsight_no_marker"),
        ("ViTacTip2", "vitactip2"),
        ("MagicTac-T", "magictac_t"), ("TacTip", "tactip"), ("My Finger 3", "my_finger_3"),
    ],
)  # fmt: skip
def test_sensor_names(text, name):
    assert sensor_name(text) == name

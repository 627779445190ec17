"""The dataset format: what goes in comes out, and everything broken is refused by name."""

import errno
import json
import os
import shutil
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_dataset import bar_image, write_dataset

from sarl_training.dataset import Dataset, DatasetWriter
from sarl_training.errors import DataRefused, RunFailed, UsageError
from sarl_training.labels import FIXED_COLUMNS, LARGEST, SPLITS, read_table, write_table

HEADER = "sample_id,image,latent_id,group_id,split,x_mm\n"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data", {"edge_pose": 10, "contact": 10}, ("vitactip", "tactip"))


def labels_of(dataset: Path, task: str = "edge_pose", sensor: str = "vitactip") -> Path:
    return dataset / task / sensor / "labels.csv"


def test_what_is_written_is_read(dataset: Path) -> None:
    opened = Dataset.open(dataset)
    assert opened.tasks() == ["contact", "edge_pose"] and opened.sensors("contact") == ["tactip", "vitactip"]
    assert opened.simulated and opened.info["seed"] == 0
    table = opened.table("edge_pose", "vitactip", ("x_mm", "z_mm", "theta_deg"))
    assert len(table) == 10 and len(table.part("train")) == 6 and len(table.part("val", "test")) == 4
    assert table.targets(("z_mm", "x_mm"))[:, 0] == pytest.approx(1 + (table.columns["x_mm"] / 3) ** 2)
    assert opened.table("contact", "vitactip").columns["label"].tolist() == [0] * 5 + [1] * 5
    assert opened.table("contact", "vitactip").class_names == ("no_contact", "contact")
    assert [path.name for path in table.part("test").images] == ["000004.jpg", "000009.jpg"]


WORDS = st.text(string.printable + "äñ中", min_size=1, max_size=8).filter(
    lambda word: word == word.strip() and "\0" not in word
)
NUMBERS = st.floats(-LARGEST, LARGEST)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(WORDS, WORDS, WORDS, st.sampled_from(SPLITS), NUMBERS),
        min_size=1,
        max_size=5,
        unique_by=lambda row: row[0],
    )
)
def test_any_labels_survive_the_file(tmp_path: Path, cells: list[tuple]) -> None:
    (tmp_path / "i.png").touch()
    names = [name for name in FIXED_COLUMNS if name != "image"] + ["x_mm"]
    rows = [{**dict(zip(names, row, strict=True)), "image": "i.png"} for row in cells]
    write_table(tmp_path / "labels.csv", rows)
    if any("\r" in cell for row in cells for cell in row[:3]):
        return  # a lone carriage return inside a quoted cell is outside what CSV promises
    table = read_table(tmp_path / "labels.csv", ("x_mm",))
    for name in names:
        found = table.columns["x_mm"] if name == "x_mm" else getattr(table, name)
        assert found.tolist() == [row[name] for row in rows]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=60), st.text(",\n\"x0.nat_ 'é", max_size=60).map(lambda text: (HEADER + text).encode())
    )
)
def test_no_labels_file_breaks_the_reader(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataRefused, match=r"labels\.csv"):
        read_table(tmp_path / "labels.csv", ("x_mm",))


BROKEN_LINES = {
    "NaN": ("s0,images/000000.jpg,l0,g0,train,nan", "line 3: x_mm is 'nan'"),
    "infinite": ("s0,images/000000.jpg,l0,g0,train,-inf", "line 3: x_mm is '-inf'"),
    "beyond float32": ("s0,images/000000.jpg,l0,g0,train,1e300", "line 3: x_mm is '1e300'"),
    "blank": ("s0,images/000000.jpg,l0,g0,train,", "line 3: x_mm is ''"),
    "word": ("s0,images/000000.jpg,l0,g0,train,far", "line 3: x_mm is 'far'"),
    "image not there": ("s0,images/none.jpg,l0,g0,train,1", "line 3: image .*none.jpg is not there"),
    "image outside": ("s0,../../x.jpg,l0,g0,train,1", "line 3: image is '../../x.jpg'"),
    "image absolute": ("s0,/x.jpg,l0,g0,train,1", "line 3: image is '/x.jpg'"),
    "split": ("s0,images/000000.jpg,l0,g0,tset,1", "line 3: split is 'tset', allowed are train, val, test"),
    "no contact": ("s0,images/000000.jpg,,g0,train,1", "line 3: .*latent_id .* is empty"),
    "same sample": ("first,images/000000.jpg,l0,g0,train,1", "line 3: sample_id 'first' is on line 2 too"),
    "short": ("s0,images/000000.jpg,l0,g0,train", "line 3 has 5 cells, the header 6"),
}


@pytest.mark.parametrize("broken", BROKEN_LINES)
def test_a_broken_line_is_named(dataset: Path, broken: str) -> None:
    line, message = BROKEN_LINES[broken]
    labels_of(dataset).write_text(f"{HEADER}first,images/000000.jpg,l,g,train,1\n{line}\n")
    with pytest.raises(DataRefused, match=message) as refused:
        Dataset.open(dataset).table("edge_pose", "vitactip", ("x_mm",))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("missing", [*FIXED_COLUMNS, "x_mm"])
def test_a_missing_column_is_named(dataset: Path, missing: str) -> None:
    names = [name for name in HEADER.strip().split(",") if name != missing]
    labels_of(dataset).write_text(",".join(names) + "\n" + ",".join("1" for _ in names) + "\n")
    with pytest.raises(DataRefused, match=f"missing column {missing}; found"):
        Dataset.open(dataset).table("edge_pose", "vitactip", ("x_mm",))


def test_labels_are_class_indices_or_names(dataset: Path) -> None:
    file = labels_of(dataset, "contact")
    file.write_text(file.read_text().replace("train,0", "train,no_contact"))
    assert Dataset.open(dataset).table("contact", "vitactip").columns["label"].tolist() == [0] * 5 + [1] * 5
    file.write_text(file.read_text().replace("train,1", "train,2"))
    with pytest.raises(DataRefused, match=r"label is '2', allowed are 0\.\.1"):
        Dataset.open(dataset).table("contact", "vitactip")


@pytest.mark.parametrize(
    "names", [("1", "2", "3"), ("2", "0", "1"), ("2", "4", "8", "16"), tuple(f"{k:02d}" for k in range(1, 13))]
)
def test_classes_named_by_numbers_are_read_as_they_were_written(tmp_path: Path, names: tuple[str, ...]) -> None:
    file = tmp_path / "labels.csv"
    (tmp_path / "i.png").touch()
    fixed = {"image": "i.png", "latent_id": "l", "group_id": "g", "split": "train"}
    for labels in ([*range(len(names))], *([label] for label in range(len(names)))):
        write_table(file, [{"sample_id": k, **fixed, "label": label} for k, label in enumerate(labels)], names)
        table = read_table(file)
        assert table.columns["label"].tolist() == labels and table.class_names == names
    file.write_text(file.read_text().replace(f",{names[-1]}\n", f",0{names[-1]}\n"))
    with pytest.raises(DataRefused, match=rf"label is '0{names[-1]}', allowed are the names .*{', '.join(names)}"):
        read_table(file)


def test_an_index_is_allowed_beside_names_that_are_none(dataset: Path) -> None:
    file = labels_of(dataset, "contact")
    assert {line[-2:] for line in file.read_text().splitlines()[1:]} == {",0", ",1"}
    file.with_name("classes.json").write_text('["10", "20"]')
    assert Dataset.open(dataset).table("contact", "vitactip").columns["label"].tolist() == [0] * 5 + [1] * 5


def test_a_column_that_is_not_needed_may_be_empty(dataset: Path) -> None:
    file = labels_of(dataset)
    header, *lines = file.read_text().splitlines()
    file.write_text("\n".join([header + ",notes", *(line + "," for line in lines)]))
    table = Dataset.open(dataset).table("edge_pose", "vitactip", ("x_mm",))
    assert table.columns["notes"].tolist() == [""] * 10
    with pytest.raises(DataRefused, match="line 2: notes is '', a finite float32 is needed"):
        Dataset.open(dataset).table("edge_pose", "vitactip", ("notes",))
    file.write_text("\n".join([header + ",notes", lines[0] + ",3", *(line + "," for line in lines[1:])]))
    with pytest.raises(DataRefused, match="line 3: notes is ''"):  # a gap among numbers
        Dataset.open(dataset).table("edge_pose", "vitactip")


def test_unknown_words_are_usage_errors(dataset: Path) -> None:
    opened = Dataset.open(dataset)
    with pytest.raises(UsageError, match="no task 'smell'; the dataset has contact, edge_pose"):
        opened.table("smell", "vitactip")
    for ask in (lambda: opened.table("contact", "nose"), lambda: opened.ssl_pool("nose")):
        with pytest.raises(UsageError, match=r"no sensor 'nose'.* tactip, vitactip"):
            ask()


def test_folders_that_are_no_dataset_are_refused(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "dataset.json").write_text("{")
    for folder, message in {
        tmp_path / "none": "no such folder",
        tmp_path / "empty": "no images found",
        tmp_path / "bad": "cannot be read as JSON",
        dataset / "edge_pose": "marks part of a dataset",
    }.items():
        with pytest.raises(DataRefused, match=message):
            Dataset.open(folder)


# ---------------------------------------------------------------------------------------------------- leak check


def test_the_pool_is_train_and_val_of_all_tasks(dataset: Path) -> None:
    assert len(Dataset.open(dataset).ssl_pool("vitactip")) == 16


def test_a_copied_test_image_is_found_in_the_pool(dataset: Path) -> None:
    images = labels_of(dataset).parent / "images"
    Dataset.open(dataset).ssl_pool("vitactip")  # hashes are cached now
    shutil.copy(dataset / "contact" / "tactip" / "images" / "000004.jpg", images / "000001.jpg")
    with pytest.raises(DataRefused, match=r"000001\.jpg: same content as test image .*000004\.jpg"):
        Dataset.open(dataset).ssl_pool("vitactip")


def test_another_render_of_a_test_contact_is_found_in_the_pool(dataset: Path) -> None:
    file = labels_of(dataset, sensor="tactip")
    file.write_text(file.read_text().replace(",test,", ",train,"))
    with pytest.raises(DataRefused, match=r"sample edge_pose-000004 .* renders contact edge_pose-000004, "):
        Dataset.open(dataset).ssl_pool("vitactip")


def test_a_group_on_both_sides_is_found(dataset: Path) -> None:
    file = labels_of(dataset)
    file.write_text(file.read_text().replace("edge_pose-000004,test", "edge_pose-000003,test"))
    with pytest.raises(DataRefused, match="group edge_pose-000003 is in test and in train or val"):
        Dataset.open(dataset).ssl_pool("vitactip")


# ---------------------------------------------------------------------------------------------------- flat folders


def test_a_flat_folder_is_unlabelled_data(tmp_path: Path) -> None:
    (tmp_path / "day2" / ".thumbnails").mkdir(parents=True)
    for name in ("b.PNG", "a.jpg", "day2/c.tiff", "day2/.thumbnails/t.png", ".hidden.png"):
        Image.fromarray(bar_image(0, 0)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("rest state first")
    opened = Dataset.open(tmp_path)
    assert opened.flat and opened.tasks() == [] and not opened.simulated
    assert [path.name for path in opened.ssl_pool("any")] == ["a.jpg", "b.PNG", "c.tiff"]


def test_an_interrupted_writer_is_resumed(tmp_path: Path) -> None:
    out, image = tmp_path / "data", bar_image(0, 0)
    before, after = ({"seed": 1, "generator": {"commit": commit}} for commit in ("abc", "abc-dirty"))
    with pytest.raises(KeyboardInterrupt), DatasetWriter(out, before) as writer:
        for index in (0, 1):
            writer.add_image("contact", "vitactip", index, image)
        raise KeyboardInterrupt
    assert not out.exists()
    with pytest.raises(UsageError, match="unfinished dataset is there; add --resume"), DatasetWriter(out, before):
        pass
    with pytest.raises(UsageError, match="begun with other settings"), DatasetWriter(out, {"seed": 2}, resume=True):
        pass
    with pytest.raises(DataRefused, match="unfinished"):
        Dataset.open(out.with_name("data.partial"))
    with DatasetWriter(out, after, resume=True) as writer:
        files = [writer.folder / f"contact/vitactip/images/00000{index}.jpg" for index in (0, 1)]
        old = [(file.stat().st_ino, file.read_bytes()) for file in files]
        for index, picture in enumerate((image, 255 - image)):
            writer.add_image("contact", "vitactip", index, picture)
        assert (files[0].stat().st_ino, files[0].read_bytes()) == old[0] and files[1].read_bytes() != old[1][1]
        row = {
            "sample_id": 0,
            "image": "images/000000.jpg",
            "latent_id": 0,
            "group_id": 0,
            "split": "train",
            "label": 0,
        }
        writer.write_labels("contact", "vitactip", [row])
    assert len(Dataset.open(out).ssl_pool("vitactip")) == 1 and not out.with_name("data.partial").exists()
    with pytest.raises(UsageError, match="already exists"), DatasetWriter(out, after):
        pass


def test_a_full_disk_is_one_line_and_no_half_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with (
        pytest.raises(RunFailed, match="No space left on device; free space"),
        DatasetWriter(tmp_path / "d", {}) as writer,
    ):
        monkeypatch.setattr(os, "replace", full)
        writer.add_image("contact", "vitactip", 0, bar_image(0, 0))
    assert [path.name for path in (tmp_path / "d.partial").rglob("*") if path.is_file()] == ["dataset.json"]


def test_the_data_hash_sees_labels_and_images_and_not_the_place(dataset: Path, tmp_path: Path) -> None:
    before = Dataset.open(dataset).data_hash()
    assert before == Dataset.open(shutil.copytree(dataset, tmp_path / "copy")).data_hash()
    file = labels_of(dataset)
    file.write_text(file.read_text() + "\n")
    changed = Dataset.open(dataset).data_hash()
    shutil.copy(file.parent / "images" / "000001.jpg", file.parent / "images" / "000000.jpg")
    assert len({before, changed, Dataset.open(dataset).data_hash()}) == 3


def test_the_data_hash_does_not_see_which_commit_wrote_the_same_data(dataset: Path) -> None:
    before = Dataset.open(dataset).data_hash()
    file = dataset / "dataset.json"
    info = json.loads(file.read_text())
    hashes = []
    for generator in ({"commit": "aaaa"}, {"commit": "bbbb"}, {"commit": "bbbb", "suite": "other"}):
        file.write_text(json.dumps({**info, "generator": generator}))
        hashes.append(Dataset.open(dataset).data_hash())
    assert hashes[0] == hashes[1] != hashes[2] and before not in hashes

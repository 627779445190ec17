"""Tables that contradict themselves or are written in another way than CSV in UTF-8, and archives that were cut."""

import csv
import zipfile
from pathlib import Path

import foreign_layouts as layouts
import pytest

from sarl_training.adapters.axes import Axis
from sarl_training.cli import main
from sarl_training.dataset import Dataset
from sarl_training.ingested import Ingested

COUNT = 40
HEADER = "image,depth,run"


def rows(count: int = COUNT) -> list[str]:
    return [f"{k}.png,{k / 10},{k // 4}" for k in range(count)]


def source(root: Path, lines: list[str], encoding: str = "utf-8", count: int = COUNT) -> Path:
    """Pictures and labels.csv."""
    for k in range(count):
        layouts.picture(root / "data" / f"{k}.png", k)
    (root / "data" / "labels.csv").write_text("\n".join([HEADER, *lines]) + "\n", encoding=encoding)
    return root / "data"


def ingest(src: Path, *words: object, task: str = "press", axes: str = "depth:mm") -> int:
    fixed = ["--sensor", "digit", "--task", task, "--labels", "labels.csv", "--group-column", "run", "--axes", axes]
    return main(["ingest", "flat", str(src), "--out", str(src.parent / "out"), *fixed, *map(str, words)])


def refusals(root: Path) -> dict[str, str]:
    """Source -> reason; every image named in a row that was taken is there, and no other."""
    with (root / "out/read.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    stored = {path.name for path in (root / "out/press/digit/images").iterdir()}
    assert stored == {Path(line["image"]).name for line in table if line["image"]}
    assert len(Dataset.open(root / "out").table("press", "digit")) == len(stored)
    return {line["source"]: line["refused"] for line in table if line["refused"]}


def refusal(src: Path, capsys, *words: object) -> str:
    """The one line of the error; nothing may be left."""
    assert ingest(src, *words) == 3
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and not list(src.parent.glob("out*"))
    return error[0]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("words", [[], ["--image-size", "32"]])
def test_resume_after_the_table_was_corrected_is_as_if_read_anew(tmp_path, monkeypatch, words):
    def interrupt(*_):
        raise KeyboardInterrupt

    src = source(tmp_path, rows())
    with monkeypatch.context() as patched:
        patched.setattr(Ingested, "write", interrupt)
        patched.setattr("sarl_training.ingest.git_commit", lambda: "another commit")
        assert ingest(src, *words) == 1
    source(tmp_path, rows()[1:31])  # other images for the running numbers, and fewer
    assert ingest(src, *words, "--resume") == 0
    (tmp_path / "out").rename(tmp_path / "resumed")
    assert ingest(src, *words) == 0
    assert len(refusals(tmp_path)) == 10 and contents(tmp_path / "resumed") == contents(tmp_path / "out")


def test_lines_that_contradict_each_other_are_all_refused(tmp_path):
    lines = [*rows(), "3.png,9.9,0", "5.png,0.5,1", "7.png,0.7,9", "8.png,0.8,2", "8.png,5,2"]
    assert ingest(source(tmp_path, lines)) == 0
    found = refusals(tmp_path)
    assert found["labels.csv:5"] == "3.png has other labels in line 42; correct the table"
    assert found["labels.csv:42"] == "3.png has other labels in line 5; correct the table"
    assert found["labels.csv:43"] == "repeats line 7, 5.png" and "labels.csv:7" not in found
    assert "7.png has other labels" in found["labels.csv:44"] and "labels.csv:9" in found  # another group
    assert found["labels.csv:10"] == "8.png has other labels in line 45, 46; correct the table"
    assert {"labels.csv:45", "labels.csv:46"} <= set(found) and "5.png" not in found
    assert found["3.png"] == "no usable row in labels.csv"


def test_files_of_one_content_with_other_labels_are_all_refused(tmp_path, capsys):
    src = source(tmp_path, [*rows(), "40.png,0.3,0", "41.png,0.6,1"])
    for original, copy in ((3, 40), (5, 41), (5, 12)):
        (src / f"{copy}.png").write_bytes((src / f"{original}.png").read_bytes())
    assert ingest(src) == 0
    found = refusals(tmp_path)
    assert found["40.png"] == "same content as 3.png" and "3.png" not in found
    assert found["5.png"] == "same content as 12.png, but other labels"
    assert found["12.png"] == found["41.png"] == "same content as 5.png, but other labels"
    assert "refused 3: same content as 12.png, but other labels (5.png and 2 more)" in capsys.readouterr().out


def test_a_file_in_two_classes_is_in_neither(tmp_path):
    layouts.class_folders(tmp_path / "tools")
    first, second = (sorted(folder.iterdir())[0] for folder in sorted((tmp_path / "tools").iterdir())[:2])
    second.write_bytes(first.read_bytes())
    words = ["--out", str(tmp_path / "out"), "--task", "press", "--sensor", "digit"]
    assert main(["ingest", "class_folders", str(tmp_path / "tools"), *words]) == 0
    assert len(refusals(tmp_path)) == 2


def test_frames_without_contact_are_left_out_of_edge_pose(tmp_path, capsys):
    lines = [f"{k}.png,{k - 10},{k // 4}" for k in range(COUNT)]
    axes = ["--axes", "z=depth:mm", "x=depth:mm", "theta=depth:deg"]
    src = source(tmp_path, lines)
    assert ingest(src, *axes, task="edge_pose") == 0
    assert len(Dataset.open(tmp_path / "out").table("edge_pose", "digit")) == 29
    assert "refused 11: no contact: z -10 mm (labels.csv:2 and 10 more)" in capsys.readouterr().out
    axes[1] = "z=-depth:mm"
    source(tmp_path, [f"{k}.png,{k + 1},{k // 4}" for k in range(COUNT)])
    words = ["--sensor", "digit", "--task", "edge_pose", "--labels", "labels.csv", *axes]
    assert main(["ingest", "flat", str(src), "--out", str(tmp_path / "none"), *words]) == 3
    error = capsys.readouterr().err
    assert "no contact: z -1 mm; turn its sign" in error and not list(tmp_path.glob("none*"))


@pytest.mark.parametrize("cell", ["1e300", "-1e300", "3.5e38"])
def test_a_label_beyond_a_32_bit_float_is_refused(tmp_path, cell):
    lines = rows()
    lines[2] = f"2.png,{cell},0"
    assert ingest(source(tmp_path, lines)) == 0
    assert "32-bit float" in refusals(tmp_path)["labels.csv:4"]
    assert Axis("a", "a", "mm").read("3.4e38") == 3.4e38
    with pytest.raises(ValueError, match="32-bit float"):
        Axis("a", "a", "m").read("1e38")  # mm in the dataset


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le"])
def test_a_table_in_utf_16_is_named(tmp_path, capsys, encoding):
    assert "labels.csv: UTF-16 or no text; save it as CSV in UTF-8" in refusal(
        source(tmp_path, rows(), encoding), capsys
    )


def test_decimal_commas_are_named(tmp_path, capsys):
    src = source(tmp_path, [f'{k}.png,"{k},5",{k // 4}' for k in range(COUNT)])
    error = refusal(src, capsys)
    assert "'0,5', not a number; write decimals with a point" in error and "image could" not in error


def test_a_table_deeper_in_an_archive_is_named(tmp_path, capsys):
    src = source(tmp_path, rows())
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        for file in sorted(src.iterdir()):
            archive.write(file, f"d/{file.name}")
    assert "say --labels d/labels.csv" in refusal(tmp_path / "data.zip", capsys)
    assert ingest(tmp_path / "data.zip", "--labels", "d/labels.csv") == 0


@pytest.mark.parametrize("name", ["data.zip", "data"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.999])
def test_a_cut_archive_is_named_as_such(tmp_path, capsys, name, share):
    src = source(tmp_path / "whole", rows())
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for file in sorted(src.iterdir()):
            archive.write(file, file.name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[: int(share * (tmp_path / name).stat().st_size)])
    error = refusal(tmp_path / name, capsys)
    assert "cut or broken; download or copy it again" in error and "unpack" not in error


def test_a_file_that_cannot_be_opened_is_no_broken_archive(tmp_path, capsys, monkeypatch):
    (tmp_path / "data.zip").write_bytes(b"PK")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    error = refusal(tmp_path / "data.zip", capsys)
    assert "cannot be read (Permission denied)" in error and "cut or broken" not in error


@pytest.mark.parametrize(("groups", "word"), [(1, "no val or test"), (2, "no val or test"), (3, None)])
def test_an_empty_split_is_warned_of(tmp_path, capsys, groups, word):
    count = 4 * groups
    assert ingest(source(tmp_path, rows(count), count=count)) == 0
    printed = capsys.readouterr().out
    assert ("warning" in printed) == (word is not None) and (word is None or f"warning: {word} images" in printed)

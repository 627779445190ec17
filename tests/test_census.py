"""A folder as labs have them: everything in it is counted, what can be used is taken once."""

import csv
import os
import random
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_dataset import bar_image

from sarl_training import file_hashes
from sarl_training.census import printable, take_images
from sarl_training.dataset import Dataset
from sarl_training.errors import DataRefused

ODD_NAMES = ("prüfling 中文 🙂.png", "two\nlines.png", "a,b;\"c'.png", os.fsdecode(b"latin-\xe9.png"))


def mixed_folder(folder: Path, plain: int, seed: int = 0) -> dict[str, int]:
    """Some of everything that is not a plain image, and `plain` that are. Returns how many of each are expected."""
    rng = np.random.default_rng(seed)
    (folder / "day 2").mkdir(parents=True)

    def picture() -> np.ndarray:
        image = bar_image(rng.uniform(-1, 1), rng.uniform(-90, 90))
        return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)

    for i in range(plain):
        where = folder / ("day 2" if i % 3 == 0 else "") / f"frame_{i:05d}.{('png', 'jpg', 'bmp')[i % 3]}"
        Image.fromarray(picture()).save(where)
    for name in ODD_NAMES:
        Image.fromarray(picture()).save(folder / name)
    Image.fromarray(picture()).save(folder / "wrong_suffix.png", format="JPEG")
    Image.fromarray(np.linspace(0, 65535, 1600).reshape(40, 40).astype(np.uint16)).save(folder / "deep.png")
    Image.fromarray(picture()[..., 0]).save(folder / "grey.png")
    Image.fromarray(picture()).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.dstack([picture(), np.full((40, 40), 128, np.uint8)])).save(folder / "alpha.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(picture()).save(folder / "turned.jpg", exif=exif)

    whole = (folder / "frame_00001.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cut again.jpg").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(picture()).save(folder / "damaged.tif")
    offsets = (folder / "damaged.tif").read_bytes().replace(struct.pack("<HH", 273, 4), struct.pack("<HH", 273, 5), 1)
    (folder / "damaged.tif").write_bytes(offsets)  # StripOffsets of type RATIONAL: Pillow raises a TypeError
    (folder / "noise.png").write_bytes(bytes(rng.integers(0, 256, 500, dtype=np.uint8)))
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.png").touch()
    (folder / "empty too.png").touch()
    shutil.copy(folder / "frame_00001.jpg", folder / "zz copy.jpg")
    shutil.copy(folder / "frame_00001.jpg", folder / "zz copy 2.jpeg")
    Image.fromarray(picture()[:20]).save(folder / "tiny.png")
    (folder / "notes.txt").write_text("rest state first")
    (folder / "Thumbs.db").write_bytes(b"\0" * 10)
    (folder / ".DS_Store").touch()
    (folder / ".thumbnails").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    (folder / "day 2" / "up").symlink_to(folder)
    return {
        "RGB": plain + 5, "16-bit grey": 1, "grey": 1, "CMYK": 1, "with transparency": 1, "turned by EXIF": 1,
        "does not decode": 3, "not an image": 2, "empty file": 2, "same content as another": 2, "smaller than 32 px": 1,
        "not an image by its name": 2, "hidden": 2, "not a file": 1, "cannot be read": 2,
        "link to a folder that is here already": 1,
    }  # fmt: skip


TAKEN = {"RGB", "16-bit grey", "grey", "CMYK", "with transparency", "turned by EXIF"}


def check(folder: Path, expected: dict[str, int]) -> None:
    paths, images, census = take_images(folder, 32)
    found: dict[str, int] = {}
    for entry in census.entries:
        found[entry.what] = found.get(entry.what, 0) + 1
        assert entry.taken == (entry.what in TAKEN)
    assert found == expected
    assert len(paths) == len(images) == sum(expected[kind] for kind in TAKEN)
    on_disk = sum(len([n for n in names if not n.startswith(".")]) for _, _, names in os.walk(folder))
    assert len(census.entries) == on_disk + 3, "every file, the two hidden entries and the link"
    rows = list(csv.reader(census.to_csv().decode().splitlines(keepends=True)))
    assert rows[0] == ["file", "taken", "what", "detail"] and len(rows) == len(census.entries) + 1
    for what, count in expected.items():
        assert any(f"{count:>7}  {what} " in line for line in census.table().splitlines()), what
    assert all(line.isprintable() for line in census.table().splitlines())


def test_everything_in_a_mixed_folder_is_counted(tmp_path: Path) -> None:
    check(tmp_path / "data", mixed_folder(tmp_path / "data", 30))


@pytest.mark.slow
def test_everything_in_a_mixed_folder_of_20_000_is_counted(tmp_path: Path) -> None:
    check(tmp_path / "data", mixed_folder(tmp_path / "data", 20_000))


def test_the_pool_of_a_flat_folder_is_what_was_taken(tmp_path: Path) -> None:
    expected = mixed_folder(tmp_path / "data", 6)
    dataset = Dataset.open(tmp_path / "data")
    pool = dataset.load_pool("any", 32)
    assert pool.images.shape == (sum(expected[kind] for kind in TAKEN), 32, 32, 3)
    assert len(dataset.ssl_pool("any")) == len(pool.images) and len(dataset.data_hash()) == 64
    rows = {entry.file: entry for entry in pool.census.entries}
    assert rows["zz copy.jpg"].detail == "frame_00001.jpg" and rows["cut again.jpg"].what == "does not decode"
    assert rows["tiny.png"].detail == "40×20" and rows["frame_00001.jpg"].detail == "40×40"
    before = dataset.data_hash()
    (tmp_path / "data" / "notes 2.txt").write_text("what is not taken does not count")
    again = Dataset.open(tmp_path / "data")
    assert np.array_equal(again.load_pool("any", 32).images, pool.images) and again.data_hash() == before


def test_a_file_without_permission_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patched: who runs the tests as root may read everything."""
    for name in ("a.png", "b.png"):
        Image.fromarray(bar_image(random.Random(name).random(), 0)).save(tmp_path / name)

    def read_bytes(path: Path) -> bytes:
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied")
        return path.open("rb").read()

    monkeypatch.setattr(file_hashes.Path, "read_bytes", read_bytes)
    _, images, census = take_images(tmp_path, 32)
    assert len(images) == 1
    assert census.entries[1] == ("b.png", False, "cannot be read", "Permission denied")


def test_a_folder_without_one_good_image_is_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    (tmp_path / "b.jpg").touch()
    with pytest.raises(DataRefused, match=r"no image that can be used: .*1 not an image a\.png; .*1 empty file b\.jpg"):
        Dataset.open(tmp_path).load_pool("any", 32)


def test_names_are_shown_on_one_line() -> None:
    assert printable("a\nb") == "a\\nb" and printable("中 é") == "中 é" and printable(os.fsdecode(b"\xe9")) == "\\udce9"

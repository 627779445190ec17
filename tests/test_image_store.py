"""Image files become RGB bytes of one size, decoded once, whatever their pixel format."""

import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_dataset import bar_image

from sarl_training import image_store
from sarl_training.dataset import decode_image, load_images, square_and_resize
from sarl_training.errors import DataRefused, RunFailed


def test_an_image_in_name_only_is_named(tmp_path: Path) -> None:
    whole = tmp_path / "a.jpg"
    Image.fromarray(bar_image(0, 0)).save(whole)
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:400])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "zero.bmp").touch()
    for name in ("cut.jpg", "text.png", "zero.bmp", "none.png"):
        with pytest.raises(DataRefused, match=name) as refused:
            load_images([whole, tmp_path / name], 32)
        assert "\n" not in str(refused.value)
    assert not [*image_store.cache_folder().glob("images/.*")], "nothing half-written stays in the cache"


def test_every_pixel_format_becomes_rgb_bytes(tmp_path: Path) -> None:
    rgb = bar_image(0.3, 20)
    grey16 = np.linspace(0, 65535, 1600).reshape(40, 40).astype(np.uint16)
    half = np.dstack([rgb, np.where(np.arange(40) < 20, 0, 255)[None].repeat(40, 0)]).astype(np.uint8)
    pictures = {
        "rgb.png": (Image.fromarray(rgb), rgb),
        "grey.png": (Image.fromarray(rgb[..., 0]), rgb[..., :1].repeat(3, 2)),
        "grey16.png": (Image.fromarray(grey16), np.round(grey16 / 257).astype(np.uint8)[..., None].repeat(3, 2)),
        "alpha.png": (Image.fromarray(half), rgb * (np.arange(40) >= 20)[None, :, None]),
        "palette.png": (Image.fromarray(rgb).quantize(), np.array(Image.fromarray(rgb).quantize().convert("RGB"))),
        "cmyk.jpg": (Image.fromarray(rgb).convert("CMYK"), rgb),
    }
    for name, (picture, expected) in pictures.items():
        picture.save(tmp_path / name)
        found = decode_image(tmp_path / name)
        assert found.dtype == np.uint8 and found.shape == (40, 40, 3)
        assert np.abs(found.astype(int) - expected).mean() < (3 if name.endswith("jpg") else 1e-9), name


@pytest.mark.parametrize(("most", "divisor"), [(255, 1), (256, 257), (65535, 257)])
def test_32_bit_grey_holds_8_or_16_bit_values(tmp_path: Path, most: int, divisor: int) -> None:
    grey = np.linspace(0, most, 1600).round().astype(np.int32).reshape(40, 40)
    Image.fromarray(grey).save(tmp_path / "a.tif")
    assert Image.open(tmp_path / "a.tif").mode == "I"
    assert np.array_equal(decode_image(tmp_path / "a.tif"), np.round(grey / divisor)[..., None].repeat(3, 2))


def test_dark_16_bit_grey_stays_dark(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 40), 200, np.uint16)).save(tmp_path / "a.tif")
    assert (decode_image(tmp_path / "a.tif") == 1).all()


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    Image.fromarray(bar_image(0.5, 0)[:30]).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(decode_image(tmp_path / "a.png"), np.rot90(bar_image(0.5, 0)[:30], -1))


def test_the_middle_square_is_kept() -> None:
    wide = np.zeros((108, 192, 3), np.uint8)
    wide[:, 42:150] = 200
    for size in (27, 108, 216):
        square = square_and_resize(wide, size)
        assert square.shape == (size, size, 3) and square.flags.c_contiguous and (square == 200).all()
    assert np.array_equal(square_and_resize(wide.transpose(1, 0, 2), 54), np.full((54, 54, 3), 200))


def test_images_are_decoded_once_and_again_after_a_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((50, 60, 3), 50 * i, np.uint8)).save(path)
    first = load_images(paths, 32)
    assert isinstance(first, np.memmap) and first.shape == (3, 32, 32, 3) and first[:, 0, 0, 0].tolist() == [0, 50, 100]
    with monkeypatch.context() as patch:
        patch.setattr(image_store, "decode_bytes", lambda data: pytest.fail("decoded again"))
        assert np.array_equal(load_images(paths, 32), first)
        for i, path in enumerate(paths):  # renamed, in another order, and one of them twice
            path.rename(tmp_path / f"new-{2 - i}.png")
        shutil.copy(tmp_path / "new-0.png", tmp_path / "sub-3.png")
        assert load_images(sorted(tmp_path.glob("*.png")), 32)[:, 0, 0, 0].tolist() == [100, 50, 0, 100]
        paths = sorted(tmp_path.glob("*.png"))
    Image.fromarray(np.full((50, 61, 3), 7, np.uint8)).save(paths[0])
    assert load_images(paths, 32)[0, 0, 0, 0] == 7


def test_contents_decide_not_names_and_times(tmp_path: Path) -> None:
    a, b = tmp_path / "a.bmp", tmp_path / "b.bmp"
    for path, grey in ((a, 10), (b, 200)):
        Image.fromarray(np.full((40, 40, 3), grey, np.uint8)).save(path)
        os.utime(path, (1e9, 1e9))  # as an archive unpacks them: same size, same time
    assert load_images([a], 32)[0, 0, 0, 0] == 10
    b.replace(a)
    assert load_images([a], 32)[0, 0, 0, 0] == 200


def test_a_cut_cache_file_is_named_and_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(bar_image(0.1, 77)).save(path)
    whole = np.array(load_images([path], 48))
    (file,) = [Path(load_images([path], 48).filename)]
    for damaged in (file.read_bytes()[:-1], b""):
        file.write_bytes(damaged)
        caplog.clear()
        assert np.array_equal(load_images([path], 48), whole) and file.name in caplog.text
    file.with_suffix(".json").write_text("{")
    assert np.array_equal(load_images([path], 48), whole)
    file.unlink()
    assert np.array_equal(load_images([path], 48), whole)


def test_a_cache_that_cannot_be_written_says_how_to_move_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("SARL_CACHE", str(tmp_path / "file"))
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    with pytest.raises(RunFailed, match=r"Not a directory.*SARL_CACHE=DIR moves it"):
        image_store.load_images([tmp_path / "a.png"], 32)


def test_two_processes_may_fill_the_cache_at_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(40)]
    for i, path in enumerate(paths):
        Image.fromarray(bar_image(i / 40, i)).save(path)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        sums = [*pool.map(_sum_of, [paths, paths, paths[:20], paths[20:]])]
    assert (
        sums[0] == sums[1] == sums[2] + sums[3] == sum(int(square_and_resize(decode_image(p), 32).sum()) for p in paths)
    )
    assert not [*image_store.cache_folder().glob("images/.*")]


def _sum_of(paths: list[Path]) -> int:
    return int(load_images(paths, 32).sum())


def test_the_cache_drops_what_was_used_longest_ago(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SARL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(image_store, "CACHE_LIMIT_BYTES", 50_000)
    path = tmp_path / "a.png"
    Image.fromarray(bar_image(0, 0)).save(path)
    for count, size in enumerate((64, 80, 96, 112)):
        load_images([path], size)
        for file in (tmp_path / "cache" / "images").iterdir():
            os.utime(file, (count + file.stat().st_mtime - 100, count + file.stat().st_mtime - 100))
    assert 1 <= len([*(tmp_path / "cache" / "images").glob("*.rgb")]) < 4
    assert load_images([path], 64).shape == (1, 64, 64, 3)


def test_a_file_that_changes_under_the_reader_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(bar_image(0.9, 1)).save(path)
    monkeypatch.setattr(image_store, "content_hashes", lambda paths: ["0" * 32])
    with pytest.raises(DataRefused, match=r"a\.png: changed while it was read"):
        load_images([path], 32)

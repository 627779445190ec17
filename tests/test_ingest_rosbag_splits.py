"""`sarl-train ingest rosbag`: which frames of which recordings are kept apart, and which go to one split."""

import shutil
from itertools import pairwise
from pathlib import Path

import bags
import numpy as np
import pytest
from bags import POSE_WORDS, frames, ingest
from hypothesis import given
from hypothesis import strategies as st

from sarl_training.adapters.ros_stamps import Stretches, cut
from sarl_training.dataset import Dataset
from sarl_training.group_splits import assign_splits


def test_neighbouring_frames_are_never_in_two_splits(tmp_path):
    bags.write_bag(tmp_path / "bag", bags.camera(bags.times(10, 20)) + bags.poses(bags.times(10, 100)))
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS) == 0
    table = Dataset.open(tmp_path / "out").table("pose", "vitactip")
    numbers = frames(table)
    split = dict(zip(numbers, table.split, strict=True))
    assert len(set(table.group_id)) == 20
    assert all(split[n] == split[n + 1] for n in numbers if n + 1 in split)
    assert "unused time between two stretches" in (tmp_path / "out/read.csv").read_text()


def test_one_picture_per_touch_loses_none(tmp_path):
    stamps = bags.times(50, 0.8)
    bags.write_bag(tmp_path / "bag", bags.camera(stamps) + bags.poses(stamps))
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS) == 0
    table = Dataset.open(tmp_path / "out").table("pose", "vitactip")
    assert len(table) == len(stamps) == 40
    assert len(set(table.group_id)) > 35


def test_gaps_are_told_and_their_frames_refused(tmp_path, capsys):
    images = bags.camera(bags.times(4, 20) + bags.times(4, 20, start_s=9))
    labels = bags.poses(bags.times(2, 100) + bags.times(4, 100, start_s=9))
    bags.write_bag(tmp_path / "bag", images + labels)
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS) == 0
    printed = capsys.readouterr().out
    assert (
        "1 gaps, the longest 5.05 s, after frame 79 of bag, 3.95 s from the start" in printed
        and "no /tip_pose within 0.02 s: nearest" in printed
    )
    table = Dataset.open(tmp_path / "out").table("pose", "vitactip")
    assert {group.split("/")[1][:3] for group in table.group_id} == {"000", "001"}


def test_a_folder_of_recordings_and_a_single_file(tmp_path):
    for k in (0, 1):
        stamps = bags.times(4, 20, start_s=100 * k)
        camera = [("/camera/image_raw", t, bags.image(t, bags.frame(1000 * k + i))) for i, t in enumerate(stamps)]
        bags.write_bag(tmp_path / "all" / f"run{k}", camera, "mcap")
    assert ingest(tmp_path / "all", "--out", tmp_path / "out", "--sensor", "vitactip") == 0
    table = Dataset.open(tmp_path / "out").table("unlabelled", "vitactip")
    assert {group.split("/")[0] for group in table.group_id} == {"run0", "run1"}
    single = next((tmp_path / "all" / "run0").glob("*.mcap"))
    assert ingest(single, "--out", tmp_path / "one", "--sensor", "vitactip") == 0


def record(path: Path, number: int, seconds: float = 4, storage: str = "sqlite3", start_s: float | None = None) -> Path:
    """Frames at 20 Hz that no recording of another number has."""
    stamps = bags.times(seconds, 20, start_s=100 * number if start_s is None else start_s)
    camera = [("/camera/image_raw", t, bags.image(t, bags.frame(1000 * number + i))) for i, t in enumerate(stamps)]
    return bags.write_bag(path, camera, storage)


@pytest.mark.parametrize("names", [("edge_0.5mm", "edge_0.8mm"), ("a", "a.mcap"), ("a.db3", "a.mcap", "a.mcap.mcap")])
def test_recordings_of_one_folder_have_different_names(tmp_path, names):
    for number, name in enumerate(names):
        record(tmp_path / "all" / name, number)
    assert ingest(tmp_path / "all", "--out", tmp_path / "out", "--sensor", "vitactip") == 0
    table = Dataset.open(tmp_path / "out").table("unlabelled", "vitactip")
    assert {group.split("/")[0] for group in table.group_id} == set(names)
    assert len(set(table.latent_id)) == len(table)


def test_loose_files_that_differ_in_their_suffix_only(tmp_path):
    (tmp_path / "all").mkdir()
    for number, storage in enumerate(("mcap", "sqlite3")):
        files = record(tmp_path / storage, number, storage=storage)
        file = next(path for path in files.iterdir() if path.suffix != ".yaml")
        shutil.copy(file, tmp_path / "all" / f"tip{file.suffix}")
    assert ingest(tmp_path / "all", "--out", tmp_path / "out", "--sensor", "vitactip") == 0
    table = Dataset.open(tmp_path / "out").table("unlabelled", "vitactip")
    assert {latent.partition("#")[0] for latent in table.latent_id} == {"tip.mcap", "tip.db3"}
    assert len(set(table.latent_id)) == len(table)


def test_where_a_recorder_cut_files_is_no_border_between_splits(tmp_path):
    """`ros2 bag record --max-bag-duration`, its files copied without metadata.yaml; 97 frames each, 10 without gap."""
    (tmp_path / "rec").mkdir()
    for k in range(10):
        file = next(record(tmp_path / f"b{k}", k, 97 / 20, "mcap", start_s=97 / 20 * k).glob("*.mcap"))
        shutil.copy(file, tmp_path / "rec" / f"rec_{k}.mcap")
    assert ingest(tmp_path / "rec", "--out", tmp_path / "out", "--sensor", "vitactip") == 0
    table = Dataset.open(tmp_path / "out").table("unlabelled", "vitactip")
    split = {}
    for latent, name in zip(table.latent_id, table.split, strict=True):
        file, _, number = latent.partition("#")
        split[97 * int(file.removeprefix("rec_")) + int(number)] = name
    assert set(split.values()) == {"train", "val", "test"} and len(split) > 800
    assert all(name == split.get(n + 1, name) for n, name in split.items())


def used(stretches: Stretches, files: dict[str, np.ndarray]) -> list[tuple[float, str]]:
    """Time (s) and group of the images that are used, in order of time."""
    return sorted(
        (float(t) / 1e9, group)
        for name, times in files.items()
        for t, group in zip(times, stretches.groups[name], strict=True)
        if group
    )


def test_cutting_time_leaves_a_guard():
    files = {"bag": np.arange(0, 10 * 10**9, 10**7)}
    found = used(cut(files, 1.0), files)
    assert len({group for _, group in found}) == 10 and len(found) == pytest.approx(910, abs=10)
    assert all(t - s > 0.099 for (s, a), (t, b) in pairwise(found) if a != b)


def test_frames_lost_are_no_border_between_splits():
    """Five frames lost, twelve times in 100 s at 30 Hz: pauses of a sixth of a second, the guard is half a second."""
    kept = np.ones(3000, bool)
    for start in np.random.default_rng(0).integers(0, 2990, 12):
        kept[start : start + 5] = False
    files = {"bag": (np.flatnonzero(kept) / 30 * 1e9).astype(np.int64)}
    stretches = cut(files, None)
    found = used(stretches, files)
    splits = assign_splits({group: "" for _, group in found}, {}, (0.7, 0.15, 0.15), 0)
    borders = [t - s for (s, a), (t, b) in pairwise(found) if splits[a] != splits[b]]
    assert borders and min(borders) >= 0.49 and "12 gaps" in stretches.notes[1]


@given(
    st.lists(
        st.tuples(st.integers(0, 20_000), st.lists(st.integers(0, 3000), min_size=1, max_size=60)),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from([None, 0.01, 0.5, 4.0]),
)
def test_images_of_two_groups_are_never_nearer_than_the_guard(files_ms, length_s):
    files = {str(k): (start + np.cumsum(steps)) * 10**6 for k, (start, steps) in enumerate(files_ms)}
    stretches = cut(files, length_s)
    found = used(stretches, files)
    assert found
    assert all(t - s > stretches.guard_s - 1e-6 for (s, a), (t, b) in pairwise(found) if a != b)

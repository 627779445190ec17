"""Labels of a recording that would teach nonsense: no contact, tilted tools, clocks apart, one number throughout."""

import csv
from collections.abc import Sequence
from pathlib import Path

import bags
import numpy as np
import pytest

from sarl_training.adapters.labelled import is_constant
from sarl_training.cli import main
from sarl_training.dataset import Dataset

EDGE_WORDS = ["--sensor", "vitactip", "--task", "edge_pose", "--pose-topic", "/tip_pose"]
COUNT = 30


def ingest(bag: Path, *words: object) -> int:
    return main(["ingest", "rosbag", str(bag), "--out", str(bag.parent / "out"), *map(str, words)])


def refusal(bag: Path, capsys, *words: object) -> str:
    """The one line of the error; nothing may be left."""
    assert ingest(bag, *words) == 3
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and not list(bag.parent.glob("out*"))
    return error[0]


def touches(
    path: Path, depths_mm: Sequence[float], tilt_deg: float = 0.0, quaternion: Sequence[float] | None = None
) -> Path:
    """One picture a second with the edge's pose in the sensor frame, tilted about its normal, and `/force`, fy = 0."""
    messages: bags.Messages = []
    for k, depth_mm in enumerate(depths_mm):
        stamp, half, yaw = bags.times(len(depths_mm), 1)[k], np.radians(tilt_deg) / 2, 0.02 * k / 2
        about_z_then_x = np.array([np.cos(yaw) * np.sin(half), np.sin(yaw) * np.sin(half),
                                   np.sin(yaw) * np.cos(half), np.cos(yaw) * np.cos(half)])  # fmt: skip
        turn = about_z_then_x if quaternion is None else quaternion
        messages += [
            ("/camera/image_raw", stamp, bags.image(stamp, bags.frame(k))),
            ("/tip_pose", stamp, bags.pose(stamp, (1e-4 * k, 0, depth_mm / 1e3), quaternion=turn)),
            ("/force", stamp, bags.wrench(stamp, (0.1 * k, 0, -k))),
        ]
    return bags.write_bag(path, messages)


def pressed() -> list[float]:
    return [1 + 0.05 * k for k in range(COUNT)]


def test_frames_without_contact_are_left_out_of_edge_pose(tmp_path, capsys):
    depths = [depth if k % 3 else -4.0 for k, depth in enumerate(pressed())]
    bag = touches(tmp_path / "bag", depths)
    assert ingest(bag, *EDGE_WORDS) == 0
    table = Dataset.open(tmp_path / "out").table("edge_pose", "vitactip", ["z_mm"])
    assert len(table) == 20 and table.columns["z_mm"].min() > 0
    assert "refused 10: no contact: z -4 mm (bag:/camera/image_raw#0 and 9 more)" in capsys.readouterr().out
    with (tmp_path / "out/read.csv").open(newline="") as file:
        assert [line["refused"] for line in csv.DictReader(file)].count("no contact: z -4 mm") == 10


def test_a_task_of_ones_own_keeps_every_frame(tmp_path):
    bag = touches(tmp_path / "bag", [-depth for depth in pressed()])
    words = ["--sensor", "vitactip", "--task", "hover", "--pose-topic", "/tip_pose", "--axes", "z"]
    assert ingest(bag, *words) == 0
    assert len(Dataset.open(tmp_path / "out").table("hover", "vitactip")) == COUNT


def test_a_recording_without_any_contact_is_refused_with_the_causes(tmp_path, capsys):
    bag = touches(tmp_path / "bag", [-depth for depth in pressed()])
    for words in (EDGE_WORDS, [*EDGE_WORDS, "--wrench-topic", "/force"]):
        error = refusal(bag, capsys, *words)
        assert all(word in error for word in ("no contact: z -1 mm", "--object-pose", "--frame-transform", "z=-edge_z"))
    assert ingest(bag, *EDGE_WORDS, "--axes", "x=edge_x", "z=-edge_z", "theta=edge_theta") == 0
    assert len(Dataset.open(tmp_path / "out").table("edge_pose", "vitactip")) == COUNT


@pytest.mark.parametrize(("tilt_deg", "warned"), [(0, False), (4.9, False), (5.1, True), (44, True)])
def test_a_small_tilt_is_read_with_a_warning(tmp_path, capsys, tilt_deg, warned):
    assert ingest(touches(tmp_path / "bag", pressed(), tilt_deg), *EDGE_WORDS) == 0
    printed = capsys.readouterr().out
    assert (f"edges tilt up to {tilt_deg:.0f} deg" in printed) == ("--frame-transform" in printed) == warned
    assert len(Dataset.open(tmp_path / "out").table("edge_pose", "vitactip")) == COUNT


@pytest.mark.parametrize(("tilt_deg", "said"), [(46, 46), (90, 90), (134, 46)])
def test_a_large_tilt_is_refused(tmp_path, capsys, tilt_deg, said):
    error = refusal(touches(tmp_path / "bag", pressed(), tilt_deg), capsys, *EDGE_WORDS)
    assert f"edge tilted {said} deg" in error and "--frame-transform" in error


def test_a_tip_that_points_down_onto_an_edge_gives_the_depth(tmp_path, capsys):
    """Base and edge with z up at a height of 20 mm, sensor with z down, its apex at 20 mm less the depth."""
    messages: bags.Messages = []
    for k, depth_mm in enumerate(pressed()):
        stamp, half = bags.times(COUNT, 1)[k], 0.02 * k / 2
        down = (np.cos(half), np.sin(half), 0, 0)  # turned by half a turn about x, then about the base's z
        tip = bags.pose(stamp, (1e-4 * k, 0, 0.02 - depth_mm / 1e3), quaternion=down)
        messages += [("/camera/image_raw", stamp, bags.image(stamp, bags.frame(k))), ("/tip_pose", stamp, tip)]
    bag = bags.write_bag(tmp_path / "bag", messages)
    assert ingest(bag, *EDGE_WORDS, "--object-pose", 0, 0, 0.02, 0, 0, 0, 1) == 0
    assert "warning" not in capsys.readouterr().out
    x_N, z_N, theta_N = Dataset.open(tmp_path / "out").table("edge_pose", "vitactip").targets(
        ("x_mm", "z_mm", "theta_deg")
    ).T  # fmt: skip
    np.testing.assert_allclose(np.sort(z_N), pressed(), atol=1e-6)
    np.testing.assert_allclose(x_N, -2 * (z_N - 1), atol=1e-6)
    np.testing.assert_allclose(np.radians(theta_N), 0.4 * (z_N - 1), atol=1e-6)


def test_a_pose_task_may_tilt(tmp_path, capsys):
    bag = touches(tmp_path / "bag", pressed(), 90)
    assert ingest(bag, "--sensor", "vitactip", "--pose-topic", "/tip_pose") == 0
    assert "warning" not in capsys.readouterr().out


@pytest.mark.parametrize(("offset_s", "warned"), [(0.0, False), (0.019, False), (0.021, True), (0.45, True)])
def test_clocks_a_little_apart_are_warned_of(tmp_path, capsys, offset_s, warned):
    images, labels = bags.camera(bags.times(10, 20), delay_s=0.001), bags.poses(bags.times(10, 100), clock_s=-offset_s)
    bag = bags.write_bag(tmp_path / "bag", images + labels)
    assert ingest(bag, *EDGE_WORDS[:2], *EDGE_WORDS[4:]) == 0
    printed = capsys.readouterr().out
    assert ("bag: clock: header stamps" in printed) and ("warning: /tip_pose arrives" in printed) == warned
    assert ("--clock receive" in printed and f"{offset_s:.3f} s longer" in printed) == warned


def test_a_wider_tolerance_accepts_clocks_apart(tmp_path, capsys):
    images, labels = bags.camera(bags.times(10, 20), delay_s=0.08), bags.poses(bags.times(10, 100))
    bag = bags.write_bag(tmp_path / "bag", images + labels)
    assert ingest(bag, *EDGE_WORDS, "--tolerance-s", 0.1) == 0
    assert "warning" not in capsys.readouterr().out


def test_a_task_with_a_constant_axis_is_left_out_and_the_other_kept(tmp_path, capsys):
    bag = touches(tmp_path / "bag", pressed())
    assert ingest(bag, *EDGE_WORDS, "--wrench-topic", "/force") == 0
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.tasks() == ["edge_pose"] and len(dataset.table("edge_pose", "vitactip")) == COUNT
    note = next(line for line in capsys.readouterr().out.splitlines() if "task force" in line)
    assert "warning" in note and "fy_N is 0 in every frame" in note
    advice = note.partition("--task ")[2].split()  # is to be followed word by word
    out = ["--out", str(tmp_path / "own"), "--sensor", "vitactip", "--wrench-topic", "/force", "--task", *advice]
    assert main(["ingest", "rosbag", str(bag), *out]) == 0
    assert Dataset.open(tmp_path / "own").info["tasks"]["my_force"]["columns"] == ["fx_N", "fz_N"]


def test_nothing_left_to_learn_is_refused_before_pictures_are_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sarl_training.adapters.rosbag.image_file", lambda message: pytest.fail("a picture was read"))
    bag = touches(tmp_path / "bag", [2.0] * COUNT)
    error = refusal(bag, capsys, *EDGE_WORDS, "--wrench-topic", "/force")
    assert "z_mm is 2 in every frame" in error and "fy_N is 0 in every frame" in error


def test_why_a_message_gives_no_label_is_told(tmp_path, capsys):
    error = refusal(touches(tmp_path / "bag", pressed(), quaternion=(0, 0, 0, 0)), capsys, *EDGE_WORDS)
    assert "/tip_pose: its quaternion has length 0, 1 is needed" in error


def test_one_pose_that_is_not_finite_costs_one_frame(tmp_path, capsys):
    depths = pressed()
    depths[4] = float("nan")
    bag = touches(tmp_path / "bag", depths)
    assert ingest(bag, "--sensor", "vitactip", "--pose-topic", "/tip_pose") == 0
    assert "refused 1: /tip_pose: not finite (bag:/camera/image_raw#4)" in capsys.readouterr().out
    assert Dataset.open(tmp_path / "out").info["tasks"]["pose"]["columns"] == ["x_mm", "z_mm", "yaw_deg"]


def test_a_picture_that_comes_again_in_a_recording_is_kept_once(tmp_path, capsys):
    stamps = bags.times(COUNT, 1)
    images = [("/camera/image_raw", t, bags.image(t, bags.frame(k // 2))) for k, t in enumerate(stamps)]
    labels = [("/tip_pose", t, bags.pose(t, (1e-4 * k, 0, 0.001 + 1e-4 * k), 0.01 * k)) for k, t in enumerate(stamps)]
    bag = bags.write_bag(tmp_path / "bag", images + labels)
    assert ingest(bag, *EDGE_WORDS) == 0
    assert len(Dataset.open(tmp_path / "out").table("edge_pose", "vitactip")) == COUNT // 2
    assert "refused 15: same content as bag:/camera/image_raw#0 (bag:/camera/image_raw#1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "constant"),
    [
        ([], True), ([3.0], True), ([0.0, 1e-15], True), ([30.0, 30.0 + 1e-13], True), ([float("nan"), 2.0], True),
        ([0.0, 1e-6], False), ([1e6, 1e6 + 1], False), ([1e9, 1e9 + 1], True), ([float("nan"), 2.0, 2.1], False),
    ],
)  # fmt: skip
def test_what_counts_as_never_changing(values, constant):
    assert is_constant(values) is constant

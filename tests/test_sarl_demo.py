"""The simulated camera, the scoring, the settings, and the whole chain over DDS at the camera's real size and rate."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import robot_side
from sarl_demo.frame_sources import DatasetFrames, SourceRefused, place_on_frame
from sarl_demo.scoring import Record
from sarl_demo.settings import CameraSettings, FollowerSettings, SettingsRefused, read_file
from sarl_perception.estimator import TactileEstimator
from tiny_model import write_model

from sarl_training.simulation.outlines import OUTLINES

COLUMNS = ["sample_id", "image", "latent_id", "group_id", "split", "x_mm", "z_mm", "theta_deg"]
SERVO = robot_side.ROOT / "ros2_ws" / "src" / "sarl_demo" / "config" / "servo.yaml"
FOLLOWER = read_file(SERVO, "edge_follower", FollowerSettings)
OPTIONS = {"task": "edge_pose", "sensor": "vitactip", "width": 64, "height": 48, "limit": 100}


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Six plain grey images, four of them in the test split; the tiny model answers them exactly."""
    folder = tmp_path / "data" / "edge_pose" / "vitactip"
    (folder / "images").mkdir(parents=True)
    (tmp_path / "data" / "dataset.json").write_text(json.dumps({"name": "grey"}))
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for index in range(6):
            level = 40 * index
            name = f"images/{index:06d}.png"
            cv2.imwrite(str(folder / name), np.full((32, 32, 3), level, np.uint8))
            split = "train" if index < 2 else "test"
            writer.writerow([index, name, index, index, split, 1 + level / 255, 2.0, math.degrees(0.5)])
    return tmp_path / "data"


def test_dataset_frames_are_the_split_with_its_truth(dataset: Path) -> None:
    frames = DatasetFrames(dataset, split="test", **OPTIONS)
    assert len(frames) == 4
    frame = frames.frame(1)
    assert frame.rgb.shape == (48, 64, 3)
    assert (frame.rgb[:, 8:56] == 120).all() and not frame.rgb[:, :8].any() and not frame.rgb[:, 56:].any()
    assert frame.truth["x_mm"] == pytest.approx(1 + 120 / 255)
    assert len(DatasetFrames(dataset, split="test", **{**OPTIONS, "limit": 2})) == 2


def test_what_is_missing_is_named(dataset: Path) -> None:
    with pytest.raises(SourceRefused, match="no rows of split 'val'"):
        DatasetFrames(dataset, split="val", **OPTIONS)
    with pytest.raises(SourceRefused, match="nowhere"):
        DatasetFrames(dataset / "nowhere", split="test", **OPTIONS)
    (dataset / "edge_pose" / "vitactip" / "images" / "000003.png").write_bytes(b"not an image")
    with pytest.raises(SourceRefused, match=r"000003\.png"):
        DatasetFrames(dataset, split="test", **OPTIONS)


def test_a_larger_image_is_shrunk_onto_the_frame() -> None:
    frame = place_on_frame(np.full((100, 100, 3), 9, np.uint8), 30, 20)
    assert (frame[:, 5:25] == 9).all() and frame.sum() == 9 * 3 * 400


def test_scoring() -> None:
    record = Record(sent={(0, index): (1.0, 2.0, 179.0) for index in range(4)})
    record.poses = {(0, 0): (1.5, 2.0, -179.0), (0, 1): (0.5, 2.2, 179.0), (9, 9): (0.0, 0.0, 0.0)}
    record.answered = {(0, 0), (0, 1), (0, 2), (9, 9)}
    record.latencies_ms = [1.0, 2.0, 3.0]
    summary = record.summary()
    assert {name: summary[name] for name in ("sent", "answered", "dropped", "posed", "unknown_stamps")} == {
        "sent": 4,
        "answered": 3,
        "dropped": 1,
        "posed": 2,
        "unknown_stamps": 1,
    }
    assert [summary[name] for name in ("x_mm", "z_mm", "theta_deg", "latency_ms_p50")] == pytest.approx(
        [0.5, 0.1, 1.0, 2.0]
    )


def test_scoring_without_answers() -> None:
    summary = Record(sent={(0, 0): (1.0, 2.0, 3.0)}).summary()
    assert (summary["dropped"], summary["x_mm"], summary["latency_ms_p99"]) == (1, None, None)


def test_a_sheet_of_estimates(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
    from sarl_demo.sheet import draw_sheet, pick

    paths = pick(dataset, 4)
    assert [path.stem for path in paths] == ["000000", "000002", "000003", "000005"]
    estimator = TactileEstimator(write_model(tmp_path / "tiny.onnx"))
    sheet = draw_sheet(estimator, paths, columns=3, tile=80, field_of_view_m=0.028, threshold=0.5)
    assert sheet.shape == (160, 240, 3)
    assert (sheet[80:, 160:] == 255).all() and sheet[:80, :80].any()
    with pytest.raises(SourceRefused, match=r"no \.jpg"):
        pick(tmp_path / "nowhere", 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"way": 0}, "way is 0; allowed: 1 or -1"),
        ({"proportional": [1.0, 2.0]}, "proportional"),
        ({"speed": -0.01}, "speed is -0.01; allowed: above 0"),
        ({"stop_silence": 0.01}, "stop_silence is 0.01; allowed: above slow_silence"),
        ({"stop_sd": [0.0, 1.0, 1.0]}, "above slow_sd"),
    ],
)
def test_settings_out_of_range_are_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsRefused, match=words):
        dataclasses.replace(FOLLOWER, **change)


def test_settings_are_complete_or_refused(tmp_path: Path) -> None:
    assert read_file(SERVO, "outline_camera", CameraSettings).outline in OUTLINES
    short = tmp_path / "servo.yaml"
    short.write_text(SERVO.read_text().replace("    way: 1\n", ""))
    with pytest.raises(SettingsRefused, match="way"):
        read_file(short, "edge_follower", FollowerSettings)


def measured(dataset: Path, tmp_path: Path, *words: str) -> dict[str, float]:
    """Summary of the measurement's own command line."""
    pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)
    out = tmp_path / "ros" / "ros.json"
    model = write_model(tmp_path / "tiny.onnx")
    command = [
        sys.executable,
        "-m",
        "sarl_demo.measure",
        "--model",
        str(model),
        "--data",
        str(dataset),
        "--out",
        str(out),
    ]
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    logs = "\n".join(log.read_text() for log in out.parent.glob("*.log"))
    assert done.returncode == 0, f"{done.stderr}\n{logs}"
    assert json.loads(done.stdout) == json.loads(out.read_text())
    return json.loads(done.stdout)


@pytest.mark.ros
def test_node_and_camera_as_processes(dataset: Path, tmp_path: Path) -> None:
    """How many are answered is the machine's matter here; tests/bench/node.py measures it."""
    summary = measured(dataset, tmp_path, "--frames", "30", "--rate", "10", "--node", "max_age:=0.0")
    assert 0 < summary["answered"] <= summary["sent"] <= 30
    assert summary["unknown_stamps"] == 0
    assert summary["x_mm"] < 0.01 and summary["z_mm"] < 1e-3 and summary["theta_deg"] < 1e-3
    assert 0 < summary["latency_ms_p50"] <= summary["latency_ms_p99"]


@pytest.mark.ros
def test_a_refused_model_ends_the_measurement_with_the_log_named(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)
    out = tmp_path / "ros" / "ros.json"
    words = ["--model", str(tmp_path / "none.onnx"), "--data", str(dataset), "--out", str(out), "--patience", "4"]
    done = subprocess.run(
        [sys.executable, "-m", "sarl_demo.measure", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "perception_node.log" in done.stderr
    assert (out.parent / "perception_node.log").exists() and not out.exists()

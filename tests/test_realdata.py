"""Real frames of three public repositories, where they are: $SARL_REALDATA, else `shared/realdata` beside the checkout.

They are few, so they show that real files are read and that every verb runs on them; they measure nothing.
"""

from pathlib import Path

import numpy as np
import pytest
import real_frames
from real_frames import REALDATA

from sarl_training.cli import main
from sarl_training.dataset import Dataset
from sarl_training.image_file import decode_image

pytestmark = real_frames.needed
PRESS_REGION = ["--region", 660, 204, 760, 760]  # the sensor's circle in the 1920x1080 camera image


def ingest(*words: object) -> None:
    assert main(["ingest", *map(str, words)]) == 0


@pytest.fixture(scope="module")
def bar(tmp_path_factory) -> Path:
    """The 33 paired frames of one unit: 11 contacts with a bar, seen through three skins."""
    out = tmp_path_factory.mktemp("bar") / "data"
    ingest("multidiffsense", REALDATA / "vitactip_bar", "--out", out, "--image-size", 96, "--licence", "MIT")
    return out


def test_paired_frames(bar):
    dataset = Dataset.open(bar)
    assert dataset.sensors("pose") == ["tactip", "vitac", "vitactip"]
    columns = ["pose_x_mm", "pose_y_mm", "pose_z_mm", "pose_rz_deg"]
    tables = [dataset.table("pose", sensor, columns) for sensor in dataset.sensors("pose")]
    assert [len(table) for table in tables] == [11, 11, 11]
    for table in tables:
        assert table.latent_id.tolist() == tables[0].latent_id.tolist()
        assert np.array_equal(table.targets(columns), tables[0].targets(columns))
        assert dataset.ssl_pool(table.path.parent.name)


@pytest.mark.slow
def test_every_verb_runs_on_paired_frames(bar, tmp_path):
    words = ["--data", bar, "--out", tmp_path / "run", "--image-size", 32, "--epochs", 1, "--batch-size", 4]
    assert main(["pretrain", "sarl", *map(str, words)]) == 0
    words = ["--encoder", tmp_path / "run", "--data", bar]
    assert main(["probe", *map(str, words), "--out", str(tmp_path / "probe")]) == 0
    assert main(["export", *map(str, words), "--out", str(tmp_path / "real.onnx")]) == 0


def test_press_sequence(tmp_path):
    source = REALDATA / "vitactip_press" / "downward-press-vascular-phantom"
    words = ["--sensor", "vitactip", "--task", "press_order", "--axes", "frame:1", *PRESS_REGION, "--image-size", 96]
    ingest("flat", source, "--out", tmp_path / "data", *words)
    table = Dataset.open(tmp_path / "data").table("press_order", "vitactip", ["frame_1"])
    assert len(table) == 42 and table.columns["frame_1"].tolist() == sorted(table.columns["frame_1"])
    assert decode_image(table.images[0]).shape == (96, 96, 3)


def test_sphere_presses(tmp_path):
    spheres = REALDATA / "gelsight_digit_spheres" / "mlp_calib"
    words = ["--labels", "csv/annotate.csv", "--match-tail", "--sensor", "gelsight", "--task", "sphere"]
    axes = ["--axes", "center_x:px", "center_y:px", "radius:px"]
    ingest("flat", spheres, "--out", tmp_path / "data", *words, *axes)
    table = Dataset.open(tmp_path / "data").table("sphere", "gelsight", ["center_x_px", "center_y_px", "radius_px"])
    assert len(table) == 42 and set(table.split) == {"train", "val", "test"}

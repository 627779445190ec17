"""`sarl-train ingest rosbag` on real recordings of both storages, good ones and broken ones."""

from pathlib import Path

import bags
import cv2
import numpy as np
import pytest
from bags import POSE_WORDS, frames, ingest

from sarl_training.adapters.ros_messages import image_file, matrix, pose_values
from sarl_training.adapters.ros_stamps import nearest
from sarl_training.dataset import Dataset
from sarl_training.image_file import decode_bytes


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Ten seconds at 20 Hz, with poses at 100 Hz."""
    return bags.write_bag(tmp_path / "bag", bags.camera(bags.times(10, 20)) + bags.poses(bags.times(10, 100)))


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
def test_poses_are_matched_by_stamp(tmp_path, capsys, storage):
    messages = bags.camera(bags.times(10, 20)) + bags.poses(bags.times(10, 100))
    bags.write_bag(tmp_path / "bag", messages, storage)
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS) == 0
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.info["tasks"]["pose"]["columns"] == ["x_mm", "z_mm", "yaw_deg"]  # what never changes is left out
    table = dataset.table("pose", "vitactip", ["x_mm", "z_mm", "yaw_deg"])
    assert set(table.split) == {"train", "val", "test"} and dataset.ssl_pool("vitactip")
    for number, values in zip(frames(table), table.targets(["x_mm", "z_mm", "yaw_deg"]), strict=True):
        seconds = number / 20
        assert values == pytest.approx([seconds, 2 * seconds, np.degrees(0.01 * seconds)], abs=1e-6)
    first = decode_bytes(table.images[5].read_bytes())[0]
    assert np.array_equal(first, bags.frame(frames(table)[5]))
    assert "header stamps" in capsys.readouterr().out


def test_every_kind_of_label_at_once(tmp_path):
    stamps = bags.times(10, 20)
    messages = bags.camera(stamps, make=bags.compressed) + bags.poses(stamps, height_m=0.001)
    for k, t in enumerate(stamps):
        force = (0.1 * k, 0.2 * k, float("nan") if k == 7 else -1 - 0.01 * k)
        messages += [("/force", t, bags.wrench(t, force)), ("/point", t, bags.point(t, (1e-3 * k, 2e-3, 1e-4 * k)))]
    bags.write_bag(tmp_path / "bag", messages, "mcap")
    words = [*POSE_WORDS, "--task", "edge_pose", "--wrench-topic", "/force"]
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *words) == 0
    dataset = Dataset.open(tmp_path / "out")
    assert dataset.tasks() == ["edge_pose", "force"] and not dataset.info["tasks"]
    force = dataset.table("force", "vitactip", ["fx_N", "fy_N", "fz_N"])
    k = frames(force)[3]
    assert force.targets(["fx_N", "fy_N", "fz_N"])[3] == pytest.approx([0.1 * k, 0.2 * k, -1 - 0.01 * k])
    assert "fz (N) is nan" in (tmp_path / "out/read.csv").read_text()
    edge = dataset.table("edge_pose", "vitactip", ["x_mm", "z_mm", "theta_deg"])
    assert (
        dict(zip(edge.latent_id, edge.split, strict=True)).items()
        >= dict(zip(force.latent_id, force.split, strict=True)).items()
    )
    words = ["--sensor", "vitactip", "--point-topic", "/point", "--task", "spot", "--axes", "depth=pz", "px:m"]
    assert ingest(tmp_path / "bag", "--out", tmp_path / "spot", *words) == 0
    spot = Dataset.open(tmp_path / "spot").table("spot", "vitactip", ["depth_mm", "px_mm"])
    k = frames(spot)[0]
    assert spot.targets(["depth_mm", "px_mm"])[0] == pytest.approx([0.1 * k, k])


def test_frame_transform_and_object_pose(recording, tmp_path):
    quarter = ["0.01", "0", "0", "0", "0", str(np.sqrt(0.5)), str(np.sqrt(0.5))]
    assert ingest(recording, "--out", tmp_path / "out", *POSE_WORDS, "--frame-transform", *quarter) == 0
    table = Dataset.open(tmp_path / "out").table("pose", "vitactip", ["y_mm", "yaw_deg"])  # x became y
    seconds = frames(table)[9] / 20
    expected = [seconds, 90 + np.degrees(0.01 * seconds)]
    assert table.targets(["y_mm", "yaw_deg"])[9] == pytest.approx(expected)
    still = ["0.03", "0", "0", "0", "0", "0", "1"]
    assert ingest(recording, "--out", tmp_path / "held", *POSE_WORDS, "--object-pose", *still) == 0
    table = Dataset.open(tmp_path / "held").table("pose", "vitactip", ["x_mm", "yaw_deg", "z_mm"])
    seconds = frames(table)[9] / 20
    yaw = 0.01 * seconds
    expected = [np.cos(yaw) * (30 - seconds), -np.degrees(yaw), -2 * seconds]
    assert table.targets(["x_mm", "yaw_deg", "z_mm"])[9] == pytest.approx(expected, abs=1e-6)


def test_an_edge_pose_is_what_the_node_publishes():
    """CONTRACT.md: position (x cos theta, x sin theta, z), rotation theta about z."""
    x, z, theta = 0.003, 0.002, 0.4
    pose = matrix([x * np.cos(theta), x * np.sin(theta), z, 0, 0, np.sin(theta / 2), np.cos(theta / 2)])
    assert pose_values(pose)[6:] == pytest.approx([x, z, theta])


def test_two_clocks_are_noticed(tmp_path, capsys):
    stamps = bags.times(10, 20)
    bags.write_bag(tmp_path / "bag", bags.camera(stamps) + bags.poses(bags.times(10, 100), clock_s=37.5))
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS) == 0
    printed = capsys.readouterr().out
    assert "receive time" in printed and "37.503 s apart" in printed
    assert ingest(tmp_path / "bag", "--out", tmp_path / "header", *POSE_WORDS, "--clock", "header") == 3
    error = capsys.readouterr().err
    assert "nearest is 27.55 s away" in error and "--clock receive" in error
    assert not (tmp_path / "header").exists() and not (tmp_path / "header.partial").exists()


def test_missing_header_stamps_mean_receive_time(tmp_path, capsys):
    messages = [(topic, t, m) for topic, t, m in bags.camera(bags.times(5, 20))]
    stamps = bags.times(5, 100)
    messages += [("/tip_pose", t, bags.pose(t, (i * 1e-3, 0, 0)).pose) for i, t in enumerate(stamps)]
    bags.write_bag(tmp_path / "bag", messages)
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS) == 0
    assert "without a header stamp" in capsys.readouterr().out
    assert ingest(tmp_path / "bag", "--out", tmp_path / "no", *POSE_WORDS, "--clock", "header") == 2


def test_topics_are_listed_when_one_is_missing(recording, tmp_path, capsys):
    for words in (
        ["--image-topic", "/nothing", "--sensor", "vitactip"],
        ["--image-topic", "/tip_pose", "--sensor", "vitactip"],
        ["--wrench-topic", "/wrench", "--sensor", "vitactip"],
        ["--wrench-topic", "/tip_pose", "--sensor", "vitactip"],
    ):
        assert ingest(recording, "--out", tmp_path / "out", *words) == 3
        error = capsys.readouterr().err
        assert (
            "/camera/image_raw (sensor_msgs/msg/Image)" in error
            and "/tip_pose (geometry_msgs/msg/PoseStamped)" in error
        )
        assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("storage", ["sqlite3", "mcap"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.95])
def test_a_cut_recording_is_refused_in_one_line(tmp_path, capsys, storage, share):
    bag = bags.write_bag(tmp_path / "bag", bags.camera(bags.times(3, 20)) + bags.poses(bags.times(3, 100)), storage)
    file = next(path for path in bag.iterdir() if path.suffix in (".db3", ".mcap"))
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert ingest(bag, "--out", tmp_path / "out", *POSE_WORDS) == 3
    error = capsys.readouterr().err.strip().splitlines()
    assert "cut or broken" in error[-1] and len(error) == 1
    assert not list(tmp_path.glob("out*"))


def test_a_recording_with_fewer_messages_than_it_says_is_refused(recording, tmp_path, capsys):
    metadata = recording / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 200", "message_count: 250"))
    assert ingest(recording, "--out", tmp_path / "out", *POSE_WORDS) == 3
    assert "200 of 250 messages" in capsys.readouterr().err


@pytest.mark.parametrize("metadata", ["", "rosbag2_bagfile_information: {}", ": ["])
def test_broken_metadata_is_refused(recording, tmp_path, capsys, metadata):
    (recording / "metadata.yaml").write_text(metadata)
    assert ingest(recording, "--out", tmp_path / "out", *POSE_WORDS) == 3
    assert "cut or broken" in capsys.readouterr().err


def test_nothing_there(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert ingest(tmp_path / "empty", "--out", tmp_path / "out", "--sensor", "vitactip") == 3
    assert "no rosbag2 recording" in capsys.readouterr().err
    assert ingest(tmp_path / "nowhere", "--out", tmp_path / "out", "--sensor", "vitactip") == 3
    assert ingest(tmp_path / "empty", "--out", tmp_path / "out") == 2
    for words in (["--frame-transform", "1", "2"], ["--tolerance-s", "0"], ["--object-pose", *"0000000"]):
        assert ingest(tmp_path / "empty", "--out", tmp_path / "out", "--sensor", "vitactip", *words) == 2


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
@pytest.mark.parametrize("padding", [0, 5])
def test_raw_images_come_out_as_they_were(encoding, padding):
    rgb = np.random.default_rng(0).integers(0, 256, (7, 11, 3), dtype=np.uint8)
    found = decode_bytes(image_file(bags.image(0, rgb, encoding, padding)))[0]
    assert np.array_equal(found, np.repeat(rgb[..., :1], 3, 2) if encoding == "mono8" else rgb)


@pytest.mark.parametrize(("changes", "named"), [({"step": 10}, "step 10"), ({"encoding": "32FC1"}, "32FC1"),
                                                ({"height": 0}, "11x0"), ({"height": 9}, "found 231")])  # fmt: skip
def test_malformed_images_are_refused(changes, named):
    good = bags.image(0, np.zeros((7, 11, 3), np.uint8))
    fields = {
        name: getattr(good, name) for name in ("header", "height", "width", "encoding", "is_bigendian", "step", "data")
    }
    with pytest.raises(ValueError, match=named):
        image_file(bags.message("sensor_msgs/Image", **{**fields, **changes}))


def test_sixteen_bit_and_yuv_images():
    deep = np.arange(0, 60000, 1000, dtype=np.uint16).reshape(6, 10)
    fields = {"header": bags.header(0), "height": 6, "width": 10, "step": 20}
    for big, kind in ((0, "<u2"), (1, ">u2")):
        data = np.frombuffer(deep.astype(kind).tobytes(), np.uint8)
        message = bags.message("sensor_msgs/Image", encoding="mono16", is_bigendian=big, data=data, **fields)
        assert np.array_equal(decode_bytes(image_file(message))[0][..., 0], deep >> 8)
    grey = np.stack([np.full((6, 10), 128, np.uint8), np.tile(np.arange(16, 216, 20, dtype=np.uint8), (6, 1))], 2)
    message = bags.message("sensor_msgs/Image", encoding="yuv422", is_bigendian=0, data=grey.ravel(), **fields)
    expected = cv2.cvtColor(grey, cv2.COLOR_YUV2RGB_UYVY)
    assert np.array_equal(decode_bytes(image_file(message))[0], expected)


def test_nearest_against_a_plain_search():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 10**12, 200), rng.integers(0, 10**12, 57)
    index, distance = nearest(images, labels)
    every = np.abs(images[:, None] - labels[None])
    assert np.array_equal(every[np.arange(200), index], every.min(1))
    assert distance == pytest.approx(every.min(1) / 1e9)
    assert nearest(images, labels[:1])[0].tolist() == [0] * 200


def about(axis: int, degrees: np.ndarray) -> np.ndarray:
    """Quaternions of turns about one axis, with a little noise about all."""
    half_N4 = np.random.default_rng(0).normal(0, 1e-4, (len(degrees), 4))
    half_N4[:, axis] += np.sin(np.radians(degrees) / 2)
    half_N4[:, 3] += np.cos(np.radians(degrees) / 2)
    return half_N4 / np.linalg.norm(half_N4, axis=1, keepdims=True)


def test_angles_do_not_jump_at_180(tmp_path):
    """A tool that points down: its roll is 180 give or take noise, in both recordings."""
    for k in (0, 1):
        stamps = bags.times(10, 20, start_s=100 * k)
        camera = [("/camera/image_raw", t, bags.image(t, bags.frame(1000 * k + i))) for i, t in enumerate(stamps)]
        roll = np.full(len(stamps), 179.9 if k else -179.9)
        bags.write_bag(tmp_path / "all" / f"run{k}", camera + bags.turned_poses(stamps, about(0, roll)))
    assert ingest(tmp_path / "all", "--out", tmp_path / "out", *POSE_WORDS) == 0
    table = Dataset.open(tmp_path / "out").table("pose", "vitactip", ["roll_deg"])
    roll_N = table.targets(["roll_deg"])[:, 0]
    assert abs(roll_N - 180).max() < 0.3 and np.ptp(roll_N) > 0.15


def test_a_roll_of_180_that_never_changes_is_no_label(tmp_path):
    stamps = bags.times(10, 20)
    quaternions = [(1, 0, 0, sign * 1e-12) for sign in np.resize([1, -1], len(stamps))]
    bags.write_bag(tmp_path / "bag", bags.camera(stamps) + bags.turned_poses(stamps, quaternions))
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS) == 0
    assert Dataset.open(tmp_path / "out").info["tasks"]["pose"]["columns"] == ["x_mm", "z_mm"]


@pytest.mark.parametrize(("middle", "said"), [(180, True), (-150, True), (0, False), (120, False)])
def test_theta_is_in_one_piece_and_an_edge_the_other_way_round_is_told(tmp_path, capsys, middle, said):
    stamps = bags.times(10, 20)
    theta = middle + np.random.default_rng(1).uniform(-40, 40, len(stamps))
    bags.write_bag(tmp_path / "bag", bags.camera(stamps) + bags.turned_poses(stamps, about(2, theta)))
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS, "--task", "edge_pose") == 0
    table = Dataset.open(tmp_path / "out").table("edge_pose", "vitactip", ["theta_deg"])
    assert abs(table.targets(["theta_deg"])[:, 0] - theta[frames(table)]).max() < 0.2
    assert ("the x axis of /tip_pose, the edge's normal" in capsys.readouterr().out) == said


def test_where_the_tip_rests_does_not_move_the_angles_of_touches(tmp_path):
    """Three quarters of the time it rests above the edge at theta 170; the touches reach from -40 to 40."""
    stamps = bags.times(20, 20)
    theta = np.where(np.arange(len(stamps)) < 300, 170, np.linspace(-240, 40, len(stamps)))
    poses = bags.turned_poses(stamps, about(2, theta))
    for _, _, message in poses[:300]:
        message.pose.position.z = -0.01
    bags.write_bag(tmp_path / "bag", bags.camera(stamps) + poses)
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS, "--task", "edge_pose") == 0
    table = Dataset.open(tmp_path / "out").table("edge_pose", "vitactip", ["theta_deg"])
    assert abs(table.targets(["theta_deg"])[:, 0] - theta[frames(table)]).max() < 0.2


def test_an_angle_that_spans_nearly_a_turn_is_told(tmp_path, capsys):
    stamps = bags.times(10, 20)
    yaw = np.linspace(-170, 160, len(stamps))
    bags.write_bag(tmp_path / "bag", bags.camera(stamps) + bags.turned_poses(stamps, about(2, yaw)))
    assert ingest(tmp_path / "bag", "--out", tmp_path / "out", *POSE_WORDS, "--task", "turn", "--axes", "yaw") == 0
    assert "yaw_deg is -170 to 160, 330 deg: above 300" in capsys.readouterr().out

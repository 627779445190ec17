"""Services and parameters of the running node: live during inference, checked, and without loss of the old model."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import robot_side

pytest.importorskip("rclpy", reason=robot_side.NOT_BUILT)
pytest.importorskip("sarl_msgs.msg", reason=robot_side.NOT_BUILT)

from lifecycle_msgs.msg import State, Transition
from rcl_interfaces.srv import ListParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from ros_camera import camera
from ros_peer import NODE, TOPICS, Peer, parameters, running, stamp_of, stamps_of
from sarl_perception import model_loader
from sarl_perception.estimator import TactileEstimator
from sarl_perception.model_loader import load_model
from sarl_perception.parameters import Settings
from sarl_perception.perception_node import PerceptionNode
from std_srvs.srv import SetBool, Trigger
from tiny_model import contract, write_model

pytestmark = pytest.mark.ros
BLACK = np.zeros((48, 64, 3), np.uint8)


def enable(peer: Peer, value: bool) -> SetBool.Response:
    return peer.call(SetBool, "perception_node/enable", SetBool.Request(data=value))


def reload(peer: Peer) -> Trigger.Response:
    return peer.call(Trigger, "perception_node/reload_model", Trigger.Request())


def test_enable_stops_and_starts_the_answers(peer: Peer, model: Path, log: Path) -> None:
    with running(NODE, log, *parameters(model=model)):
        peer.connect()
        assert enable(peer, False).success
        peer.spin_until(lambda: not peer.camera.get_subscription_count(), "the camera is let go")
        peer.status(lambda _, values: values["state"] == "disabled" and values["outputs"] == "stale", "disabled")
        answer = enable(peer, True)
        assert answer.success and "active" in answer.message
        peer.connect()
        assert not peer.set(enabled=False)
        assert peer.change(Transition.TRANSITION_DEACTIVATE)
        assert "inactive" in enable(peer, True).message
        assert peer.change(Transition.TRANSITION_ACTIVATE)
        peer.connect()


def test_a_new_model_is_taken_and_a_bad_one_is_not(peer: Peer, model: Path, tmp_path: Path, log: Path) -> None:
    with running(NODE, log, *parameters(model=model)):
        peer.connect()
        write_model(model, values={"edge_pose": [0.004, 0.005, 0.0]})
        assert reload(peer).success
        assert peer.answer("edge_pose", peer.send(BLACK)).pose.position.x == pytest.approx(0.004)

        broken = tmp_path / "broken.onnx"
        broken.write_bytes(model.read_bytes()[:200])
        assert not peer.set(model=str(broken))
        answer = reload(peer)
        assert not answer.success and str(broken) in answer.message and f"{model} stays in use" in answer.message
        assert str(broken) in peer.fault("reload").message
        assert peer.answer("edge_pose", peer.send(BLACK)).pose.position.x == pytest.approx(0.004)

        other = write_model(tmp_path / "force.onnx", outputs=["force", "contact_probability"])
        assert not peer.set(model=str(other))
        assert reload(peer).success
        peer.answer("force", peer.send(BLACK))
        peer.spin_until(lambda: not peer.node.count_publishers("edge_pose"), "the topics are those of the new model")
        status = peer.status(lambda _, values: "reload" not in values["faults"], "the refusal is over")
        assert {item.key: item.value for item in status.values}["model"] == str(other)


def press(path: Path, *kinds: str) -> Path:
    """A model of a task `press` of one's own: numbers, classes, or both, which is one too many."""
    edge_pose, _, _, material, _ = contract()["outputs"]
    numbers = {**edge_pose, "name": "press", "kind": "vector", "covariance": "press_covariance"}
    classes = {**material, "name": "press_probabilities"}
    outputs = [{"vector": numbers, "classification": classes}[kind] for kind in kinds]
    values = {"press": [0.1, 0.2, 0.3], "press_probabilities": [0.1, 0.2, 0.7]}
    return write_model(path, outputs=outputs, values=values)


def test_a_topic_may_change_its_type(peer: Peer, tmp_path: Path, log: Path) -> None:
    """Fast DDS refuses two types of one topic in a process, and rclpy ends a node whose callback fails."""

    def types() -> list[str]:
        return [publisher.topic_type for publisher in peer.node.get_publishers_info_by_topic("press")]

    with running(NODE, log, *parameters(model=press(tmp_path / "numbers.onnx", "vector"))):
        peer.spin_until(lambda: types() == ["sarl_msgs/msg/VectorStamped"], "numbers")
        assert not peer.set(model=str(press(tmp_path / "classes.onnx", "classification")))
        assert reload(peer).success
        peer.spin_until(lambda: types() == ["sarl_msgs/msg/MaterialStamped"], "classes")
        assert not peer.set(model=str(press(tmp_path / "both.onnx", "vector", "classification")))
        answer = reload(peer)
        assert not answer.success
        assert "press_probabilities is published on press, as is press: give the task another name" in answer.message


def test_a_reload_that_was_overtaken_is_not_used(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow, quick = write_model(tmp_path / "slow.onnx"), write_model(tmp_path / "quick.onnx")
    begun, go_on = threading.Event(), threading.Event()

    def load(settings: Settings) -> TactileEstimator:
        if settings.model == str(slow):
            begun.set()
            go_on.wait(60)
        return load_model(settings)

    node = PerceptionNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        node.set_parameters([Parameter("model", value=str(quick))])
        node.start()
        node.set_parameters([Parameter("model", value=str(slow))])
        monkeypatch.setattr(model_loader, "load_model", load)
        client = peer.node.create_client(Trigger, "perception_node/reload_model")
        assert client.wait_for_service(30)
        answer = client.call_async(Trigger.Request())
        while not begun.is_set():
            executor.spin_once(timeout_sec=0.1)
        node.trigger_deactivate()
        node.trigger_cleanup()
        node.set_parameters([Parameter("model", value=str(quick))])
        node.trigger_configure()
        in_use = node._estimator
        go_on.set()
        while not answer.done():
            executor.spin_once(timeout_sec=0.1)
            peer.spin_for(0.05)
        assert node._estimator is in_use
        assert not answer.result().success and "which is not used; inactive: call again" in answer.result().message
    finally:
        go_on.set()
        executor.shutdown()
        node.close()


def test_reload_before_configure_says_what_to_do(peer: Peer, model: Path, log: Path) -> None:
    with running(NODE, log, *parameters(model=model, autostart=False)):
        answer = reload(peer)
        assert not answer.success and "configure" in answer.message


def test_services_and_transitions_are_live_during_inference(peer: Peer, tmp_path: Path, log: Path) -> None:
    """Ten service calls take less time than ten inferences would; nothing is published after deactivation."""
    model = write_model(tmp_path / "slow.onnx", slowness=2)
    peer.node.destroy_publisher(peer.camera)
    with running(NODE, log, *parameters(model=model, threads=1)), camera(rate=60):
        peer.spin_until(lambda: peer.heard["contact"], "answers")
        assert not peer.set(max_age=0.0)
        assert reload(peer).success
        assert peer.state() == State.PRIMARY_STATE_ACTIVE
        before = len(peer.heard["contact"])
        for _ in range(10):
            assert peer.state() == State.PRIMARY_STATE_ACTIVE
        assert not peer.set(max_age=0.0)
        assert len(peer.heard["contact"]) - before < 10
        assert reload(peer).success
        assert peer.change(Transition.TRANSITION_DEACTIVATE)
        deactivated = peer.now()
        peer.spin_for(1.0)
        assert not any(stamp_of(message) > deactivated for topic in TOPICS for message in peer.heard[topic])


def test_parameters_change_at_run_time_where_that_is_safe(peer: Peer, model: Path, log: Path) -> None:
    with running(NODE, log, *parameters(model=model, stale_after=60.0)):
        peer.connect()
        assert not peer.set(contact_on=0.95)
        stamp = peer.send(BLACK)
        assert peer.answer("edge_pose", stamp), "0.9 is below contact_on, and not below contact_off: hysteresis"
        assert not peer.set(contact_off=0.92)
        stamp = peer.send(BLACK)
        assert peer.answer("contact", stamp).in_contact is False
        peer.spin_for(0.3)
        assert not peer.find("edge_pose", stamp)
        assert not peer.set(contact_gate=False, frame_id="other")
        assert peer.answer("edge_pose", peer.send(BLACK)).header.frame_id == "other"
        assert not peer.set(max_age=0.5)
        with peer.streaming(BLACK, age_s=2.0) as old:
            peer.fault("old")
        assert not old & stamps_of(peer.heard["edge_pose"])
        assert not peer.set(max_age=0.0)
        assert peer.answer("edge_pose", peer.send(BLACK, age_s=2.0))


def test_mirrors_and_regions_change_what_the_model_sees(peer: Peer, model: Path, log: Path) -> None:
    """The tiny model's x grows by 1 mm with the brightness of the region."""
    half = BLACK.copy()
    half[:, 32:] = 255

    def x_mm() -> float:
        position = peer.answer("edge_pose", peer.send(half)).pose.position
        return 1e3 * float(np.hypot(position.x, position.y))

    with running(NODE, log, *parameters(model=model)):
        peer.connect()
        assert not peer.set(region=[0, 0, 30, 30])
        assert x_mm() == pytest.approx(1)
        assert not peer.set(mirror_horizontal=True)
        assert x_mm() == pytest.approx(2)
        assert not peer.set(region=[34, 0, 30, 30], mirror_vertical=True)
        assert x_mm() == pytest.approx(1)


def test_what_is_not_safe_is_refused_with_the_reason(peer: Peer, model: Path, log: Path) -> None:
    with running(NODE, log, *parameters(model=model)):
        peer.connect()
        for name, value in {"reliability": "reliable", "threads": 1, "sensor": "tactip"}.items():
            reason = peer.set(**{name: value})
            assert name in reason and "cleanup" in reason
        assert "contact_on" in peer.set(contact_on=0.3, contact_off=0.5)
        assert "read-only" in peer.set(autostart=False)
        assert not peer.set(contact_on=0.3, contact_off=0.2)
        peer.answer("edge_pose", peer.send(BLACK))
        assert peer.change(Transition.TRANSITION_DEACTIVATE) and peer.change(Transition.TRANSITION_CLEANUP)
        assert not peer.set(threads=1)


def test_a_misspelt_parameter_is_warned_of(peer: Peer, model: Path, log: Path) -> None:
    with running(NODE, log, *parameters(model=model, contct_on=0.3, use_sim_time=False)):
        peer.connect()
        listed = peer.call(ListParameters, "perception_node/list_parameters", ListParameters.Request()).result.names
    assert "parameter contct_on is set and means nothing here: did you mean contact_on?" in log.read_text()
    assert "use_sim_time is set" not in log.read_text() and "contct_on" not in listed

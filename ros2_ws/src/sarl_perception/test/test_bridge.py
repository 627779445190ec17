"""cv_bridge, where it is installed, converts what this package does not know; what it gets wrong is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ament_index_python", reason="needs ROS 2: run through ros2_ws/env.sh")

from sarl_perception.bridge import find_cv_bridge
from sarl_perception.image_input import ImageRefused, message_to_rgb

MESSAGE = SimpleNamespace(height=2, width=3, encoding="32FC1", step=12, data=bytes(24), is_bigendian=0)


def install(monkeypatch: pytest.MonkeyPatch, prefix: Path, answer: Any) -> None:
    """A cv_bridge package whose conversion returns, or raises, `answer`."""
    marker = prefix / "share" / "ament_index" / "resource_index" / "packages" / "cv_bridge"
    marker.parent.mkdir(parents=True)
    marker.touch()
    (prefix / "share" / "cv_bridge").mkdir()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))

    def convert(message: Any, desired_encoding: str) -> Any:
        assert (message.encoding, desired_encoding) == ("32FC1", "rgb8")
        if isinstance(answer, Exception):
            raise answer
        return answer

    module = ModuleType("cv_bridge")
    module.CvBridge = lambda: SimpleNamespace(imgmsg_to_cv2=convert)
    monkeypatch.setitem(sys.modules, "cv_bridge", module)


def test_it_is_asked_for_other_encodings_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    answer = np.full((2, 3, 3), 7, np.uint8)
    install(monkeypatch, tmp_path, answer)
    convert = find_cv_bridge()
    assert np.array_equal(message_to_rgb(MESSAGE, convert), answer)
    known = SimpleNamespace(**{**vars(MESSAGE), "encoding": "mono8", "step": 3})
    assert not message_to_rgb(known, convert).any()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (RuntimeError("no\nway"), "no way"),
        (np.zeros((2, 3, 3), np.float32), "float32"),
        (np.zeros((2, 3), np.uint8), r"\(2, 3\)"),
    ],
)
def test_what_it_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Any, words: str) -> None:
    install(monkeypatch, tmp_path, answer)
    with pytest.raises(ImageRefused, match=words) as refusal:
        message_to_rgb(MESSAGE, find_cv_bridge())
    assert refusal.value.reason == "encoding"


def test_a_package_of_that_name_without_ros_is_not_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "cv_bridge", ModuleType("cv_bridge"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    assert find_cv_bridge() is None
    with pytest.raises(ImageRefused, match="'32FC1' is not supported without cv_bridge"):
        message_to_rgb(MESSAGE, None)

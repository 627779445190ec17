"""Publishes a dataset's frames as a camera: `image_raw`, and the truth on `ground_truth/<task>` with the same stamp."""

from __future__ import annotations

import array
import sys
import time
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.exceptions import ParameterException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sarl_perception.camera import RELIABILITIES
from sarl_perception.ros_process import ros
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from sarl_demo.frame_sources import DatasetFrames, SourceRefused, dataset_name
from sarl_demo.ground_truth import TRUTHS

PARAMETERS: dict[str, tuple[Any, str]] = {
    "dataset": ("", "Dataset folder written by sarl-train simulate."),
    "task": ("edge_pose", f"Task of the dataset: {', '.join(TRUTHS)}."),
    "sensor": ("vitactip", "Sensor of the dataset."),
    "split": ("test", "Split of the dataset."),
    "frames": (300, "Frames held in memory; the camera starts over after the last."),
    "width": (640, "Frame width, pixels."),
    "height": (480, "Frame height, pixels."),
    "rate": (30.0, "Frames per second."),
    "count": (0, "Stop after this many frames. 0: never."),
    "reliability": ("best_effort", "best_effort or reliable."),
    "frame_id": ("vitactip_camera", "Frame of the images."),
    "truth_frame_id": ("vitactip_tip", "Frame of the ground truth."),
    "wait_for": ("none", "Start at once (none), once someone hears the images (image), or the truth too (all)."),
}
WAITS = ("none", "image", "all")
LINGER_S = 1.0  # after the last frame, so that it is delivered


class SimulatedCamera(Node):
    """Publishes frame after frame on a timer; raises `SourceRefused` when there is nothing to publish."""

    def __init__(self) -> None:
        super().__init__("simulated_camera")
        for name, (value, text) in PARAMETERS.items():
            self.declare_parameter(name, value, ParameterDescriptor(description=text))
        self._source = self._open_source()
        message_type, self._to_truth = TRUTHS[self._value("task")]
        reliability = RELIABILITIES[self._choice("reliability", RELIABILITIES)]
        self._images = self.create_publisher(Image, "image_raw", QoSProfile(depth=1, reliability=reliability))
        self._truths = self.create_publisher(message_type, f"ground_truth/{self._value('task')}", 1000)
        self._wait_for = self._choice("wait_for", WAITS)
        self._sent = 0
        self._finished_s: float | None = None
        self._messages = [self._image_message(index) for index in range(len(self._source))]
        self._timer = self.create_timer(1.0 / self._value("rate"), self._send)

    @property
    def is_finished(self) -> bool:
        """All frames asked for are sent, and had time to arrive."""
        return self._finished_s is not None and time.monotonic() > self._finished_s + LINGER_S

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _choice(self, name: str, allowed: Any) -> str:
        value = self._value(name)
        if value not in allowed:
            raise SourceRefused(f"parameter {name} is {value!r}; allowed: {', '.join(allowed)}")
        return value

    def _open_source(self) -> DatasetFrames:
        if not self._value("dataset"):
            raise SourceRefused("parameter dataset is empty: give a folder written by sarl-train simulate")
        dataset = Path(self._value("dataset")).expanduser()
        source = DatasetFrames(
            dataset,
            task=self._choice("task", TRUTHS),
            sensor=self._value("sensor"),
            split=self._value("split"),
            width=self._value("width"),
            height=self._value("height"),
            limit=self._value("frames"),
        )
        self.get_logger().info(f"{len(source)} frames of {dataset_name(dataset)}, split {self._value('split')}")
        return source

    def _image_message(self, index: int) -> Image:
        rgb = self._source.frame(index).rgb
        height, width = rgb.shape[:2]
        message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
        message.header.frame_id = self._value("frame_id")
        message.data = array.array("B", rgb.tobytes())  # made once: publishing is then cheap
        return message

    def _send(self) -> None:
        if self._finished_s is not None or not self._is_heard():
            return
        index = self._sent % len(self._source)
        message = self._messages[index]
        message.header.stamp = self.get_clock().now().to_msg()
        self._images.publish(message)
        header = Header(stamp=message.header.stamp, frame_id=self._value("truth_frame_id"))
        self._truths.publish(self._to_truth(header, self._source.frame(index).truth))
        self._sent += 1
        if self._sent == self._value("count"):
            self._finished_s = time.monotonic()

    def _is_heard(self) -> bool:
        wanted = {"none": [], "image": [self._images], "all": [self._images, self._truths]}[self._wait_for]
        return self._sent > 0 or all(publisher.get_subscription_count() for publisher in wanted)


def main(args: list[str] | None = None) -> int:
    """Run the camera until it has sent what it was asked for, or SIGINT or SIGTERM."""
    try:
        with ros(args):
            camera = SimulatedCamera()
            executor = SingleThreadedExecutor()
            executor.add_node(camera)
            while not camera.is_finished:
                executor.spin_once(timeout_sec=0.1)
    except (SourceRefused, ParameterException) as error:
        print(f"simulated_camera: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

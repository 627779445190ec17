"""Listens to the node and to the ground truth until the camera falls silent, and writes the comparison as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.time import Time
from sarl_msgs.msg import ContactStamped
from sarl_perception.ros_process import ros
from std_msgs.msg import Header

from sarl_demo.ground_truth import edge_in_mm_and_degrees
from sarl_demo.scoring import Record, Stamp

DEPTH = 1000
SILENCE_S = 2.0


class Recorder(Node):
    """Hears poses first and asks for the truth only when the node publishes, so a waiting camera starts last."""

    def __init__(self) -> None:
        super().__init__("recorder")
        self.record = Record()
        self._last_truth_s: float | None = None
        self._truths = None
        self._poses = self.create_subscription(PoseStamped, "edge_pose", self._hear_pose, DEPTH)
        self._contacts = self.create_subscription(ContactStamped, "contact", self._hear_contact, DEPTH)

    @property
    def is_listening(self) -> bool:
        """Ground truth is subscribed."""
        return self._truths is not None

    @property
    def is_finished(self) -> bool:
        """The camera has been silent for a while."""
        return self._last_truth_s is not None and time.monotonic() > self._last_truth_s + SILENCE_S

    def listen_when_ready(self) -> None:
        """Subscribe to the truth as soon as the node's pose publisher is matched."""
        if not self.is_listening and self._poses.get_publisher_count() > 0:
            self._truths = self.create_subscription(PoseStamped, "ground_truth/edge_pose", self._hear_truth, DEPTH)

    def _hear_truth(self, message: PoseStamped) -> None:
        self._last_truth_s = time.monotonic()
        self.record.sent[_stamp(message.header)] = edge_in_mm_and_degrees(message)

    def _hear_pose(self, message: PoseStamped) -> None:
        latency = self.get_clock().now() - Time.from_msg(message.header.stamp)
        self.record.latencies_ms.append(latency.nanoseconds * 1e-6)
        self.record.poses[_stamp(message.header)] = edge_in_mm_and_degrees(message)
        self.record.answered.add(_stamp(message.header))

    def _hear_contact(self, message: ContactStamped) -> None:
        self.record.answered.add(_stamp(message.header))


def _stamp(header: Header) -> Stamp:
    return header.stamp.sec, header.stamp.nanosec


def write_json(path: Path, values: Mapping[str, object]) -> None:
    """Write what was measured, whole or not at all."""
    aside = path.with_name(path.name + ".partial")
    aside.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    os.replace(aside, path)


def main(args: list[str] | None = None) -> int:
    """Record one run of the camera."""
    parser = argparse.ArgumentParser(prog="recorder", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--patience", type=float, required=True, help="seconds to wait for the first frame")
    options = parser.parse_args(rclpy.utilities.remove_ros_args(args or sys.argv)[1:])
    with ros(args):
        recorder = Recorder()
        executor = SingleThreadedExecutor()
        executor.add_node(recorder)
        deadline_s = time.monotonic() + options.patience
        while not recorder.is_finished:
            recorder.listen_when_ready()
            executor.spin_once(timeout_sec=0.05)
            if not recorder.record.sent and time.monotonic() > deadline_s:
                heard = "the node" if recorder.is_listening else "nobody on edge_pose"
                print(f"recorder: no ground truth after {options.patience:.0f} s; heard {heard}", file=sys.stderr)
                return 1
        write_json(options.out, recorder.record.summary())
        return 0
    return 1  # asked to end before the camera did


if __name__ == "__main__":
    sys.exit(main())

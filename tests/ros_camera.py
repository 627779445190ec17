"""A camera as a process of its own, for tests: it can be killed, and be given another middleware configuration."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

DEFAULT_TRANSPORT = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Variables to unset for what Fast DDS does without the shipped profile."""
ENDED_S = 60.0


@contextmanager
def camera(
    *, width: int = 64, height: int = 48, rate: float = 10.0, end: int = signal.SIGTERM, without: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Best-effort rgb8 frames of brightness 0 on `image_raw` until the block ends, and the process by the signal `end`.

    A killed one takes the others 20 s to forget.
    """
    environment = {name: value for name, value in os.environ.items() if name not in without}
    words = [str(width), str(height), str(rate)]
    process = subprocess.Popen([sys.executable, __file__, *words], env=environment)
    try:
        yield process
    finally:
        process.send_signal(end)
        process.wait(ENDED_S)


def main(width: int, height: int, rate: float) -> None:
    import array

    import rclpy
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    rclpy.init()
    node = rclpy.create_node("camera")
    publisher = node.create_publisher(
        Image, "image_raw", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = array.array("B", bytes(3 * width * height))
    next_s = time.monotonic()
    while rclpy.ok():
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        next_s += 1 / rate
        time.sleep(max(0.0, next_s - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))

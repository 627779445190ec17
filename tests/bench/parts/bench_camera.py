"""A camera for the bench: best-effort rgb8 frames at a rate for some seconds; prints when it begins (ns) and how many.

python bench_camera.py WIDTH HEIGHT RATE SECONDS [--at-once]

With --at-once it does not wait for a subscriber, as no camera does.
"""

import array
import sys
import time

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image


def main(width: int, height: int, rate: float, seconds: float, *, at_once: bool) -> None:
    rclpy.init()
    node = rclpy.create_node("bench_camera")
    publisher = node.create_publisher(
        Image, "image_raw", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = array.array("B", pixels.tobytes())
    if not at_once:
        while publisher.get_subscription_count() == 0:
            time.sleep(0.05)
        time.sleep(0.5)  # matched here is not yet matched there
    print(node.get_clock().now().nanoseconds, flush=True)
    start_s = next_s = time.monotonic()
    sent = 0
    while time.monotonic() < start_s + seconds:
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        sent += 1
        next_s += 1 / rate
        time.sleep(max(0.0, next_s - time.monotonic()))
    print(sent, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]), at_once="--at-once" in sys.argv)

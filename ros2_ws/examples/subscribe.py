"""Where is the edge, how sure is the sensor, and how old is the answer?

ros2_ws/env.sh python ros2_ws/examples/subscribe.py                                  # topic edge_pose_with_covariance
ros2_ws/env.sh python ros2_ws/examples/subscribe.py --ros-args -r __ns:=/left_tip    # of one sensor of several
"""

import math

import rclpy
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.time import Time

NEWEST_ONLY = 1  # queue depth: a controller has no use for an older pose


class EdgeListener(Node):
    def __init__(self) -> None:
        super().__init__("edge_listener")
        self.create_subscription(PoseWithCovarianceStamped, "edge_pose_with_covariance", self.hear, NEWEST_ONLY)

    def hear(self, message: PoseWithCovarianceStamped) -> None:
        position, turn = message.pose.pose.position, message.pose.pose.orientation
        theta_rad = 2 * math.atan2(turn.z, turn.w)  # a rotation about z, the sensor's axis
        x_m = position.x * math.cos(theta_rad) + position.y * math.sin(theta_rad)  # along the edge's normal
        covariance = message.pose.covariance  # row-major 6x6: x y z, then rotations about them
        cos, sin = math.cos(theta_rad), math.sin(theta_rad)
        std_x_m = math.sqrt(cos * cos * covariance[0] + 2 * cos * sin * covariance[1] + sin * sin * covariance[7])
        std_z_m, std_theta_rad = math.sqrt(covariance[14]), math.sqrt(covariance[35])
        age_ms = (self.get_clock().now() - Time.from_msg(message.header.stamp)).nanoseconds * 1e-6
        print(
            f"x {1e3 * x_m:+.2f} +- {1e3 * std_x_m:.2f} mm   z {1e3 * position.z:.2f} +- {1e3 * std_z_m:.2f} mm"
            f"   theta {math.degrees(theta_rad):+.1f} +- {math.degrees(std_theta_rad):.1f} deg   age {age_ms:.0f} ms",
            flush=True,
        )


def main() -> None:
    rclpy.init()
    try:
        listener = EdgeListener()
        while rclpy.ok():  # rclpy.spin now and then sleeps through a signal that comes when nothing else does
            rclpy.spin_once(listener, timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.utilities.try_shutdown()


if __name__ == "__main__":
    main()

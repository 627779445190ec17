// Where is the edge, how sure is the sensor, and how old is the answer? The C++ twin of subscribe.py.
// In a package of yours: find_package(rclcpp), find_package(geometry_msgs), link both, then
//   ros2 run your_package subscribe --ros-args -r __ns:=/left_tip
#include <cmath>
#include <memory>

#include <geometry_msgs/msg/pose_with_covariance_stamped.hpp>
#include <rclcpp/rclcpp.hpp>

using geometry_msgs::msg::PoseWithCovarianceStamped;

class EdgeListener : public rclcpp::Node
{
public:
  EdgeListener()
  : Node("edge_listener")
  {
    const auto newest_only = rclcpp::QoS(1);  // a controller has no use for an older pose
    subscription_ = create_subscription<PoseWithCovarianceStamped>(
      "edge_pose_with_covariance", newest_only,
      [this](const PoseWithCovarianceStamped & message) {hear(message);});
  }

private:
  void hear(const PoseWithCovarianceStamped & message) const
  {
    const auto & position = message.pose.pose.position;
    const auto & turn = message.pose.pose.orientation;
    const double theta_rad = 2 * std::atan2(turn.z, turn.w);  // a rotation about z, the sensor's axis
    const double cosine = std::cos(theta_rad), sine = std::sin(theta_rad);
    const double x_m = position.x * cosine + position.y * sine;  // along the edge's normal
    const auto & covariance = message.pose.covariance;  // row-major 6x6: x y z, then rotations about them
    const double std_x_m = std::sqrt(
      cosine * cosine * covariance[0] + 2 * cosine * sine * covariance[1] + sine * sine * covariance[7]);
    const double std_z_m = std::sqrt(covariance[14]), std_theta_rad = std::sqrt(covariance[35]);
    const double age_ms = (now() - message.header.stamp).seconds() * 1e3;
    RCLCPP_INFO(
      get_logger(), "x %+.2f +- %.2f mm   z %.2f +- %.2f mm   theta %+.1f +- %.1f deg   age %.0f ms",
      1e3 * x_m, 1e3 * std_x_m, 1e3 * position.z, 1e3 * std_z_m, theta_rad * 180 / M_PI, std_theta_rad * 180 / M_PI,
      age_ms);
  }

  rclcpp::Subscription<PoseWithCovarianceStamped>::SharedPtr subscription_;
};

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<EdgeListener>());
  rclcpp::shutdown();
  return 0;
}

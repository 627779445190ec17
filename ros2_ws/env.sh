#!/usr/bin/env bash
# Put ROS 2 and this workspace into the environment.
#   source ros2_ws/env.sh                    for the rest of the shell (bash)
#   ros2_ws/env.sh COMMAND [ARGUMENTS]       for one command
# ROS 2 is the sourced installation when there is one, else the wheels in the virtual environment.

sarl_workspace="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
VIRTUAL_ENV="${VIRTUAL_ENV:-$(dirname "$sarl_workspace")/.venv}"

if [ -x "$VIRTUAL_ENV/bin/python" ]; then
  export VIRTUAL_ENV PATH="$VIRTUAL_ENV/bin:$PATH"
else
  unset VIRTUAL_ENV
fi
if [ -z "${ROS_DISTRO:-}" ] && [ -n "${VIRTUAL_ENV:-}" ]; then
  export AMENT_PREFIX_PATH="${AMENT_PREFIX_PATH:-$VIRTUAL_ENV}"
fi
if [ -f "$sarl_workspace/install/local_setup.bash" ]; then
  . "$sarl_workspace/install/local_setup.bash"
  # Camera frames over 512 KB are lost without a larger shared-memory segment, on either side.
  sarl_profile="$sarl_workspace/install/sarl_perception/share/sarl_perception/config/fastdds_large_frames.xml"
  case "${ROS_DISTRO:-jazzy}" in
    humble | iron | jazzy) export FASTRTPS_DEFAULT_PROFILES_FILE="${FASTRTPS_DEFAULT_PROFILES_FILE:-$sarl_profile}" ;;
    *) export FASTDDS_DEFAULT_PROFILES_FILE="${FASTDDS_DEFAULT_PROFILES_FILE:-$sarl_profile}" ;;
  esac
else
  echo "ros2_ws is not built: run ros2_ws/build.sh" >&2
fi

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  exec "$@"
fi

# Source this to use the project's environment: Python, ROS 2 (sourced or from wheels) and the built workspace.
_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export VIRTUAL_ENV="$_top/.venv" PATH="$_top/.venv/bin:$PATH"
_add() { # variable, folder: in front of the variable's list, once
  case ":${!1:-}:" in *":$2:"*) ;; *) export "$1=$2${!1:+:${!1}}" ;; esac
}
if [ "$(cut -d- -f2 "$_top/.venv/.python" 2>/dev/null)" = wheels ]; then
  export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
  _add AMENT_PREFIX_PATH "$_top/.venv"; _add CMAKE_PREFIX_PATH "$_top/.venv"; _add LD_LIBRARY_PATH "$_top/.venv/lib"
  for _libs in "$_top"/.venv/lib/python3*/site-packages/ros_*.libs; do [ -d "$_libs" ] && _add LD_LIBRARY_PATH "$_libs"; done
  export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1   # what the wheels' start-up hook would set, without its second exec
fi
_install="$_top/ros2_ws/install"
if [ -d "$_install" ]; then
  _add AMENT_PREFIX_PATH "$_install"; _add LD_LIBRARY_PATH "$_install/lib"
  for _site in "$_install"/lib/python3*/site-packages; do [ -d "$_site" ] && _add PYTHONPATH "$_site"; done
fi
# Robots are found on this machine alone, unless the user says otherwise.
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
unset _top _install _site _libs; unset -f _add

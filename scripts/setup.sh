#!/bin/bash
# Makes everything that the project needs, once: system packages (through apt where it may), the virtual
# environment with locked dependencies, the ROS workspace, and numba's cache. Does only what is missing.
#   setup.sh [--no-workspace]        PYTHON=python3.12 chooses the interpreter
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
log=build/setup.log
mkdir -p build

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }
quietly() { # runs a command with its output in the log; shows the log's end where it fails
  "$@" >>"$log" 2>&1 || { tail -n 25 "$log" >&2; fail "'$1 ${2:-} ${3:-}' failed; the whole log is $log"; }
}
digest() { cat "$@" | sha256sum | cut -c1-16; }
done_before() { [ "$(cat ".venv/.done-$1" 2>/dev/null)" = "$2" ]; }
mark_done() { echo "$2" >".venv/.done-$1"; }

# one at a time: two at once would take each other's environment away
if command -v flock >/dev/null; then
  exec 9>build/setup.lock
  flock -n 9 || { say "another one is at work, waiting for it"; flock 9; }
fi

# In a shell that has sourced env.sh the Python in sight is our own, and so is ROS where it is from wheels: what this
# decides must not depend on what it made itself.
PATH=${PATH//"$PWD/.venv/bin:"/}
unset VIRTUAL_ENV
case ":${AMENT_PREFIX_PATH:-}:" in
  *":$PWD/.venv:"*) unset ROS_DISTRO AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH _ROS_WHEELS_BOOTSTRAP_COMPLETE ;;
esac

command -v "$python" >/dev/null || fail "no '$python' here; install Python 3.10 or newer, or name one: PYTHON=..."
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "Python $version is too old; 3.10 or newer is needed (PYTHON=... chooses another)"

# A sourced ROS 2 wins over the wheels.
ros=wheels
if [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ] && "$python" -c 'import rclpy' 2>/dev/null; then
  case "$ROS_DISTRO" in
    jazzy | kilted) ros=$ROS_DISTRO ;;
    *) say "ROS 2 '$ROS_DISTRO' is sourced, but jazzy or kilted is what this was made for; trying it all the same"; ros=$ROS_DISTRO ;;
  esac
elif [ "$(uname -m)" != x86_64 ]; then
  fail "on $(uname -m) there are no ROS 2 wheels: install ROS 2 Jazzy or Kilted through apt, source it, and run this again"
fi

# 1. system packages
missing=()
need() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' || missing+=("$1"); }
if command -v dpkg-query >/dev/null; then
  need libegl1; need libgl1; need libgl1-mesa-dri    # the simulator's camera, drawn in software
  command -v cmake >/dev/null || need cmake
  command -v g++ >/dev/null || need g++
  command -v make >/dev/null || need make
  "$python" -c 'import ensurepip' 2>/dev/null || need python3-venv
  include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
  [ -e "$include/Python.h" ] || need python3-dev     # the interface package has a Python part in C
  for p in ${EXTRA_PACKAGES:-}; do need "$p"; done
fi
if [ ${#missing[@]} -gt 0 ]; then
  line="apt-get install --no-install-recommends -y ${missing[*]}"
  sudo=""
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo="sudo -n"
    else fail "system packages are missing; run this, then the same command again:  sudo $line"; fi
  fi
  say "installing system packages: ${missing[*]}"
  quietly $sudo env DEBIAN_FRONTEND=noninteractive apt-get update
  quietly $sudo env DEBIAN_FRONTEND=noninteractive $line
fi

# 2. the virtual environment
locks=(requirements/lock.txt)
[ "$ros" = wheels ] && locks+=(requirements/ros.txt) || locks+=(requirements/colcon.txt)
want="$(digest scripts/setup.sh pyproject.toml "${locks[@]}")-$version-$ros"
if ! done_before dependencies "$want"; then
  if [ "$(cat .venv/.python 2>/dev/null)" != "$version-$ros" ]; then
    say "making .venv with Python $version, ROS 2: $ros"
    rm -rf .venv
    system_site=(); [ "$ros" = wheels ] || system_site=(--system-site-packages)
    quietly "$python" -m venv "${system_site[@]}" .venv
    echo "$version-$ros" >.venv/.python
  fi
  say "installing the locked dependencies (a minute or two)"
  requirements=(); for f in "${locks[@]}"; do requirements+=(-r "$f"); done
  quietly .venv/bin/python -m pip install --disable-pip-version-check --prefer-binary "${requirements[@]}"
  quietly .venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
  if [ "$ros" = wheels ]; then
    # 14 of the wheels' cmake files name the Python of the machine that built them
    include=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("include"))')
    numpy=$(.venv/bin/python -c 'import numpy; print(numpy.get_include())')
    { grep -rlZ --include='*.cmake' '/opt/python/cp3' .venv/share || true; } | xargs -0 -r sed -i -E \
      -e "s#/opt/python/cp3[^;\"]*/site-packages/numpy/_core/include#$numpy#g" \
      -e "s#/opt/python/cp3[^;\"]*/include/python3\.[0-9]+#$include#g"
  fi
  rm -f .venv/.done-workspace .venv/.done-warm
  mark_done dependencies "$want"
fi

# 3. the ROS workspace
if [ "${1:-}" != --no-workspace ]; then
  want=$(digest .venv/.done-dependencies $(find ros2_ws/src launch config -type f -not -name '*.pyc' | LC_ALL=C sort))
  if ! done_before workspace "$want"; then
    say "building the ROS workspace with colcon"
    # the colcon of the environment is a Python program; where ROS is sourced it must not be hidden by it
    (
      . scripts/env.sh
      cd ros2_ws
      PATH="$PWD/../.venv/bin:$PATH" python -m colcon build --merge-install --event-handlers console_direct- \
        --cmake-args "-DPython3_EXECUTABLE=$VIRTUAL_ENV/bin/python" -DBUILD_TESTING=OFF --no-warn-unused-cli
    ) >>"$log" 2>&1 || { tail -n 40 "$log" >&2; fail "the workspace did not build; the whole log is $log"; }
    mark_done workspace "$want"
  fi
  # 4. numba's cache, so that nothing compiles when a robot starts
  want=$(digest .venv/.done-workspace $(find hybrid_control firmware_bridge -name '*.py' | LC_ALL=C sort))
  if ! done_before warm "$want"; then
    say "compiling the reflex (once)"
    # numba notices changes of a file, but not of the files whose functions it inlined from
    find hybrid_control firmware_bridge ros2_ws -name '*.nb[ic]' -delete
    (. scripts/env.sh; quietly python -m hybrid_control warm)
    mark_done warm "$want"
  fi
fi

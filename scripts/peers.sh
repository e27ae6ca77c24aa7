#!/bin/bash
# Installs other SNN tools in an environment of their own, build/peers, and compares the engine with them.
#   peers.sh [--install-only] [arguments for pytest]
#   TORCH_INDEX=url: the index of a CPU build of torch; without one pip may bring several GB of CUDA packages
#   PYTHON=python3.11: the interpreter; the pinned versions were tried together on 3.11
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
env=build/peers
want=$(cat scripts/peers.sh requirements/peers.txt | sha256sum | cut -c1-16)
if [ "$(cat $env/.done 2>/dev/null)" != "$want" ]; then
  mkdir -p build
  "$python" -m venv $env
  pip=("$env/bin/python" -m pip install --disable-pip-version-check --quiet)
  echo "peers: installing into $env (several minutes)"
  "${pip[@]}" ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c requirements/peers.txt torch==2.13.0
  "${pip[@]}" --no-deps -r requirements/peers.txt
  echo "$want" >$env/.done
fi
if [ "${1:-}" = --install-only ]; then exit 0; fi
exec $env/bin/python -m pytest -p no:cacheprovider -m peers tests/peers "$@"

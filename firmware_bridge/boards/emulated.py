"""A board's emulator as a process of its own, and the Board that is connected to it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

from firmware_bridge.boards.board import Board, BoardConfig
from firmware_bridge.boards.registry import board_module, new_board
from hybrid_control.snn import Network


def emulator_command(backend: str, network_file: Path, config: BoardConfig) -> list[str]:
    """The command that runs the emulator of a board; ValueError where it can't run here."""
    command: list[str] = board_module(backend).emulator_command(network_file, config)
    return command


def emulated_config(backend: str, stepped: bool = False) -> BoardConfig:
    """A config for an emulator of its own on this machine, on ports that are free now."""
    config: BoardConfig = board_module(backend).emulated_config(stepped)
    return config


class EmulatedBoard:
    """Starts the emulator of a board for a network, and gives the Board, started; ends both with the context.

    network: one whose inputs are all spikes. stepped: as in BoardConfig. ValueError where the board can't run it or the
    emulator can't be run here, OSError where it does not start.
    """

    def __init__(self, backend: str, network: Network, *, stepped: bool = False) -> None:
        self.config = emulated_config(backend, stepped)
        self._backend, self._network = backend, network
        self._stack = contextlib.ExitStack()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Board:
        try:
            board = new_board(self._backend, self.config)
            board.load(self._network)
            folder = Path(
                self._stack.enter_context(tempfile.TemporaryDirectory(prefix="hybrid-control-board-"))
            )
            self._network.save(folder / "board.nir")
            command = emulator_command(self._backend, folder / "board.nir", self.config)
            log = self._stack.enter_context((folder / "emulator.log").open("wb"))
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )  # fmt: skip
            self._stack.callback(self._end)
            self._stack.enter_context(board)
            self._await(folder / "emulator.log")
            board.start()
            return board
        except BaseException:
            self._stack.close()
            raise

    def _await(self, log: Path, timeout: float = 120.0) -> None:
        """Wait for the first line of the emulator."""
        assert self.process is not None
        end = time.monotonic() + timeout
        while b"\n" not in log.read_bytes():
            if self.process.poll() is not None or time.monotonic() > end:
                break
            time.sleep(0.02)
        if self.process.poll() is not None:
            words = log.read_text(errors="replace").strip().splitlines()
            raise OSError(f"the emulator ended: {words[-1] if words else 'it said nothing'}")

    def kill(self) -> None:
        """End the emulator at once, as a board that loses its power."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def _end(self) -> None:
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(3.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

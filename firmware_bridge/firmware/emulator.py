"""Starts the emulator (emulator.c), which runs the very ELF that is flashed, and talks to it."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path
from typing import Any

from firmware_bridge.firmware.build import BuildError


class Emulator:
    """A running emulator. ``address`` is what `FirmwareLink` opens: the pty, a symbolic link to it, or tcp://.

    elf: the firmware. program: the compiled emulator. link: path of a symbolic link to the pty that stays the
    same when it is unplugged and plugged. tcp: serve a TCP port instead (0: any free one). wheels: UDP port
    of this machine that is told the wheels' speeds every 2 ms, two doubles, rad/s.
    """

    def __init__(
        self,
        program: Path,
        elf: Path,
        *,
        link: Path | None = None,
        tcp: int | None = None,
        wheels: int | None = None,
    ) -> None:
        command = [str(program), str(elf)]
        command += ["--link", str(link)] if link is not None else []
        command += ["--tcp", str(tcp)] if tcp is not None else []
        command += ["--wheels", str(wheels)] if wheels is not None else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            first = self._answer()
        except BuildError:
            self.close()
            raise
        self.address = f"tcp://127.0.0.1:{first['tcp']}" if "tcp" in first else str(link or first["pty"])

    def command(self, text: str) -> Any:
        """Sends one command of emulator.c ("state", "stall 0 1", "unplug", ...) and returns its answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()
        except OSError:
            raise BuildError("the emulator has ended") from None
        answer = self._answer()
        if "error" in answer:
            raise BuildError(f"emulator: {answer['error']}: {text}")
        return answer

    def state(self) -> Any:
        """Speeds, angles, times and counts of the simulated robot; see emulator.c."""
        return self.command("state")

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise BuildError("the emulator has ended")
        return json.loads(line)

    def close(self) -> None:
        """Ends it; may be called twice."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        try:
            self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

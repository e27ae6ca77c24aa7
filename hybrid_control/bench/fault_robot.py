"""The robot of a campaign of faults: one `hybrid-control up sim`, its processes and their threads."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hybrid_control.bringup.graph import MAX_RESTARTS, OURS

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_SHM, _DISK = "8m", "8m"  # sizes of the robot's own /dev/shm and disk, where it may have them
_MOUNTS = f"""
mount -t tmpfs -o size={_SHM} tmpfs /dev/shm && mount -t tmpfs -o size={_DISK} tmpfs "$1" || exit 97
shift
exec "$@"
"""
_END = 10.0  # s that a graph may take to end before it is killed


@cache
def own_mounts() -> bool:
    """Whether a process may have a /dev/shm and a disk of its own here."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(
            ["unshare", "-m", "sh", "-c", _MOUNTS, "sh", folder, "true"], capture_output=True
        )
    return tried.returncode == 0


def _in_child() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread of a process. fifo: its real-time priority, 0 for none; cores: those that it may use."""

    tid: int
    name: str
    fifo: int
    cores: tuple[int, ...]

    @property
    def words(self) -> str:
        """For a person."""
        where = f" on core {self.cores[0]}" if len(self.cores) == 1 else ""
        return f"{self.name}, FIFO {self.fifo}{where}" if self.fifo else f"{self.name}{where}"


class Robot:
    """A graph that runs. words: those of `hybrid-control up sim`."""

    def __init__(self, words: list[str], domain: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hybrid-control-faults-"))
        self.lines: list[tuple[float, str]] = []
        self.has_mounts = own_mounts()
        command = [sys.executable, "-m", "hybrid_control", "up", "sim", *words]
        if self.has_mounts:
            command = ["unshare", "-m", "sh", "-c", _MOUNTS, "sh", str(self.folder), *command]
        environment = {
            "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "PYTHONUNBUFFERED": "1",
            "RCUTILS_COLORIZED_OUTPUT": "0", "ROS_LOG_DIR": str(self.folder / "log"), "TMPDIR": str(self.folder),
        }  # fmt: skip
        self.process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", start_new_session=True, preexec_fn=_in_child,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, name="log", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic(), line.rstrip()))

    @property
    def alive(self) -> bool:
        """Whether `up` still runs."""
        return self.process.poll() is None

    def said(self, since: float) -> list[str]:
        """What was printed since a time."""
        return [line for t, line in self.lines if t >= since]

    def pids(self) -> dict[str, int]:
        """The nodes' processes, by name."""
        found = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError, ValueError):
                for child in (task / "children").read_text().split():
                    words = Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace").split("\0")
                    if OURS in words:
                        found[words[words.index(OURS) + 1]] = int(child)
        return found

    def threads(self, node: str) -> list[Thread]:
        """The threads of a node's process."""
        pid, found = self.pids().get(node, 0), []
        for task in sorted(Path(f"/proc/{pid}/task").iterdir()) if pid else ():
            with contextlib.suppress(OSError):
                tid = int(task.name)
                name = "main" if tid == pid else (task / "comm").read_text().strip()
                fifo = os.sched_getparam(tid).sched_priority
                found.append(Thread(tid, name, fifo, tuple(sorted(os.sched_getaffinity(tid)))))
        return found

    def root(self, path: str) -> Path:
        """A path as the robot sees it."""
        return Path(f"/proc/{self.process.pid}/root") / path.lstrip("/")

    def worn(self) -> bool:
        """Whether a program was restarted so often that its next death would be the end of everything."""
        ends = Counter(
            line.split("up sim: ", 1)[1].split(" ", 1)[0]
            for _, line in self.lines
            if "it is started again" in line and "up sim: " in line
        )
        return any(count >= MAX_RESTARTS for count in ends.values())

    def end(self) -> tuple[int | None, float]:
        """Ctrl-C; the exit status (None where it had to be killed) and the seconds that it took."""
        begun = time.monotonic()
        status: int | None = None
        if self.alive:
            self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self.process.wait(_END)
        seconds = time.monotonic() - begun
        if status is None:
            self.process.kill()  # its children die with it
            self.process.wait()
        self._reader.join(1.0)
        shutil.rmtree(self.folder, ignore_errors=True)
        return status, seconds

"""Child processes that never outlive this one, and a ROS domain that no other run shares."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

DOMAINS = range(1, 102)  # higher ones fall into Linux's range of ephemeral ports; 0 is everybody's
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_REAPED = 0.3  # s that a process which was killed is waited for
_LIBC = ctypes.CDLL(None)


def _udp_port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def private_domain(wanted: int | None = None) -> Iterator[int]:
    """A ROS_DOMAIN_ID that no other run on this machine holds, for as long as the context lasts.

    wanted: this one and no other. Raises ValueError where it, or every one, is taken.
    """
    first = os.getpid() % len(DOMAINS)
    candidates = [wanted] if wanted is not None else [*DOMAINS[first:], *DOMAINS[:first]]
    for domain in candidates:
        path = Path(tempfile.gettempdir()) / f"hybrid-control-domain-{domain}.lock"
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        except OSError:
            continue  # another user's
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            # unicast port of the first participant, by the DDSI-RTPS rules: 7400 + 250 * domain + 10
            if wanted is None and not _udp_port_is_free(7410 + 250 * domain):
                continue
            yield domain
            return
        finally:
            os.close(descriptor)
    if wanted is not None:
        raise ValueError(f"ROS domain {wanted} is in use by another run; choose another --domain, or none")
    raise ValueError(f"all ROS domains {DOMAINS.start} .. {DOMAINS.stop - 1} are in use on this machine")


def _in_child() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a Python module."""
    return [sys.executable, "-m", module, *arguments]


@dataclass
class Child:
    """A process of the run."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path | None  # None: it writes where this process does
    ended: bool = False  # its end has been reported

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def end_text(self) -> str:
        """How it ended, for a person."""
        code = self.process.poll()
        if code is None:
            return f"{self.name} runs"
        if code < 0:
            return f"{self.name} was killed ({signal.Signals(-code).name})"
        return f"{self.name} ended with status {code}"

    def last_words(self) -> str:
        """The last line of its log that names an error, else the last line, "" where there is none."""
        if self.log is None:
            return ""
        try:
            lines = [
                line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()
            ]
        except OSError:
            return ""
        errors = [line for line in lines if "[ERROR]" in line or "[FATAL]" in line or "rror: " in line]
        line = (errors or lines or [""])[-1]
        return line.split("]: ", 1)[-1] if line.startswith("[") else line


class Children:
    """Starts processes, each in a session of its own, and ends all of them when the context is left.

    folder: for their logs; None for output that goes where this process's goes.
    """

    def __init__(self, folder: Path | None, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self.all: dict[str, Child] = {}

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def run(self, name: str, command: Sequence[str]) -> Child:
        """Run a command; its output goes to NAME.log where there is a folder. OSError where it can't be run."""
        path = self._folder / f"{name}.log" if self._folder else None
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(path.open("wb")) if path else None
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                env=self._environment,
                start_new_session=True,
                # dies with this process even where that is killed; only threads that hold no lock exist by now
                preexec_fn=_in_child,
            )
        child = Child(name, process, path)
        self.all[name] = child
        return child

    def ask_to_end(self) -> None:
        """Ask all to end, without waiting."""
        for child in self.all.values():
            if child.alive:
                child.process.terminate()

    def end(self, patience: float = 3.0) -> None:
        """Ask all to end, and kill what does not within `patience` seconds."""
        self.ask_to_end()
        given_up = time.monotonic() + patience
        for child in self.all.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, given_up - time.monotonic()))
        for child in self.all.values():
            # the group too, should it have children of its own
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, signal.SIGKILL)
        for child in self.all.values():
            # they do nothing more, but on a busy machine the kernel takes its time to take them down
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(_REAPED)

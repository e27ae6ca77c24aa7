"""The faults of a campaign: what can befall a robot, how it begins and ends, and what is required of the robot then."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from numpy.random import Generator

from hybrid_control.bench import fault_messages as lies
from hybrid_control.bench.fault_limits import BASE_STOPS, BRIDGE, REFLEX, REFLEX_STOPS, SIM
from hybrid_control.bench.fault_ptrace import Frozen, may_freeze
from hybrid_control.bench.fault_robot import (
    CLOCK,
    FIRMWARE,
    FIRMWARE_TCP,
    REAL_TIME,
    Robot,
    Thread,
    no_firmware,
    own_mounts,
)
from hybrid_control.bench.fault_wires import Wires

PLANNER, ENCODER = "planner_node", "rate_to_spike_node"
_LASTS = (0.3, 3.0)  # s that a fault lasts
_FROZEN_WORLD = 0.5  # s that a simulator is frozen at least
_AFTERMATH = 2.5  # s for which a robot whose process was killed is watched before anybody sends a goal
_HOG = 1.0  # s at most that a core is taken from everybody else
_CHUNK = 1 << 16  # bytes

_HOG_PROGRAM = """
import os, sys, time
core, until = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
os.sched_setaffinity(0, {core})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
while time.monotonic() < until: pass
"""


class Fault:
    """One fault; a kind fills in _begin and _end.

    seconds: how long it lasts; for a kill, how long its consequence is watched before the robot is sent on. stop: who
    must stop the robot (BASE_STOPS, REFLEX_STOPS), "" where it may drive on.
    """

    stop: str = ""

    def __init__(self, robot: Robot, wires: Wires, random: Generator) -> None:
        self.robot, self.wires, self.random = robot, wires, random
        self.seconds = float(random.uniform(*_LASTS))
        self.what = ""

    def begin(self) -> None:
        """Let it befall the robot. OSError where that is not permitted, or its object is not there."""
        self._begin()

    def end(self) -> None:
        """Take it away."""
        self._end()

    def _begin(self) -> None:
        """What befalls the robot."""

    def _end(self) -> None:
        """What takes it away; nothing where it ends by itself."""

    def describe(self) -> str:
        """For a person, beside the name of its kind."""
        return f"{self.what} {self.seconds:.1f} s".strip()


def _pid(robot: Robot, node: str) -> int:
    pid = robot.pids().get(node)
    if pid is None:
        raise ProcessLookupError(f"{node} does not run")
    return pid


class Kill(Fault):
    """A process is killed."""

    def __init__(self, node: str, stop: str, robot: Robot, wires: Wires, random: Generator) -> None:
        super().__init__(robot, wires, random)
        self._node, self.stop, self.seconds = node, stop, _AFTERMATH
        self.what = "SIGKILL, watched for"

    def _begin(self) -> None:
        os.kill(_pid(self.robot, self._node), signal.SIGKILL)


class Freeze(Fault):
    """A process is frozen."""

    def __init__(self, node: str, stop: str, robot: Robot, wires: Wires, random: Generator) -> None:
        super().__init__(robot, wires, random)
        self._node, self.stop, self._pid = node, stop, 0

    def _begin(self) -> None:
        self._pid = _pid(self.robot, self._node)
        os.kill(self._pid, signal.SIGSTOP)

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)


class FreezeWorld(Freeze):
    """The simulator is frozen: no sensor speaks, and nothing moves before it goes on."""

    def __init__(self, robot: Robot, wires: Wires, random: Generator) -> None:
        super().__init__(SIM, "", robot, wires, random)
        self.seconds = float(random.uniform(_FROZEN_WORLD, _LASTS[1]))


class FreezeThread(Fault):
    """One thread of the reflex is frozen, and the others go on. loop: one of those that tick, else one of the rest."""

    def __init__(self, loop: bool, robot: Robot, wires: Wires, random: Generator) -> None:
        super().__init__(robot, wires, random)
        self._loop, self._frozen = loop, None
        self._draw = float(random.random())

    _frozen: Frozen | None

    def _begin(self) -> None:
        threads = [t for t in self.robot.threads(REFLEX) if bool(t.fifo) == self._loop]
        if not threads:
            raise ProcessLookupError("the reflex has no such thread: SCHED_FIFO is not permitted here")
        thread = threads[int(self._draw * len(threads))]
        number = [t.tid for t in threads].index(thread.tid) + 1
        self.what = f"{thread.words} ({number} of {len(threads)})"
        self._frozen = Frozen(thread.tid)

    def _end(self) -> None:
        if self._frozen is not None:
            self._frozen.thaw()


class HogCore(Fault):
    """A core of the reflex's loop is taken by a busy process of a higher real-time priority."""

    def __init__(self, robot: Robot, wires: Wires, random: Generator) -> None:
        super().__init__(robot, wires, random)
        self.seconds = min(self.seconds, _HOG)
        self._draw = int(random.integers(2))
        self._process: subprocess.Popen[bytes] | None = None

    def _begin(self) -> None:
        loops: list[Thread] = [t for t in self.robot.threads(REFLEX) if t.fifo]
        core = loops[self._draw % len(loops)].cores[-1] if loops else 0
        self.what = f"core {core}, FIFO 99"
        words = [sys.executable, "-S", "-c", _HOG_PROGRAM, str(core), f"{self.seconds:.3f}"]
        self._process = subprocess.Popen(words, stderr=subprocess.DEVNULL)

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Full(Fault):
    """A file system that the robot uses is full. shm: /dev/shm, else that of its temporary files and logs."""

    def __init__(self, shm: bool, robot: Robot, wires: Wires, random: Generator) -> None:
        super().__init__(robot, wires, random)
        self._path = robot.root(f"{'/dev/shm' if shm else robot.disk}/filled")

    def _begin(self) -> None:
        size = 0
        try:
            with self._path.open("wb", buffering=0) as file:
                while True:
                    size += file.write(bytes(_CHUNK))
        except OSError as error:
            if size == 0:
                raise
            self.what = f"{error.strerror} after {size >> 20} MiB"

    def _end(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


class NoFiles(Fault):
    """No process of the robot can write to a file (RLIMIT_FSIZE), as on a disk with no room."""

    def _begin(self) -> None:
        for pid in (self.robot.process.pid, *self.robot.pids().values()):
            self._set(pid, 0)

    def _end(self) -> None:
        for pid in (self.robot.process.pid, *self.robot.pids().values()):
            self._set(pid, resource.RLIM_INFINITY)

    @staticmethod
    def _set(pid: int, size: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size < 0 else size, hard))


class Unplug(Fault):
    """The serial line to the motor board is pulled, and plugged in again."""

    stop = BASE_STOPS

    def _begin(self) -> None:
        assert self.robot.emulator is not None
        self.robot.emulator.command("unplug")

    def _end(self) -> None:
        assert self.robot.emulator is not None
        self.robot.emulator.command("plug")


class Nameless(Fault):
    """The serial port's name is gone, as after a rule of udev's; who has it open goes on."""

    _target: Path | None = None

    def _begin(self) -> None:
        name = Path(self.robot.port)
        self._target = name.readlink()
        name.unlink()

    def _end(self) -> None:
        if self._target is not None:
            Path(self.robot.port).symlink_to(self._target)


class CutCable(Fault):
    """The TCP cable to the motor board is cut. silent: what is sent meanwhile arrives later; else it is closed."""

    stop = BASE_STOPS

    def __init__(self, silent: bool, robot: Robot, wires: Wires, random: Generator) -> None:
        super().__init__(robot, wires, random)
        self._silent = silent

    def _begin(self) -> None:
        assert self.robot.cable is not None
        if self._silent:
            self.robot.cable.cut()
        else:
            self.robot.cable.close()

    def _end(self) -> None:
        assert self.robot.cable is not None
        self.robot.cable.mend()


class Reset(Fault):
    """The motor board starts anew, as after its reset button."""

    def _begin(self) -> None:
        assert self.robot.emulator is not None
        self.robot.emulator.command("reset")


class Lie(Fault):
    """A wire says something else, or nothing. make: draws the change, and words for it."""

    def __init__(
        self, wire: str, make: lies.Make, stop: str, robot: Robot, wires: Wires, random: Generator
    ) -> None:
        super().__init__(robot, wires, random)
        self.stop = stop
        self._wire = wires.wires[wire]
        self._change, self.what = make(random)

    def _begin(self) -> None:
        self._wire.change = self._change

    def _end(self) -> None:
        self._wire.change = None


class Stray(Fault):
    """Somebody else publishes as well. make: draws a function that publishes one message, words for it and its rate."""

    def __init__(
        self, make: lies.MakeStray, stop: str, robot: Robot, wires: Wires, random: Generator
    ) -> None:
        super().__init__(robot, wires, random)
        self.stop = stop
        self._publish, self.what, self._rate = make(wires, random)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stray", daemon=True)

    def _run(self) -> None:
        begun, sent = time.monotonic(), 0
        while not self._ending.is_set():
            self._publish()
            sent += 1
            wait = begun + sent / self._rate - time.monotonic()
            if wait < -0.1:  # what was not sent in time is not made up for
                begun -= wait
            self._ending.wait(max(0.0, wait))

    def _begin(self) -> None:
        self._thread.start()

    def _end(self) -> None:
        self._ending.set()
        self._thread.join(2.0)


def _anywhere() -> str:
    return ""


def _mounts() -> str:
    return "" if own_mounts() else "a mount namespace of its own is not permitted (unshare -m)"


def _fifo() -> str:
    try:
        limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    except ValueError:
        limit = 0
    return "" if os.geteuid() == 0 or limit >= 99 else "SCHED_FIFO 99 is not permitted"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault. make: (robot, wires, random) to the fault; help: what is done and required, in a line;
    missing: why it can't be done here, "" where it can; graph: one of `GRAPHS`."""

    make: Callable[[Robot, Wires, Generator], Fault]
    help: str
    missing: Callable[[], str] = _anywhere
    graph: str = REAL_TIME


def _lie(wire: str, make: lies.Make, help_: str, stop: str = "", graph: str = REAL_TIME) -> Kind:
    return Kind(partial(Lie, wire, make, stop), help_, graph=graph)


#: By name. The first word of a name is its group.
KINDS: dict[str, Kind] = {
    "kill-planner": Kind(partial(Kill, PLANNER, ""), "the planner's process is killed"),
    "kill-encoder": Kind(partial(Kill, ENCODER, ""), "the encoder's process is killed"),
    "kill-reflex": Kind(partial(Kill, REFLEX, BASE_STOPS), "the reflex's process is killed: stop"),
    "freeze-planner": Kind(partial(Freeze, PLANNER, ""), "the planner's process is frozen"),
    "freeze-encoder": Kind(partial(Freeze, ENCODER, ""), "the encoder's process is frozen"),
    "freeze-reflex": Kind(partial(Freeze, REFLEX, BASE_STOPS), "the reflex's process is frozen: stop"),
    "freeze-simulator": Kind(FreezeWorld, "the simulator is frozen: sensors, base and world stand still"),
    "freeze-simulator-clock": Kind(FreezeWorld, "the same, with nodes that go by its /clock", graph=CLOCK),
    "freeze-loop": Kind(partial(FreezeThread, True), "a thread that ticks is frozen", may_freeze),
    "freeze-thread": Kind(partial(FreezeThread, False), "another thread of the reflex is frozen", may_freeze),
    "hog-core": Kind(HogCore, "FIFO 99 takes the loop's core", _fifo),
    "full-disk": Kind(partial(Full, False), "the disk of temporary files and logs is full", _mounts),
    "full-shm": Kind(partial(Full, True), "/dev/shm is full", _mounts),
    "full-files": Kind(NoFiles, "no file may be written to (RLIMIT_FSIZE)"),
    "scan-nan": _lie("scan", lies.scan_nan, "every range is NaN: stop", REFLEX_STOPS),
    "scan-zero": _lie("scan", lies.scan_zero, "every range is 0, as of a covered lidar: stop", REFLEX_STOPS),
    "scan-increment": _lie("scan", lies.scan_increment, "angle_increment is 0: stop", REFLEX_STOPS),
    "scan-frame": _lie("scan", lies.scan_frame, "the scan is in another frame: stop", REFLEX_STOPS),
    "scan-stamp": _lie("scan", lies.stamp_far, "stamps of the scan are far off: stop", REFLEX_STOPS),
    "scan-empty": _lie("scan", lies.scan_empty, "scans without ranges: stop", REFLEX_STOPS),
    "scan-cut": _lie("scan", lies.cut, "the lidar's wire is cut: stop", REFLEX_STOPS),
    "scan-second": Kind(partial(Stray, lies.second_scan, REFLEX_STOPS), "a second lidar sees nothing: stop"),
    "scan-flood": Kind(partial(Stray, lies.scan_flood, REFLEX_STOPS), "nonsense at 1 kHz beside the lidar: stop"),
    "odom-jump": _lie("odom", lies.odometry_jump, "the odometry jumps"),
    "odom-nan": _lie("odom", lies.odometry_nan, "the odometry is NaN"),
    "odom-cut": _lie("odom", lies.cut, "the odometry's wire is cut"),
    "image-black": _lie("image", lies.image_black, "the camera shows black"),
    "image-size": _lie("image", lies.image_size, "images of a wrong size"),
    "image-cut": _lie("image", lies.cut, "the camera's wire is cut"),
    "command-cut": _lie("command", lies.cut, "the base's wire is cut: stop", BASE_STOPS),
    "planner-rates": Kind(partial(Stray, lies.rates, ""), "rates of wrong sizes, negative or NaN beside the planner's"),
    "planner-spikes": Kind(partial(Stray, lies.spikes, ""), "spikes of a wrong size or order beside the encoder's"),
    "planner-flood": Kind(partial(Stray, lies.spike_flood, ""), "spikes at 1 kHz beside the encoder's"),
    "goal-nan": Kind(partial(Stray, lies.goals, ""), "goals of NaN, without end, and in no known frame"),
    "clock-back": _lie("clock", lies.clock_back, "/clock jumps back: stop", REFLEX_STOPS, CLOCK),
    "clock-ahead": _lie("clock", lies.clock_ahead, "/clock jumps ahead: stop", REFLEX_STOPS, CLOCK),
    "clock-cut": _lie("clock", lies.cut, "/clock stands still: stop", REFLEX_STOPS, CLOCK),
    "kill-bridge": Kind(
        partial(Kill, BRIDGE, BASE_STOPS), "the firmware bridge's process is killed: stop", no_firmware, FIRMWARE
    ),
    "freeze-bridge": Kind(
        partial(Freeze, BRIDGE, BASE_STOPS), "the firmware bridge's process is frozen: stop", no_firmware, FIRMWARE
    ),
    "wire-unplug": Kind(Unplug, "the motor board's serial line is unplugged: stop", no_firmware, FIRMWARE),
    "wire-reset": Kind(Reset, "the motor board starts anew", no_firmware, FIRMWARE),
    "wire-name": Kind(Nameless, "the motor board's port loses its name for a while", no_firmware, FIRMWARE),
    "wire-tcp-cut": Kind(
        partial(CutCable, True), "the motor board's TCP cable is cut, what is sent arrives later: stop", no_firmware,
        FIRMWARE_TCP,
    ),
    "wire-tcp-close": Kind(
        partial(CutCable, False), "the motor board's TCP connection is closed and refused: stop", no_firmware,
        FIRMWARE_TCP,
    ),
    "kill-reflex-firmware": Kind(
        partial(Kill, REFLEX, BASE_STOPS), "the reflex is killed, with motor firmware: stop", no_firmware, FIRMWARE
    ),
}  # fmt: skip


def chosen(text: str) -> list[str]:
    """The kinds of "a,b": names, or groups such as scan; all for "". ValueError for one that does not exist."""
    names: list[str] = []
    for word in filter(None, (w.strip() for w in text.split(","))):
        found = [name for name in KINDS if name == word or name.split("-")[0] == word]
        if not found:
            raise ValueError(f"--kinds: {word!r} is none of {', '.join(KINDS)}, nor a group of them")
        names += found
    return list(dict.fromkeys(names)) or list(KINDS)

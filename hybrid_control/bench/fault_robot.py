"""The robot of a campaign of faults: one `hybrid-control up`, its processes and their threads."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from hybrid_control.bench.fault_cable import Cable
from hybrid_control.bench.fault_limits import limits_of
from hybrid_control.bringup.graph import MAX_RESTARTS, OURS
from hybrid_control.bringup.kinds import build
from hybrid_control.bringup.parameter_files import config_folder

if TYPE_CHECKING:
    from firmware_bridge.firmware.emulator import Emulator

#: Kinds of graphs: as on a robot; its nodes go by /clock; the motor firmware on an emulated chip moves the wheels, by a
#: serial line or over TCP.
GRAPHS = REAL_TIME, CLOCK, FIRMWARE, FIRMWARE_TCP = "real time", "clock", "firmware", "firmware over TCP"
#: The simulator alone has other names for these, and `Wires` passes them on.
REMAPS = "; ".join(
    f"sim_node:{name}:=true/{name}" for name in ("scan", "odom", "camera/image_raw", "cmd_vel")
)

ROBOT = "jackal"  # whom it is, in every graph

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


@cache
def firmware() -> tuple[Path, Path]:
    """The motor firmware and its emulator, built once; ValueError where the tools are not there."""
    from firmware_bridge.firmware.build import build_emulator, build_firmware

    folder = Path(tempfile.mkdtemp(prefix="hybrid-control-firmware-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return build_emulator(folder), build_firmware(folder).elf


def no_firmware() -> str:
    """Why there can be no emulated firmware here, "" where there can."""
    try:
        firmware()
    except ValueError as error:
        return str(error)
    return ""


def start(graph: str, world: str, seed: int, domain: int) -> Robot:
    """A robot of one of `GRAPHS` in a world by name and seed."""
    folder = Path(tempfile.mkdtemp(prefix="hybrid-control-faults-"))
    if graph in (FIRMWARE, FIRMWARE_TCP):
        return _with_firmware(graph, world, seed, domain, folder)
    remaps = REMAPS if graph == REAL_TIME else f"{REMAPS}; sim_node:/clock:=true/clock"
    words = {"world": world, "seed": str(seed), "remap": remaps, "use_sim_time": str(graph == CLOCK).lower()}
    return Robot("sim", words, domain, folder)


def _with_firmware(graph: str, world: str, seed: int, domain: int, folder: Path) -> Robot:
    """The motor firmware on an emulated chip between bridge and wheels; the simulator stands beside the graph."""
    from firmware_bridge.firmware.emulator import Emulator
    from hybrid_control.sim.robots import vehicle
    from hybrid_control.sim.worlds import load_world

    program, elf = firmware()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    if graph == FIRMWARE_TCP:
        emulator = Emulator(program, elf, tcp=0, wheels=port)
        cable = Cable(int(emulator.address.rpartition(":")[2]))
        address = cable.address
    else:
        emulator, cable = Emulator(program, elf, link=folder / "firmware.pty", wheels=port), None
        address = emulator.address
    robot, at = vehicle(ROBOT), load_world(world, seed).start
    assert robot.wheels is not None
    bridge = {
        "driver": "link", "kinematics": "differential", "wheel_radius": robot.wheels.radius,
        "track": robot.wheels.track, "max_speed": robot.max_speed, "max_yaw_rate": robot.max_yaw_rate,
        "acceleration": robot.deceleration, "yaw_acceleration": robot.yaw_acceleration, "initial_x": at.x,
        "initial_y": at.y, "initial_yaw": at.yaw,
    }  # fmt: skip
    parameters = yaml.safe_load((config_folder() / "sim.yaml").read_text(encoding="utf-8"))
    parameters["/**/firmware_bridge_node"]["ros__parameters"] |= bridge
    (folder / "robot.yaml").write_text(yaml.safe_dump(parameters), encoding="utf-8")
    moved = "firmware_bridge_node:odom:=true/odom; firmware_bridge_node:cmd_vel:=true/cmd_vel"
    words = {"params_file": str(folder / "robot.yaml"), "port": address, "remap": moved}
    result = Robot("robot", words, domain, folder)
    result.emulator, result.cable, result.port = emulator, cable, address
    sim = {"autostart": "true", "world": world, "robot": ROBOT, "seed": seed, "wheel_port": port}
    settings = [word for name, value in sim.items() for word in ("-p", f"{name}:={value}")]
    remaps = [word for remap in REMAPS.split("; ") for word in ("-r", remap)]
    result.simulator = subprocess.Popen(
        [sys.executable, "-m", OURS, "sim_node", "--ros-args", *settings, *remaps],
        env={**os.environ, **_environment(domain)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=_in_child,
    )  # fmt: skip
    return result


def _environment(domain: int) -> dict[str, str]:
    return {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


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
    """A graph that runs. kind, words: as for `hybrid-control up`; folder: for what it writes, and removed with it.

    disk: its disk of temporary files and logs, one of its own where that is permitted. port: of the motor board, and
    cable: to it, where it is there. limits: what is required of it.
    """

    def __init__(self, kind: str, words: Mapping[str, str], domain: int, folder: Path) -> None:
        self.folder, self.disk = folder, folder / "disk"
        self.limits = limits_of(build(kind, words), words.get("robot", ROBOT))
        self.emulator: Emulator | None = None
        self.cable: Cable | None = None
        self.port = ""
        self.simulator: subprocess.Popen[bytes] | None = None
        self.disk.mkdir()
        self.lines: list[tuple[float, str]] = []
        options = [word for name, value in words.items() for word in (f"--{name.replace('_', '-')}", value)]
        command = [sys.executable, "-m", "hybrid_control", "up", kind, *options]
        if own_mounts():
            command = ["unshare", "-m", "sh", "-c", _MOUNTS, "sh", str(self.disk), *command]
        environment = {
            **_environment(domain), "PYTHONUNBUFFERED": "1",
            "RCUTILS_COLORIZED_OUTPUT": "0", "ROS_LOG_DIR": str(self.disk / "log"), "TMPDIR": str(self.disk),
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
        """Whether `up` still runs, and what stands in for motors and world."""
        beside = [self.process, self.simulator, self.emulator.process if self.emulator else None]
        return all(p.poll() is None for p in beside if p is not None)

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
            line.split(": ", 1)[1].split(" ", 1)[0]
            for _, line in self.lines
            if line.startswith("up ") and "it is started again" in line
        )
        return any(count >= MAX_RESTARTS for count in ends.values())

    def end(self) -> tuple[int | None, float]:
        """Ctrl-C; the exit status (None where it had to be killed) and the seconds that it took."""
        begun = time.monotonic()
        status: int | None = None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self.process.wait(_END)
        seconds = time.monotonic() - begun
        if status is None:
            self.process.kill()  # its children die with it
            self.process.wait()
        if self.simulator is not None:
            self.simulator.kill()
            self.simulator.wait()
        if self.cable is not None:
            self.cable.end()
        if self.emulator is not None:
            self.emulator.close()
        self._reader.join(1.0)
        shutil.rmtree(self.folder, ignore_errors=True)
        return status, seconds

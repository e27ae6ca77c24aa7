"""`hybrid-control doctor`: what is there, what is missing, and how to get it. What can be tried is tried."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

OK, MISSING, NOTE = "ok", "missing", "note"
_MARKS = {OK: "✓", MISSING: "✗", NOTE: "–"}
_TIMEOUT = 60.0  # s that a trial in a process of its own may take
_ROOM = 2.0  # GB below which a disk counts as nearly full

# Each of these runs in a process of its own, so that what breaks there, or changes the process, stays there.
# It prints what it found; whatever it raises is what is wrong.
_ROS = """
import os, rclpy
from rclpy.utilities import get_rmw_implementation_identifier as rmw
wheels = "site-packages" in rclpy.__file__ and "/opt/ros" not in rclpy.__file__
print(os.environ.get("ROS_DISTRO", "distribution unknown"), "from Python wheels," if wheels else "installed,", rmw())
"""
_INTERFACES = """
import os, hybrid_control_msgs.msg, hybrid_control_ros
print(os.path.dirname(hybrid_control_ros.__file__))
"""
_GL = """
from hybrid_control.sim.mujoco_import import import_mujoco
mujoco = import_mujoco()
import os
xml = "<mujoco><worldbody><light pos='0 0 3'/><geom type='sphere' size='1'/></worldbody></mujoco>"
model = mujoco.MjModel.from_xml_string(xml)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 48, 64) as renderer:
    renderer.update_scene(data)
    assert renderer.render().max() > 0, "the picture is black"
print(f"a picture was drawn through {os.environ['MUJOCO_GL']}")
"""
_REAL_TIME = """
from hybrid_control.realtime.scheduling import use_fifo
reason = use_fifo(80)
if reason: raise SystemExit(reason)
print("SCHED_FIFO is permitted")
"""
_MEMORY = """
from hybrid_control.realtime.scheduling import lock_memory
reason = lock_memory()
if reason: raise SystemExit(reason)
print("memory may be locked")
"""
_PLANNER = """
from hybrid_control.navigation.planner import contract
session, info = contract.load(contract.DEFAULT_MODEL)
print(f"{info.width} x {info.height} pixels, contract {info.version}")
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for. needed: without it `hybrid-control sim` can't run. help: how to get it."""

    name: str
    status: str
    detail: str
    needed: bool = False
    help: str = ""


@dataclass(frozen=True)
class Trial:
    """Something that is found out by running it."""

    name: str
    code: str
    needed: bool
    help: str

    def start(self) -> subprocess.Popen[str]:
        """Begin."""
        command = [sys.executable, "-c", self.code]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, process: subprocess.Popen[str]) -> Finding:
        """Wait for the answer."""
        try:
            out, error = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return Finding(self.name, MISSING, f"no answer within {_TIMEOUT:g} s", self.needed, self.help)
        if process.returncode == 0:
            return Finding(self.name, OK, _last_line(out), self.needed)
        detail = _last_line(error) or f"ended with status {process.returncode}"
        status = MISSING if self.needed else NOTE
        lacks = "ModuleNotFoundError" in error or "MuJoCo is not installed" in error
        how = _SETUP if lacks else self.help
        if self.needed or how:
            return Finding(self.name, status, detail, self.needed, how)
        what, _, how = detail.partition(": ")
        return Finding(self.name, status, what, self.needed, how)


_SETUP = "run `make setup` once, then `. scripts/env.sh` in this shell (make sim does both)"
TRIALS = (
    Trial("ROS 2", _ROS, True, _SETUP + "; or source an installed ROS 2 Jazzy or Kilted first"),
    Trial("interfaces and nodes", _INTERFACES, True, _SETUP),
    Trial(
        "rendering",
        _GL,
        True,
        "apt-get install libegl1 libgl1-mesa-dri, or libosmesa6; drive without a camera otherwise",
    ),
    Trial(
        "planner's model",
        _PLANNER,
        True,
        "it comes with the repository; or train one: hybrid-control train planner",
    ),
    # what these two print begins with what is the matter and goes on with what to do
    Trial("real-time scheduling", _REAL_TIME, False, ""),
    Trial("memory lock", _MEMORY, False, ""),
)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def python() -> Finding:
    """The interpreter."""
    good = sys.version_info >= (3, 10)
    text = f"{platform.python_version()}, {sys.executable}"
    return Finding(
        "Python", OK if good else MISSING, text, True, "" if good else "install Python 3.10 or newer"
    )


def packages() -> Finding:
    """The libraries that sim stands on."""
    wanted = ("numpy", "numba", "onnxruntime", "mujoco", "mcap", "mcap-ros2-support", "pillow", "pyyaml")
    found = {name: _version(name) for name in wanted}
    missing = [name for name, version in found.items() if version is None]
    if missing:
        return Finding("libraries", MISSING, f"not installed: {', '.join(missing)}", True, _SETUP)
    return Finding("libraries", OK, ", ".join(f"{n} {v}" for n, v in found.items()), True)


def governor(cpus: Path = Path("/sys/devices/system/cpu")) -> Finding:
    """The CPU frequency governor."""
    found = {
        file.read_text().strip()
        for file in cpus.glob("cpu[0-9]*/cpufreq/scaling_governor")
        if os.access(file, os.R_OK)
    }
    if not found:
        return Finding("CPU governor", NOTE, "not to be seen here, as in most virtual machines")
    if found == {"performance"}:
        return Finding("CPU governor", OK, "performance")
    return Finding(
        "CPU governor",
        NOTE,
        f"{', '.join(sorted(found))}: ticks may be late after a pause",
        help="cpupower frequency-set -g performance, as root",
    )


def providers() -> Finding:
    """Where onnxruntime can run the planner."""
    try:
        import onnxruntime
    except ImportError as error:
        return Finding("onnxruntime", MISSING, str(error), True, _SETUP)
    found = onnxruntime.get_available_providers()
    gpu = [p for p in found if p not in ("CPUExecutionProvider", "AzureExecutionProvider")]
    text = ", ".join(p.removesuffix("ExecutionProvider") for p in found)
    if gpu:
        return Finding("planner on a GPU", OK, text)
    how = "pip install onnxruntime-gpu (NVIDIA) in place of onnxruntime; the CPU is enough for the default planner"
    return Finding("planner on a GPU", NOTE, f"none; there are {text}", help=how)


def boards() -> list[Finding]:
    """What talks to neuromorphic boards."""
    rows = (
        (
            "SpiNNaker",
            ("spynnaker", "pyNN"),
            "pip install sPyNNaker, and set its machine up in ~/.spynnaker.cfg",
        ),
        (
            "Loihi",
            ("lava", "nxsdk"),
            "Lava with Loihi needs membership of Intel's INRC; pip install lava-nc simulates",
        ),
    )
    result = []
    for name, modules, how in rows:
        found = [m for m in modules if importlib.util.find_spec(m) is not None]
        status, text = (OK, f"package {', '.join(found)}") if found else (NOTE, "no package")
        result.append(Finding(f"board: {name}", status, text, help="" if found else how))
    return result


def toolchain() -> Finding:
    """What builds and emulates the microcontroller's firmware."""
    from firmware_bridge.firmware.build import BuildError, check_tools

    try:
        check_tools()
    except BuildError as error:
        what, _, how = str(error).partition("; ")
        return Finding("AVR toolchain", NOTE, what, help=how)
    return Finding("AVR toolchain", OK, "gcc, avr-gcc, avr-libc, simavr and libelf")


def serial_ports() -> list[Finding]:
    """Serial ports, and whether this user may open them."""
    try:
        from serial.tools import list_ports
    except ImportError as error:
        return [Finding("serial ports", NOTE, str(error), help=_SETUP)]
    ports = sorted(list_ports.comports(), key=lambda p: p.device)
    if not ports:
        return [Finding("serial ports", NOTE, "none is connected")]
    result = []
    for port in ports:
        text = f"{port.device} ({port.description})" if port.description not in (None, "n/a") else port.device
        if os.access(port.device, os.R_OK | os.W_OK):
            result.append(Finding("serial port", OK, text))
        else:
            how = "sudo usermod -aG dialout $USER, then log in again"
            result.append(Finding("serial port", NOTE, f"{text}: no permission", help=how))
    return result


def disk(folder: Path | None = None) -> Finding:
    """Room for recordings."""
    place = folder or Path.cwd()
    free = shutil.disk_usage(place).free / 1e9
    text = f"{free:.1f} GB free in {place}"
    if free < _ROOM:
        return Finding(
            "disk", NOTE, text, help="a run takes about 2 MB for each second; choose another --out"
        )
    return Finding("disk", OK, text)


def examine(trials: Iterable[Trial]) -> list[Finding]:
    """Look for everything. The trials run side by side."""
    started = [(trial, trial.start()) for trial in trials]
    looks: tuple[Callable[[], Finding | list[Finding]], ...] = (
        governor, providers, boards, toolchain, serial_ports, disk,
    )  # fmt: skip
    rest: list[Finding] = []
    for look in looks:
        found = look()
        rest += found if isinstance(found, list) else [found]
    return [python(), packages(), *(trial.finish(process) for trial, process in started), *rest]


def run(*, as_json: bool = False, trials: Iterable[Trial] = TRIALS) -> int:
    """Print what was found; exit status 0 where `hybrid-control sim` can run."""
    findings = examine(trials)
    ready = all(f.status != MISSING for f in findings if f.needed)
    if as_json:
        content = {"ready": ready, "findings": [asdict(f) for f in findings]}
        sys.stdout.write(json.dumps(content, indent=2) + "\n")
        return 0 if ready else 1
    width = max(len(f.name) for f in findings)
    for f in findings:
        sys.stdout.write(f"{_MARKS[f.status]} {f.name:<{width}}  {f.detail}\n")
        if f.help and f.status != OK:
            sys.stdout.write(f"  {'':<{width}}  → {f.help}\n")
    sys.stdout.write(
        "\nready to drive: hybrid-control sim\n" if ready else "\nnot ready to drive: see ✗ above\n"
    )
    return 0 if ready else 1


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `doctor` to the command line."""
    doctor = subparsers.add_parser("doctor", help="say what is there and what is missing, and how to get it")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    doctor.set_defaults(run=lambda args: run(as_json=args.json))

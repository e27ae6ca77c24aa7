"""What a run of the simulated robot was asked for: options, moments and faults, as values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hybrid_control.parameters import Value

CAMERA_FAULTS = ("black", "white", "nan", "size", "freeze", "silent")
SCAN_FAULTS = ("nan", "silent")


@dataclass(frozen=True)
class When:
    """A moment of a run: seconds since it began, or the share of the way to the goal that is done."""

    seconds: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Fault:
    """A sensor ("camera" or "scan") that shows something wrong from a moment on, for some seconds or to the end."""

    sensor: str
    kind: str
    when: When
    seconds: float | None = None


@dataclass(frozen=True)
class RunOptions:
    """What `hybrid-control sim` was asked for, checked.

    parameters: of each node, what the user's file says. seeds: how many runs, None for one. learner: what classes of
    ground do; teach: s for which somebody says what lies before the robot.
    """

    world: str = "default"
    robot: str = "jackal"
    seed: int = 0
    seeds: int | None = None
    duration: float = 90.0
    real_time_factor: float = 1.0
    out: Path = Path("out")
    viewer: bool = False
    composed: bool = False
    firmware: bool = False
    backend: str = "numba"
    without_board: str | None = None
    kill_board: When | None = None
    learner: str = ""
    teach: float = 0.0
    model: Path | None = None
    network: Path | None = None
    domain: int | None = None
    kill_planner: When | None = None
    faults: tuple[Fault, ...] = ()
    parameters: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)

    def check(self) -> None:
        """ValueError, which names the option, for a value out of range or two that exclude each other."""
        if not 0 < self.duration <= 3600:
            raise ValueError(f"--duration {self.duration:g}: expected more than 0 s, at most 3600")
        if not 0 < self.real_time_factor <= 100:
            raise ValueError(
                f"--real-time-factor {self.real_time_factor:g}: expected more than 0, at most 100"
            )
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"--seed {self.seed}: expected 0 .. {2**31 - 1}")
        if self.seeds is not None and not 1 <= self.seeds <= 1000:
            raise ValueError(f"--seeds {self.seeds}: expected 1 .. 1000")
        if self.domain is not None and not 0 <= self.domain <= 101:
            raise ValueError(f"--domain {self.domain}: expected 0 .. 101")
        for option, file in (("--model", self.model), ("--network", self.network)):
            if file is not None and not file.is_file():
                raise ValueError(f"{option}: {file}: no such file")
        if not 0 <= self.teach <= 3600:
            raise ValueError(f"--teach {self.teach:g}: expected 0 .. 3600 s")
        if self.teach and not self.learner:
            raise ValueError("--teach: there is nothing that learns; add --learner puddle=avoid")
        if self.learner and self.composed:
            raise ValueError("--learner: changes plans between planner and encoder; leave out --composed")
        if self.composed and self.kill_planner is not None:
            raise ValueError("--kill-planner-at: with --composed the planner is no process of its own")
        if self.kill_board is not None and self.backend == "numba":
            raise ValueError("--kill-board-at: there is no board; add --backend spinnaker or loihi")
        if self.backend != "numba" and (self.composed or self.real_time_factor != 1.0):
            raise ValueError(
                "--backend: the board's emulator runs in real time, and the reflex in its bridge's process; leave out "
                "--real-time-factor and --composed"
            )
        if self.firmware and self.real_time_factor != 1.0:
            raise ValueError("--firmware: the emulated chip runs in real time; leave out --real-time-factor")


def parse_when(text: str, option: str) -> When:
    """A moment as typed: "12.5" seconds, or "50%" of the way; ValueError names the option."""
    share = text.endswith("%")
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = math.nan
    if not (0 <= value <= 100 if share else 0 <= value < math.inf):
        raise ValueError(
            f"{option}: {text!r} is no moment; expected seconds such as 12.5, or a share of the way such as 50%"
        )
    return When(share=value / 100) if share else When(seconds=value)


def parse_fault(text: str, sensor: str) -> Fault:
    """A fault as typed, KIND@WHEN or KIND@WHEN:SECONDS; ValueError names the option."""
    option = f"--{sensor}-fault"
    kinds = CAMERA_FAULTS if sensor == "camera" else SCAN_FAULTS
    kind, at, rest = text.partition("@")
    if kind not in kinds or not at:
        raise ValueError(
            f"{option}: {text!r}; expected KIND@WHEN or KIND@WHEN:SECONDS with KIND one of {', '.join(kinds)}"
        )
    moment, colon, length = rest.partition(":")
    seconds = None
    if colon:
        try:
            seconds = float(length)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise ValueError(f"{option}: {length!r} is no length of time; expected seconds > 0")
    return Fault(sensor, kind, parse_when(moment, option), seconds)

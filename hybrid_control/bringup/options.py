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

    parameters: every parameter of every node, the user's file over the defaults. seeds: how many runs, None for one.
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
    model: Path | None = None
    network: Path | None = None
    domain: int | None = None
    kill_planner: When | None = None
    faults: tuple[Fault, ...] = ()
    parameters: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)


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

"""The reflex's commands straight to the firmware: the compiled tick writes the velocity frame itself, right after it
has steered, without the interpreter and without cmd_vel.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numba import carray, cfunc
from numpy.typing import NDArray

from firmware_bridge.kinematics import BodyVelocity, Kinematics
from firmware_bridge.link.command import PORT_WORDS, Port, send_velocity
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.reflex.context import COMMAND, CONTEXT
from hybrid_control.parameters import ParameterError
from hybrid_control.realtime.clock import monotonic_ns
from hybrid_control.realtime.compiled import as_pointer, call_tick
from hybrid_control.realtime.histogram import BINS, Histogram, bin_of
from hybrid_control.realtime.loop import TICK_OK

_MAX_WHEELS = 8
_FIELDS = ("linear_x", "linear_y", "angular_z")

_DIRECT = np.dtype(
    [
        ("on", np.int64),  # whether the wheels are driven
        ("turns", np.int64),  # ticks so far
        ("sent", np.int64),
        ("not_sent", np.int64),
        ("slowest_ns", np.int64),
        ("took", np.int64, (BINS,)),  # from the end of a tick to the end of its frame's write
        ("tick", np.int64),  # the reflex's tick, its context, and where it puts _FIELDS of its command
        ("context", np.int64),
        ("command", np.int64, (3,)),
        ("port", np.int64),
        ("period_ns", np.int64),  # least time from one frame to the next
        ("max_age_ns", np.int64),  # of a command, beyond which zero is sent
        ("last_ns", np.int64),  # time of the tick that sent last
        ("wheels", np.int64),
        ("max_speed", np.float64),  # rad/s
        # rad/s of each wheel for 1 of each of _FIELDS
        ("matrix", np.float64, (_MAX_WHEELS, 3)),
        ("speeds", np.float64, (_MAX_WHEELS,)),
    ],
    align=True,
)


@cfunc("int64(voidptr, int64)", cache=True)
def _tick(context: Any, now_ns: int) -> int:
    """The reflex's tick, and then its command to the wheels; zero where the tick took so long that it is old."""
    d = carray(context, 1, _DIRECT)[0]
    entered = monotonic_ns()
    code = call_tick(d.tick, d.context, now_ns)
    d.turns += 1
    # half a millisecond of slack: a tick that begins early by its jitter must not wait for the next one
    waits = 0 <= now_ns - d.last_ns < d.period_ns - 500_000
    if code == TICK_OK and d.on and not waits:
        d.last_ns = now_ns
        begun = monotonic_ns()
        largest = 0.0
        for i in range(d.wheels):
            d.speeds[i] = 0.0
            for k in range(3 if begun - entered <= d.max_age_ns else 0):
                d.speeds[i] += d.matrix[i, k] * carray(as_pointer(d.command[k]), 1, np.float64)[0]
            largest = max(largest, abs(d.speeds[i]))
        if largest > d.max_speed:
            for i in range(d.wheels):
                d.speeds[i] *= d.max_speed / largest
        if send_velocity(carray(as_pointer(d.port), PORT_WORDS, np.int64), d.speeds[: d.wheels]) > 0:
            d.sent += 1
            took = monotonic_ns() - begun
            d.took[bin_of(took)] += 1
            d.slowest_ns = max(d.slowest_ns, took)
        else:
            d.not_sent += 1
    return code


class DirectPath:
    """Joins a reflex and a link's port in one process. One thread sends velocities: the loop that ticks."""

    def __init__(self) -> None:
        self._record: NDArray[Any] = np.zeros(1, _DIRECT)
        self._port: Port | None = None

    def wrap(self, reflex: Reflex, max_age_ns: int = 100_000_000) -> tuple[int, NDArray[Any]]:
        """Tick and context for a loop: those of the reflex with what sends behind it. max_age_ns: of a command."""
        d = self._record[0]
        context = reflex.context.ctypes.data
        d["tick"], d["context"] = reflex.tick_address, context
        d["max_age_ns"] = max_age_ns
        # by address, since numba's cache would not notice a change of the record that the reflex keeps
        d["command"] = [context + CONTEXT.fields["command"][1] + COMMAND.fields[name][1] for name in _FIELDS]  # type: ignore[index]
        assert _tick.address is not None  # it was compiled when this was imported
        return _tick.address, self._record

    def connect(self, port: Port, kinematics: Kinematics, max_speed: float, rate: float) -> None:
        """Say where frames go: rate in Hz, max_speed of a wheel in rad/s. ParameterError for steered wheels."""
        units = [kinematics.to_wheels(BodyVelocity(*v)) for v in np.eye(3).tolist()]
        n = len(units[0].speeds)
        if units[0].steering or n > _MAX_WHEELS:
            raise ParameterError("direct: needs wheels that are not steered, 8 at most")
        self.enable(False)
        d = self._record[0]
        d["matrix"][:n] = np.array([unit.speeds for unit in units]).T
        d["wheels"], d["max_speed"] = n, max_speed
        d["period_ns"] = round(1e9 / rate)
        self._port = port  # kept, its address is what the loop knows
        d["port"] = port.ctypes.data

    def enable(self, on: bool) -> None:
        """Let the wheels be driven, or not; after a no, the loop has left the port alone when this returns."""
        d = self._record[0]
        d["on"] = on
        turns, given_up = int(d["turns"]), time.monotonic() + 0.1
        while not on and int(d["turns"]) == turns and time.monotonic() < given_up:
            time.sleep(0.001)

    def report(self) -> dict[str, object]:
        """What was sent, for diagnostics."""
        d = self._record[0]
        took = Histogram(d["took"].copy(), int(d["slowest_ns"]))
        return {
            "frames sent by the loop": int(d["sent"]),
            "frames not sent by the loop": int(d["not_sent"]),
            **{f"tick to sent p{p:g} [us]": took.percentile(p) * 1e6 for p in (50.0, 99.0, 99.9)},
            "tick to sent max [us]": float(d["slowest_ns"]) * 1e-3,
        }

"""What comes in, checked: what must not be acted on is refused with a reason, and counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from hybrid_control.navigation.reflex.returns import MOST_BEAMS
from hybrid_control.signals import Population, RangeScan, SpikeTrain
from hybrid_control.signals.stamps import MAX_FUTURE_NS, age_of

LONGEST_TURN = (
    2 * math.pi * 1.02
)  # rad of a sweep: drivers round their angle_increment, or send a beam or two more


class InputRefused(ValueError):
    """An input that the reflex does not act on; the message says why in one line."""


class Inputs:
    """The newest stamp of each kind of input, and how often one was refused. clock: the loop's clock, ns."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self.refusals: dict[str, int] = {}  # count by kind of input
        self.last_stamp: dict[str, int] = {}

    def refuse(self, kind: str, why: str) -> InputRefused:
        """Count a refusal; returns what to raise."""
        self.refusals[kind] = self.refusals.get(kind, 0) + 1
        return InputRefused(f"{kind} refused: {why}")

    def received(self, kind: str, stamp_ns: int, now_ns: int, limit: str, allowed: float) -> int:
        """The stamp on the loop's clock; refuses one that is too old, from the future or out of order.

        now_ns: the ROS clock; allowed: s, the value of the gain `limit`.
        """
        try:
            age = age_of(stamp_ns, now_ns, limit, allowed)
        except ValueError as error:
            raise self.refuse(kind, str(error)) from None
        last = self.last_stamp.get(kind)
        if last is not None and stamp_ns <= last and -MAX_FUTURE_NS <= now_ns - last < allowed * 1e9:
            raise self.refuse(kind, f"its stamp is {(last - stamp_ns) * 1e-9:.3f} s before the one before it")
        self.last_stamp[kind] = stamp_ns
        return self._clock() - age

    def check_scan(self, scan: RangeScan) -> None:
        """Refuse a sweep that can't be."""
        n = scan.ranges.size
        if not 1 <= n <= MOST_BEAMS:
            raise self.refuse("scan", f"{n} beams, expected 1 .. {MOST_BEAMS}")
        if abs(scan.angle_increment) * (n - 1) > LONGEST_TURN:
            raise self.refuse("scan", f"{n} beams of {scan.angle_increment:g} rad make more than one turn")
        if n > 1 and scan.angle_increment == 0.0:
            raise self.refuse("scan", f"{n} beams with angle_increment 0, which all point the same way")

    def check_populations(self, kind: str, train: SpikeTrain, expected: Sequence[Population]) -> None:
        """Refuse spikes of other populations than the expected ones."""
        if train.populations is expected:
            return
        if [(p.name, p.size) for p in train.populations] != [(p.name, p.size) for p in expected]:
            have = ", ".join(f"{p.name} ({p.size})" for p in train.populations)
            want = ", ".join(f"{p.name} ({p.size})" for p in expected)
            raise self.refuse(kind, f"populations {have}; expected {want}")

    def check_window(self, train: SpikeTrain, most: int, longest: float) -> None:
        """Refuse a window of the planner's spikes with more than `most`, over `longest` s or over the one before."""
        kind = "planner spikes"
        if train.neuron.size > most:
            raise self.refuse(kind, f"{train.neuron.size} in a window, at most {most}")
        if train.duration_ns > longest * 1e9:
            raise self.refuse(kind, f"a window of {train.duration_ns * 1e-9:g} s, at most {longest:g} s")
        last = self.last_stamp.get(kind)
        if last is not None and 0 < train.stamp_ns - last < 0.5 * train.duration_ns:
            raise self.refuse(
                kind, f"the window begins {(train.stamp_ns - last) * 1e-9:.4f} s after the one before it"
            )

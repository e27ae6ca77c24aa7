"""What the judge of a campaign of faults knows: the simulator's truth, how late this machine itself is, and limits.

Nothing here knows ROS. Times are in seconds of the monotonic clock.
"""

from __future__ import annotations

import bisect
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import pairwise

STANDS = 0.05  # m/s, below which the base counts as at rest; a stiff wheel's contact is not quieter
TURNS = 0.2  # rad/s, the same for turning
_KEPT = 20_000  # samples, some minutes
_PULSE = 0.01  # s between two looks at the clock
_STATE_PERIOD = 0.02  # s between two ground truths, when the simulator is on time
_TOLERATED = 0.04  # s that a ground truth may be late before the simulator counts as late


@dataclass(frozen=True, slots=True)
class Sample:
    """One truth: when it came (s), pose (m, rad) in the map, speeds (m/s, rad/s), contacts and way (m) so far."""

    t: float
    x: float
    y: float
    yaw: float
    speed: float
    yaw_rate: float
    contacts: int
    way: float

    @property
    def moves(self) -> bool:
        """Whether the base is under way."""
        return abs(self.speed) > STANDS or abs(self.yaw_rate) > TURNS


    def of_wheels(self, half_track: float) -> float:
        """m/s of the faster wheel of two that are so many m from the middle: what has to be braked, in a turn too."""
        return abs(self.speed) + half_track * abs(self.yaw_rate)


class Truth:
    """The newest minutes of the ground truth; written by one thread, read by another."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=_KEPT)

    def see(self, sample: Sample) -> None:
        """Take in a new one."""
        self._samples.append(sample)

    @property
    def newest(self) -> Sample | None:
        """The newest one."""
        return self._samples[-1] if self._samples else None

    def between(self, begin: float, end: float) -> list[Sample]:
        """Those that came within [begin, end]."""
        samples = list(self._samples)
        first = bisect.bisect_left(samples, begin, key=lambda s: s.t)
        return samples[first : bisect.bisect_right(samples, end, key=lambda s: s.t)]

    def late(self, begin: float, end: float) -> float:
        """Seconds by which the simulator fell behind within [begin, end]: what its messages are too far apart."""
        times = [s.t for s in self.between(begin - 2 * _STATE_PERIOD, end)]
        return sum(b - a - _STATE_PERIOD for a, b in pairwise(times) if b - a > _TOLERATED)

    def driven(self, begin: float, end: float) -> float:
        """Metres and, at 0.3 m a radian, turns within [begin, end]."""
        samples = self.between(begin, end)
        if len(samples) < 2:
            return 0.0
        turned = sum(abs(math.remainder(b.yaw - a.yaw, math.tau)) for a, b in pairwise(samples))
        return samples[-1].way - samples[0].way + 0.3 * turned

    def contacts(self, begin: float, end: float) -> int:
        """New contacts within [begin, end]."""
        samples = self.between(begin - 2 * _STATE_PERIOD, end)
        return samples[-1].contacts - samples[0].contacts if samples else 0


class Pulse(threading.Thread):
    """Looks at the clock every 10 ms: how late it comes to that is how late the machine is for an ordinary thread."""

    def __init__(self) -> None:
        super().__init__(name="pulse", daemon=True)
        self._late: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._ending = threading.Event()

    def run(self) -> None:
        """Until `end`."""
        while not self._ending.is_set():
            due = time.monotonic() + _PULSE
            time.sleep(_PULSE)
            now = time.monotonic()
            if now - due > _PULSE:
                self._late.append((now, now - due))

    def end(self) -> None:
        """No more."""
        self._ending.set()

    def late(self, begin: float, end: float) -> float:
        """The greatest lateness within [begin, end], in seconds."""
        return max(self._within(begin, end), default=0.0)

    def withheld(self, begin: float, end: float) -> float:
        """Seconds of [begin, end] in which an ordinary thread wanted to run and did not."""
        return sum(self._within(begin, end))

    def _within(self, begin: float, end: float) -> list[float]:
        return [late for t, late in list(self._late) if begin <= t <= end + late]


@dataclass(frozen=True, slots=True)
class Stop:
    """How a robot is to stop that has lost something.

    timeout: s until the loss counts; braking: m/s² with which the robot comes to rest then.
    """

    timeout: float
    braking: float

    #: s beside these: the last message before the loss was up to a period old, a tick, a command, a ground truth.
    DELAY = 0.1

    def limit(self, speed: float) -> float:
        """Seconds from the loss at a speed in m/s until the base is at rest."""
        return self.timeout + self.DELAY + abs(speed) / self.braking


def stopped_after(truth: Truth, begin: float, end: float) -> float:
    """Seconds after `begin` at which the base moved last within [begin, end]; 0 where it stood."""
    return max((s.t - begin for s in truth.between(begin, end) if s.moves), default=0.0)

"""Whether a part of Python's is run in a thread of its own while the others go on: tried both ways, the faster is kept.

The bits are the same either way. What is gained is at most the shorter of the part's own time and that of the others
up to the time at which its results arrive; handing a run to a thread and back costs some tens of us where neither has
to be woken (`kernels.handover`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from statistics import median
from typing import Any

import numpy as np

from hybrid_control.cosim.kernels.handover import say_and_wait, wait_for

TRIED = 12  # runs of each way
KEPT = 2000  # runs until both are tried again
LEAST = 50e-6  # s of each side below which a thread is not worth it
BETTER = 0.97  # share of the time alone that beside must come below
LOOKING = 200_000  # ns for which who waits for the other thread looks before it sleeps


class Overlap:
    """Of one part. `beside` is asked before each call, `ran` is told how long the call took."""

    def __init__(self, chosen: bool | None) -> None:
        self._chosen = chosen  # None: by trial
        self._now = chosen is True
        self._left = TRIED
        self._phase = "alone"  # being tried, then "beside", then "kept"
        self._costs: list[float] = []  # s from one call to the next, for each run
        self._own: list[float] = []
        self._alone = 0.0
        self._last: tuple[float, int] | None = None

    def beside(self, runs: int) -> bool:
        """Whether the coming call of so many runs is to be in a thread."""
        if self._chosen is not None:
            return self._chosen
        now = time.perf_counter()
        if self._last is not None and self._phase != "kept":
            self._costs.append((now - self._last[0]) / self._last[1])
        self._last = now, runs
        self._left -= 1
        if self._left <= 0:
            self._next()
        return self._now

    def ran(self, seconds: float, runs: int) -> None:
        """How long a call took."""
        if self._phase == "alone":
            self._own.append(seconds / runs)

    def _next(self) -> None:
        """What was tried long enough is judged."""
        cost = median(self._costs) if self._costs else 0.0
        if self._phase == "alone":
            own = median(self._own) if self._own else 0.0
            self._alone = cost
            worth = own >= LEAST and cost - own >= LEAST
            self._now, self._phase, self._left = worth, "beside" if worth else "kept", TRIED if worth else KEPT
        elif self._phase == "beside":
            self._now, self._phase, self._left = cost < BETTER * self._alone, "kept", KEPT
        else:
            self._now, self._phase, self._left = False, "alone", TRIED
        self._costs.clear()
        self._own.clear()
        self._last = None


class Side:
    """A thread that does one call at a time: `begin` hands it over, `result` waits for what came of it.

    A call that never returns holds nothing up at the end. begun, done: addresses of words for how many calls were;
    who has called `begin` may write `count` to the first once it has let go of the interpreter's lock.
    """

    def __init__(self, name: str) -> None:
        self._calls: SimpleQueue[Callable[[], Any] | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._words = np.zeros((2, 16), np.int64)  # lines of the cache of their own
        self.begun, self._done = (int(word.ctypes.data) for word in self._words)
        self.count = 0
        self.busy = False
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def begin(self, call: Callable[[], Any]) -> None:
        """Do it. The result of the call before must have been taken."""
        self.busy = True
        self.count += 1
        self._calls.put(call)

    def result(self) -> Any:
        """What the call gave, or its exception."""
        wait_for(self._done, self.count, LOOKING)
        value, error = self._results.get()
        self.busy = False
        if error is not None:
            raise error
        return value

    def close(self) -> None:
        """End the thread, once its call has returned."""
        self._calls.put(None)

    def _run(self) -> None:
        count = 0
        while (call := self._calls.get()) is not None:
            try:
                result: tuple[Any, BaseException | None] = call(), None
            except BaseException as error:  # it is raised where the result is taken
                result = None, error
            self._results.put(result)
            count += 1
            del call, result
            say_and_wait(self._done, self.begun, count, LOOKING)

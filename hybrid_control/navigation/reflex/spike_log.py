"""The spikes that the tick leaves: a ring of them, from which one reader takes what has come since it last looked."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_AHEAD = 1024  # places before the ring's end that are left alone: the tick may write there meanwhile


class SpikeLog:
    """The reader's end of a ring in CONTEXT. name: of its fields (_head, _time, _neuron); size: places."""

    def __init__(self, name: str, size: int) -> None:
        self.name, self.size = name, size
        self._tail = 0

    def take(self, context: Any) -> tuple[NDArray[Any], NDArray[Any]]:
        """Times (n,) ns on the loop's clock and neurons (n,) of what has come since the last call."""
        head = int(context[f"{self.name}_head"][0])
        begin = max(self._tail, head - self.size + _AHEAD)
        self._tail = head
        places = np.arange(begin, head) % self.size
        times = context[f"{self.name}_time"][0][places]
        neurons = context[f"{self.name}_neuron"][0][places]
        # the loop goes on writing: what it came round to meanwhile is no longer what it was
        lost = max(int(context[f"{self.name}_head"][0]) - self.size + 1 - begin, 0)
        return times[lost:], neurons[lost:]

"""What compiled code reads and writes of a part: its ports' rows at fixed addresses; and parts that are compiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.kernels.calls import call_function
from hybrid_control.cosim.kernels.records import B_COUNT, B_DATA, B_FIRST, B_PERIOD, B_PORTS
from hybrid_control.cosim.part import Array, Part, Port, Runs

MOST_RUNS = 1024  # of one part at once
MOST_NUMBERS = 1 << 17  # that a port's rows have room for, where that is more than one run


class Block:
    """Room for the rows of a part's ports for as many runs as are done at once (`most`), with what points to it."""

    def __init__(self, part: Part | CompiledPart, most: int = MOST_RUNS) -> None:
        ports = {**part.inputs}, {**part.outputs}
        largest = max((port.size for side in ports for port in side.values()), default=1)
        self.most = max(min(most, MOST_NUMBERS // largest), 1)
        self.words = np.zeros(B_PORTS + 2 * (len(ports[0]) + len(ports[1])), np.int64)
        self.inputs = {
            # states that are taken are written where they belong
            name: self._room(i, port, 1 if port.kind == "states" else self.most)
            for i, (name, port) in enumerate(ports[0].items())
        }
        self.outputs = {
            name: self._room(len(ports[0]) + i, port, self.most)
            for i, (name, port) in enumerate(ports[1].items())
        }
        for i, port in enumerate(ports[1].values()):
            self.words[B_PORTS + 2 * (len(ports[0]) + i) + 1] = port.size * 8
        if isinstance(part, CompiledPart):
            self.words[B_DATA] = part.data.ctypes.data

    def _room(self, place: int, port: Port, runs: int) -> NDArray[np.float64]:
        rows = np.zeros((runs, port.size))
        self.words[B_PORTS + 2 * place] = rows.ctypes.data
        return rows

    @property
    def address(self) -> int:
        """Of its words."""
        return int(self.words.ctypes.data)

    def stands_still(self, name: str) -> bool:
        """Whether all runs at hand see one row of a port that is taken."""
        return not self.words[B_PORTS + 2 * list(self.inputs).index(name) + 1]

    def port(self, name: str) -> int:
        """Address of the two words of a port that is taken."""
        return self.address + 8 * (B_PORTS + 2 * list(self.inputs).index(name))


class CompiledPart:
    """A part whose runs are a C function of a block (`kernels.parts`), which the scheduler calls without Python.

    function: its address; data: what the block points to, kept here; memory: address and bytes of a number of each
    state that is written from outside, by port.
    """

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    function: int
    data: NDArray[np.int64]
    memory: Mapping[str, tuple[int, int]] = {}

    def refusal(self, inputs: Mapping[str, Array]) -> str:
        """Why a run failed that had these inputs, a row for each port."""
        return "it failed"

    def run(self, runs: Runs, inputs: Mapping[str, Any]) -> Mapping[str, Array]:
        """Take a row for each run, give a row for each, as `Part` says; ValueError where a run fails."""
        block = Block(self, runs.count)
        results = {name: np.empty((runs.count, port.size)) for name, port in self.outputs.items()}
        for first in range(0, runs.count, block.most):
            count = min(block.most, runs.count - first)
            block.words[:B_DATA] = 0
            block.words[[B_COUNT, B_FIRST, B_PERIOD]] = (
                count, runs.first_ns + first * runs.period_ns, runs.period_ns,
            )  # fmt: skip
            for i, (name, port) in enumerate(self.inputs.items()):
                if name in inputs and port.kind != "states":
                    block.inputs[name][:count] = np.reshape(inputs[name][first : first + count], (count, -1))
                    block.words[B_PORTS + 2 * i + 1] = port.size * 8
            failed = call_function(self.function, block.address)
            if failed:
                raise ValueError(self.refusal({n: rows[failed - 1 : failed] for n, rows in block.inputs.items()}))
            for name, rows in block.outputs.items():
                results[name][first : first + count] = rows[:count]
        return results


def words(*values: int | Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers and lists of them in one line, for `CompiledPart.data`."""
    return np.concatenate([np.atleast_1d(np.asarray(value, np.int64)) for value in values])

"""`hybrid-control bench closed-loop`: what a tick of the closed loop costs here and in other tools, in one run.

The tools take turns: a block of ticks each, again and again, so that what else the machine does meets all of them.
Times are of the processor: each tool has one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_control.bench.closed_loop.figures import BLOCK_S, REFERENCE, compared, row
from hybrid_control.bench.closed_loop.loops import Spikes
from hybrid_control.bench.closed_loop.ours import LOOPS
from hybrid_control.bench.closed_loop.tools import TOOLS
from hybrid_control.bench.closed_loop.workload import ANN_TICKS, arrays
from hybrid_control.bench.machine import machine
from hybrid_control.bench.snn import PEERS_PYTHON

SLOW = "Brian2, run(1 ms)"  # more than 0.1 s for each: a block is two of them, and spikes are those of the row above


class Worker:
    """A loop in a process of its own; `notes` has its version, or why it is missing."""

    def __init__(self, python: Path, folder: Path, name: str, stack: ExitStack) -> None:
        root = str(Path(__file__).resolve().parents[3])
        command = [
            str(python),
            "-m",
            "hybrid_control.bench.closed_loop.worker",
            str(folder / "workload.npz"),
            name,
        ]
        self._name, self._folder = name, folder
        self._errors = stack.enter_context(open(folder / f"{name}.txt", "w+", encoding="utf-8"))  # noqa: SIM115
        self._process = stack.enter_context(
            subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        )
        stack.callback(self._process.kill)
        self.notes = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return dict(json.loads(line))
        self._errors.seek(0)
        said = [text for text in self._errors.read().splitlines() if text.strip()]
        return {"missing": said[-1].strip()[:200] if said else "it ended without a word"}

    def _ask(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._answer()
        if "missing" in answer:
            raise ValueError(f"{self._name}: {answer['missing']}")
        return answer

    def spikes(self, ticks: int) -> Spikes:
        """From the start."""
        file = self._folder / f"{self._name}.npz"
        self._ask(f"spikes {ticks} {file}")
        with np.load(file, allow_pickle=False) as stored:
            return stored["hidden"], stored["output"]

    def run_ns(self, ticks: int) -> int:
        """What they take."""
        return int(self._ask(f"run {ticks}")["ns"])


def measure(
    repeats: int,
    ticks: int,
    peers_python: Path | None = None,
    show: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Rows for all loops, as a dict that JSON can hold. ticks: of which spikes are compared, a multiple of 33."""
    data = arrays()
    if peers_python is None:
        peers_python = PEERS_PYTHON if PEERS_PYTHON.exists() else Path(sys.executable)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        np.savez(folder / "workload.npz", **data)  # type: ignore[arg-type]
        loops: dict[str, Worker] = {}
        rows, missing = [], {}
        for name in (*LOOPS, *TOOLS):
            show(name)
            tool = Worker(peers_python if name in TOOLS else Path(sys.executable), folder, name, stack)
            if "missing" in tool.notes:
                missing[name] = tool.notes["missing"]
            else:
                loops[name] = tool
        times: dict[str, list[float]] = {name: [] for name in loops}
        seen, blocks = {}, {}
        for name, loop in loops.items():
            show(name)
            if name != SLOW:
                seen[name] = loop.spikes(ticks)
            blocks[name] = 2 if name == SLOW else 990 if name.startswith("Brian2") else _block(loop)
        for _ in range(repeats):
            for name, loop in loops.items():
                if name != SLOW or len(times[name]) < 3:
                    show(name)
                    times[name].append(loop.run_ns(blocks[name]) / blocks[name] * 1e-3)
        for name, loop in loops.items():
            differ = compared(seen[name], seen[REFERENCE]) if name in seen else {}
            rows.append(
                row(name, times[name], times[REFERENCE]) | loop.notes | differ | {"block": blocks[name]}
            )
    return {"machine": machine(), "repeats": repeats, "ticks": ticks, "rows": rows, "missing": missing}


def _block(loop: Worker) -> int:
    """How many ticks take about BLOCK_S."""
    loop.run_ns(ANN_TICKS)
    many = 10 * ANN_TICKS
    took = loop.run_ns(many)
    return max(round(BLOCK_S * 1e9 / took), 1) * many

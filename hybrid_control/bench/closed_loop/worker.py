"""One of the loops in a process of its own, in the interpreter that has its tool.

``python -m hybrid_control.bench.closed_loop.worker WORKLOAD.npz NAME`` says what it is, and answers lines:
``run TICKS`` with the ns that they took, ``spikes TICKS FILE`` with the spikes from the start in FILE.npz.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from hybrid_control.bench.closed_loop.loops import Loop
from hybrid_control.bench.closed_loop.tools import TOOLS
from hybrid_control.bench.closed_loop.workload import Arrays


def _made(name: str) -> tuple[str, Callable[[Arrays, bool], Loop]]:
    """Its version, and what makes it; PackageNotFoundError where the tool is not there."""
    if name in TOOLS:
        distribution, make = TOOLS[name]
        return importlib.metadata.version(distribution), make
    from hybrid_control.bench.closed_loop.ours import LOOPS

    return "", LOOPS[name]


def main(arguments: list[str]) -> int:
    """Answer lines until there are no more; the first answer is the tool's version, or why it is missing."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what tools print is no answer

    def answer(**says: Any) -> None:
        answers.write(json.dumps(says) + "\n")
        answers.flush()

    source, name = arguments
    with np.load(source, allow_pickle=False) as stored:
        data = {key: stored[key] for key in stored.files}
    try:
        version, make = _made(name)
    except importlib.metadata.PackageNotFoundError as error:
        answer(missing=f"{error.name} is not installed")
        return 0
    answer(version=version, python=sys.version.split()[0], numpy=np.__version__)
    loop: Any = None
    for line in sys.stdin:
        what, ticks, *file = line.split(maxsplit=2)
        if what == "spikes":
            found = make(data, True).run(int(ticks))
            assert found is not None
            np.savez(file[0].strip(), hidden=found[0], output=found[1])
            answer(done=True)
        else:
            loop = make(data, False) if loop is None else loop
            begin = time.process_time_ns()
            loop.run(int(ticks))
            answer(ns=time.process_time_ns() - (getattr(loop, "began_ns", 0) or begin))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

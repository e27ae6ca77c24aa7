"""`hybrid-control bench closed-loop`: the co-simulator beside what one would write instead."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def add_closed_loop_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add ``closed-loop`` to the benchmarks."""
    parser = subparsers.add_parser(
        "closed-loop",
        help="a closed loop of ANN, SNN and plant: a tick's cost here, in numpy, numba and other tools",
        description="16 -> 256 recurrent -> 8 LIF neurons and a plant at 1 kHz, an ANN of about 10 us every 33 ms, "
        "the same weights everywhere, one thread each. Exit status 1 where spikes or rates are not those of ours.",
    )
    add = parser.add_argument
    add("--repeats", type=int, default=30, metavar="N", help="turns of each (default: %(default)s)")
    add(
        "--ticks",
        type=int,
        default=3300,
        metavar="N",
        help="of which spikes are compared (default: %(default)s)",
    )
    add(
        "--peers-python",
        type=Path,
        default=None,
        metavar="PATH",
        help="interpreter that has the other tools; default build/peers/bin/python where it is, else this one",
    )
    add("--json", type=Path, default=None, metavar="FILE", help="also write the result here")
    parser.set_defaults(run=_closed_loop)
    parser = subparsers.add_parser(
        "cosim-cost",
        help="what a meeting of parts costs, and what a tick's cost grows with",
        description="64-256-8 LIF neurons between meetings and at each; an ANN in a thread of its own; 1 to 64 parts, "
        "all or one of them active; 10 to 100,000 neurons; and 10,000 neurons that spike more and more.",
    )
    parser.add_argument(
        "--repeats", type=int, default=10, metavar="N", help="turns of each (default: %(default)s)"
    )
    parser.add_argument("--svg", type=Path, default=None, metavar="FILE", help="also draw it here")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write the result here")
    parser.set_defaults(run=_cost)


def _closed_loop(arguments: argparse.Namespace) -> int:
    """The command."""
    from tqdm import tqdm

    from hybrid_control.bench.closed_loop.figures import failures, table
    from hybrid_control.bench.closed_loop.measure import measure
    from hybrid_control.bench.closed_loop.workload import ANN_TICKS

    if not 3 <= arguments.repeats <= 10_000:
        raise ValueError(f"--repeats {arguments.repeats}: expected 3 .. 10000")
    if not ANN_TICKS <= arguments.ticks <= 1_000_000:
        raise ValueError(f"--ticks {arguments.ticks}: expected {ANN_TICKS} .. 1000000")
    ticks = -(-arguments.ticks // ANN_TICKS) * ANN_TICKS
    with tqdm(unit="block", disable=None, leave=False) as bar:

        def show(name: str) -> None:
            bar.set_description(name)
            bar.update()

        result = measure(arguments.repeats, ticks, arguments.peers_python, show)
    print(table(result))
    _write(arguments.json, result)
    wrong = failures(result)
    for line in wrong:
        print(line)
    return int(bool(wrong))


def _cost(arguments: argparse.Namespace) -> int:
    """The command."""
    from tqdm import tqdm

    from hybrid_control.bench.closed_loop.cost import measure, picture, table

    if not 3 <= arguments.repeats <= 10_000:
        raise ValueError(f"--repeats {arguments.repeats}: expected 3 .. 10000")
    with tqdm(unit="step", disable=None, leave=False) as bar:

        def show(name: str) -> None:
            bar.set_description(name)
            bar.update()

        result = measure(arguments.repeats, show)
    print(table(result))
    _write(arguments.json, result)
    if arguments.svg is not None:
        arguments.svg.write_text(picture(result), encoding="utf-8")
    return 0


def _write(file: Path | None, result: dict[str, Any]) -> None:
    """The result as JSON, where a file was asked for."""
    if file is not None:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

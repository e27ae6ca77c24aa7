"""The subcommands `hybrid-control cosim check`, `run`, `trace`, `debug` and `compare`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybrid_control.cosim import Hybrid, Port
    from hybrid_control.cosim.console import Console


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `cosim` with its subcommands to the parsers of the command line."""
    parser = subparsers.add_parser(
        "cosim", help="couple any ANN with any SNN on one clock, as a hybrid file describes it"
    )
    commands = parser.add_subparsers(dest="cosim_command", required=True, metavar="COMMAND")
    check = commands.add_parser(
        "check",
        help="read a hybrid file, and print its parts, links and clocks",
        description="Loads every part, and says when all of them meet again (T_sync), and for a pair that meets "
        "seldom a period nearby that meets sooner.",
    )
    check.add_argument("file", type=Path, metavar="FILE.hybrid.yaml")
    check.set_defaults(run=_check)
    run = commands.add_parser(
        "run",
        help="run a hybrid file",
        description="OUT.npz holds each recorded port as PART.PORT, (runs, ...), and its times in s as "
        "PART.PORT.times. OUT.mcap is a trace that is written while it runs: every run of every part with its "
        "ages, and each recorded port.",
    )
    run.add_argument("file", type=Path, metavar="FILE.hybrid.yaml")
    run.add_argument("--out", type=Path, metavar="OUT.npz|OUT.mcap", help="where what is recorded goes")
    run.add_argument(
        "--until", metavar="TIME", help="simulated time, such as 2 s or 500 ms (default: the file's)"
    )
    run.add_argument("--seed", type=int, metavar="N", help="of all that is drawn (default: the file's)")
    run.set_defaults(run=_run)
    trace = commands.add_parser("trace", help="draw a trace as a page: runs, ages, spikes, rates and values over time")
    trace.add_argument("file", type=Path, metavar="X.mcap")
    trace.add_argument("--out", type=Path, metavar="PAGE.html", help="default: X.html beside it")
    trace.set_defaults(run=_trace)
    debug = commands.add_parser(
        "debug",
        help="go through a hybrid step by step, until something holds, and back",
        description="Reads commands from the terminal; help lists them.",
    )
    debug.add_argument("file", type=Path, metavar="FILE.hybrid.yaml")
    debug.add_argument("--commands", metavar="TEXT", help='instead: "step; until ring rate > 100; show reflex"')
    debug.set_defaults(run=_debug)
    compare = commands.add_parser(
        "compare",
        help="find where two runs part first",
        description="Each file is a trace (mcap) or what run wrote as npz. Exit status 1 where they part.",
    )
    compare.add_argument("first", type=Path, metavar="A")
    compare.add_argument("second", type=Path, metavar="B")
    compare.set_defaults(run=_compare)


def _check(args: argparse.Namespace) -> int:
    from hybrid_control.navigation.hybrids import load

    hybrid = load(args.file)
    hybrid.scheduler().close()
    print("\n".join(description(hybrid)))
    return 0


def description(hybrid: Hybrid) -> list[str]:
    """The lines of `check`."""
    from hybrid_control.cosim.clock import synchronisation, text

    def size(port: Port) -> str:
        return "x".join(map(str, port.shape)) or ("" if port.kind == "messages" else "1")

    width = max(map(len, hybrid.parts))
    lines = []
    for name, part in hybrid.parts.items():
        clock = hybrid.clocks[name]
        ports = [
            ", ".join(
                f"{n} {p.kind} {size(p)}".rstrip()
                for n, p in side.items()
                if p.kind != "states"
            )
            for side in (part.inputs, part.outputs)
        ]
        latency = f" + {text(clock.latency_ns)}" if clock.latency_ns else ""
        lines.append(
            f"{name:{width}}  every {text(clock.period_ns)}{latency}: {ports[0] or '-'} => {ports[1] or '-'}"
        )
    lines += [f"{name}" for name, *_ in hybrid.links]
    periods = [clock.period_ns for clock in hybrid.clocks.values()]
    sync = synchronisation(periods)
    lines.append(f"T_sync {text(sync)}: all parts run at the same time again after that")
    return lines + _advice(hybrid, sync)


def _advice(hybrid: Hybrid, sync: int) -> list[str]:
    """For the pair of linked parts that meets the most seldom: a period nearby that meets sooner."""
    from hybrid_control.cosim.clock import nearest_that_meets, synchronisation, text

    pairs = {(a[0], b[0]) for _, a, b, _ in hybrid.links if a[0] != b[0]}
    lines = []
    for a, b in sorted(pairs):
        slow, fast = sorted((a, b), key=lambda n: -hybrid.clocks[n].period_ns)
        long, short = hybrid.clocks[slow].period_ns, hybrid.clocks[fast].period_ns
        meet = synchronisation((long, short))
        if meet > 100 * long:
            better = nearest_that_meets(long, short)
            lines.append(
                f"{slow} ({text(long)}) and {fast} ({text(short)}) meet every {text(meet)}; with "
                f"{text(better)} for {slow} they would every {text(synchronisation((better, short)))}"
            )
    return lines


def _run(args: argparse.Namespace) -> int:
    import numpy as np
    from tqdm import tqdm

    from hybrid_control.cosim import run
    from hybrid_control.cosim.clock import nanoseconds, text
    from hybrid_control.navigation.hybrids import load

    hybrid = load(args.file)
    if args.until is not None:
        hybrid.until_ns = nanoseconds(args.until, "--until", 1)
    if args.seed is not None:
        hybrid.seed = args.seed
    with tqdm(total=100, unit="%", desc=args.file.name, disable=None) as bar:

        def show(share: float) -> None:
            bar.update(100 * share - bar.n)

        traced = args.out is not None and args.out.suffix == ".mcap"
        results = run(hybrid, show, trace=args.out if traced else None, keep=not traced)
    for name, count in results.runs.items():
        print(f"{name}: {count} runs")
    for name, series in results.series.items():
        spikes = f", {series.values.sum():.0f} spikes" if _spiking(hybrid, name) else ""
        print(f"{name}: {len(series.times_ns)} x {series.values.shape[1:]}{spikes}")
    for name, messages in results.messages.items():
        print(f"{name}: {len(messages)} messages")
    print(f"{text(hybrid.until_ns)} simulated in {results.seconds:.3g} s")
    if args.out is not None and not traced:
        arrays = {name: series.values for name, series in results.series.items()}
        times = {f"{name}.times": series.times_ns * 1e-9 for name, series in results.series.items()}
        np.savez_compressed(args.out, allow_pickle=False, **arrays, **times)
    return 0


def _spiking(hybrid: Hybrid, name: str) -> bool:
    part, _, port = name.partition(".")
    return hybrid.parts[part].outputs[port].kind == "spikes"


def _trace(args: argparse.Namespace) -> int:
    from hybrid_control.cosim.tracefile import read
    from hybrid_control.report.trace import page

    out = args.out or args.file.with_suffix(".html")
    out.write_text(page(read(args.file)), encoding="utf-8")
    print(out)
    return 0


def _debug(args: argparse.Namespace) -> int:
    from hybrid_control.cosim.console import Console
    from hybrid_control.cosim.debugger import Debugger
    from hybrid_control.navigation.hybrids import load

    debugger = Debugger(load(args.file))
    try:
        console = Console(debugger)
        if args.commands is None:
            return _prompt(console)
        for line in args.commands.split(";"):
            if console.ended:
                break
            for answer in console.do(line):
                print(answer)
        return 0
    finally:
        debugger.close()


def _prompt(console: Console) -> int:
    """Commands from the terminal; what can't be done is said, and the next one is read."""
    import importlib.util

    from hybrid_control.cosim.clock import text

    if importlib.util.find_spec("readline"):
        import readline  # noqa: F401  lines can be edited, and come again with the arrows
    print("help lists the commands")
    while not console.ended:
        now = console.debugger.now_ns
        try:
            answers = console.do(input(f"({'start' if now < 0 else text(now)}) "))
        except EOFError:
            print()
            return 0
        except KeyboardInterrupt:
            answers = ["interrupted; all is as it was before the command"]
        except ValueError as error:
            answers = [str(error)]
        print("\n".join(answers), end="\n" if answers else "")
    return 0


def _compare(args: argparse.Namespace) -> int:
    """Exit status 1 where they differ."""
    from hybrid_control.cosim.compare import first_divergence

    line = first_divergence(args.first, args.second)
    print(line or "the same to the bit")
    return int(line is not None)

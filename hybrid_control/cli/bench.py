"""`hybrid-control bench`: the subcommands that measure."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hybrid_control.backends import BACKENDS
from hybrid_control.bench.loop import DRIVERS, LOADS
from hybrid_control.cli.closed_loop import add_closed_loop_commands
from hybrid_control.cli.ground import add_ground_command
from hybrid_control.cli.nav import add_nav_command
from hybrid_control.cli.route import add_route_command
from hybrid_control.cli.settle import add_settle_command


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `bench` with what it can measure."""
    parser = subparsers.add_parser("bench", help="measure what the documentation states")
    kinds = parser.add_subparsers(dest="bench", required=True, metavar="WHAT")
    _add_loop_command(kinds)
    _add_latency_command(kinds)
    _add_snn_command(kinds)
    add_nav_command(kinds)
    add_route_command(kinds)
    add_settle_command(kinds)
    add_ground_command(kinds)
    _add_boards_command(kinds)
    _add_faults_command(kinds)
    _add_stepping_out_command(kinds)
    _add_cosim_command(kinds)
    add_closed_loop_commands(kinds)


def _write(file: Path | None, result: dict[str, Any]) -> None:
    """The result as JSON, where a file was asked for."""
    if file is not None:
        file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _add_loop_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``loop`` to the benchmarks."""
    parser = subparsers.add_parser(
        "loop", help="lateness, tick cost and missed ticks of the loop and its peers"
    )
    parser.add_argument("--rate", type=float, default=1000.0, help="ticks a second (default 1000)")
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="measured time for each driver (default 30)"
    )
    parser.add_argument("--load", default="", metavar="L,L", help=f"any of {','.join(LOADS)}; default none")
    parser.add_argument(
        "--drivers", default=",".join(DRIVERS), metavar="D,D", help=f"any of {','.join(DRIVERS)}; default all"
    )
    parser.add_argument("--priority", type=int, default=80, help="of SCHED_FIFO (default 80)")
    parser.add_argument("--cpu", type=int, default=None, help="core for the compiled loop; default any")
    parser.add_argument(
        "--spin",
        type=float,
        default=None,
        metavar="US",
        help="the compiled loop wakes so many µs early and waits the rest in a busy loop; default the library's",
    )
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write the result here")
    parser.set_defaults(run=_loop)


def _loop(arguments: argparse.Namespace) -> int:
    from hybrid_control.bench.loop import measure, table

    result = measure(
        arguments.rate,
        arguments.seconds,
        _names(arguments.load, LOADS, "load"),
        _names(arguments.drivers, DRIVERS, "driver"),
        arguments.priority,
        arguments.cpu,
        arguments.spin,
    )
    print(table(result))
    _write(arguments.json, result)
    return 0


def _names(text: str, known: tuple[str, ...], what: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise ValueError(f"{what}: {name!r} is none of {', '.join(known)}")
    return names


def _add_latency_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``latency`` to the benchmarks."""
    parser = subparsers.add_parser(
        "latency", help="from a scan to the command it causes, across two processes"
    )
    parser.add_argument(
        "--scans", type=int, default=1000, help="scans for each of the two nodes (default 1000)"
    )
    parser.add_argument(
        "--rate", type=float, default=1000.0, help="ticks a second of the reflex (default 1000)"
    )
    parser.add_argument("--priority", type=int, default=80, help="of SCHED_FIFO; 0 for the normal scheduler")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write the result here")
    parser.set_defaults(run=_latency)


def _latency(arguments: argparse.Namespace) -> int:
    from hybrid_control.bench.latency import measure, table

    result = measure(arguments.scans, arguments.rate, arguments.priority)
    print(table(result))
    _write(arguments.json, result)
    return 0


def _add_snn_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``snn`` to the benchmarks."""
    parser = subparsers.add_parser("snn", help="cost of the spiking engine's ticks, beside other tools")
    parser.add_argument("--quick", action="store_true", help="fewer steps: under a minute without peers")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE", help="also write the result here")
    parser.add_argument(
        "--peers-python",
        type=Path,
        default=None,
        metavar="PATH",
        help="interpreter that has the other tools; default build/peers/bin/python where it is, else this one",
    )
    parser.add_argument(
        "--soak", type=int, default=None, metavar="N", help="instead: N ticks, watching memory grow"
    )
    parser.set_defaults(run=_snn)


def _snn(arguments: argparse.Namespace) -> int:
    """The command."""
    from hybrid_control.bench.snn import machine, measure, soak, table

    if arguments.soak is not None:
        if arguments.soak < 10:
            raise ValueError(f"--soak {arguments.soak}: at least 10 ticks")
        found = soak(arguments.soak)
        result: dict[str, Any] = {"machine": machine(), "soak": found}
        for row in found:
            print(f"{row['way']:12} {row['ticks']:>12,} ticks: {row['grown_bytes'] / 1024:+8.0f} KiB")
    else:
        result = measure(arguments.quick, arguments.peers_python)
        print(table(result))
    _write(arguments.json, result)
    return 0


def _add_boards_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``boards`` to the benchmarks."""
    parser = subparsers.add_parser(
        "boards", help="the robot with its reflex on an emulated board, in lock step"
    )
    add = parser.add_argument
    add(
        "--backend",
        choices=BACKENDS,
        default="spinnaker",
        help="what runs the network (default: %(default)s)",
    )
    add("--world", default="default", help="world to drive (default: %(default)s)")
    add("--seeds", type=int, default=20, metavar="N", help="seeds 0 .. N-1 (default: %(default)s)")
    add(
        "--duration", type=float, default=90.0, metavar="S", help="simulated s to give up after (%(default)g)"
    )
    add("--kill-at", type=float, metavar="S", help="simulated s at which the emulator is killed")
    add(
        "--without-board",
        choices=("numba", "stop"),
        default="numba",
        help="what the reflex does while the board is silent (default: %(default)s)",
    )
    add("--json", type=Path, metavar="FILE", help="also write the result here")
    parser.set_defaults(run=_boards)


def _boards(arguments: argparse.Namespace) -> int:
    """Drive, print a line for each seed and a sum; exit status 0 where nine in ten had no contact."""
    from hybrid_control.bench.boards import drive_seeds

    if not 1 <= arguments.seeds <= 1000:
        raise ValueError(f"--seeds {arguments.seeds}: expected 1 .. 1000")
    drives = []
    for drive in drive_seeds(
        arguments.backend, arguments.world, range(arguments.seeds), arguments.duration, arguments.kill_at,
        arguments.without_board,
    ):  # fmt: skip
        drives.append(drive)
        end = "goal" if drive.reached else "not at the goal"
        sys.stdout.write(
            f"seed {drive.seed:3}  {end:15} {drive.contacts} contacts  {drive.time:5.1f} s  least distance "
            f"{drive.least_distance:.3f} m  network here {100 * drive.replaced:.0f} % of the time\n"
        )
        sys.stdout.flush()
    clean = sum(not d.contacts for d in drives)
    reached = sum(d.reached and not d.contacts for d in drives)
    sys.stdout.write(
        f"{arguments.backend}: {clean} of {len(drives)} without a contact, {reached} at the goal\n"
    )
    if arguments.json:
        content = {"backend": arguments.backend, "world": arguments.world, "kill_at": arguments.kill_at}
        arguments.json.write_text(
            json.dumps({**content, "drives": [asdict(d) for d in drives]}, indent=1) + "\n"
        )
    return 0 if clean >= 0.9 * len(drives) else 1


def _add_faults_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``faults`` to the benchmarks."""
    parser = subparsers.add_parser(
        "faults",
        help="the simulated robot's nodes under faults by seed; the ground truth judges",
        description="Exit status 0 where all held, 1 where something failed; what can't be done here is left out "
        "with a line.",
    )
    add = parser.add_argument
    add("--faults", type=int, default=100, metavar="N", help="so many (default: %(default)s)")
    add("--seed", type=int, default=0, help="of everything that is drawn (default: %(default)s)")
    add("--kinds", default="", metavar="K,K", help="kinds or groups of them, see --list (default: all)")
    add("--world", default="default", help="world to drive, a new one by seed for each graph (%(default)s)")
    add("--domain", type=int, default=None, help="ROS domain (default: one that nobody uses)")
    add("--json", type=Path, default=None, metavar="FILE", help="also write the result here")
    add("--html", type=Path, default=None, metavar="FILE", help="also write a page here")
    add("--list", action="store_true", help="only say what kinds there are, and which can be done here")
    parser.set_defaults(run=_faults)


def _faults(arguments: argparse.Namespace) -> int:
    from hybrid_control.bench.fault_kinds import KINDS, chosen
    from hybrid_control.bench.faults import Campaign, Settings, ready_kinds

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    ready, missing = ready_kinds(chosen(arguments.kinds))
    if arguments.list:
        for name in (*ready, *missing):
            say(f"{name:16} {KINDS[name].help}{f' [left out: {missing[name]}]' if name in missing else ''}")
        return 0
    if not 1 <= arguments.faults <= 100_000:
        raise ValueError(f"--faults {arguments.faults}: expected 1 .. 100000")
    if not 0 <= arguments.seed < 2**31:
        raise ValueError(f"--seed {arguments.seed}: expected 0 .. 2147483647")
    for name, why in missing.items():
        say(f"left out: {name}: {why}")
    if not ready:
        raise ValueError("--kinds: none of them can be done here")
    try:
        from hybrid_control_ros.run.processes import private_domain
    except ImportError as error:
        raise ValueError(
            f"bench faults needs ROS 2 and the workspace ({error}): `. scripts/env.sh`"
        ) from None
    with private_domain(arguments.domain) as domain:
        settings = Settings(arguments.faults, arguments.seed, ready, arguments.world, domain)
        campaign = Campaign(settings, say)
        try:
            campaign.run()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would take the result away
            say("ended by hand; what was done so far counts")
        finally:
            campaign.close()
    result = {**campaign.result(), "left_out": missing}
    failed = [row for row in campaign.rows if row.failures]
    say(f"{len(campaign.rows)} faults in {result['seconds'] / 60:.1f} min, {len(failed)} failed")
    _write(arguments.json, result)
    if arguments.html is not None:
        from hybrid_control.report.faults import page

        arguments.html.write_text(page(result), encoding="utf-8")
    return 0 if result["held"] and len(campaign.rows) == arguments.faults else 1


def _add_cosim_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``cosim`` to the benchmarks."""
    parser = subparsers.add_parser(
        "cosim",
        help="an arm under every pattern of ANN and SNN: error, latency, energy, Hybrid_Efficiency",
        description="Simulated time alone: the same seeds give the same table everywhere.",
    )
    add = parser.add_argument
    add("--seeds", type=int, default=10, metavar="N", help="tasks 0 .. N-1 (default: %(default)s)")
    add(
        "--weights",
        default="0.5,0.25,0.25",
        metavar="A,B,C",
        help="what accuracy, latency and power count in Hybrid_Efficiency; sum 1 (default: %(default)s)",
    )
    add("--lost", type=float, default=0.0, metavar="P", help="share of the ANN's runs whose results never arrive")
    add("--json", type=Path, default=None, metavar="FILE", help="also write the result here")
    add("--picture", type=Path, metavar="FILE.svg", help="draw which pattern comes first for which weights")
    parser.set_defaults(run=_cosim)


def _cosim(arguments: argparse.Namespace) -> int:
    """The command."""
    from tqdm import tqdm

    from hybrid_control.bench.arm.measure import measure, picture, table
    from hybrid_control.bench.arm.patterns import PATTERNS
    from hybrid_control.cosim.efficiency import Weights

    if not 1 <= arguments.seeds <= 1000:
        raise ValueError(f"--seeds {arguments.seeds}: expected 1 .. 1000")
    if not 0.0 <= arguments.lost <= 1.0:
        raise ValueError(f"--lost {arguments.lost}: expected 0 .. 1")
    try:
        numbers = [float(text) for text in arguments.weights.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 3:
        raise ValueError(f"--weights {arguments.weights}: expected three numbers, such as 0.5,0.25,0.25")
    weights = Weights(*numbers)
    with tqdm(total=arguments.seeds * len(PATTERNS), unit="episode", disable=None, leave=False) as bar:

        def show(pattern: str) -> None:
            bar.set_description(pattern)
            bar.update()

        result = measure(range(arguments.seeds), weights, show, arguments.lost)
    print(table(result))
    if arguments.picture is not None:
        arguments.picture.write_text(picture(result), encoding="utf-8")
    _write(arguments.json, result)
    return 0


def _add_stepping_out_command(subparsers: argparse._SubParsersAction) -> None:
    """Add ``stepping-out`` to the benchmarks."""
    parser = subparsers.add_parser(
        "stepping-out",
        help="how much earlier a robot with an event camera brakes for somebody who steps out",
        description="The simulated Jackal with scans at 20 Hz passes a gap in a wall, and somebody steps out of it 1 m "
        "ahead: when the command falls, with an event camera and without. Then the same with nobody, and default "
        "worlds, in which each stop is a false one. Needs OpenGL; some 15 s a seed.",
    )
    add = parser.add_argument
    add("--seeds", type=int, default=30, metavar="N", help="so many (default: %(default)s)")
    add("--first", type=int, default=100, metavar="SEED", help="the first of them (default: %(default)s)")
    parser.set_defaults(run=_stepping_out)


def _stepping_out(arguments: argparse.Namespace) -> int:
    from hybrid_control.navigation.bench.stepping_out import report

    if arguments.seeds < 1:
        raise ValueError(f"--seeds {arguments.seeds}: expected 1 or more")
    report(range(arguments.first, arguments.first + arguments.seeds), lambda line: print(line, flush=True))
    return 0

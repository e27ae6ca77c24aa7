"""`hybrid-control bench boards`: the simulated robot with its reflex behind a board's wire, in lock step.

The emulator is a process of its own, one tick of which answers one tick of the reflex over UDP, so that episodes depend
on the seed alone and the wall clock has no say; `hybrid-control sim --backend` is the same in real time.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firmware_bridge.boards.board import Board
    from hybrid_control.cosim.lockstep import LockStep

BACKENDS = ("numba", "spinnaker", "loihi")


@dataclass(frozen=True)
class Drive:
    """One episode. time: s; replaced: share of the time in which the network ran here for want of the board."""

    seed: int
    reached: bool
    contacts: int
    time: float
    least_distance: float
    replaced: float


def add_boards_command(subparsers: argparse._SubParsersAction) -> None:
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
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Drive, print a line for each seed and a sum; exit status 0 where nine in ten had no contact."""
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


def drive_seeds(
    backend: str,
    world: str,
    seeds: range,
    duration: float = 90.0,
    kill_at: float | None = None,
    without_board: str = "numba",
) -> Iterator[Drive]:
    """Drive a world once for each seed; the emulator is started anew for each where it is to be killed."""
    from hybrid_control.cosim.lockstep import LockStep
    from hybrid_control.planner.planner import Planner
    from hybrid_control.sim.worlds import load_world

    settings: dict[str, Any] = {"backend": backend, "without_board": without_board}
    lock_step = LockStep(Planner(), settings=settings)
    if backend == "numba":
        for seed in seeds:
            yield _drive(lock_step, load_world(world, seed), seed, duration, None)
        return
    from firmware_bridge.boards.emulated import EmulatedBoard
    from firmware_bridge.boards.quantise import report
    from firmware_bridge.boards.split import split

    network = split(lock_step.reflex.board_network()).board
    sys.stdout.write(report(network, backend, 1.0) + "\n")
    for seed in seeds:
        emulated = EmulatedBoard(backend, network, stepped=True)
        with emulated as board:
            exchange = _Exchange(lock_step, board, emulated.kill, kill_at)
            lock_step.exchange = exchange
            yield _drive(lock_step, load_world(world, seed), seed, duration, exchange)


class _Exchange:
    """Moves spikes after each tick, until the board is killed."""

    def __init__(self, lock_step: LockStep, board: Board, kill: Any, kill_at: float | None) -> None:
        from firmware_bridge.boards.pump import Pump

        self._pump = Pump(board, lock_step.reflex)
        self._reflex = lock_step.reflex
        self._kill, self._kill_ns = kill, math.inf if kill_at is None else kill_at * 1e9
        self._dead = False
        self.ticks = self.replaced = 0

    def __call__(self, now_ns: int) -> None:
        self.ticks += 1
        self.replaced += not self._reflex.context["board_on"][0]
        if now_ns >= self._kill_ns and not self._dead:
            self._kill()
            self._dead = True
        if not self._dead:
            self._pump.exchange()


def _drive(lock_step: LockStep, world: Any, seed: int, duration: float, exchange: _Exchange | None) -> Drive:
    episode = lock_step.run(world, seed, duration=duration)
    replaced = exchange.replaced / max(exchange.ticks, 1) if exchange else 0.0
    return Drive(seed, episode.reached, episode.contacts, episode.time, episode.least_distance, replaced)

"""`hybrid-control bench boards`: the simulated robot with its reflex behind a board's wire, in lock step.

The emulator is a process of its own, one tick of which answers one tick of the reflex over UDP, so that episodes depend
on the seed alone and the wall clock has no say; `hybrid-control sim --backend` is the same in real time.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firmware_bridge.boards.board import Board
    from hybrid_control.navigation.drive import Navigator
    from hybrid_control.navigation.episode import Rules
    from hybrid_control.sim.worlds import World


@dataclass(frozen=True)
class Drive:
    """One episode. time: s; replaced: share of the time in which the network ran here for want of the board."""

    seed: int
    reached: bool
    contacts: int
    time: float
    least_distance: float
    replaced: float


def drive_seeds(
    backend: str,
    world: str,
    seeds: range,
    duration: float = 90.0,
    kill_at: float | None = None,
    without_board: str = "numba",
) -> Iterator[Drive]:
    """Drive a world once for each seed; the emulator is started anew for each where it is to be killed."""
    from hybrid_control.navigation.drive import Navigator
    from hybrid_control.navigation.episode import Rules
    from hybrid_control.navigation.planner.planner import Planner
    from hybrid_control.navigation.planner.timed import TimedPlanner
    from hybrid_control.sim.worlds import load_world

    settings: dict[str, Any] = {"backend": backend, "without_board": without_board}
    driver, rules = Navigator(TimedPlanner(Planner()), settings=settings), Rules(duration=duration)
    if backend == "numba":
        for seed in seeds:
            yield _drive(driver, load_world(world, seed), seed, rules, None)
        return
    from firmware_bridge.boards.emulated import EmulatedBoard
    from hybrid_control.navigation.reflex.board_inputs import board_inputs
    from hybrid_control.snn.backends.quantise import report
    from hybrid_control.snn.backends.split import split

    network = split(driver.reflex.board_network()).board
    sys.stdout.write(report(network, backend, board_inputs(network, 1000)) + "\n")
    for seed in seeds:
        emulated = EmulatedBoard(backend, network, stepped=True)
        with emulated as board:
            exchange = _Exchange(driver, board, emulated.kill, kill_at)
            driver.exchange = exchange
            yield _drive(driver, load_world(world, seed), seed, rules, exchange)


class _Exchange:
    """Moves spikes after each tick, until the board is killed."""

    def __init__(self, driver: Navigator, board: Board, kill: Any, kill_at: float | None) -> None:
        from firmware_bridge.boards.pump import Pump

        self._pump = Pump(board, driver.reflex)
        self._reflex = driver.reflex
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


def _drive(driver: Navigator, world: World, seed: int, rules: Rules, exchange: _Exchange | None) -> Drive:
    episode = driver.run(world, seed, rules)
    replaced = exchange.replaced / max(exchange.ticks, 1) if exchange else 0.0
    return Drive(seed, episode.reached, episode.contacts, episode.time, episode.least_distance, replaced)

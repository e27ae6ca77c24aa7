"""`hybrid-control warm`: compiles everything once."""

from __future__ import annotations

import argparse
import contextlib
import importlib


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `warm` to the command line."""
    warm = subparsers.add_parser(
        "warm", help="compile everything once, so that nothing compiles when a robot starts"
    )
    warm.set_defaults(run=_warm)


def _warm(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    steps = {
        "the spiking engine, the reflex and its loop": _warm_reflex,
        "the sensors": _warm_sensors,
        "the memory of the way": _warm_route,
        "the codes": _warm_codes,
        "the wheel side": _warm_wheels,
        "the simulator": _warm_simulator,
    }
    with tqdm(total=len(steps), bar_format="{desc} {n_fmt}/{total_fmt} {elapsed}") as bar:
        for name, compile_all in steps.items():
            bar.set_description(f"compiling {name}")
            compile_all()
            bar.update()
        bar.set_description("compiled")
    return 0


def _warm_reflex() -> None:
    from hybrid_control.navigation.reflex import Reflex
    from hybrid_control.realtime import PeriodicLoop, SteppedLoop

    reflex = Reflex(clock=lambda: 0)
    reflex.warm()
    reflex.engine.run(1)
    SteppedLoop(reflex.tick, reflex.context, reflex.rate).advance(0)
    PeriodicLoop(reflex.tick, reflex.context, reflex.rate).warm()


def _warm_sensors() -> None:
    from hybrid_control.navigation.sensors import warm

    warm()


def _warm_route() -> None:
    from hybrid_control.navigation.route.memory import warm

    warm()


def _warm_codes() -> None:
    from hybrid_control.signals.coding import ENCODERS, decoder, encoder
    from hybrid_control.signals.coding.decoders import DECODERS

    for code in ENCODERS:
        encoder(code, 2).encode([50.0, 0.0], 10_000_000)
        encoder(code, 2).counts([50.0, 0.0], 10_000_000)
    for code in DECODERS:
        decoder(code, 2).decode([0], [0], 10_000_000)


def _warm_wheels() -> None:
    import numpy as np

    from firmware_bridge.link.command import new_port, send_velocity

    send_velocity(new_port(), np.zeros(2))  # there is no session: nothing is sent
    with contextlib.suppress(ImportError):  # there is no direct path without the ROS workspace
        importlib.import_module("hybrid_control_ros.direct")  # compiles when it is imported


def _warm_simulator() -> None:
    try:
        from hybrid_control.sim.simulator import Simulator
    except ImportError:  # a robot that only runs has no simulator
        return
    from hybrid_control.sim.worlds import generate
    from hybrid_control.sim.worlds.grid import geodesic_field

    world = generate("default", 0)
    geodesic_field(world).heading(world.start.x, world.start.y)
    with Simulator(world, camera=False) as simulator:
        for _ in simulator.advance(100_000_000):
            pass
        simulator.minimum_distance()

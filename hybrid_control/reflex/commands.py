"""Commands of the reflex: `hybrid-control params` and `hybrid-control warm`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
from pathlib import Path


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add this room's commands to the command line."""
    params = subparsers.add_parser(
        "params",
        help="print the tables of parameters, check parameter files, or save what the running nodes use",
        usage="hybrid-control params [--node NAME] [FILE ...]\n"
        "       hybrid-control params save FILE [--node NAME] [--namespace NAME]",
    )
    params.add_argument(
        "words",
        nargs="*",
        metavar="FILE | save FILE",
        help="YAML files to check against the code; or, after the word save, the one to write the running set to "
        "(what it says of other nodes stays)",
    )
    params.add_argument("--node", help="only this node's")
    params.add_argument("--namespace", help="save: of the nodes in this namespace, such as /robot1")
    params.set_defaults(run=_params)
    warm = subparsers.add_parser(
        "warm", help="compile everything once, so that nothing compiles when a robot starts"
    )
    warm.set_defaults(run=_warm)


def _params(arguments: argparse.Namespace) -> int:
    from hybrid_control.node_parameters import NODES, read_yaml
    from hybrid_control.parameters import table

    if arguments.node is not None and arguments.node not in NODES:
        raise ValueError(f"unknown node {arguments.node!r}, known are {', '.join(NODES)}")
    if arguments.words[:1] == ["save"]:
        if len(arguments.words) != 2:
            raise ValueError("params save: expected the name of one file")
        return _save(Path(arguments.words[1]), arguments.node, arguments.namespace)
    for file in arguments.words:
        nodes = read_yaml(file)
        print(
            f"{file}: {sum(len(values) for values in nodes.values())} parameters of {', '.join(nodes)}: fine"
        )
    if arguments.words:
        return 0
    for name, parameters in NODES.items():
        if arguments.node in (None, name):
            print(f"\n## {name}\n\n{table(parameters)}")
    return 0


def _save(file: Path, node: str | None, namespace: str | None) -> int:
    from importlib.util import find_spec

    from hybrid_control.node_parameters import save

    for package in ("rclpy", "hybrid_control_ros"):
        if find_spec(package) is None:
            raise ValueError(
                f"params save needs {package}: source ROS 2 and the workspace, or scripts/env.sh"
            )
    from hybrid_control_ros.parameters import running

    values = running(namespace, node)
    save(file, values)
    print(f"{file}: {', '.join(f'{name} ({len(given)})' for name, given in values.items())}")
    return 0


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
    from hybrid_control.realtime import PeriodicLoop, SteppedLoop
    from hybrid_control.reflex import Reflex

    reflex = Reflex(clock=lambda: 0)
    reflex.warm()
    reflex.engine.run(1)
    SteppedLoop(reflex.tick, reflex.context, reflex.rate).advance(0)
    PeriodicLoop(reflex.tick, reflex.context, reflex.rate).warm()


def _warm_sensors() -> None:
    from hybrid_control.sensors import warm

    warm()


def _warm_route() -> None:
    from hybrid_control.route.memory import warm

    warm()


def _warm_codes() -> None:
    from hybrid_control.coding import ENCODERS, decoder, encoder
    from hybrid_control.coding.decoders import DECODERS

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
    from hybrid_control.sim.grid import geodesic_field
    from hybrid_control.sim.worlds import generate

    world = generate("default", 0)
    geodesic_field(world).heading(world.start.x, world.start.y)
    with Simulator(world, camera=False) as simulator:
        for _ in simulator.advance(100_000_000):
            pass
        simulator.minimum_distance()

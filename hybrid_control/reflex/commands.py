"""Commands of the reflex: `hybrid-control params` and `hybrid-control warm`."""

from __future__ import annotations

import argparse
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

    values = running(namespace)
    if node is not None:
        if node not in values:
            raise ValueError(f"{node} does not run; {', '.join(values)} do")
        values = {node: values[node]}
    save(file, values)
    print(f"{file}: {', '.join(f'{name} ({len(given)})' for name, given in values.items())}")
    return 0


def _warm(arguments: argparse.Namespace) -> int:
    import numpy as np
    from tqdm import tqdm

    steps = ("the spiking engine and the reflex's tick", "the loop", "the codes", "the simulator's geometry")
    with tqdm(total=len(steps), bar_format="{desc} {n_fmt}/{total_fmt} {elapsed}") as bar:

        def done(k: int) -> None:
            bar.update()
            bar.set_description(f"compiled {steps[k]}")

        from hybrid_control.messages import Goal, Odometry, Pose, RangeScan, RateVector, Twist
        from hybrid_control.reflex import Reflex
        from hybrid_control.reflex.network import PLANNER_LAYOUT

        reflex = Reflex(clock=lambda: 0)
        reflex.put_goal(Goal(0, 1.0, 0.0))
        reflex.put_odometry(Odometry(0, Pose(), Twist(0)), 0)
        reflex.put_scan(RangeScan(0, -3.14, 0.1, 0.05, 10.0, np.full(60, 2.0, np.float32)), 0)
        reflex.engine.run(1)
        done(0)

        from hybrid_control.realtime import PeriodicLoop, SteppedLoop

        SteppedLoop(reflex.tick, reflex.context, reflex.rate).advance(0)
        PeriodicLoop(reflex.tick, reflex.context, reflex.rate).warm()
        done(1)

        from hybrid_control.coding import encoder

        rates = RateVector(0, np.full(80, 50.0, np.float32), PLANNER_LAYOUT)
        for code in ("poisson", "regular", "latency"):
            encoder(code, 80).encode(rates.rates, 10_000_000)
        done(2)

        try:
            from hybrid_control.sim.simulator import Simulator
            from hybrid_control.sim.worlds import generate
        except ImportError:  # a robot that only runs has no simulator
            return 0
        simulator = Simulator(generate("default", 0), camera=False)
        for _ in simulator.advance(100_000_000):
            pass
        simulator.minimum_distance()
        simulator.close()
        done(3)
    return 0

"""`hybrid-control params`: the tables of parameters, and files of them checked or saved."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `params` to the command line."""
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


def _params(arguments: argparse.Namespace) -> int:
    from hybrid_control.bringup.node_parameters import NODES
    from hybrid_control.bringup.parameter_files import read_yaml
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

    from hybrid_control.bringup.parameter_files import save

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

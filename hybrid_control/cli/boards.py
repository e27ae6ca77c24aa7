"""The sub-commands ``hybrid-control boards [list | export | check]``."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_control.backends import BOARDS

if TYPE_CHECKING:
    from hybrid_control.snn import Network


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``boards`` to the command line. Each sub-parser's ``run`` takes the arguments, returns the exit status."""
    boards = subparsers.add_parser(
        "boards", help="neuromorphic boards (never tried on hardware): what is reachable, export, check"
    )
    boards.set_defaults(run=_list)
    actions = boards.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="what is reachable here (also without an action)")
    listing.set_defaults(run=_list)
    export = actions.add_parser("export", help="write a network as scripts for a board's tools")
    export.add_argument("--out", type=Path, metavar="FILE.py", help="the script; default NAME_TARGET.py here")
    export.set_defaults(run=_export)
    check = actions.add_parser("check", help="what a board's precision and models do to a network")
    check.add_argument("--seconds", type=float, default=2.0, help="simulated time to compare (%(default)g)")
    check.add_argument(
        "--seed", type=int, default=0, help="seed of the spikes that it is given (%(default)s)"
    )
    check.set_defaults(run=_check)
    for parser in (export, check):
        parser.add_argument("--target", choices=BOARDS, required=True, help="the board")
        parser.add_argument(
            "file", type=Path, nargs="?", metavar="FILE.nir", help="the network; default that of the reflex"
        )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _list(arguments: argparse.Namespace) -> int:
    from firmware_bridge.boards import board_class

    for backend in BOARDS:
        kind = board_class(backend)
        is_reachable, words = kind.reachable()
        c = kind.capabilities
        _say(f"{backend:10} {'reachable' if is_reachable else 'not reachable'}: {words}")
        _say(
            f"{'':10} {c.board}; {c.neurons:,} neurons, {c.synapses:,} synapses, weights of {c.weight_bits} bits, "
            f"delays of {c.delay[0]} .. {c.delay[1]} ticks, dt {c.dt[0] * 1e3:g} .. {c.dt[1] * 1e3:g} ms; "
            f"{'tried' if c.on_hardware else 'never tried'} on hardware"
        )
        for model, becomes in c.models.items():
            _say(f"{'':12} {model}: {becomes}")
    return 0


def _network(file: Path | None) -> Network:
    """What a board gets of a network: all that takes spikes."""
    from hybrid_control.snn import Network
    from hybrid_control.snn.backends.split import split

    if file is None:
        from hybrid_control.navigation.reflex.network import build_network

        return split(build_network()).board
    return split(Network.load(file)).board


def _export(arguments: argparse.Namespace) -> int:
    name = "reflex" if arguments.file is None else arguments.file.stem
    out = arguments.out or Path(f"{name}_{arguments.target}.py")
    if out.suffix != ".py":
        raise ValueError(f"--out {out}: expected a name that ends with .py")
    module = importlib.import_module(f"firmware_bridge.boards.{arguments.target}_export")
    for path in module.export(_network(arguments.file), out):
        _say(str(path))
    _say("never run on a board")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from hybrid_control.navigation.reflex.board_inputs import board_inputs
    from hybrid_control.snn.backends.quantise import report

    if not 0.01 <= arguments.seconds <= 1000:
        raise ValueError(f"--seconds {arguments.seconds:g}: expected 0.01 .. 1000")
    network = _network(arguments.file)
    ticks = max(1, round(arguments.seconds / 1e-3))
    _say(report(network, arguments.target, board_inputs(network, ticks, arguments.seed)))
    return 0

"""The subcommands `train planner`, `train states` and `planner info`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Adds them to the command line of hybrid-control."""
    kinds = subparsers.add_parser("train", help="train a network").add_subparsers(metavar="WHAT", required=True)
    _add_states(kinds)
    train = kinds.add_parser(
        "planner",
        help="train the planner's model",
        description="Draws camera images and the answers of an expert in random worlds of the simulator, "
        "trains the planner's network on them, exports it to OUT/planner.onnx, tests it on worlds it never "
        "saw and writes OUT/planner.md. Needs the extras sim and train.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    train.add_argument("--out", type=Path, required=True, help="folder for data, checkpoint, model and card")
    train.add_argument("--worlds", type=int, default=780, help="random worlds to train on")
    train.add_argument("--frames", type=int, default=32, help="camera frames of each world")
    train.add_argument("--epochs", type=int, default=14, help="passes over the data")
    train.add_argument("--seed", type=int, default=1, help="of worlds, poses, looks, weights and order")
    train.add_argument("--jobs", type=int, default=2, help="processes that draw, then threads that train")
    train.add_argument("--resume", action="store_true", help="go on with what is in OUT")
    train.set_defaults(run=_train)

    planner = subparsers.add_parser("planner", help="look at planner models").add_subparsers(
        metavar="WHAT", required=True
    )
    info = planner.add_parser(
        "info",
        help="check an ONNX file against the planner's contract",
        description="Checks an ONNX file against the planner's contract and shows what it says about itself.",
    )
    info.add_argument("model", type=Path, metavar="FILE.onnx")
    info.set_defaults(run=_info)


def _add_states(kinds: argparse._SubParsersAction) -> None:
    states = kinds.add_parser(
        "states",
        help="teach a planner the initial states of the reflex's network",
        description="Runs the reflex's network on drawn plans until it has settled, fits a map from plan and goal to "
        "the potentials that it has then, and adds it to the planner, whose other outputs stay the same. Needs onnx.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    states.add_argument("--planner", type=Path, required=True, metavar="IN.onnx", help="a planner without states")
    states.add_argument("--network", type=Path, metavar="FILE.nir", help="the reflex's network, if not the built-in")
    states.add_argument(
        "--params", type=Path, metavar="FILE", help="ROS parameter file with the reflex's gains, if not the defaults"
    )
    states.add_argument("--out", type=Path, required=True, metavar="OUT.onnx", help="where the planner goes")
    states.add_argument("--plans", type=int, default=2000, help="plans that are drawn")
    states.add_argument("--seed", type=int, default=1, help="of plans and spikes")
    states.set_defaults(run=_states)


def _states(arguments: argparse.Namespace) -> int:
    from hybrid_control.cli.nav import reflex_gains
    from hybrid_control.navigation import states
    from hybrid_control.navigation.planner import contract
    from hybrid_control.navigation.reflex import Reflex

    if not 50 <= arguments.plans <= 1_000_000:
        raise ValueError(f"--plans {arguments.plans}: expected 50 .. 1000000")
    _, info = contract.load(arguments.planner)
    settings = {"network_file": str(arguments.network)} if arguments.network else {}
    network = Reflex(settings, reflex_gains(arguments.params)).board_network()
    learnt, line = states.learn(network, arguments.plans, arguments.seed, info.max_rate)
    states.write(arguments.planner, learnt, arguments.out)
    sys.stdout.write(f"{line}\n{arguments.out}: {arguments.out.stat().st_size:,} bytes\n")
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from hybrid_control.navigation.planner.training.dataset import Plan

    plan = Plan(arguments.worlds, arguments.frames, arguments.seed)
    try:
        from hybrid_control.navigation.planner.training.train import Settings, train_planner
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx", "onnxscript"):
            raise
        raise ValueError(f"{error.name} is not installed: pip install 'hybrid-control[sim,train]'") from None
    path = train_planner(Settings(arguments.out, plan, arguments.epochs, arguments.jobs, arguments.resume))
    sys.stdout.write(f"{path}\n{path.with_suffix('.md')}\n")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from hybrid_control.navigation.planner import contract

    _, info = contract.load(arguments.model)
    lines = [
        f"{info.path}: keeps contract {info.version}",
        *(f"  input     {spec}" for spec in contract.INPUTS if spec.name != "image"),
        f"  input     image uint8 (1, {info.height}, {info.width}, 3)",
        *(f"  optional  {spec}" for spec in info.optional),
        *(f"  output    {spec}" for spec in contract.OUTPUTS),
        *(f"  states    {p.name} of {p.size} neurons, their initial potentials" for p in info.states),
        *(f"  unused    {spec}" for spec in info.extra_outputs if spec.name not in {p.name for p in info.states}),
        f"  rates     0 .. {info.max_rate:g} Hz",
        f"  goal      distance cut at {info.goal_cap:g} m",
        f"  size      {arguments.model.stat().st_size:,} bytes",
        *(f"  metadata  {key} = {value}" for key, value in sorted(info.metadata.items())),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0

"""The subcommands `train planner` and `planner info`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Adds both to the command line of hybrid-control."""
    train_what = subparsers.add_parser("train", help="train a network")
    train = train_what.add_subparsers(metavar="WHAT", required=True).add_parser(
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
        *(f"  unused    {spec}" for spec in info.extra_outputs),
        f"  rates     0 .. {info.max_rate:g} Hz",
        f"  goal      distance cut at {info.goal_cap:g} m",
        f"  size      {arguments.model.stat().st_size:,} bytes",
        *(f"  metadata  {key} = {value}" for key, value in sorted(info.metadata.items())),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0

"""The subcommand `hybrid-control snn convert`: from ANN to SNN."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

DATA_LIMIT = 4096  # MiB


def add_command(commands: argparse._SubParsersAction) -> None:
    """Add `convert` to the subcommands of `snn`."""
    parser = commands.add_parser(
        "convert",
        help="make a spiking network of a ReLU network",
        description="Turns an ONNX file (Conv, depthwise too, pooling, batch normalisation, residual additions, dense "
        "layers, ReLU) into a NIR file whose neurons' rates say its values, normalised by data, and prints what became "
        "of each layer and how near the result is after 1, 2, 4, ... ticks. Networks of a million products take "
        "seconds, larger ones minutes. What can't be converted is named. docs/learning.md says how.",
    )
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="the trained network")
    parser.add_argument(
        "--data", type=Path, required=True, metavar="SAMPLES.npy|.npz",
        help="examples of its inputs, (examples, ...): an array, or arrays by the inputs' names",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="MODEL.nir", help="is written")
    parser.add_argument("--ticks", type=int, default=64, help="after which it is read (%(default)s)")
    parser.add_argument(
        "--percentile",
        type=float,
        default=99.9,
        help="of a unit's values above 0, which is one spike a tick; more is cut (%(default)s)",
    )
    parser.add_argument(
        "--by",
        choices=("channel", "layer"),
        default="channel",
        help="what has a scale of its own (%(default)s)",
    )
    parser.add_argument(
        "--from", dest="start", action="append", default=[], metavar="TENSOR",
        help="begin here and not at the inputs; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--to",
        dest="end",
        action="append",
        default=[],
        metavar="TENSOR",
        help="end here and not at the outputs",
    )
    parser.add_argument(
        "--plain", action="store_true", help="start at half the threshold; do not set the potentials by data"
    )
    parser.add_argument(
        "--test", type=Path, metavar="SAMPLES", help="what to compare on (default: the first of --data)"
    )
    parser.add_argument(
        "--examples", type=int, default=100, help="at most so many to compare on (%(default)s)"
    )
    parser.add_argument("--svg", type=Path, metavar="FILE.svg", help="draw the error over the ticks")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert, write, compare and print."""
    from hybrid_control.learning.conversion.compare import MARKS, compare
    from hybrid_control.learning.conversion.convert import convert
    from hybrid_control.learning.conversion.picture import picture
    from hybrid_control.learning.conversion.table import comparison_lines, layer_lines

    for name in ("ticks", "examples"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} {getattr(args, name)}: expected a whole number of 1 or more")
    data = _samples(args.data)
    test = _samples(args.test) if args.test else data
    conversion = convert(
        args.model, data, args.ticks, args.percentile, args.by, (args.start, args.end), not args.plain
    )
    conversion.network.save(args.out)
    for line in layer_lines(conversion):
        print(line)
    for name in conversion.reader.file.left:
        print(f"{name}: what follows {', '.join(conversion.reader.file.end)} is left to who reads it")
    print()
    marks = sorted({*MARKS, args.ticks})
    first = slice(args.examples)
    test = {n: rows[first] for n, rows in test.items()} if isinstance(test, dict) else test[first]
    comparison = compare(conversion, test, marks)
    for line in comparison_lines(comparison, args.ticks):
        print(line)
    if args.svg:
        args.svg.write_text(picture({args.model.stem: comparison}), encoding="utf-8")
        print(args.svg)
    print(f"{args.out}: run it with --reset subtract; what an output grows by in a tick is the ANN's value")
    return 0


def _samples(path: Path) -> Any:
    """Examples by input; or an array, of the one input."""
    from hybrid_control.files import MIB, read_npy, read_npz

    with path.open("rb") as file:
        single = file.read(6) == b"\x93NUMPY"
    if single:
        return read_npy(path, DATA_LIMIT * MIB)
    return read_npz(path, "a .npy or .npz file of numbers", DATA_LIMIT * MIB)

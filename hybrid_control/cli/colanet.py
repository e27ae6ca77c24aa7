"""`hybrid-control colanet`: teach classes by pictures, each shown once, and test what was learnt."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hybrid_control.colanet.encode import Encoder
    from hybrid_control.colanet.pictures import Picture, Pictures

ENCODER = "efficientnet-lite0.onnx"
JOBS = 1024
SMALL, EXAMPLES = (96, 96), 24  # pixels of an example on a page; how many that were wrong, and right
SHOWN = 10  # classes with mistakes that are printed


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `colanet` to the command line."""
    root = subparsers.add_parser(
        "colanet", help="teach classes by pictures, by local plasticity, each shown once"
    )
    commands = root.add_subparsers(metavar="COMMAND", required=True)
    where = "DIR|ZIP"
    train = commands.add_parser(
        "train",
        help="learn the pictures of a folder or a zip file",
        description="Learns pictures, each once, in an order drawn by the seed. Their class is the path of the folder "
        "that they lie in; folders train, val and test around them are parts, and test is left out.",
    )
    test = commands.add_parser(
        "test",
        help="say how many pictures are recognised",
        description="Recognises pictures; of those in parts train, val and test, those of test where there are any.",
    )
    search = commands.add_parser(
        "search",
        help="search for settings on a folder's or zip file's pictures, by a genetic algorithm (needs deap)",
        description="Tries sets of settings on folds of the pictures, never those of the part test. What was tried is "
        "kept beside OUT.json, in OUT.search.json, from which an interrupted search is resumed.",
    )
    for parser in (train, test, search):
        parser.add_argument("pictures", type=Path, metavar=where, help="a folder per class, at any depth")
        parser.add_argument(
            "--encoder", type=Path, metavar="FILE.onnx|.tflite",
            help="makes features of a picture (default: EfficientNet-Lite0, written at first use)",
        )  # fmt: skip
        parser.add_argument("--output", metavar="NAME", help="the encoder's output with the features")
    train.add_argument(
        "--out", type=Path, default=Path("colanet.npz"), metavar="FILE.npz", help="is written (%(default)s)"
    )
    train.add_argument(
        "--from", dest="start", type=Path, metavar="FILE.npz", help="go on from what this one has learnt"
    )
    train.add_argument(
        "--copies", type=int, default=15, help="networks whose spikes are added up (%(default)s)"
    )
    train.add_argument("--seed", type=int, default=0, help="of the noise and the order (%(default)s)")
    test.add_argument(
        "--network",
        type=Path,
        default=Path("colanet.npz"),
        metavar="FILE.npz",
        help="what was learnt (%(default)s)",
    )
    test.add_argument(
        "--confusion", type=Path, metavar="FILE.csv", help="write how often which is taken for which"
    )
    for parser in (train, test):
        parser.add_argument(
            "--page",
            type=Path,
            metavar="FILE.html",
            help="write a page: confusion, examples, and of train its curve",
        )
    train.add_argument(
        "--settings",
        metavar="NAME|FILE.json",
        help="pictures (the default), one-by-one, where classes come one after another, or what search has found",
    )
    _add_search(search)
    encoder = commands.add_parser(
        "encoder",
        help="write EfficientNet-Lite0 as an ONNX file of its features (needs torch and its packages)",
    )
    encoder.add_argument("out", type=Path, metavar="OUT.onnx")
    train.set_defaults(run=_train)
    test.set_defaults(run=_test)
    search.set_defaults(run=_search)
    encoder.set_defaults(run=_encoder)


def _add_search(parser: argparse.ArgumentParser) -> None:
    """The options of `search`."""
    add = parser.add_argument
    add(
        "--out", type=Path, default=Path("settings.json"), metavar="OUT.json", help="is written (%(default)s)"
    )
    add("--population", type=int, default=20, metavar="N", help="sets of a generation (%(default)s)")
    add("--generations", type=int, default=10, metavar="N", help="after the first (%(default)s)")
    add("--copies", type=int, default=5, metavar="N", help="networks whose spikes are added up (%(default)s)")
    add("--folds", type=int, default=3, metavar="N", help="each is tested after the others (%(default)s)")
    add(
        "--order",
        default="mixed",
        help="in which pictures are learnt: mixed, by-class (class after class), or both (%(default)s)",
    )
    add("--seed", type=int, default=0, help="of everything random (%(default)s)")
    add("--jobs", type=int, default=1, metavar="N", help="processes (%(default)s)")


def _search(arguments: argparse.Namespace) -> int:
    import numpy as np
    from tqdm import tqdm

    from hybrid_control.colanet.pictures import Pictures
    from hybrid_control.colanet.search import Plan, search, write_settings

    plan = Plan(
        *(getattr(arguments, f) for f in ("population", "generations", "copies", "folds", "order", "seed"))
    )
    if not 1 <= arguments.jobs <= JOBS:
        raise ValueError(f"--jobs {arguments.jobs}: expected 1 to {JOBS}")
    _check_place("--out", arguments.out)
    encoder = _opened(arguments)
    with Pictures(arguments.pictures) as pictures:
        chosen = _to_learn(pictures)
        features, _ = _features(encoder, pictures, chosen)
    labels = np.array([p.label for p in chosen])
    state = arguments.out.with_suffix(".search.json")
    with tqdm(total=1 + plan.generations, desc="searching", unit="set") as bar:
        bar.total = plan.population + plan.generations * (plan.population - 1)

        def progress(tried: int, best: float) -> None:
            bar.set_postfix_str(f"best {100 * best:.2f} %", refresh=False)
            bar.update(tried - bar.n)

        found = search(features, labels, plan, state, jobs=arguments.jobs, progress=progress)
    write_settings(
        arguments.out, found, {"plan": asdict(plan), "pictures": len(labels), "encoder": encoder.digest}
    )
    print(
        f"{found.tried} sets; the best recognises {100 * found.value:.2f} % in the mean over {plan.folds} folds"
    )
    print(arguments.out)
    return 0


def _encoder(arguments: argparse.Namespace) -> int:
    from hybrid_control.bench.colanet.encoder import export

    export(arguments.out)
    print(f"{arguments.out}: an image (224, 224, 3) to 1,280 features")
    return 0


def _train(arguments: argparse.Namespace) -> int:
    import numpy as np

    from hybrid_control.colanet.pictures import Pictures
    from hybrid_control.colanet.recogniser import Recogniser
    from hybrid_control.colanet.search import read_settings
    from hybrid_control.colanet.settings import ONE_BY_ONE, PICTURES

    _check_place("--out", arguments.out)
    if arguments.settings and arguments.start:
        raise ValueError("--settings: those of --from stay; give one of the two")
    named = {"pictures": PICTURES, "one-by-one": ONE_BY_ONE}
    settings = named.get(arguments.settings or "pictures") or read_settings(arguments.settings)
    encoder = _opened(arguments)
    if arguments.page is not None:
        _check_place("--page", arguments.page)
    known = Recogniser.load(arguments.start, encoder.digest) if arguments.start else None
    if arguments.seed < 0:
        raise ValueError(f"--seed {arguments.seed}: expected a whole number of 0 or more")
    with Pictures(arguments.pictures) as pictures:
        chosen = _to_learn(pictures)
        order = np.random.default_rng(arguments.seed).permutation(len(chosen))
        chosen = [chosen[k] for k in order]
        labels, count = [p.label for p in chosen], len(chosen)
        features, encoding = _features(encoder, pictures, chosen)
        recogniser = known or Recogniser.new(
            features, encoder.digest, settings, copies=arguments.copies, seed=arguments.seed
        )
        told = recogniser.rehearsed(features, labels) if arguments.page is not None else []
        begin = time.perf_counter()
        recogniser.learn(features, labels)
        learning = time.perf_counter() - begin
        recogniser.save(arguments.out)
        print(
            f"{count} pictures of {len(set(labels))} classes, each once: "
            f"{1e3 * encoding / count:.2f} ms to encode and {1e3 * learning / count:.2f} ms to learn each"
        )
        print(f"{arguments.out}: knows {len(recogniser.network.classes_)} classes")
        if arguments.page is not None:
            _write_page(
                arguments, pictures, chosen, [word for _, words in told for word in words],
                curve=[
                    (learnt, float(np.mean(np.array(words) == labels[learnt : learnt + len(words)])))
                    for learnt, words in told
                ],
            )  # fmt: skip
    return 0


def _test(arguments: argparse.Namespace) -> int:
    from hybrid_control.colanet.pictures import Pictures
    from hybrid_control.colanet.recogniser import Recogniser

    if arguments.page is not None:
        _check_place("--page", arguments.page)
    encoder = _opened(arguments)
    recogniser = Recogniser.load(arguments.network, encoder.digest)
    with Pictures(arguments.pictures) as pictures:
        chosen = [p for p in pictures.pictures if p.part == "test"] or pictures.pictures
        features, encoding = _features(encoder, pictures, chosen)
        begin = time.perf_counter()
        predicted = [str(label) for label in recogniser.predict(features)]
        testing = time.perf_counter() - begin
        if arguments.page is not None:
            _write_page(arguments, pictures, chosen, predicted)
    pairs = Counter(zip((p.label for p in chosen), predicted, strict=True))
    count, right = len(chosen), sum(n for (truth, said), n in pairs.items() if truth == said)
    labels = {p.label for p in chosen}
    print(
        f"{right} of {count} pictures of {len(labels)} classes are recognised: {100 * right / count:.2f} %; "
        f"{1e3 * encoding / count:.2f} ms to encode and {1e3 * testing / count:.2f} ms to recognise each"
    )
    unknown = sorted(labels - {str(label) for label in recogniser.network.classes_})
    if unknown:
        print(f"{len(unknown)} of the classes were never taught: {', '.join(unknown[:SHOWN])}")
    mistakes = sorted(((n, *pair) for pair, n in pairs.items() if pair[0] != pair[1]), reverse=True)
    for n, truth, said in mistakes[:SHOWN]:
        print(f"{n:5d}  {truth}  taken for  {said}")
    if arguments.confusion is not None:
        _write(arguments.confusion, pairs)
        print(arguments.confusion)
    if arguments.page is not None:
        print(arguments.page)
    return 0


def _write_page(
    arguments: argparse.Namespace,
    pictures: Pictures,
    chosen: list[Picture],
    said: list[str],
    curve: list[tuple[int, float]] | None = None,
) -> None:
    """The page of what was said of pictures; curve: where they were learnt, in their order."""
    import numpy as np

    from hybrid_control.report.classifier import Answers, Example, page

    about = f"{len(chosen)} pictures that were tested"
    if curve is not None:  # what comes early says little: hardly anything is known then
        start = len(chosen) // 2
        chosen, said = chosen[start:], said[start:]
        about = f"the later half of what was learnt, {len(chosen)} pictures, each before it was"
    right = np.array([p.label == word for p, word in zip(chosen, said, strict=True)])
    shown = [
        which[np.linspace(0, len(which) - 1, min(EXAMPLES, len(which))).astype(int)]
        for which in (np.flatnonzero(~right), np.flatnonzero(right))
    ]
    examples = [
        Example(pictures.read(chosen[k], SMALL), chosen[k].label, said[k])
        for which in shown
        for k in which.tolist()
    ]
    facts = {
        name: str(value)
        for name, value in vars(arguments).items()
        if name not in ("run", "page") and value is not None and not callable(value)
    }
    answers = Answers(
        arguments.pictures.name, about, [p.label for p in chosen], said, examples, curve or (), facts
    )  # fmt: skip
    arguments.page.write_text(page(answers), encoding="utf-8")


def _opened(arguments: argparse.Namespace) -> Encoder:
    """The encoder that was asked for, or the one of every day."""
    from hybrid_control.colanet.encode import Encoder

    path = arguments.encoder
    if path is None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        path = cache / "hybrid_control" / ENCODER
        if not path.exists():
            from hybrid_control.bench.colanet.encoder import export

            path.parent.mkdir(parents=True, exist_ok=True)
            export(path)
            print(f"{path}: written; the encoder of every later run", file=sys.stderr)
    return Encoder(path, output=arguments.output)


def _check_place(option: str, path: Path) -> None:
    """ValueError where a file's folder isn't there, before anything else is done."""
    if not path.resolve().parent.is_dir():
        raise ValueError(f"{option} {path}: its folder does not exist")


def _to_learn(pictures: Pictures) -> list[Picture]:
    """The pictures that are learnt: all but those of the part test."""
    chosen = [p for p in pictures.pictures if p.part != "test"]
    if not chosen:
        raise ValueError(f"{pictures.place}: has pictures in the part test alone")
    return chosen


def _features(
    encoder: Encoder, pictures: Pictures, chosen: list[Picture]
) -> tuple[NDArray[np.float32], float]:
    """Features (pictures, features), and the seconds that the encoder took for them."""
    import numpy as np
    from tqdm import tqdm

    rows, seconds = np.zeros((len(chosen), encoder.features), np.float32), 0.0
    for row, picture in zip(rows, tqdm(chosen, desc="encoding", unit="picture"), strict=True):
        image = pictures.read(picture, encoder.size)
        begin = time.perf_counter()
        row[:] = encoder(image)
        seconds += time.perf_counter() - begin
    return rows, seconds


def _write(path: Path, pairs: Counter[Any]) -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["class", "taken for", "pictures"])
        writer.writerows([*pair, n] for pair, n in sorted(pairs.items()))

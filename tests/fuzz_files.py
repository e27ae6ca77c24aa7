"""Mutated files of each kind that this project reads: every one is read, or refused in one line, within its bounds.

    python tests/fuzz_files.py [COUNT] [SEED] [KIND ...]

A process for each kind tries COUNT mutations (1,000). What ends in anything but a value, a ValueError of one line or an
OSError, or takes longer than SECONDS or more than MEMORY, is printed with the file that did it; exit status 1 then.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

SECONDS, MEMORY = 5, 3 << 30
TOP = Path(__file__).parents[1]


def nir_seeds() -> Iterator[bytes]:
    from hybrid_control.navigation.reflex.network import build_network
    from hybrid_control.snn import Network, random_sparse

    small = Network()
    small.add_input("x", 4)
    import nir

    small.add_population("a", nir.CubaLIF, 6, tau_syn=0.01, tau_mem=0.02)
    small.connect("x", "a", random_sparse(0.5, 1.0, 0))
    small.add_output("y", "a")
    with tempfile.TemporaryDirectory() as folder:
        for number, network in enumerate((small, build_network())):
            file = Path(folder) / f"{number}.nir"
            network.save(file)
            yield file.read_bytes()


def read_nir(file: Path) -> Any:
    from hybrid_control.files.hdf5 import look_through
    from hybrid_control.snn.nir.files import read_unchecked

    # what the guarded reader does in a process of its own; here this one has the limits
    look_through(file)
    return read_unchecked(file)


def yaml_seeds() -> Iterator[bytes]:
    for file in sorted((TOP / "config").glob("*.yaml")):
        yield file.read_bytes()
    yield b"/**/reflex_node:\n  ros__parameters: &a {goal_gain: 1.5}\nreflex_node:\n  ros__parameters: *a\n"


def read_parameters(file: Path) -> Any:
    from hybrid_control.bringup.parameter_files import read_yaml, sections_of

    with contextlib.suppress(ValueError):
        sections_of(file)
    return read_yaml(file)


def world_seeds() -> Iterator[bytes]:
    for file in sorted((TOP / "config" / "worlds").glob("*.sdf")):
        yield file.read_bytes()


def arena_seeds() -> Iterator[bytes]:
    arena = {"starts": [[1, 1, 0]], "goals": [[8, 8]], "polygons": [[[2, 2], [3, 2], [3, 3]]]}
    yield json.dumps(arena).encode()


def npz_seeds() -> Iterator[bytes]:
    from hybrid_control.sim.worlds import generate
    from hybrid_control.sim.worlds.files import write_npz

    with tempfile.TemporaryDirectory() as folder:
        write_npz(Path(folder) / "a.npz", generate("crossing", 0))
        yield (Path(folder) / "a.npz").read_bytes()


def read_world(file: Path) -> Any:
    from hybrid_control.sim.worlds import load_world

    return load_world(str(file))


KINDS: dict[str, tuple[str, Callable[[], Iterator[bytes]], Callable[[Path], Any]]] = {
    "nir": (".nir", nir_seeds, read_nir),
    "yaml": (".yaml", yaml_seeds, read_parameters),
    "sdf": (".sdf", world_seeds, read_world),
    "json": (".json", arena_seeds, read_world),
    "npz": (".npz", npz_seeds, read_world),
}
WORDS = (b"0", b"-1", b"1e308", b"nan", b"inf", b"99999999999", b"[" * 100, b"<" * 9, b"*a", b"&a ", b"\x00", b"\xff")


def mutate(rng: np.random.Generator, seeds: list[bytes]) -> bytes:
    """A seed with up to eight changes: bytes, words, pieces cut out, doubled or taken from another seed."""
    content = bytearray(seeds[rng.integers(len(seeds))])
    for _ in range(rng.integers(1, 9)):
        at = int(rng.integers(len(content) + 1))
        length = int(min(rng.geometric(0.05), len(content) - at))
        match rng.integers(6):
            case 0 if at < len(content):
                content[at] = rng.integers(256)
            case 1 if at < len(content):
                content[at] ^= 1 << rng.integers(8)
            case 2:
                content[at : at + length] = WORDS[rng.integers(len(WORDS))]
            case 3:
                del content[at : at + length]
            case 4:
                content[at:at] = content[at : at + length] * int(rng.integers(1, 20))
            case 5:
                other = seeds[rng.integers(len(seeds))]
                start = int(rng.integers(len(other)))
                content[at:at] = other[start : start + length]
    return bytes(content)


def verdict(read: Callable[[Path], Any], file: Path) -> str:
    """"" where a file ends as it should, else what happened."""
    try:
        read(file)
    except ValueError as error:
        return "several lines: " + repr(str(error)) if "\n" in str(error) else ""
    except OSError:
        return ""
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _late(number: int, frame: Any) -> None:
    raise TimeoutError(f"longer than {SECONDS} s")


def fuzz(kind: str, count: int, seed: int, report: Any) -> None:
    """Try `count` files in this process; puts (kind, number, what happened, content) for each bad one, then None."""
    suffix, seeds_of, read = KINDS[kind]
    seeds = list(seeds_of())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _late)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"a{suffix}"
        for seed_file in seeds:
            file.write_bytes(seed_file)
            read(file)  # what is mutated is a good file
        for number in range(count):
            content = mutate(np.random.default_rng([seed, number]), seeds)
            file.write_bytes(content)
            signal.alarm(SECONDS)
            said = verdict(read, file)
            signal.alarm(0)
            if said:
                report.put((kind, number, said, content))
    report.put(None)


def run(count: int, seed: int, kinds: list[str]) -> int:
    """Each kind in a process of its own; prints what went wrong; returns how many files did."""
    bad = 0
    context = multiprocessing.get_context("spawn")
    for kind in kinds:
        begin = time.monotonic()
        report = context.Queue()
        process = context.Process(target=fuzz, args=(kind, count, seed, report))
        process.start()
        found = 0
        while True:
            try:
                item = report.get(timeout=1.0)
            except Exception:
                if process.is_alive():
                    continue
                print(f"{kind}: the process ended with status {process.exitcode}")
                found += 1
                break
            if item is None:
                break
            found += 1
            kept = Path(tempfile.gettempdir()) / f"fuzz_{item[0]}_{item[1]}{KINDS[kind][0]}"
            kept.write_bytes(item[3])
            print(f"{item[0]} {item[1]}: {item[2]} ({kept})")
        process.join()
        print(f"{kind}: {count} files, {found} wrong, {time.monotonic() - begin:.0f} s", flush=True)
        bad += found
    return bad


if __name__ == "__main__":
    chosen = sys.argv[3:] or list(KINDS)
    numbers = [int(word) for word in sys.argv[1:3]]
    sys.exit(bool(run(*(numbers + [1000, 0][len(numbers) :]), chosen)))

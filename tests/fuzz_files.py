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
import zipfile
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
    from hybrid_control.snn import Engine, Network
    from hybrid_control.snn.nir.files import read_unchecked

    # what the guarded reader does in a process of its own; here this one has the limits
    look_through(file)
    return Engine(Network.from_nir(read_unchecked(file)), dt=1e-3)


def load_nir(file: Path) -> Any:
    from hybrid_control.snn import Network

    return Network.load(file)


def yaml_seeds() -> Iterator[bytes]:
    for file in sorted((TOP / "config").glob("*.yaml")):
        yield file.read_bytes()
    yield b"/**/reflex_node:\n  ros__parameters: &a {goal_gain: 1.5}\nreflex_node:\n  ros__parameters: *a\n"


def read_parameters(file: Path) -> Any:
    from hybrid_control.bringup.parameter_files import read_yaml, sections_of

    with contextlib.suppress(ValueError):
        sections_of(file)
    return read_yaml(file)


def things_world() -> Any:
    """A small world with a thing of each kind and look."""
    from hybrid_control.signals import Pose
    from hybrid_control.sim.worlds import Thing, World

    things = (
        Thing("low", 2.0, 1.0, 0.3, 0.2, 0.5, 0.0, 0.1, "ground"),
        Thing("low", 2.0, -1.0, 0.3, 0.2, 0.0, 0.0, 0.5, "cone"),
        Thing("overhang", 3.0, 1.0, 0.8, 0.6, 0.1, 0.27, 0.31),
        Thing("pane", 4.0, -1.0, 0.02, 1.2, 0.2, 0.0, 1.0, opacity=0.3),
        Thing("wire", 5.0, 0.0, 0.015, 2.0, 0.0, 0.2, 0.215),
        Thing("hole", 6.0, 1.0, 0.8, 0.6, 0.3, -0.3, 0.0),
    )
    return World("things", Pose(), (8.0, 0.0), (-1.0, -3.0, 9.0, 3.0), things=things)


def world_seeds() -> Iterator[bytes]:
    from hybrid_control.sim.gazebo import HARMONIC, world_sdf

    for file in sorted((TOP / "config" / "worlds").glob("*.sdf")):
        yield file.read_bytes()
    yield world_sdf(things_world(), HARMONIC).encode()


def arena_seeds() -> Iterator[bytes]:
    arena = {"starts": [[1, 1, 0]], "goals": [[8, 8]], "polygons": [[[2, 2], [3, 2], [3, 3]]]}
    yield json.dumps(arena).encode()


def npz_seeds() -> Iterator[bytes]:
    from hybrid_control.sim.worlds import generate
    from hybrid_control.sim.worlds.files import write_npz

    with tempfile.TemporaryDirectory() as folder:
        for world in (generate("crossing", 0), things_world()):
            write_npz(Path(folder) / "a.npz", world)
            yield (Path(folder) / "a.npz").read_bytes()


def colanet_seeds() -> Iterator[bytes]:
    """A classifier with the scale of an encoder's features."""
    from hybrid_control.colanet.recogniser import Recogniser

    features = np.random.default_rng(0).random((8, 5), np.float32)
    recogniser = Recogniser.new(features, "a", copies=2)
    recogniser.learn(features, ["x", "y"] * 4)
    with tempfile.TemporaryDirectory() as folder:
        recogniser.save(Path(folder) / "a.npz")
        yield (Path(folder) / "a.npz").read_bytes()


def read_colanet(file: Path) -> Any:
    from hybrid_control.colanet.recogniser import Recogniser

    with contextlib.suppress(ValueError):
        _use(Recogniser.load(file, "a"))
    # the same with checksums that hold, so that changes get through
    try:
        with zipfile.ZipFile(file) as archive, zipfile.ZipFile(file.with_suffix(".sum"), "w") as summed:
            for member in archive.infolist():
                with archive.open(member) as stream:
                    stream._expected_crc = None
                    summed.writestr(member.filename, stream.read(1 << 20))
    except Exception:  # no archive at all
        return None
    return _use(Recogniser.load(file.with_suffix(".sum"), "a"))


def _use(recogniser: Any) -> Any:
    return recogniser.predict(np.zeros((2, len(recogniser.scale.mean)), np.float32))


def settings_seeds() -> Iterator[bytes]:
    from hybrid_control.colanet import PICTURES
    from hybrid_control.colanet.search import Found, write_settings

    with tempfile.TemporaryDirectory() as folder:
        write_settings(Path(folder) / "a.json", Found(PICTURES, 0.5, 3), {})
        yield (Path(folder) / "a.json").read_bytes()


def read_settings(file: Path) -> Any:
    from hybrid_control.colanet.search import read_settings

    return read_settings(file)


def trace_seeds() -> Iterator[bytes]:
    """A small trace of all kinds of ports, and the same with its chunks unpacked, so that changes get through."""
    from mcap.records import Channel, Message, Metadata, Schema
    from mcap.writer import CompressionType, Writer

    from hybrid_control.cosim import Hybrid, run
    from hybrid_control.cosim.parts import ArraySource
    from hybrid_control.files.mcap import McapRecords

    rng, hybrid = np.random.default_rng(0), Hybrid(until_ns=20_000_000, text="hybrid: 1")
    for kind in ("values", "rates", "spikes", "states"):
        hybrid.add(kind, ArraySource(rng.integers(0, 3, (9, 4)) * 0.5, kind), "1 ms", "2 ms")
    hybrid.add("taker", ArraySource(np.zeros((1, 2))), "4 ms")
    hybrid.record = [f"{name}.out" for name in hybrid.parts]
    with tempfile.TemporaryDirectory() as folder:
        file, plain = Path(folder) / "a.mcap", Path(folder) / "b.mcap"
        run(hybrid, trace=file)
        yield file.read_bytes()
        with plain.open("wb") as stream:
            writer = Writer(stream, compression=CompressionType.NONE)
            writer.start()
            for record in McapRecords(file):
                if isinstance(record, Schema):
                    writer.register_schema(record.name, record.encoding, record.data)
                elif isinstance(record, Channel):
                    writer.register_channel(
                        record.topic, record.message_encoding, record.schema_id, record.metadata
                    )
                elif isinstance(record, Metadata):
                    writer.add_metadata(record.name, record.metadata)
                elif isinstance(record, Message):
                    writer.add_message(record.channel_id, record.log_time, record.data, record.publish_time)
            writer.finish()
        yield plain.read_bytes()


def read_trace(file: Path) -> Any:
    from hybrid_control.cosim.tracefile import read
    from hybrid_control.report.trace import page

    return page(read(file))


def ros_seeds() -> Iterator[bytes]:
    """A robot's recording with rates and spikes, its chunks not packed."""
    import io
    from types import SimpleNamespace as Fields

    from mcap.writer import CompressionType
    from mcap_ros2.writer import Writer

    top = TOP / "ros2_ws/src/hybrid_control_msgs/msg"
    rest = "\n".join(
        f"{'=' * 80}\nMSG: {name}\n{text}"
        for name, text in (
            ("std_msgs/Header", "builtin_interfaces/Time stamp\nstring frame_id"),
            ("builtin_interfaces/Time", "int32 sec\nuint32 nanosec"),
        )
    )
    stream = io.BytesIO()
    writer = Writer(stream, compression=CompressionType.NONE)
    schemas = [
        writer.register_msgdef(
            f"hybrid_control_msgs/msg/{name}", f"{(top / f'{name}.msg').read_text()}\n{rest}"
        )
        for name in ("RateVector", "SpikeTrain")
    ]
    header = Fields(stamp=Fields(sec=1, nanosec=2), frame_id="a")
    for k in range(5):
        shared = {"header": header, "populations": ["ring"], "sizes": [4]}
        messages = (
            Fields(**shared, rates=[0.5, 1.0, k, 3.0]),
            Fields(**shared, duration_ns=1000, neuron=[k % 4, 3], offset_ns=[0, 7]),
        )
        for topic, schema, message in zip(("rates", "spikes"), schemas, messages, strict=True):
            writer.write_message(topic, schema, message, log_time=1000 * k, publish_time=1000 * k)
    writer.finish()
    yield stream.getvalue()


def read_ports(file: Path) -> Any:
    from hybrid_control.cosim.part import Runs
    from hybrid_control.cosim.parts.recorded import RecordedSource
    from hybrid_control.cosim.tracefile import read_port

    ports = [RecordedSource(read_port(file, topic)) for topic in ("rates", "spikes")]
    return [port.run(Runs(0, 100, 100), {}) for port in ports]


def read_world(file: Path) -> Any:
    from hybrid_control.sim.worlds import load_world

    return load_world(str(file))


# readers that look through a file in a process of its own, where the HDF5 library may crash
GUARDED = {"nir": load_nir}
KINDS: dict[str, tuple[str, Callable[[], Iterator[bytes]], Callable[[Path], Any]]] = {
    "nir": (".nir", nir_seeds, read_nir),
    "yaml": (".yaml", yaml_seeds, read_parameters),
    "sdf": (".sdf", world_seeds, read_world),
    "json": (".json", arena_seeds, read_world),
    "npz": (".npz", npz_seeds, read_world),
    "colanet": (".npz", colanet_seeds, read_colanet),
    "settings": (".json", settings_seeds, read_settings),
    "trace": (".mcap", trace_seeds, read_trace),
    "ros": (".mcap", ros_seeds, read_ports),
}
WORDS = (
    b"0",
    b"-1",
    b"1e308",
    b"nan",
    b"inf",
    b"99999999999",
    b"[" * 100,
    b"<" * 9,
    b"*a",
    b"&a ",
    b"\x00",
    b"\xff",
)


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
    """ "" where a file ends as it should, else what happened."""
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


def fuzz(kind: str, numbers: range, seed: int, report: Any) -> None:
    """Try the files of these numbers in this process.

    Sends (number, "", nothing) before each, (number, what happened, content) for a bad one, and None at the end.
    """
    suffix, seeds_of, read = KINDS[kind]
    seeds = list(seeds_of())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _late)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"a{suffix}"
        for seed_file in seeds:
            file.write_bytes(seed_file)
            read(file)  # what is mutated is a good file
        for number in numbers:
            content = mutate(np.random.default_rng([seed, number]), seeds)
            file.write_bytes(content)
            report.send((number, "", b""))
            signal.alarm(SECONDS)
            said = verdict(read, file)
            signal.alarm(0)
            if said:
                report.send((number, said, content))
    report.send(None)


def pieces(kind: str, count: int, seed: int) -> Iterator[tuple[int, str, bytes]]:
    """The bad ones of `count` files as (number, what happened, content); a process that dies over one, or does not come
    back from it, is followed by another, which begins with the next."""
    context = multiprocessing.get_context("spawn")
    begin = 0
    while begin < count:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=fuzz, args=(kind, range(begin, count), seed, theirs))
        process.start()
        theirs.close()
        number, ended = begin - 1, False
        with contextlib.suppress(EOFError):
            # in C no alarm is heard; until the first file there is a lot to import and to compile
            while ours.poll(4 * SECONDS if number >= begin else 600.0):
                if (item := ours.recv()) is None:
                    ended = True
                    break
                number = item[0]
                if item[1]:
                    yield item
        process.kill()
        process.join()
        if ended:
            return
        if number < begin:
            raise RuntimeError(
                f"{kind}: the process ended with status {process.exitcode} before its first file"
            )
        yield from died(kind, number, seed, process.exitcode)
        begin = number + 1


def died(kind: str, number: int, seed: int, status: int | None) -> Iterator[tuple[int, str, bytes]]:
    """The file over which a process died, unless a guarded reader keeps itself from that."""
    suffix, seeds_of, _ = KINDS[kind]
    content = mutate(np.random.default_rng([seed, number]), list(seeds_of()))
    said = f"the process ended with status {status}"
    if kind in GUARDED:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"a{suffix}"
            file.write_bytes(content)
            said = verdict(GUARDED[kind], file)
    if said:
        yield number, said, content


def run(count: int, seed: int, kinds: list[str]) -> int:
    """Each kind in a process of its own; prints what went wrong; returns how many files did."""
    bad = 0
    for kind in kinds:
        begin, found = time.monotonic(), 0
        for number, said, content in pieces(kind, count, seed):
            found += 1
            kept = Path(tempfile.gettempdir()) / f"fuzz_{kind}_{seed}_{number}{KINDS[kind][0]}"
            kept.write_bytes(content)
            print(f"{kind} {number}: {said} ({kept})")
        print(f"{kind}: {count} files, {found} wrong, {time.monotonic() - begin:.0f} s", flush=True)
        bad += found
    return bad


if __name__ == "__main__":
    chosen = sys.argv[3:] or list(KINDS)
    numbers = [int(word) for word in sys.argv[1:3]]
    sys.exit(bool(run(*(numbers + [1000, 0][len(numbers) :]), chosen)))

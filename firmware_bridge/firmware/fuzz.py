"""Fuzzes both decoders of the link: ``python -m firmware_bridge.firmware.fuzz --bytes 10000000``.

C: fuzz.c, guided by gcc's trace-pc coverage, with address and undefined-behaviour sanitizers, on the whole portable
part of the firmware. Python: FrameDecoder and the messages, guided by the lines they run, against the C decoder as
an independent second opinion.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from firmware_bridge.firmware.build import SOURCES, build_host_library, run_tool
from firmware_bridge.link import Frame, FrameDecoder, LinkError, Stop, Velocity, frames, messages

_CHECKED = "-std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all".split()  # noqa: SIM905
_INPUT_MAX = 400


def build_fuzzer(out: Path) -> Path:
    """Compiles fuzz.c with coverage and sanitizers into out/fuzz. BuildError without gcc or its sanitizers."""
    out.mkdir(parents=True, exist_ok=True)
    objects = []
    for name in ("app", "control", "protocol", "hal_host"):
        objects.append(str(out / f"fuzz_{name}.o"))
        source = str(SOURCES / f"{name}.c")
        run_tool(["gcc", *_CHECKED, "-fsanitize-coverage=trace-pc", "-c", "-o", objects[-1], source])
    program = out / "fuzz"
    run_tool(["gcc", *_CHECKED, "-o", str(program), str(SOURCES / "fuzz.c"), *objects, "-lm"])
    return program


def fuzz_c(program: Path, size: int, seed: int = 0) -> dict[str, int]:
    """Sends size bytes through the firmware by build_fuzzer's program. BuildError if it crashes or moves wrongly."""
    result: dict[str, int] = json.loads(run_tool([str(program), str(size), str(seed)]))
    return result


class _Coverage:
    """Pairs of lines that ran one after the other in the codec's two modules."""

    def __init__(self) -> None:
        self.pairs: set[tuple[str, int, int]] = set()
        self._files = {frames.__file__, messages.__file__}

    def run(self, function: Callable[[], None]) -> int:
        before = len(self.pairs)
        sys.settrace(self._enter)
        try:
            function()
        finally:
            sys.settrace(None)
        return len(self.pairs) - before

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in self._files:
            return None
        last = 0

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            self.pairs.add((frame.f_code.co_name, last, frame.f_lineno))
            last = frame.f_lineno
            return line

        return line


def _mutate(rng: random.Random, data: bytearray, corpus: list[bytes]) -> None:
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(6)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(data):
            data[at] = rng.choice((0, 1, 2, 71, 72, 73, 255, rng.randrange(256)))
        elif what == 2:
            data[at:at] = rng.randbytes(rng.randint(1, 80))
        elif what == 3:
            del data[at : at + rng.randint(1, 8)]
        elif what == 4:
            data[at:] = rng.choice(corpus)
        else:  # any frame with a good CRC, so that the messages are reached
            kind = rng.choice((*range(1, 6), 0x10, 0x81, 0x82, 0x90, 0x91, 0x92, rng.randrange(256)))
            data[at:at] = Frame(
                kind, rng.randrange(256), rng.randrange(65536), rng.randbytes(rng.randint(0, 64))
            ).encode()
    del data[_INPUT_MAX:]


def fuzz_python(out: Path, size: int, seed: int = 0) -> dict[str, int]:
    """Sends size bytes through the Python decoder. AssertionError where it and the C decoder differ."""
    library = ctypes.CDLL(str(build_host_library(out)))
    library.host_transcode.restype = ctypes.c_uint32
    rng = random.Random(seed)
    coverage = _Coverage()
    corpus = [Stop().pack(), Frame(0x10, 1, 1, Velocity((1.0, -1.0)).pack()).encode()]
    room = ctypes.create_string_buffer(4 * _INPUT_MAX)
    dropped = (ctypes.c_uint32 * 2)()
    sent = runs = 0
    with tqdm(total=size, unit="B", unit_scale=True, desc="python decoder") as progress:
        while sent < size:
            data = bytearray(rng.choice(corpus))
            _mutate(rng, data, corpus)
            stream = bytes(data)
            decoder = FrameDecoder()
            found: list[Frame] = []

            def decode(
                stream: bytes = stream, decoder: FrameDecoder = decoder, found: list[Frame] = found
            ) -> None:
                found += decoder.feed(stream)
                for frame in found:
                    try:
                        messages.unpack(frame.type, frame.payload)
                    except LinkError:
                        continue

            if coverage.run(decode):
                corpus.append(stream)
            n = library.host_transcode(stream, len(stream), room, len(room), dropped)
            if room.raw[:n] != b"".join(f.encode() for f in found) or tuple(dropped) != (
                decoder.framing_errors,
                decoder.crc_errors,
            ):
                raise AssertionError(f"C and Python differ on {stream.hex()}")
            sent += len(stream)
            runs += 1
            progress.update(len(stream))
    return {"bytes": sent, "runs": runs, "corpus": len(corpus), "edges": len(coverage.pairs)}


def main() -> int:
    """Runs both fuzzers and prints what they did, one line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=10_000_000, help="for each decoder (10000000)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        done = fuzz_c(build_fuzzer(out), arguments.bytes, arguments.seed)
        sys.stdout.write(json.dumps({"decoder": "c", **done}) + "\n")
        sys.stdout.flush()
        done = fuzz_python(out, arguments.bytes, arguments.seed)
        sys.stdout.write(json.dumps({"decoder": "python", **done}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

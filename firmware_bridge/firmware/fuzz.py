"""Fuzzes both decoders of the link: ``python -m firmware_bridge.firmware.fuzz --bytes 10000000``.

C: fuzz.c under clang's libFuzzer with address and undefined-behaviour sanitizers, on the whole portable part of the
firmware. Python: fuzz_target.py under atheris, against the C decoder as an independent second opinion.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tqdm import tqdm

from firmware_bridge.firmware.build import SOURCES, BuildError, build_host_library, run_tool

PORTABLE = ("app", "control", "protocol", "hal_host")
_SANITIZED = ["-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
_ROUND = 100_000  # inputs in one run of a fuzzer at most; the corpus goes on into the next


def build_fuzzer(out: Path) -> Path:
    """Compiles fuzz.c for libFuzzer into out/fuzz; coverage is that of the firmware alone. BuildError without clang."""
    clang = shutil.which("clang")
    if clang is None:
        raise BuildError("clang is not installed; on Debian and Ubuntu: apt install clang libclang-rt-dev")
    out.mkdir(parents=True, exist_ok=True)
    objects = []
    for name in (*PORTABLE, "fuzz"):
        objects.append(str(out / f"fuzz_{name}.o"))
        guided = [] if name == "fuzz" else ["-fsanitize=fuzzer-no-link"]
        run_tool([clang, *_SANITIZED, *guided, "-c", "-o", objects[-1], str(SOURCES / f"{name}.c")])
    program = out / "fuzz"
    run_tool([clang, *_SANITIZED, "-fsanitize=fuzzer", "-o", str(program), *objects, "-lm"])
    return program


def build_replayer(out: Path) -> Path:
    """Compiles fuzz.c with gcc's sanitizers, without guidance, into out/replay. BuildError without them."""
    out.mkdir(parents=True, exist_ok=True)
    program = out / "replay"
    sources = [str(SOURCES / f"{name}.c") for name in (*PORTABLE, "fuzz")]
    run_tool(["gcc", *_SANITIZED, "-DSTANDALONE", "-o", str(program), *sources, "-lm"])
    return program


def replay(program: Path, inputs: list[bytes]) -> int:
    """Bytes that build_replayer's program sent to the firmware. BuildError if it crashes or moves wrongly."""
    stream = b"".join(len(i).to_bytes(2, "little") + i for i in inputs)
    done = subprocess.run([str(program)], input=stream, capture_output=True, check=False)
    return _counts(done.returncode, done.stderr.decode("ascii", "replace"), program.name)["bytes"]


def _counts(status: int, output: str, name: str) -> dict[str, int]:
    """What a fuzzer says at its end: bytes and runs; of a guided one also edges reached and edges in all."""
    if status != 0:
        wanted = [
            line
            for line in output.splitlines()
            if re.search(r"fuzz: |\w+Error: |AddressSanitizer|error: ", line)
        ]
        raise BuildError(f"{name}: {wanted[0] if wanted else output[-200:]}")
    last = re.findall(r"^\{.*\}$", output, re.MULTILINE)
    if not last:
        raise BuildError(f"{name}: told nothing at its end")
    counts: dict[str, int] = json.loads(last[-1])
    reached, in_all = re.findall(r"\bcov: (\d+)", output), re.findall(r"\((\d+) inline 8-bit", output)
    if reached:
        counts["edges"] = int(reached[-1])
    if in_all:
        counts["edges_in_all"] = int(in_all[-1])
    return counts


def _guided(command: list[str], out: Path, size: int, seed: int, name: str) -> dict[str, int]:
    """Runs a libFuzzer program until it has sent size bytes. BuildError with its complaint if it finds something."""
    corpus = out / f"corpus_{name}"
    corpus.mkdir(parents=True, exist_ok=True)
    total: dict[str, int] = {"bytes": 0, "runs": 0}
    with tqdm(total=size, unit="B", unit_scale=True, desc=name) as progress:
        while total["bytes"] < size:
            options = [
                f"-runs={min(_ROUND, max(size // 50, 2000))}",
                f"-seed={seed + 1}",
                "-max_len=512",
                "-timeout=10",
                f"-artifact_prefix={out}/",
            ]
            done = subprocess.run([*command, *options, str(corpus)], capture_output=True, check=False)
            counts = _counts(done.returncode, (done.stderr + done.stdout).decode("ascii", "replace"), name)
            progress.update(counts["bytes"])
            total |= {k: v for k, v in counts.items() if k.startswith("edges")}
            total |= {k: total[k] + counts[k] for k in ("bytes", "runs")}
            seed += 1
    return total | {"corpus": sum(1 for _ in corpus.iterdir())}


def fuzz_c(out: Path, size: int, seed: int = 0) -> dict[str, int]:
    """Sends size bytes through the firmware. BuildError without clang, if it crashes or if it moves wrongly."""
    return _guided([str(build_fuzzer(out))], out, size, seed, "c")


def fuzz_python(out: Path, size: int, seed: int = 0) -> dict[str, int]:
    """Sends size bytes through the Python decoder. BuildError without atheris, or where it and the C decoder differ."""
    if importlib.util.find_spec("atheris") is None:
        raise BuildError("atheris is not installed: pip install atheris (Python 3.11 or newer, Linux)")
    library = build_host_library(out)
    target = [sys.executable, "-m", "firmware_bridge.firmware.fuzz_target", str(library)]
    return _guided(target, out, size, seed, "python")


def main() -> int:
    """Runs both fuzzers and prints what they did, one line of JSON each; the exit status is 1 if one could not run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bytes", type=int, default=10_000_000, help="for each decoder (10000000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="keep programs, corpora and what crashed here")
    arguments = parser.parse_args()
    status = 0
    with tempfile.TemporaryDirectory() as directory:
        out = arguments.out or Path(directory)
        for name, fuzz in (("c", fuzz_c), ("python", fuzz_python)):
            try:
                done = fuzz(out, arguments.bytes, arguments.seed)
            except BuildError as error:
                sys.stderr.write(f"{error}\n")
                status = 1
            else:
                sys.stdout.write(json.dumps({"decoder": name, **done}) + "\n")
                sys.stdout.flush()
    return status


if __name__ == "__main__":
    sys.exit(main())

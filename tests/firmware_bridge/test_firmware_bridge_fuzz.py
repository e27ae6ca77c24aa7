"""The fuzzers, briefly; `make fuzz-firmware` runs them for 10 million bytes each."""

from __future__ import annotations

import random
import shutil

import pytest

from firmware_bridge.firmware.build import BuildError
from firmware_bridge.firmware.fuzz import build_replayer, fuzz_c, fuzz_python, replay


@pytest.fixture(scope="session")
def replayer(build_directory):
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    try:
        return build_replayer(build_directory)
    except BuildError as error:
        pytest.skip(f"needs gcc's sanitizers: {error}")


def test_the_sanitized_firmware_survives_random_scripts_and_never_moves_uncommanded(replayer) -> None:
    rng = random.Random(6)
    scripts = [rng.randbytes(rng.randint(1, 500)) for _ in range(500)]
    assert replay(replayer, scripts) > 100_000


def test_guided_fuzzing_of_the_firmware_finds_nothing(build_directory) -> None:
    if shutil.which("clang") is None:
        pytest.skip("needs clang's libFuzzer: apt package clang")
    done = fuzz_c(build_directory, 100_000)
    assert done["bytes"] >= 100_000
    assert done["edges"] > 100


def test_guided_fuzzing_of_the_python_decoder_agrees_with_the_c_decoder(
    build_directory, host_library
) -> None:
    pytest.importorskip("atheris", reason="needs atheris: pip install atheris")
    done = fuzz_python(build_directory, 100_000)
    assert done["bytes"] >= 100_000
    assert done["edges"] > 40

"""The fuzzers, briefly; `python -m firmware_bridge.firmware.fuzz` runs them for 10 million bytes each."""

from __future__ import annotations

import shutil

import pytest

from firmware_bridge.firmware.build import BuildError
from firmware_bridge.firmware.fuzz import build_fuzzer, fuzz_c, fuzz_python


def test_the_sanitized_firmware_survives_guided_fuzzing_and_never_moves_uncommanded(build_directory) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    try:
        program = build_fuzzer(build_directory)
    except BuildError as error:
        pytest.skip(f"needs gcc's sanitizers: {error}")
    done = fuzz_c(program, 200_000)
    assert done["bytes"] >= 200_000
    assert done["edges"] > 200  # the guidance works: one input alone reaches about half of this


def test_the_python_decoder_agrees_with_the_c_decoder_on_guided_inputs(build_directory, host_library) -> None:
    done = fuzz_python(build_directory, 50_000)
    assert done["bytes"] >= 50_000
    assert done["corpus"] > 10

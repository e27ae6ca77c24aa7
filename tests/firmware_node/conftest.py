"""The firmware on its emulated chip and a ROS graph, for the tests of the bridge node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ros_graph import graph  # noqa: F401 (a fixture)

from firmware_bridge.firmware.build import BuildError, build_emulator, build_firmware, check_tools
from firmware_bridge.firmware.emulator import Emulator


@pytest.fixture(scope="session")
def built_firmware(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The emulator's program and the firmware's ELF."""
    out = tmp_path_factory.mktemp("firmware_node")
    try:
        check_tools()
        return build_emulator(out), build_firmware(out).elf
    except BuildError as error:
        pytest.skip(f"no toolchain: {error}")


@pytest.fixture
def emulated(built_firmware: tuple[Path, Path], tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(*built_firmware, link=tmp_path / "port") as emulator:
        yield emulator

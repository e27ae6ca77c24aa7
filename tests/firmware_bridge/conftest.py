"""What the tests of the wheel side share: the firmware built for the chip and for this computer, and its emulator."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from firmware_bridge_wait import wait_for

import firmware_bridge.link
from firmware_bridge.firmware.build import FirmwareImage, build_emulator, build_firmware, build_host_library
from firmware_bridge.firmware.emulator import Emulator
from firmware_bridge.link import FirmwareLink, Frame, FrameDecoder, Hello, LinkConfig, Velocity
from firmware_bridge.link.messages import Message, unpack


@pytest.fixture(scope="session")
def vectors() -> dict:
    """The test vectors that the C and the Python side both use."""
    return json.loads((Path(firmware_bridge.link.__file__).parent / "vectors.json").read_text())


@pytest.fixture(scope="session")
def build_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("firmware")


@pytest.fixture(scope="session")
def image(build_directory: Path) -> FirmwareImage:
    if shutil.which("avr-gcc") is None:
        pytest.skip("needs avr-gcc: apt packages gcc-avr, avr-libc, binutils-avr")
    return build_firmware(build_directory)


@pytest.fixture(scope="session")
def emulator_program(build_directory: Path) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    header = subprocess.run(
        ["gcc", "-E", "-x", "c", "-", "-o", "/dev/null"],
        input="#include <simavr/sim_avr.h>\n#include <libelf.h>\n",
        capture_output=True,
        text=True,
        check=False,
    )
    if header.returncode != 0:
        pytest.skip("needs libsimavr: apt packages libsimavr-dev, libelf-dev")
    return build_emulator(build_directory)


@pytest.fixture
def emulator(image: FirmwareImage, emulator_program: Path, tmp_path: Path) -> Iterator[Emulator]:
    with Emulator(emulator_program, image.elf, link=tmp_path / "port") as e:
        yield e


@pytest.fixture
def link(emulator: Emulator) -> Iterator[FirmwareLink]:
    with FirmwareLink(LinkConfig(emulator.address)) as made:
        assert made.wait_connected(5.0), made.status().error
        wait_for(lambda: made.state() is not None)
        yield made


class HostFirmware:
    """The portable part of the firmware, compiled for this computer and driven step by step."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.c = library
        self.decoder = FrameDecoder()
        self.session = 0
        self.sequence = 0
        self.reset()

    def reset(self, cause: int = 0) -> None:
        self.c.host_reset(cause)
        self.session = 0

    def send(self, message: Message, session: int | None = None, sequence: int | None = None) -> bytes:
        """Sends one message and lets 1 ms pass; returns its bytes on the wire."""
        if sequence is None:
            self.sequence = sequence = (self.sequence + 1) & 0xFFFF
        wire = Frame(
            message.TYPE, self.session if session is None else session, sequence, message.pack()
        ).encode()
        self.receive(wire)
        return wire

    def receive(self, data: bytes) -> None:
        self.c.host_receive(data, len(data))
        self.run(0.001)

    def run(self, seconds: float) -> None:
        self.c.host_run(round(seconds * 1e6))

    def answers(self) -> list[tuple[Frame, Message]]:
        buffer = ctypes.create_string_buffer(65536)
        size = self.c.host_take(buffer, 65536)
        return [(f, unpack(f.type, f.payload)) for f in self.decoder.feed(buffer.raw[:size])]

    def last(self, kind: type) -> Message:
        return [m for _, m in self.answers() if isinstance(m, kind)][-1]

    def hello(self) -> None:
        self.send(Hello(1, 77), session=0)
        self.session = self.answers()[-1][0].session

    def drive(self, *speeds: float) -> None:
        self.send(Velocity(speeds))
        self.run(0.01)

    def duty(self) -> tuple[int, int]:
        return self.c.host_duty(0), self.c.host_duty(1)

    def turn(self, wheel: int, ticks: int) -> None:
        self.c.host_encoder(wheel, ticks)

    def inputs(self, battery: float = 12.0, bumper: int = 0, encoder_errors: int = 0) -> None:
        self.c.host_inputs(round(battery / 15 * 1023), bumper, encoder_errors)

    def transcode(self, data: bytes) -> tuple[bytes, int, int]:
        """Frames the C decoder finds, encoded again, and how many it dropped for framing and for CRC."""
        room = 2 * len(data) + 256
        out = ctypes.create_string_buffer(room)
        dropped = (ctypes.c_uint32 * 2)()
        size = self.c.host_transcode(data, len(data), out, room, dropped)
        return out.raw[:size], dropped[0], dropped[1]

    def pid(self, state: np.ndarray, gains: np.ndarray, reference: float, speed: float, dt: float) -> float:
        pointer = ctypes.POINTER(ctypes.c_float)
        return self.c.host_pid(
            state.ctypes.data_as(pointer),
            gains.ctypes.data_as(pointer),
            *(ctypes.c_float(v) for v in (reference, speed, dt)),
        )


@pytest.fixture(scope="session")
def host_library(build_directory: Path) -> ctypes.CDLL:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")
    library = ctypes.CDLL(str(build_host_library(build_directory)))
    library.host_duty.restype = ctypes.c_int16
    library.host_pid.restype = ctypes.c_float
    for function in (library.host_take, library.host_transcode, library.host_watchdog_age_us):
        function.restype = ctypes.c_uint32
    return library


@pytest.fixture
def chip(host_library: ctypes.CDLL) -> HostFirmware:
    return HostFirmware(host_library)

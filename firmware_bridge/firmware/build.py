"""Builds the firmware and its emulator from the C sources beside this file, and flashes it."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent
MCU = "atmega328p"
PACKAGES = "gcc-avr avr-libc binutils-avr gcc libc6-dev libsimavr-dev libelf-dev"
FLASH_BYTES, RAM_BYTES = 32768, 2048
_AVR_FLAGS = (
    f"-mmcu={MCU} -DF_CPU=16000000UL -std=c99 -Os -Wall -Wextra -Werror -Wconversion -flto "
    "-ffunction-sections -fdata-sections -fshort-enums -Wl,--gc-sections"
).split()
_HOST_FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]


class BuildError(ValueError):
    """A tool is missing or failed; one line says which and why."""


@dataclass(frozen=True, slots=True)
class FirmwareImage:
    """What was built. flash: bytes of program memory; ram: bytes of static data."""

    elf: Path
    hex: Path
    flash: int
    ram: int

    def __str__(self) -> str:
        return (
            f"{self.elf}: flash {self.flash} of {FLASH_BYTES} bytes ({self.flash / FLASH_BYTES:.0%}),"
            f" static RAM {self.ram} of {RAM_BYTES} bytes ({self.ram / RAM_BYTES:.0%}), no heap"
        )


def _tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise BuildError(f"{name} is not installed; on Debian and Ubuntu the package {package} has it")
    return path


def _has_headers(compiler: list[str], *headers: str) -> bool:
    source = "".join(f"#include <{name}>\n" for name in headers)
    command = [*compiler, "-E", "-x", "c", "-", "-o", "/dev/null"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False).returncode == 0


def check_tools() -> None:
    """BuildError that names every apt package, where something to build firmware and emulator with is missing."""
    missing = [name for name in ("avr-gcc", "avr-objcopy", "avr-size", "gcc") if shutil.which(name) is None]
    if "avr-gcc" not in missing and not _has_headers(["avr-gcc", f"-mmcu={MCU}"], "avr/io.h"):
        missing.append("avr-libc")
    if "gcc" not in missing and not _has_headers(["gcc"], "simavr/sim_avr.h", "libelf.h"):
        missing.append("libsimavr")
    if missing:
        raise BuildError(f"{', '.join(missing)} not installed; on Debian and Ubuntu: apt install {PACKAGES}")


def run_tool(command: list[str], timeout: float | None = None) -> str:
    """Standard output of a tool; BuildError with the first line of its complaint if it fails, or takes too long (s)."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise BuildError(f"{Path(command[0]).name} is not done within {timeout:g} s") from None
    if result.returncode != 0:
        lines = (result.stderr or result.stdout).strip().splitlines()
        wanted = [line for line in lines if "error" in line] or lines[:1] or ["no message"]
        raise BuildError(f"{Path(command[0]).name} failed: {wanted[0]}")
    return result.stdout


def build_firmware(out: Path) -> FirmwareImage:
    """Compiles the firmware for the ATmega328P into out/firmware.elf and .hex. BuildError without avr-gcc."""
    gcc = _tool("avr-gcc", "gcc-avr (with avr-libc)")
    objcopy = _tool("avr-objcopy", "binutils-avr")
    size = _tool("avr-size", "binutils-avr")
    out.mkdir(parents=True, exist_ok=True)
    elf, image = out / "firmware.elf", out / "firmware.hex"
    names = ("main.c", "app.c", "control.c", "protocol.c", "hal_avr.c")
    run_tool([gcc, *_AVR_FLAGS, "-o", str(elf), *(str(SOURCES / name) for name in names), "-lm"])
    run_tool([objcopy, "-O", "ihex", "-R", ".eeprom", str(elf), str(image)])
    sections = dict(re.findall(r"^(\.\w+)\s+(\d+)", run_tool([size, "-A", str(elf)]), re.MULTILINE))
    text, data, bss, noinit = (int(sections.get(name, 0)) for name in (".text", ".data", ".bss", ".noinit"))
    return FirmwareImage(elf, image, text + data, data + bss + noinit)


def build_emulator(out: Path) -> Path:
    """Compiles the emulator into out/emulator. BuildError without gcc or libsimavr."""
    gcc = _tool("gcc", "gcc")
    out.mkdir(parents=True, exist_ok=True)
    program = out / "emulator"
    try:
        run_tool(
            [gcc, *_HOST_FLAGS, "-o", str(program), str(SOURCES / "emulator.c"), "-lsimavr", "-lelf", "-lm"]
        )
    except BuildError as error:
        if any(library in str(error) for library in ("simavr", "libelf", "lelf")):
            raise BuildError(
                "libsimavr or libelf is not installed; on Debian and Ubuntu: apt install libsimavr-dev libelf-dev"
            ) from None
        raise
    return program


def build_host_library(out: Path) -> Path:
    """Compiles the portable part of the firmware into out/libfirmware_host.so. BuildError without gcc."""
    gcc = _tool("gcc", "gcc")
    out.mkdir(parents=True, exist_ok=True)
    library = out / "libfirmware_host.so"
    names = ("app.c", "control.c", "protocol.c", "hal_host.c")
    sources = [str(SOURCES / name) for name in names]
    run_tool([gcc, *_HOST_FLAGS, "-shared", "-fPIC", "-o", str(library), *sources, "-lm"])
    return library


def flash(image: FirmwareImage, port: str, baud: int = 115_200, timeout: float = 60.0) -> None:
    """Writes the firmware to a board with the Arduino boot loader, by avrdude. BuildError if it fails."""
    avrdude = _tool("avrdude", "avrdude")
    if not Path(port).exists():
        raise BuildError(
            f"{port}: there is no such port; `python -m serial.tools.list_ports` lists those there are"
        )
    target = ["-p", "m328p", "-c", "arduino", "-P", port, "-b", str(baud)]
    try:
        run_tool([avrdude, "-q", *target, "-D", "-U", f"flash:w:{image.hex}:i"], timeout)
    except BuildError as error:
        hint = "is it an Uno or Nano, and its boot loader's baud rate right (older Nanos: --boot-baud 57600)?"
        raise BuildError(f"{port}: {error}; {hint}") from None

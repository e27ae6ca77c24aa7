"""The sub-commands ``hybrid-control firmware build | flash | emulate | monitor``."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_bridge.firmware.build import FirmwareImage
    from firmware_bridge.link import FirmwareLink

_BUILD = Path("build") / "firmware"


def add_commands(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds ``firmware`` to the command line. Each sub-parser's ``run`` takes the arguments, returns the exit status."""
    firmware = subparsers.add_parser("firmware", help="build, flash, emulate or watch the motor firmware")
    actions = firmware.add_subparsers(dest="action", required=True)

    build = actions.add_parser(
        "build", help="compile the firmware for the ATmega328P and state its RAM and flash"
    )
    build.set_defaults(run=_build)
    flash = actions.add_parser(
        "flash", help="build it and write it to an Arduino Uno or Nano (needs avrdude)"
    )
    flash.add_argument("port", help="serial port of the board, such as /dev/ttyACM0")
    flash.add_argument("--boot-baud", type=int, default=115_200, help="baud rate of the boot loader (115200)")
    flash.set_defaults(run=_flash)
    emulate = actions.add_parser(
        "emulate", help="run it on an emulated chip with simulated wheels; prints the pty"
    )
    emulate.add_argument("--link", type=Path, help="also make this symbolic link to the pty")
    emulate.add_argument(
        "--tcp", type=int, metavar="PORT", help="serve this TCP port instead of a pty (0: any free)"
    )
    emulate.add_argument(
        "--wheels", type=int, metavar="PORT", help="tell this UDP port of the same machine the wheels' speeds"
    )
    emulate.set_defaults(run=_emulate)
    monitor = actions.add_parser("monitor", help="connect and show what the firmware reports; moves nothing")
    monitor.add_argument("port", help="/dev/..., serial:NUMBER or tcp://HOST:PORT")
    monitor.add_argument("--baud", type=int, default=500_000)
    monitor.add_argument("--seconds", type=_seconds, default=math.inf, help="end after this time")
    monitor.add_argument("--clear", action="store_true", help="clear latched faults first")
    monitor.set_defaults(run=_monitor)
    for parser in (build, flash, emulate):
        parser.add_argument("--out", type=Path, default=_BUILD, help=f"build directory ({_BUILD})")


def _seconds(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise ValueError(f"{text} s must be >= 0")
    return value


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _image(arguments: argparse.Namespace) -> FirmwareImage:
    from firmware_bridge.firmware.build import build_firmware

    image = build_firmware(arguments.out)
    _say(str(image))
    return image


def _build(arguments: argparse.Namespace) -> int:
    _image(arguments)
    return 0


def _flash(arguments: argparse.Namespace) -> int:
    from firmware_bridge.firmware.build import flash

    flash(_image(arguments), arguments.port, arguments.boot_baud)
    _say(f"written to {arguments.port}")
    return 0


def _emulate(arguments: argparse.Namespace) -> int:
    from firmware_bridge.firmware.build import build_emulator
    from firmware_bridge.firmware.emulator import Emulator

    image = _image(arguments)
    program = build_emulator(arguments.out)
    with Emulator(
        program, image.elf, link=arguments.link, tcp=arguments.tcp, wheels=arguments.wheels
    ) as emulator:
        _say(emulator.address)
        try:
            return emulator.process.wait()
        except KeyboardInterrupt:
            return 0


def _monitor(arguments: argparse.Namespace) -> int:
    from firmware_bridge.link import FirmwareLink, LinkConfig

    end = time.monotonic() + arguments.seconds
    shown: str | None = None
    with FirmwareLink(LinkConfig(arguments.port, arguments.baud)) as link:
        try:
            link.wait_connected(min(3.0, arguments.seconds))
            if arguments.clear:
                link.clear_stop()
            while True:
                error = link.status().error
                if error != shown:
                    shown = error
                    _say(error or _connected(link))
                if not error:
                    _say(_line(link))
                if time.monotonic() >= end:
                    break
                time.sleep(min(0.5, max(0.0, end - time.monotonic())))
        except KeyboardInterrupt:
            pass
        return 0 if link.status().connections else 1


def _connected(link: FirmwareLink) -> str:
    c = link.capabilities
    assert c is not None
    return (
        f"connected to {c.name} {c.serial}: {c.wheels} wheels of at most {c.max_speed:g} rad/s,"
        f" {c.ticks_per_rev} ticks a turn, {c.ranges} range sensors, control {c.control_hz} Hz,"
        f" telemetry {c.telemetry_hz} Hz, motors off {c.timeout:g} s after a command"
    )


def _line(link: FirmwareLink) -> str:
    state, status = link.state(), link.status()
    if state is None:
        return "no readings yet"
    speeds = " ".join(f"{v:+7.3f}" for v in state.speeds)
    positions = " ".join(f"{v:+9.2f}" for v in state.positions)
    ranges = " ".join(f"{v:.2f}" for v in state.ranges)
    dropped = status.counts["crc_errors"] + status.counts["framing_errors"]
    return (
        f"speeds {speeds} rad/s, positions {positions} rad, battery {state.battery:.2f} V, ranges {ranges} m,"
        f" bumper {state.bumper:b}, {'on' if state.motors_on else 'off'} {' '.join(state.faults)},"
        f" frames {status.counts['frames']}, dropped {dropped}"
    )

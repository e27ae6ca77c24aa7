"""Drives the emulated firmware for minutes and judges it: ``python -m firmware_bridge.firmware.soak``.

200 commands a second through the real link, speeds that change every two seconds. With ``--faults N`` the line is cut,
the cable pulled, the host killed and the host frozen N times each instead. Prints its figures as JSON, then one line
for each requirement; the exit status is 1 if one is not met.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import multiprocessing
import os
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from firmware_bridge.firmware.build import build_emulator, build_firmware
from firmware_bridge.firmware.emulator import Emulator
from firmware_bridge.link import FirmwareLink, LinkConfig

_PROFILE = ((10.0, -5.0), (4.0, 4.0), (-8.0, 8.0), (15.0, 15.0), (1.0, 2.0))
_HOLD = 2.0
_SETTLE = 0.8
_HERTZ = 200.0
_STALL = 0.09  # s without a command because the computer was busy, before the firmware turns the motors off

_ROUND_TRIP_MS = 5.0
_SPEED_ERROR = 0.02
_OVERSHOOT = 0.10
_OFF_MS = 120.0
_BACK_MS = 1000.0

Figures = dict[str, float]
Verdicts = list[tuple[str, bool]]


class _Wheels:
    """Collects the speeds that the emulator tells every 2 ms, with the time of their arrival."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.2)
        self.port: int = self._socket.getsockname()[1]
        self._rows = array("d")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                data = self._socket.recv(16)
            except TimeoutError:
                continue
            self._rows.extend((time.monotonic(), *struct.unpack("=2d", data)))

    def rows(self) -> NDArray[np.float64]:
        """Time, s, and the two speeds, rad/s: (n, 3)."""
        return np.frombuffer(self._rows.tobytes()).reshape(-1, 3)

    def __enter__(self) -> _Wheels:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._thread.join()
        self._socket.close()


@contextmanager
def _firmware(wheels: int | None = None) -> Iterator[Emulator]:
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        image = build_firmware(out)
        with Emulator(build_emulator(out), image.elf, link=out / "port", wheels=wheels) as emulator:
            yield emulator


def _connect(link: FirmwareLink) -> None:
    if not link.wait_connected(5.0):
        raise ValueError(link.status().error)


# ---- ten minutes ----


@dataclass(slots=True)
class _Part:
    """Seconds in which one pair of speeds was commanded. whole: from the step on, not only after a stall."""

    wanted: tuple[float, float]
    start: float
    whole: bool
    end: float = math.inf


def soak(seconds: float) -> tuple[Figures, Verdicts]:
    """Figures of one run of that many seconds. ValueError if the tools are missing or there is no connection."""
    with (
        _Wheels() as wheels,
        _firmware(wheels.port) as emulator,
        FirmwareLink(LinkConfig(emulator.address)) as link,
    ):
        _connect(link)
        figures, parts = _drive(link, seconds)
        time.sleep(1.5)  # the device tells its counters once a second
        state, status, counters = emulator.state(), link.status(), link.counters
        error, overshoot = _judge_speeds(wheels.rows(), parts)
    if counters is None:
        raise ValueError("the device told no counters")
    figures |= {
        "speed_error_max": round(error, 4),
        "overshoot_max": round(overshoot, 4),
        "obeyed": counters.received - 1,  # all but the hello
        "connections": status.connections,
        "emulator_slips": state["slips"],
        "stack_free": state["stack_free"],
        **{f"host_{k}": v for k, v in status.counts.items()},
        **{f"device_{k}": v for k, v in dataclasses.asdict(counters).items()},
    }
    names = "host_lost host_crc_errors host_framing_errors host_unknown host_not_sent device_crc_errors"
    names += " device_framing_errors device_refused device_rx_overruns device_tx_dropped"
    lost = sum(figures[name] for name in names.split()) + abs(figures["obeyed"] - figures["commands"])
    disorder = figures["out_of_order"] + figures["device_replayed"] + figures["device_stale"]
    rate, telemetry, trip = (figures[n] for n in ("commands_per_s", "telemetry_per_s", "round_trip_ms_p50"))
    return figures, [
        (f"{rate} commands a second, at least 200", rate >= _HERTZ),
        (f"{telemetry} telemetry frames a second, at least 100", telemetry >= 100),
        (f"{lost:.0f} frames lost or damaged, none allowed", lost == 0 and status.connections == 1),
        (f"{disorder:.0f} frames out of order, none allowed", disorder == 0),
        (f"round trip {trip} ms at the median, at most {_ROUND_TRIP_MS}", trip <= _ROUND_TRIP_MS),
        (
            f"settled speeds within {error:.2%} of the command at any instant, at most 2 %",
            error <= _SPEED_ERROR,
        ),
        (f"overshoot {overshoot:.1%} of the step, at most 10 %", overshoot <= _OVERSHOOT),
    ]


def _drive(link: FirmwareLink, seconds: float) -> tuple[Figures, list[_Part]]:
    """Figures, and what was commanded when. Where this computer stalls so long that the motors go off, a new part
    begins."""
    trips: list[float] = []
    parts: list[_Part] = []
    sent = stalls = out_of_order = 0
    obeyed: int | None = None
    commands = round(seconds * _HERTZ)
    frames = link.status().counts["telemetry"]
    start = before = time.monotonic()
    for turn in tqdm(range(commands), unit="", desc="commands", mininterval=1.0):
        now = time.monotonic()
        wanted = _PROFILE[int((now - start) / _HOLD) % len(_PROFILE)]
        telemetry = link.telemetry
        off = turn > 100 and telemetry is not None and not telemetry.motors_on
        stalled = now - before > _STALL or off
        if not parts or stalled or parts[-1].wanted != wanted:
            if parts:
                parts[-1].end = before - _STALL if off else before
            parts.append(_Part(wanted, now, not stalled))
        stalls += stalled
        before = now
        sent += link.send(wanted)
        if telemetry is not None:
            if obeyed is not None and (telemetry.obeyed - obeyed) & 0xFFFF >= 0x8000:
                out_of_order += 1
            obeyed = telemetry.obeyed
        if turn % 100 == 99:
            trips += link.round_trips()[-50:]
        time.sleep(max(0.0, start + (turn + 1) / _HERTZ - time.monotonic()))
    parts[-1].end = time.monotonic()
    elapsed = parts[-1].end - start
    frames = link.status().counts["telemetry"] - frames
    quantiles = np.quantile(trips, (0.5, 0.9, 0.99, 1.0)) * 1e3 if trips else [math.nan] * 4
    return {
        "seconds": round(elapsed, 1),
        "commands": sent,
        "commands_per_s": round(sent / elapsed, 1),
        "telemetry_per_s": round(frames / elapsed, 1),
        **{
            f"round_trip_ms_{name}": round(float(value), 3)
            for name, value in zip(("p50", "p90", "p99", "max"), quantiles, strict=True)
        },
        "out_of_order": out_of_order,
        "computer_stalls": stalls,
    }, parts


def _judge_speeds(rows: NDArray[np.float64], parts: list[_Part]) -> tuple[float, float]:
    """Largest error of a settled wheel, as a part of its command, and largest overshoot, as a part of the step."""
    error = overshoot = 0.0
    t, speeds = rows[:, 0], rows[:, 1:]
    for part in parts:
        during = (t > part.start) & (t < part.end)
        settled = speeds[during & (t > part.start + _SETTLE)]
        if settled.size:
            error = max(error, float(np.max(np.abs(settled / part.wanted - 1))))
            if part.whole:
                step = part.wanted - speeds[during][0]
                overshoot = max(overshoot, float(np.max((speeds[during] - part.wanted) / step)))
    return error, overshoot


# ---- faults ----


def _host(address: str, shared: Any) -> None:
    """A host in a process of its own that commands motion while shared[0]; shared[1] is set while it does."""
    with FirmwareLink(LinkConfig(address)) as link:
        while True:
            shared[1] = 1
            if shared[0]:
                link.send((8.0, 8.0))
            shared[1] = 0
            time.sleep(0.005)


class _Trial:
    """What one kind of fault did, over all repetitions."""

    def __init__(self, name: str, emulator: Emulator) -> None:
        self.name = name
        self.off: list[float] = []
        self.back: list[float] = []
        self.moved = 0
        self._emulator = emulator
        self._last_high = 0.0

    def broken(self) -> None:
        """After the fault: waits until all has had time to stop, and notes when the PWM pins were last high."""
        time.sleep(0.5)
        state = self._emulator.state()
        self._last_high = max(wheel["last_high_us"] for wheel in state["wheels"])
        self.off.append((self._last_high - state["last_rx_us"]) / 1000)

    def mended(self, back: Callable[[], bool]) -> None:
        """After the repair: waits for the connection, then makes sure that nothing moves by itself."""
        start = time.monotonic()
        while not back():
            if time.monotonic() - start > 5.0:
                raise ValueError(f"{self.name}: no connection within 5 s")
            time.sleep(0.001)
        self.back.append((time.monotonic() - start) * 1000)
        time.sleep(0.2)
        self.moved += max(w["last_high_us"] for w in self._emulator.state()["wheels"]) != self._last_high

    def figures(self) -> Figures:
        """Median and worst times."""
        return {
            f"{self.name}_{quantity}_ms_{which}": round(float(function(values)), 2)
            for quantity, values in (("off", self.off), ("back", self.back))
            for which, function in (("median", np.median), ("max", np.max))
        } | {f"{self.name}_moved": self.moved}

    def verdicts(self) -> Verdicts:
        """One for each requirement."""
        off, back = max(self.off), max(self.back)
        return [
            (f"{self.name}: motors off within {off:.1f} ms, at most 120", off <= _OFF_MS),
            (f"{self.name}: back within {back:.0f} ms, at most 1000", back <= _BACK_MS),
            (f"{self.name}: moved {self.moved} times before a fresh command", self.moved == 0),
        ]


def _moves(emulator: Emulator) -> bool:
    return min(wheel["speed"] for wheel in emulator.state()["wheels"]) > 4.0


def _await(what: str, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        if time.monotonic() > end:
            raise ValueError(f"{what}: not within 10 s")
        time.sleep(0.005)


def faults(repeats: int) -> tuple[Figures, Verdicts]:
    """Cuts the line, pulls the cable, kills the host and freezes it, so many times each. ValueError as soak.

    off: ms of the chip's clock from the last byte that it got to the last time that a PWM pin was high. back: ms of the
    wall clock from the repair to the connection; of a killed host, from the next one's start; of a frozen one, to the
    first command that is obeyed.
    """
    trials: list[_Trial] = []
    with _firmware() as emulator, tqdm(total=4 * repeats, desc="faults") as bar:
        with FirmwareLink(LinkConfig(emulator.address)) as link:
            for name, break_it, mend_it in (("cut", "cut 1", "cut 0"), ("unplug", "unplug", "plug")):
                trials.append(_Trial(name, emulator))
                for _ in range(repeats):
                    _break_line(trials[-1], emulator, link, break_it, mend_it)
                    bar.update()
        for name, run in (("kill", _kill_host), ("freeze", _freeze_host)):
            trials.append(_Trial(name, emulator))
            for _ in range(repeats):
                run(trials[-1], emulator)
                bar.update()
    figures: Figures = {"repeats": repeats}
    verdicts: Verdicts = []
    for trial in trials:
        figures |= trial.figures()
        verdicts += trial.verdicts()
    return figures, verdicts


def _break_line(trial: _Trial, emulator: Emulator, link: FirmwareLink, break_it: str, mend_it: str) -> None:
    _connect(link)
    _await("motion", lambda: link.send((8.0, 8.0)) and _moves(emulator))
    emulator.command(break_it)
    trial.broken()
    emulator.command(mend_it)
    trial.mended(lambda: link.status().connected)


@contextmanager
def _driving_host(emulator: Emulator) -> Iterator[tuple[Any, Any]]:
    """A process that has the wheels turning, and what it shares with us."""
    _await("standstill", lambda: not any(wheel["speed"] for wheel in emulator.state()["wheels"]))
    context = multiprocessing.get_context("spawn")
    shared = context.RawArray("b", [1, 0])  # without a lock that a frozen process might hold
    host = context.Process(target=_host, args=(emulator.address, shared), daemon=True)
    host.start()
    try:
        _await("motion", lambda: _moves(emulator))
        yield host, shared
    finally:
        host.kill()
        host.join()


def _kill_host(trial: _Trial, emulator: Emulator) -> None:
    with _driving_host(emulator) as (host, _):
        host.kill()
        trial.broken()
    with FirmwareLink(LinkConfig(emulator.address)) as link:
        trial.mended(lambda: link.status().connected)


def _freeze_host(trial: _Trial, emulator: Emulator) -> None:
    with _driving_host(emulator) as (host, shared):
        while True:
            os.kill(host.pid, signal.SIGSTOP)
            time.sleep(0.01)
            if not shared[1]:
                break
            os.kill(
                host.pid, signal.SIGCONT
            )  # a command on its way would go out after the thaw, and be a fresh one
            time.sleep(0.001)
        trial.broken()
        shared[0] = 0
        os.kill(host.pid, signal.SIGCONT)
        trial.mended(lambda: True)
        shared[0] = 1
        start = time.monotonic()
        _await("motion after the thaw", lambda: bool(emulator.state()["enabled"]))
        trial.back[-1] = (time.monotonic() - start) * 1000


def main() -> int:
    """Runs it; the exit status is 1 if a requirement is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument(
        "--faults", type=int, default=0, metavar="N", help="break it N times in each way instead"
    )
    arguments = parser.parse_args()
    with contextlib.suppress(OSError):  # where others share the computer; root alone may
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    figures, verdicts = faults(arguments.faults) if arguments.faults else soak(arguments.seconds)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    for said, holds in verdicts:
        sys.stdout.write(f"{'ok ' if holds else 'NOT'} {said}\n")
    return int(not all(holds for _, holds in verdicts))


if __name__ == "__main__":
    sys.exit(main())

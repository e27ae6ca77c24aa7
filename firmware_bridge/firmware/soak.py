"""Drives the emulated firmware for minutes and says what was lost: ``python -m firmware_bridge.firmware.soak``.

200 commands a second through the real link, speeds that change every two seconds; prints its figures as JSON.
With ``--faults N`` the line is cut and the cable pulled N times each instead, and the times are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from firmware_bridge.firmware.build import build_emulator, build_firmware
from firmware_bridge.firmware.emulator import Emulator
from firmware_bridge.link import Link, LinkConfig

_PROFILE = ((10.0, -5.0), (4.0, 4.0), (-8.0, 8.0), (15.0, 15.0), (1.0, 2.0))
_HOLD = 2.0
_SETTLE = 1.0


def soak(seconds: float, hertz: float = 200.0) -> dict[str, float]:
    """Figures of one run of that many seconds. ValueError if the tools are missing or there is no connection."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        image = build_firmware(out)
        with Emulator(build_emulator(out), image.elf) as emulator, Link(LinkConfig(emulator.address)) as link:
            if not link.wait_connected(5.0):
                raise ValueError(link.status().error)
            return _drive(emulator, link, seconds, hertz)


def _drive(emulator: Emulator, link: Link, seconds: float, hertz: float) -> dict[str, float]:
    trips: list[float] = []
    errors: list[float] = []
    seen = sent = 0
    last_obeyed, out_of_order = -1, 0
    start = time.monotonic()
    slips = emulator.state()["slips"]
    with tqdm(total=round(seconds), unit="s", desc="soak") as progress:
        while (now := time.monotonic() - start) < seconds:
            wanted = _PROFILE[int(now / _HOLD) % len(_PROFILE)]
            sent += link.send(wanted)
            telemetry = link.telemetry
            if telemetry is not None:
                if last_obeyed >= 0 and (telemetry.obeyed - last_obeyed) & 0xFFFF >= 0x8000:
                    out_of_order += 1
                last_obeyed = telemetry.obeyed
            if sent % round(hertz / 2) == 0:
                trips += link.round_trips()[-round(hertz / 4) :]
                if now % _HOLD > _SETTLE:
                    wheels = emulator.state()["wheels"]
                    errors += [abs(w["speed"] / v - 1) for w, v in zip(wheels, wanted, strict=True)]
                progress.update(int(now) - seen)
                seen = int(now)
            time.sleep(max(0.0, start + sent / hertz - time.monotonic()))
    elapsed = time.monotonic() - start
    time.sleep(1.5)
    status, counters = link.status(), link.counters
    state = emulator.state()
    device = (
        {name: getattr(counters, name) for name in counters.__dataclass_fields__ if name.islower()}
        if counters
        else {}
    )
    quantiles = np.quantile(trips, (0.5, 0.9, 0.99, 1.0)) * 1e3 if trips else [float("nan")] * 4
    return {
        "seconds": round(elapsed, 1),
        "commands": sent,
        "commands_per_s": round(sent / elapsed, 1),
        "telemetry_per_s": round(status.counts["frames"] / elapsed, 1),
        **{
            f"round_trip_ms_{n}": round(float(q), 3)
            for n, q in zip(("p50", "p90", "p99", "max"), quantiles, strict=True)
        },
        "speed_error_median": round(float(np.median(errors)), 4) if errors else float("nan"),
        "speed_error_max": round(max(errors), 4) if errors else float("nan"),
        "out_of_order": out_of_order,
        "connections": status.connections,
        "emulator_slips": state["slips"] - slips,
        "stack_free": state["stack_free"],
        **{f"host_{k}": v for k, v in status.counts.items()},
        **{f"device_{k}": v for k, v in device.items()},
    }


def faults(repeats: int) -> dict[str, float]:
    """Worst and median times over so many line cuts and pulled cables.

    off: ms of the chip's clock from the last byte of the last command to the last time that a PWM pin was high.
    back: ms of the wall clock from the cable's return to the connection. ValueError as soak.
    """
    off: dict[str, list[float]] = {"cut": [], "unplug": []}
    back: dict[str, list[float]] = {"cut": [], "unplug": []}
    moved = 0
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory)
        image = build_firmware(out)
        with (
            Emulator(build_emulator(out), image.elf, link=out / "port") as emulator,
            Link(LinkConfig(emulator.address)) as link,
        ):
            for _ in tqdm(range(repeats), desc="faults"):
                for kind, (break_it, mend_it) in {
                    "cut": ("cut 1", "cut 0"),
                    "unplug": ("unplug", "plug"),
                }.items():
                    if not link.wait_connected(5.0):
                        raise ValueError(link.status().error)
                    for _ in range(80):
                        link.send((8.0, 8.0))
                        time.sleep(0.005)
                    emulator.command(break_it)
                    time.sleep(0.6)
                    state = emulator.state()
                    last = max(wheel["last_high_us"] for wheel in state["wheels"])
                    off[kind].append((last - state["last_rx_us"]) / 1000)
                    mended = time.monotonic()
                    emulator.command(mend_it)
                    if not link.wait_connected(5.0):
                        raise ValueError(link.status().error)
                    back[kind].append((time.monotonic() - mended) * 1000)
                    time.sleep(0.2)
                    moved += max(wheel["last_high_us"] for wheel in emulator.state()["wheels"]) != last
    return {
        f"{name}_ms_{kind}_{quantity}": round(float(function(values[kind])), 2)
        for name, values in (("off", off), ("back", back))
        for kind in values
        for quantity, function in (("median", np.median), ("max", np.max))
    } | {"repeats": repeats, "moved_before_a_fresh_command": moved}


def main() -> int:
    """Runs it; the exit status is 1 if anything was lost or out of order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument(
        "--faults", type=int, default=0, metavar="N", help="cut and unplug N times each instead"
    )
    arguments = parser.parse_args()
    if arguments.faults:
        times = faults(arguments.faults)
        sys.stdout.write(json.dumps(times, indent=1) + "\n")
        return int(times["moved_before_a_fresh_command"] > 0)
    result = soak(arguments.seconds)
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    bad = ("out_of_order", "host_lost", "host_crc_errors", "host_framing_errors", "device_crc_errors")
    missed = result["commands"] - (result.get("device_received", 0) - 1)
    return int(any(result.get(name, 1) for name in bad) or missed > 0)


if __name__ == "__main__":
    sys.exit(main())

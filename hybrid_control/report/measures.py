"""The numbers of a run: what report.json holds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hybrid_control.navigation.reflex.modes import name_of
from hybrid_control.report.run import FloatArray, Run

#: Truth within this distance of the goal counts as reached, metres.
GOAL_REACHED = 0.5


def percentiles(values: ArrayLike) -> dict[str, float | int]:
    """count, p50, p90, p99 and max of values; count alone where there are none. Linear between ranks."""
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if not array.size:
        return {"count": 0}
    p50, p90, p99 = np.percentile(array, [50, 90, 99])
    return {
        "count": int(array.size),
        "p50": float(p50),
        "p90": float(p90),
        "p99": float(p99),
        "max": float(array.max()),
    }


def rate(t: FloatArray) -> float | None:
    """Mean rate in Hz of events at times t, from the first to the last; None for fewer than two."""
    span = float(t[-1] - t[0]) if t.size > 1 else 0.0
    return (t.size - 1) / span if span > 0 else None


def path_length(x: FloatArray, y: FloatArray) -> float:
    """Length of the polyline through (x, y), metres."""
    return float(np.hypot(np.diff(x), np.diff(y)).sum())


def image_to_rates(run: Run) -> FloatArray:
    """Seconds from the stamp of an image until the rates computed from it were received, one for each RateVector.

    None are known where the ROS clock is not the system clock: latency is a matter of real time.
    """
    return run.rates.received - run.rates.t if run.clock.live else np.zeros(0)


def scan_to_command(run: Run) -> FloatArray:
    """Seconds from the stamp of each scan until the first command after it was received.

    From outside it can't be told whether that command already heeds the scan. None are known where the ROS clock is
    not the system clock.
    """
    if not run.clock.live:
        return np.zeros(0)
    commands = run.command.received
    first = np.searchsorted(commands, run.scans.received, side="right")
    known = first < commands.size
    return commands[first[known]] - run.scans.t[known]


def time_in_modes(run: Run) -> dict[str, float]:
    """Seconds spent in each mode; a mode holds until the next status."""
    seconds: dict[str, float] = {}
    modes = run.status["mode"].astype(int)
    ends = np.append(run.status.t[1:], run.duration) if len(run.status) else np.zeros(0)
    for mode, begin, end in zip(modes, run.status.t, ends, strict=True):
        name = name_of(mode)
        seconds[name] = seconds.get(name, 0.0) + float(end - begin)
    return seconds


def guard_share(run: Run) -> float | None:
    """Share of the driving time in which the guard changed the network's command; None where nothing drove or told."""
    share = run.status["guard_share"][1:]
    drove = np.isfinite(share)
    seconds = np.diff(run.status.t)[drove]
    return float(seconds @ share[drove] / seconds.sum()) if seconds.sum() > 0 else None


def _integral(t: FloatArray, rate: FloatArray) -> float:
    """Integral over time of a rate that was measured over the interval that ends at each sample."""
    return float((np.diff(t) * rate[1:]).sum()) if t.size > 1 else 0.0


def _quartet(run: Run, name: str) -> dict[str, float] | None:
    if not len(run.status):
        return None
    keys = (("p50", "50"), ("p99", "99"), ("p99.9", "999"), ("max", "max"))
    return {key: float(run.status[name + suffix][-1]) for key, suffix in keys}


def _finite(value: Any) -> Any:
    """The same with NaN and infinity as None, so that what is written is JSON."""
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _outcome(run: Run) -> dict[str, Any]:
    """The supervisor's verdict; from the ground truth alone where there is none.

    Of a recording that ends before the run did, and of which nobody said why, that it is cut short.
    """
    verdict = run.metadata.get("outcome")
    if not run.recording.complete and not run.metadata.get("recording"):
        text = f"the recording is cut short after {run.duration:.1f} s"
        if isinstance(verdict, dict):
            text += f"; the run went on: {verdict.get('text', '')}"
        return {"success": False, "result": "cut short", "text": text}
    if isinstance(verdict, dict):
        return verdict
    contacts = int(run.state["contacts"].max()) if len(run.state) else 0
    reached = bool(len(run.state) and run.state["goal_distance"].min() <= GOAL_REACHED)
    if contacts:
        return {"success": False, "result": "contact", "text": f"{contacts} contacts"}
    if reached:
        return {"success": True, "result": "reached", "text": "goal reached without a contact"}
    return {"success": False, "result": "not reached", "text": "goal not reached"}


def diagnostics(run: Run) -> dict[str, dict[str, str]]:
    """The last message and values of each entry of /diagnostics."""
    last: dict[str, dict[str, str]] = {}
    for message in run.recording.topic("diagnostics") or ():
        for entry in message.status:
            last[entry.name] = {"message": entry.message, **{v.key: v.value for v in entry.values}}
    return last


def time_to_goal(run: Run) -> float | None:
    """Seconds until the robot was first within GOAL_REACHED of the goal; None where it never was."""
    near: NDArray[np.int64] = np.flatnonzero(run.state["goal_distance"] <= GOAL_REACHED)
    return float(run.state.t[near[0]]) if near.size else None


def measure(run: Run) -> dict[str, Any]:
    """All numbers of a run, ready for JSON. Seconds, metres, hertz; milliseconds and microseconds where named so."""
    state, status = run.state, run.status
    ticks = int(status["ticks"][-1]) if len(status) else 0
    missed = int(status["missed"][-1]) if len(status) else 0
    energy_uj = _integral(status.t, status["power"])
    goal_time = time_to_goal(run)
    known = state["minimum_distance"][np.isfinite(state["minimum_distance"])]
    report = {
        "outcome": _outcome(run),
        "seed": run.metadata.get("seed"),
        "world": run.metadata.get("world"),
        "robot": run.metadata.get("robot"),
        "versions": run.metadata.get("versions", {}),
        "startup_s": run.metadata.get("startup_s"),
        "duration_s": run.duration,
        "time_to_goal_s": goal_time,
        "path_length_m": path_length(state["x"], state["y"]),
        "straight_line_m": _straight(run),
        "contacts": int(state["contacts"].max()) if len(state) else None,
        "minimum_distance_m": float(known.min()) if known.size else None,
        "final_goal_distance_m": float(state["goal_distance"][-1]) if len(state) else None,
        "mean_speed_m_s": float(state["speed"].mean()) if len(state) else None,
        "planner_rate_hz": rate(run.rates.received),
        "latency_ms": {
            "image_to_rates": percentiles(image_to_rates(run) * 1e3),
            "scan_to_command": percentiles(scan_to_command(run) * 1e3),
        },
        "ticks": {
            "rate_hz": float(np.median(status["rate"])) if len(status) else None,
            "ticks": ticks,
            "missed": missed,
            "missed_share": missed / (ticks + missed) if ticks + missed else None,
            "lateness_us": _quartet(run, "late"),
            "cost_us": _quartet(run, "cost"),
            "refused_inputs": int(status["refused"][-1]) if len(status) else None,
        },
        "network": {
            "spikes": {r.name: int(r.t.size) for r in run.rasters},
            "spikes_per_second": float(status["spikes"].mean()) if len(status) else None,
            "synaptic_events": round(_integral(status.t, status["events"])),
            "synaptic_events_per_second": float(status["events"].mean()) if len(status) else None,
            "energy_estimate_uj": energy_uj,
            "power_estimate_uw": float(status["power"].mean()) if len(status) else None,
        },
        "modes_s": time_in_modes(run),
        "guard_share": guard_share(run),
        "topics": {
            t.name: {"type": t.type, "messages": len(t), "rate_hz": rate(run.clock.at(t.received))}
            for t in sorted(run.recording.topics.values(), key=lambda t: t.name)
        },
        "parameters": run.metadata.get("parameters", {}),
        "diagnostics": diagnostics(run),
        "events": run.metadata.get("events", []),
        "recording": {"complete": run.recording.complete, "note": run.metadata.get("recording", "")},
    }
    return _finite(report)


def _straight(run: Run) -> float | None:
    if run.goal is None or not len(run.state):
        return None
    return math.hypot(run.goal[0] - run.state["x"][0], run.goal[1] - run.state["y"][0])

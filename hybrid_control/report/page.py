"""The page of a run: one self-contained HTML file with charts, a map, camera frames and a replay."""

from __future__ import annotations

import html
import json
import math
import re
from pathlib import Path
from typing import Any

from hybrid_control.report import lesson, replay, timelines
from hybrid_control.report.closed import Closed
from hybrid_control.report.run import Run
from hybrid_control.report.worldmap import WorldMap

TEMPLATE = Path(__file__).with_name("template.html")

_MISSED_SHARE = 1e-3  # of the ticks, above which the card warns


def esc(value: Any) -> str:
    """Text for markup."""
    return html.escape(str(value))


def card(label: str, value: str, unit: str = "", note: str = "", css: str = "") -> str:
    """A number with its name."""
    small = f" <small>{unit}</small>" if unit else ""
    below = f"<i>{note}</i>" if note else ""
    return f'<div class="card {css}"><span>{label}</span><b>{value}{small}</b>{below}</div>'


def prefixed(value: float | None) -> tuple[str, str]:
    """A count with its metric prefix: 12345 as ("12.3", "k")."""
    if value is None or not math.isfinite(value):
        return "–", ""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}", prefix
    return f"{value:.3g}", ""


def _fixed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _cards(report: dict[str, Any]) -> str:
    ticks, network, delays = report["ticks"], report["network"], report["latency_ms"]
    time, straight, path = report["time_to_goal_s"], report["straight_line_m"], report["path_length_m"]
    contacts, share = report["contacts"], ticks["missed_share"]
    planner, command, cost = delays["image_to_rates"], delays["scan_to_command"], ticks["cost_us"]
    spikes, spikes_unit = prefixed(network["spikes_per_second"])
    events, events_unit = prefixed(network["synaptic_events_per_second"])
    recorded = _fixed(report["duration_s"], 1)
    planner_note = f"{planner['p50']:.0f} ms after its image" if planner["count"] else ""
    tick_note = f"{cost['p50']:.1f} µs a tick" if cost and cost["p50"] is not None else ""
    late = "warn" if share is not None and share > _MISSED_SHARE else ""
    cards = [
        card("time", recorded, "s", "goal not reached", "bad")
        if time is None
        else card("time to the goal", _fixed(time, 1), "s", f"{recorded} s recorded"),
        card("path", _fixed(path, 2), "m", f"{path / straight:.2f} × straight line" if straight else ""),
        card("contacts", "–" if contacts is None else str(contacts), "", "", "bad" if contacts else "good"),
        card("least distance", _fixed(report["minimum_distance_m"], 2), "m", "outline to obstacle"),
        card("mean speed", _fixed(report["mean_speed_m_s"], 2), "m/s"),
        card("spikes", spikes, f"{spikes_unit}/s", "of the reflex"),
        card("planner", _fixed(report["planner_rate_hz"], 1), "Hz", planner_note),
        card("reflex", _fixed(ticks["rate_hz"], 0), "Hz", tick_note),
        card(
            "missed ticks",
            "–" if share is None else f"{100 * share:.2g}",
            "%",
            f"{ticks['missed']} of {ticks['ticks'] + ticks['missed']}",
            late,
        ),
        card("command", f"{command['p50']:.1f}" if command["count"] else "–", "ms", "after a scan, p50"),
        card("synaptic events", events, f"{events_unit}/s"),
        card("power, estimated", _fixed(network["power_estimate_uw"], 1), "µW", "on a neuromorphic chip"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _header(run: Run, report: dict[str, Any]) -> str:
    outcome, robot, world, recording = (
        report["outcome"],
        report["robot"],
        report["world"],
        report["recording"],
    )
    name = robot.get("name", "") if isinstance(robot, dict) else (robot or "")
    title = f"{esc(name).capitalize()} through “{esc(world)}”" if world else esc(run.folder.name)
    words = [f"seed {report['seed']}"] if report["seed"] is not None else []
    words += [f"{k} {v}" for k, v in report["versions"].items()]
    notices = []
    if recording["note"] or not recording["complete"]:
        why = recording["note"] or "the file ends before its end mark"
        notices.append(
            f"<b>The recording is not complete</b> ({esc(why)}). What follows shows what was recorded."
        )
    notices += [
        f"<b>{event.get('t', 0):.1f} s</b> {esc(event.get('text', ''))}" for event in report["events"]
    ]
    badge = f'<span class="badge {"good" if outcome.get("success") else "bad"}">{esc(outcome.get("text", ""))}</span>'
    below = "".join(f'<div class="notice">{notice}</div>' for notice in notices)
    return f'<header><h1>{title}</h1>{badge}<div class="sub">{esc(" · ".join(words))}</div></header>{below}'


def folded(title: str, content: str) -> str:
    """A section that is opened by a click."""
    return f"<section><details><summary>{title}</summary>{content}</details></section>"


def _tables(report: dict[str, Any]) -> str:
    rows = []
    for name, topic in report["topics"].items():
        rows.append(
            f"<tr><td><code>{esc(name)}</code></td><td><code>{esc(topic['type'])}</code></td>"
            f'<td class="n">{topic["messages"]}</td><td class="n">{_fixed(topic["rate_hz"], 1)}</td></tr>'
        )
    head = '<tr><th>topic</th><th>type</th><th class="n">messages</th><th class="n">Hz</th></tr>'
    tables = folded("Topics recorded", f'<div class="wide"><table>{head}{"".join(rows)}</table></div>')
    groups = []
    for node, values in report["parameters"].items():
        if isinstance(values, dict):
            cells = [
                f'<tr><td><code>{esc(k)}</code></td><td class="n"><code>{esc(v)}</code></td></tr>'
                for k, v in values.items()
            ]
            groups.append(f"<table><tr><th>{esc(node)}</th><th></th></tr>{''.join(cells)}</table>")
    if groups:
        tables += folded("Parameters used", f'<div class="columns">{"".join(groups)}</div>')
    return tables


_FOOTER = (
    "<footer>Made by <code>hybrid-control report</code> from run.mcap, which opens in Foxglove; "
    "the numbers are in report.json.</footer>"
)


def page(run: Run, report: dict[str, Any]) -> str:
    """The whole page as HTML text, with nothing to load from elsewhere."""
    taught, shown = lesson.lesson(run), replay.moments(run, Closed.of(run))
    world = WorldMap(run, None if taught is None else taught.avoided)
    parts = [
        _header(run, report),
        _cards(report),
        replay.section(run, world, shown),
        timelines.over_time(run, report),
        lesson.section(run, taught),
        timelines.spikes(run),
        replay.film(shown),
        timelines.latency(run, report),
        _tables(report),
        _FOOTER,
    ]
    title = (
        f"{report['world'] or run.folder.name}, seed {report['seed']}: {report['outcome'].get('result', '')}"
    )
    return filled(title, parts, replay.data(run, world, shown))


def filled(title: str, parts: list[str], data: dict[str, Any]) -> str:
    """The template with its title, its parts (markup), and what its script needs."""
    embedded = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
    marks = {"title": esc(title), "body": "\n".join(parts), "data": embedded}
    text = TEMPLATE.read_text(encoding="utf-8")
    # in one go: what is put in may hold a mark itself
    return re.sub(r"\{\{(title|body|data)\}\}", lambda match: marks[match[1]], text)

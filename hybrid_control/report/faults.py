"""The page of a campaign of faults: what befell the robot, by kind, what it did, and when."""

from __future__ import annotations

import html
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybrid_control.report.charts import Chart
from hybrid_control.report.page import filled

_PER_CHART = 60.0 * 20  # s of the campaign in one timeline
_STYLE = (
    "<style>.failed{fill:var(--bad);opacity:.55}.held{fill:var(--good);opacity:.35}.kinds td,"
    ".kinds th{white-space:nowrap}"
    ".kinds td.text{white-space:normal;min-width:15em}.kinds tr.no td:first-child{color:var(--bad);font-weight:600}"
    ".dot{fill:var(--good)}.dot.no{fill:var(--bad)}</style>"
)


def _esc(value: Any) -> str:
    return html.escape(str(value))


def _number(value: float | None, unit: str = " s") -> str:
    return "–" if value is None else f"{value:.2f}{unit}"


def _card(label: str, value: str, note: str = "", css: str = "") -> str:
    return f'<div class="card {css}"><span>{label}</span><b>{value}</b><i>{note}</i></div>'


def _cards(result: Mapping[str, Any]) -> str:
    rows: Sequence[Mapping[str, Any]] = result["rows"]
    failed, contacts = sum(bool(r["failures"]) for r in rows), sum(r["contacts"] for r in rows)
    judged = [r for r in rows if r["stopped"] is not None]
    drove = [r["drove"] for r in rows if r["drove"] is not None]
    worst = max((r["stopped"] / r["limit"] for r in judged), default=None)
    cards = [
        _card("faults", str(len(rows)), f"of {result['asked']} asked, in {result['seconds'] / 60:.0f} min"),
        _card("failed", str(failed), "", "bad" if failed else "good"),
        _card("contacts", str(contacts), "", "bad" if contacts else "good"),
        _card(
            "stops judged",
            str(len(judged)),
            "" if worst is None else f"worst {100 * worst:.0f} % of its limit",
        ),
        _card(
            "drove again",
            str(len(drove)),
            f"median {np.median(drove):.1f} s, worst {max(drove):.1f} s" if drove else "",
        ),
        _card(
            "machine late",
            f"{max((r['late'] for r in rows), default=0.0):.2f} s",
            "worst, added to the limit",
        ),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _kinds(result: Mapping[str, Any]) -> str:
    head = (
        '<tr><th>kind<th class="n">faults<th class="n">failed<th class="n">worst stop<th class="n">its limit'
        '<th class="n">slowest drive<th class="n">only said why<th>what is done<th>what failed</tr>'
    )
    body = []
    for name, k in result["kinds"].items():
        body.append(
            f'<tr class="{"no" if k["failed"] else ""}"><td>{_esc(name)}<td class="n">{k["faults"]}'
            f'<td class="n">{k["failed"]}<td class="n">{_number(k["worst_stop_s"])}'
            f'<td class="n">{_number(k["its_limit_s"])}'
            f'<td class="n">{_number(k["slowest_drive_s"])}<td class="n">{k["only_said_why"]}'
            f'<td class="text">{_esc(k["help"])}<td class="text">{_esc("; ".join(k["failures"]))}</tr>'
        )
    for name, why in result.get("left_out", {}).items():
        body.append(
            f'<tr><td>{_esc(name)}<td class="n">0<td colspan="7" class="text">left out: {_esc(why)}</tr>'
        )
    return (
        f'<section><h2>By kind</h2><div class="wide"><table class="kinds">{head}{"".join(body)}</table></div>'
        "<p>Worst: nearest to its limit, or furthest beyond. A limit is the timeout, 0.1 s for messages and ticks on "
        "their way, the braking from the measured speed, and what this machine itself was late by. "
        f"After a fault the robot drives within {result['answers_s']:g} s or says why not.</p></section>"
    )


def _stops(result: Mapping[str, Any]) -> str:
    """Every stop beside its limit, by kind."""
    kinds = [k for k, v in result["kinds"].items() if v["judged_stops"]]
    if not kinds:
        return ""
    rows = [r for r in result["rows"] if r["stopped"] is not None]
    most = max(1.5, *(r["stopped"] / r["limit"] for r in rows))
    chart = Chart(
        (0.0, min(most, 5.0)),
        (0.0, float(len(kinds))),
        height=34 + 24 * len(kinds),
        label="stops",
        sides=(130, 20),
    )
    for i, kind in enumerate(kinds):
        y = len(kinds) - i - 0.5
        chart.row_label(y, kind)
        for r in rows:
            if r["kind"] == kind:
                share = r["stopped"] / r["limit"]
                chart.dot(
                    min(share, 5.0), y, "dot no" if share > 1.0 else "dot", f"{r['number']}: {r['what']}"
                )
    chart.moment(1.0, "limit", "limit")
    return (
        "<section><h2>Stops</h2><p>Time until the base was at rest, over its limit; each dot a fault.</p>"
        f"{chart.svg(x_unit='', y_ticks=())}</section>"
    )


def _timelines(result: Mapping[str, Any]) -> str:
    """The true speed over the whole campaign, with what befell the robot."""
    trace = np.array(result["trace"], dtype=float).reshape(-1, 2)
    end = max(
        [float(trace[-1, 0]) if len(trace) else 0.0, *(r["began"] + r["seconds"] for r in result["rows"])]
    )
    charts = []
    for begin in np.arange(0.0, end + 1e-9, _PER_CHART):
        until = min(begin + _PER_CHART, max(end, begin + 60.0))
        chart = Chart((begin / 60, until / 60), (0.0, 1.2), height=120, label="speed over time")
        for r in result["rows"]:
            if begin <= r["began"] < until:
                css = "failed" if r["failures"] else "held"
                tip = f"{r['number']} {r['kind']}: {'; '.join(r['failures']) or r['what']}"
                chart.span(r["began"] / 60, (r["began"] + r["seconds"]) / 60, css, tip)
        here = trace[(trace[:, 0] >= begin) & (trace[:, 0] < until)]
        if len(here):
            t, speed = here[:, 0] / 60, here[:, 1].copy()
            speed[np.flatnonzero(np.diff(t) > 3 / 60)] = np.nan  # between two graphs
            chart.line(t, speed, "measured")
        charts.append(chart.svg(x_unit="min"))
    return (
        "<section><h2>Over time</h2><p>True speed in m/s; green: a fault that was borne, red: one that was not.</p>"
        f"{''.join(charts)}</section>"
    )


def _row(r: Mapping[str, Any]) -> str:
    stop = "–" if r["stopped"] is None else f"{r['stopped']:.2f} of {r['limit']:.2f} s"
    words = "; ".join(r["failures"]) or ("" if r["back"] is not None else f"said: {r['said']}")
    return (
        f'<tr class="{"no" if r["failures"] else ""}"><td>{r["number"]}<td>{_esc(r["kind"])}<td>{_esc(r["what"])}'
        f'<td class="n">{r["began"]:.0f} s<td class="n">{_number(r["speed"], " m/s")}<td class="n">{stop}'
        f'<td class="n">{_number(r["drove"])}<td class="n">{_number(r["back"])}<td class="n">{_number(r["late"])}'
        f"<td>{_esc(words)}{_esc(' (said: ' + r['said'] + ')') if r['failures'] and r['said'] else ''}</tr>"
    )


def _rows(title: str, rows: Sequence[Mapping[str, Any]], folded: bool) -> str:
    head = (
        '<tr><th>#<th>kind<th>what<th class="n">at<th class="n">speed<th class="n">stopped<th class="n">drove'
        '<th class="n">all back<th class="n">machine late<th></tr>'
    )
    table = f'<div class="wide"><table class="kinds">{head}{"".join(map(_row, rows))}</table></div>'
    if not rows:
        table = "<p>None.</p>"
    if folded:
        return f"<section><details><summary>{title}</summary>{table}</details></section>"
    return f"<section><h2>{title}</h2>{table}</section>"


def _graphs(result: Mapping[str, Any]) -> str:
    rows = []
    for i, g in enumerate(result["graphs"], 1):
        rows.append(
            f'<tr class="{"no" if g.get("failures") else ""}"><td>{i}<td class="n">{g["seed"]}'
            f'<td>{_esc(g["graph"])}<td class="n">{_number(g.get("startup_s"))}'
            f'<td class="n">{g.get("faults", 0)}<td class="n">{_number(g.get("end_s"))}<td>{_esc(g.get("left", ""))}'
            f"<td>{_esc('; '.join(g.get('failures', ())))}</tr>"
        )
    head = (
        '<tr><th>graph<th class="n">seed<th>kind<th class="n">until it drove<th class="n">faults'
        '<th class="n">Ctrl-C took<th>left<th>what failed</tr>'
    )
    table = f'<table class="kinds">{head}{"".join(rows)}</table>'
    return f'<section><h2>Graphs</h2><div class="wide">{table}</div></section>'


def page(result: Mapping[str, Any]) -> str:
    """One HTML file, with nothing to load from elsewhere. result: that of `hybrid_control.bench.faults`."""
    failed = [r for r in result["rows"] if r["failures"]]
    words = "all held" if result["held"] else f"{len(failed)} faults failed"
    m = result["machine"]
    below = (
        f"world {result['world']} · seed {result['seed']} · {m['processor']}, {m['cores']} cores, "
        f"load {m['load_average']} · {time.strftime('%Y-%m-%d')}"
    )
    body = [
        f"{_STYLE}<header><h1>{len(result['rows'])} faults</h1>"
        f'<span class="badge {"good" if result["held"] else "bad"}">{words}</span>'
        f'<div class="sub">{_esc(below)}</div></header>',
        _cards(result),
        _kinds(result),
        _rows("What failed", failed, False),
        _stops(result),
        _timelines(result),
        _graphs(result),
        _rows("Every fault", result["rows"], True),
    ]
    return filled(f"{len(result['rows'])} faults: {words}", body, {})

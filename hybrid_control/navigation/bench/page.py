"""An HTML page that compares policies: one file, pictures within."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:85em;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.3em .7em;border-bottom:1px solid #ddd;text-align:right}"
    "td,th,pre{white-space:nowrap}pre{white-space:pre;overflow-x:auto}.wide{overflow-x:auto}"
    "td:first-child,th:first-child{text-align:left}.bar{fill:#4c78a8}.whisker{stroke:#222}"
    "figure{display:inline-block;margin:.4em;width:20em}figure img{width:100%}figcaption{font-size:.8em}"
    ".no{background:#f3c6c0}.yes{background:#cfe8cf}.some{background:#f7e7b5}"
)
PICTURES = 60  # on the page; the rest lie in the folder


def _interval(value: Mapping[str, Any], key: str, digits: int) -> str:
    if value[key] is None:
        return "–"
    return f"{value[key]:.{digits}f} <small>({value['low']:.{digits}f} to {value['high']:.{digits}f})</small>"


def _bars(by_policy: Mapping[str, Mapping[str, Any]], pick: Any, greatest: float, title: str) -> str:
    """Horizontal bars with their intervals, as SVG."""
    height = 26 * len(by_policy) + 30
    left = 20 + 8 * max(len(name) for name in by_policy)  # px
    parts = [
        f'<svg width="{left + 430}" height="{height}" role="img" aria-label="{title}">'
        f'<text x="0" y="14">{title}</text>'
    ]
    for k, (name, summary) in enumerate(by_policy.items()):
        value, low, high = pick(summary)
        y, scale = 26 * k + 24, 360 / greatest
        parts.append(
            f'<text x="0" y="{y + 14}">{html.escape(name)}</text>'
            f'<rect class="bar" x="{left}" y="{y}" width="{value * scale:.1f}" height="18"/>'
            f'<line class="whisker" x1="{left + low * scale:.1f}" x2="{left + high * scale:.1f}" '
            f'y1="{y + 9}" y2="{y + 9}"/>'
            f'<text x="{left + 5 + max(high, value) * scale:.1f}" y="{y + 14}">{value:.3f}</text>'
        )
    return "".join(parts) + "</svg>"


def make_page(
    title: str,
    by_policy: Mapping[str, Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    pictures: Sequence[Path],
    texts: Sequence[str] = (),
) -> str:
    """The page: the summaries as a table and bars, pictures of failed episodes, and every world by policy.

    texts: further tables, as text, below the summaries.
    """
    head = "<tr><th>policy<th>episodes<th>success<th>contact<th>standing<th>timeout<th>score<th>time s<th>least gap m"
    body = []
    for name, s in by_policy.items():
        least = "–" if s["minimum_distance"] is None else f"{s['minimum_distance']:.3f}"
        body.append(
            f"<tr><td>{html.escape(name)}<td>{s['episodes']}<td>{_interval(s['success'], 'share', 3)}"
            f"<td>{s['contact']['count']}<td>{s['standing_contact']['count']}<td>{s['timeout']['count']}"
            f"<td>{_interval(s['score'], 'mean', 4)}<td>{_interval(s['time'], 'mean', 1)}<td>{least}"
        )
    bars = _bars(
        by_policy,
        lambda s: (s["success"]["share"], s["success"]["low"], s["success"]["high"]),
        1.0,
        "success",
    )
    bars += _bars(
        by_policy, lambda s: (s["score"]["mean"], s["score"]["low"], s["score"]["high"]), 0.5, "score"
    )
    worlds = list(dict.fromkeys((r["index"], r["world"]) for r in rows))
    by_world = []
    for index, world in worlds:
        cells = []
        for name in by_policy:
            mine = [r for r in rows if r["policy"] == name and r["index"] == index]
            won = sum(r["success"] for r in mine)
            kind = "yes" if won == len(mine) else "no" if won == 0 else "some"
            score = sum(r["score"] for r in mine) / len(mine)
            cells.append(f'<td class="{kind}">{won}/{len(mine)} · {score:.3f}')
        by_world.append(f"<tr><td>{html.escape(world)}{''.join(cells)}")
    figures = []
    for file in pictures[:PICTURES]:
        data = base64.b64encode(file.read_bytes()).decode()
        name = html.escape(file.stem)
        figures.append(
            f'<figure><img src="data:image/png;base64,{data}" alt="{name}"><figcaption>{name}</figcaption></figure>'
        )
    more = f"<p>{len(pictures) - PICTURES} more beside this page.</p>" if len(pictures) > PICTURES else ""
    names = "".join(f"<th>{html.escape(name)}" for name in by_policy)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><div class='wide'><table>{head}{''.join(body)}</table></div>"
        "<p>In brackets: 95 % intervals, Wilson for proportions and bootstrap for means. Time: of successful episodes."
        f" A contact ends an episode; those while the robot stood are counted apart.</p>{bars}"
        f"{''.join(f'<pre>{html.escape(text)}</pre>' for text in texts)}"
        f"<h2>Failed episodes</h2>{''.join(figures) or '<p>None.</p>'}{more}"
        f"<h2>Worlds</h2><p>Successes of trials · mean score.</p>"
        f'<div class="wide"><table><tr><th>world{names}{"".join(by_world)}</table></div></html>\n'
    )

"""The page of a training: its curves, epoch by epoch, and what it was asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from hybrid_control.report.charts import Chart
from hybrid_control.report.page import card, esc, filled, folded

Row = Mapping[str, float]

#: Of each chart: its title, its curves with their names, and whether its axis is logarithmic where that can be.
_CHARTS = (
    ("loss", {"loss": "training", "held_out_loss": "held out"}, True),
    ("accuracy", {"accuracy": "training", "held_out_accuracy": "held out"}, False),
    ("norm of the gradient", {"gradient": "mean of the epoch's steps"}, True),
)


def _chart(rows: Sequence[Row], title: str, curves: Mapping[str, str], log: bool) -> str:
    """One pair of axes with a curve for each column that there is."""
    kept = {key: name for key, name in curves.items() if key in rows[0]}
    if not kept:
        return ""
    epochs = np.array([row["epoch"] for row in rows])
    columns = {key: np.array([row[key] for row in rows]) for key in kept}
    low = min(float(values.min()) for values in columns.values())
    high = max(float(values.max()) for values in columns.values())
    log = log and 0.0 < low < high / 10.0
    chart = Chart(
        (float(epochs[0]), float(epochs[-1])),
        (low, high) if log else (min(0.0, low), high),
        label=title,
        y_log=log,
        height=220,
    )
    for i, values in enumerate(columns.values()):
        chart.line(epochs, values, f"l{i}")
    keys = ", ".join(
        f'<svg width="22" height="8"><polyline class="l{i}" points="1,4 21,4"/></svg> {name}'
        for i, name in enumerate(kept.values())
    )
    ticks = [10.0**k for k in range(-12, 13) if low <= 10.0**k <= high] if log else None
    return f"<section><h2>{title}</h2><p>{keys}</p>{chart.svg(x_unit='epoch', y_ticks=ticks)}</section>"


def page(name: str, rows: Sequence[Row], asked: Mapping[str, str]) -> str:
    """One HTML file, with nothing to load from elsewhere.

    rows: an epoch each, at least one: `epoch`, `loss` and what of the other curves there is. asked: what the training
    was asked for.
    """
    last = rows[-1]
    cards = [card("epochs", f"{last['epoch']:.0f}")]
    for key, label in (("loss", "loss"), ("held_out_loss", "held out, loss")):
        if key in last:
            cards.append(card(label, f"{last[key]:.4g}", "", f"{rows[0][key]:.4g} after the first epoch"))
    for key, label in (("accuracy", "right"), ("held_out_accuracy", "held out, right")):
        if key in last:
            best = max(row[key] for row in rows)
            cards.append(card(label, f"{100 * last[key]:.1f}", "%", f"best {100 * best:.1f} %"))
    skipped = sum(row.get("skipped", 0.0) for row in rows)
    if skipped:
        cards.append(card("steps left out", f"{skipped:.0f}", "", "their gradient was not finite", "warn"))
    table = "".join(
        f"<tr><td>{esc(key)}</td><td><code>{esc(value)}</code></td></tr>" for key, value in asked.items()
    )
    body = [
        f"<header><h1>Training of {esc(name)}</h1>"
        f'<div class="sub">{time.strftime("%Y-%m-%d")}</div></header>',
        f'<div class="cards">{"".join(cards)}</div>',
        *(_chart(rows, *chart) for chart in _CHARTS),
        folded("What was asked for", f"<table>{table}</table>"),
    ]
    return filled(f"Training of {name}", body, {})

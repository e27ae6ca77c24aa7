"""What a run was taught of the ground: when it was told what, where each class was seen, and what was kept off."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass

import numpy as np

from hybrid_control.navigation.ground.memory import CELL, in_odometry
from hybrid_control.report.cells import by_corners
from hybrid_control.report.charts import Chart
from hybrid_control.report.run import FloatArray, Run, populations_of

_ROW = 74  # pixels of a class


@dataclass(frozen=True)
class Lesson:
    """told: begin and end in s of each time that a label held, by class. seen: times in s and the greatest rate in Hz
    of each class that has an effect. avoided: (n, 2) m in the world, cells that were kept off."""

    told: dict[str, list[tuple[float, float]]]
    seen: dict[str, tuple[FloatArray, FloatArray]]
    avoided: FloatArray


def lesson(run: Run) -> Lesson | None:
    """Of a run's recording; None where nothing could be taught."""
    if run.recording.topic("learner/rates") is None:
        return None
    return Lesson(_told(run), _seen(run), _avoided(run))


def _told(run: Run) -> dict[str, list[tuple[float, float]]]:
    """By the labels; each lasts until the next, or as long as the learner's parameter says."""
    topic = run.recording.topic("learner/label")
    if topic is None or not len(topic):
        return {}
    lasts = float(run.metadata.get("parameters", {}).get("learner_node", {}).get("label_lasts", 3.0))
    received = run.clock.at(topic.received)
    told: dict[str, list[tuple[float, float]]] = {}
    for i, message in enumerate(topic):
        begin = float(received[i])
        end = min(begin + lasts, float(received[i + 1]) if i + 1 < len(topic) else math.inf, run.duration)
        if not message.data or end <= begin:
            continue
        spans = told.setdefault(message.data, [])
        if spans and begin - spans[-1][1] < 1e-9:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((begin, end))
    return told


def _seen(run: Run) -> dict[str, tuple[FloatArray, FloatArray]]:
    topic = run.recording.topic("learner/rates")
    rows: dict[str, list[tuple[float, float]]] = {}
    for message in topic or ():
        t, rates = run.time(message), np.asarray(message.rates, np.float64)
        for population in populations_of(message):
            rows.setdefault(population.name, []).append((t, float(rates[population.slice].max(initial=0.0))))
    return {name: (np.array(each)[:, 0], np.array(each)[:, 1]) for name, each in rows.items()}


def _avoided(run: Run) -> FloatArray:
    """Twice a second, from the true pose."""
    topic, s = run.recording.topic("learner/ground"), run.state
    if topic is None or not len(topic) or not len(s):
        return np.empty((0, 2))
    times, cells = run.clock.at(topic.received), [np.empty((0, 2))]
    for t in np.arange(0.0, run.duration, 0.5):
        message = topic.decode(max(0, int(np.searchsorted(times, t, side="right")) - 1))
        cells.append(in_odometry(by_corners(topic, message), s.pose(run.time(message))))
    found = np.concatenate(cells)
    found = np.floor(found[np.isfinite(found).all(axis=1)] / CELL)
    return (np.unique(found, axis=0) + 0.5) * CELL


def section(run: Run, taught: Lesson | None) -> str:
    """The part of the page, "" where nothing could be taught."""
    if taught is None:
        return ""
    drawn = []
    names = [*taught.told, *(name for name in taught.seen if name not in taught.told)]
    for name in names:
        chart = Chart(
            (0, max(run.duration, 1e-3)), (0.0, 220.0), height=_ROW, label=name, time=True, sides=(84, 14)
        )
        spans = taught.told.get(name, [])
        for begin, end in spans:
            chart.span(begin, end, "told", f"told: {name}, {begin:.1f} .. {end:.1f} s")
        if name in taught.seen:
            chart.line(*taught.seen[name], "third")
        seconds = sum(end - begin for begin, end in spans)
        keys = f'<span class="key" style="--c:var(--good)">told for {seconds:.1f} s</span>'
        if name in taught.seen:
            keys += '<span class="key" style="--c:var(--right)">seen, rate in Hz</span>'
        drawing = chart.svg(x_axis=name == names[-1], y_ticks=[0.0, 200.0])
        drawn.append(f'<div class="caption"><b>{html.escape(name)}</b>{keys}</div>{drawing}')
    return (
        '<section><h2>What it was taught of the ground</h2><p class="about">Green: while it was told that this lies '
        "before it. The line: how near it sees it, 200 Hz right before the robot. On the map above what it kept off is "
        f"hatched.</p>{''.join(drawn)}</section>"
    )

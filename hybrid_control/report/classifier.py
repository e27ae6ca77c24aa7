"""The page of a classifier: its confusion matrix, examples, and how it got better while it learnt."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hybrid_control.report.charts import Chart, element, jpeg_uri
from hybrid_control.report.page import card, esc, filled, folded

CELL = 14  # pixels of a class in the matrix
NAME = 26  # letters of a class there
MISTAKES = 15  # kinds of them that are listed


@dataclass(frozen=True)
class Example:
    """A picture (height, width, 3), uint8, of which class it is, and what was said."""

    pixels: NDArray[np.uint8]
    truth: str
    said: str


@dataclass(frozen=True)
class Answers:
    """What a classifier said.

    name: of the page. about: a sentence on which pictures these are. truth, said: of each picture. examples: some of
    them. curve: (pictures learnt, part of the next ones that was right), where it learnt. facts: what else is to be
    said, by name.
    """

    name: str
    about: str
    truth: Sequence[str]
    said: Sequence[str]
    examples: Sequence[Example] = ()
    curve: Sequence[tuple[int, float]] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def page(answers: Answers) -> str:
    """One HTML file, with nothing to load from elsewhere. There is one picture at least."""
    pairs = Counter(zip(answers.truth, answers.said, strict=True))
    count, right = len(answers.truth), sum(n for (truth, said), n in pairs.items() if truth == said)
    share = f"{100 * right / count:.1f} % right"
    body = [
        f"<header><h1>{esc(answers.name)}</h1>"
        f'<span class="badge {"good" if 2 * right > count else "bad"}">{share}</span>'
        f'<div class="sub">{esc(answers.about)} · {time.strftime("%Y-%m-%d")}</div></header>',
        _cards(answers, pairs),
        _curve(answers.curve),
        _mistakes(pairs),
        _film("Wrong", [e for e in answers.examples if e.truth != e.said]),
        _film("Right", [e for e in answers.examples if e.truth == e.said]),
        _matrix(pairs),
        _classes(pairs),
        folded("How it was made", _table(("", ""), list(answers.facts.items()))),
    ]
    return filled(f"{answers.name}: {share}", body, {})


def shares(pairs: Mapping[tuple[str, str], int]) -> dict[str, tuple[int, int]]:
    """Of each class that was shown: how many pictures were right, and how many there were."""
    shown: Counter[str] = Counter()
    for (truth, _), n in pairs.items():
        shown[truth] += n
    return {truth: (pairs.get((truth, truth), 0), n) for truth, n in sorted(shown.items())}


def _cards(answers: Answers, pairs: Mapping[tuple[str, str], int]) -> str:
    by_class = shares(pairs)
    right, count = (sum(numbers) for numbers in zip(*by_class.values(), strict=True))
    whole = sum(r == n for r, n in by_class.values())
    worst = min(by_class, key=lambda name: by_class[name][0] / by_class[name][1])
    r, n = by_class[worst]
    cards = [
        card("right", f"{100 * right / count:.1f}", "%", f"{right} of {count} pictures"),
        card("classes", str(len(by_class)), "", f"{whole} without a mistake"),
        card("hardest class", f"{100 * r / n:.0f}", "%", f"{r} of {n}: {esc(_short(worst))}"),
    ]
    if answers.curve:
        learnt, last = answers.curve[-1]
        cards.append(card("before its last pictures", f"{100 * last:.1f}", "%", f"after {learnt} learnt"))
    return f'<div class="cards">{"".join(cards)}</div>'


def _curve(curve: Sequence[tuple[int, float]]) -> str:
    if len(curve) < 2:
        return ""
    learnt, right = (np.array(column, float) for column in zip(*curve, strict=True))
    chart = Chart((0.0, float(learnt[-1])), (0.0, 100.0), label="learning curve", height=240)
    chart.line(learnt, 100 * right, "l0")
    for x, y in curve:
        chart.dot(x, 100 * y, "bar", f"after {x} pictures: {100 * y:.1f} % of the next")
    about = "Right, in %, of the next pictures, each before it is learnt, over how many were learnt."
    return f'<section><h2>Learning</h2><p class="about">{about}</p>{chart.svg(x_unit="")}</section>'


def _mistakes(pairs: Mapping[tuple[str, str], int]) -> str:
    wrong = sorted((-n, *pair) for pair, n in pairs.items() if pair[0] != pair[1])
    if not wrong:
        return ""
    rows = [(truth, said, str(-n)) for n, truth, said in wrong[:MISTAKES]]
    rest = len(wrong) - MISTAKES
    more = f'<p class="about">and {rest} more kinds</p>' if rest > 0 else ""
    return f"<section><h2>Mistakes</h2>{_table(('is', 'taken for', 'pictures'), rows)}{more}</section>"


def _film(title: str, examples: Sequence[Example]) -> str:
    if not examples:
        return ""
    figures = [
        f'<figure><img src="{jpeg_uri(e.pixels)}" alt="{esc(e.truth)}" style="width:100%;border-radius:6px">'
        f"<figcaption>{esc(_short(e.truth))}{'' if e.truth == e.said else f' taken for <b>{esc(_short(e.said))}</b>'}"
        "</figcaption></figure>"
        for e in examples
    ]
    columns = "grid-template-columns:repeat(auto-fill,minmax(96px,1fr))"
    return f'<section><h2>{title}</h2><div class="film" style="{columns}">{"".join(figures)}</div></section>'


def _matrix(pairs: Mapping[tuple[str, str], int]) -> str:
    """A row for what a picture is, a column for what was said; how much of its row a cell is, is how strong it is."""
    names, by_class = sorted({name for pair in pairs for name in pair}), shares(pairs)
    place, size = {name: k for k, name in enumerate(names)}, CELL * len(names)
    side = 7 * min(NAME, max(len(_short(name)) for name in names)) + 10
    parts = [element("rect", x=side, y=side, width=size, height=size, class_="ground")]
    for k, name in enumerate(names):
        at, text = side + CELL * (k + 0.5), esc(_short(name))
        parts.append(element("text", text, x=side - 5, y=at + 4, text_anchor="end"))
        parts.append(
            element("text", text, x=at + 4, y=side - 5, transform=f"rotate(-90 {at + 4:.1f} {side - 5})")
        )
    for (truth, said), n in pairs.items():
        tip = element("title", f"{esc(truth)}: {n} of {by_class[truth][1]} taken for {esc(said)}")
        where = {
            "x": side + CELL * place[said],
            "y": side + CELL * place[truth],
            "width": CELL,
            "height": CELL,
        }
        colour, share = "good" if truth == said else "bad", n / by_class[truth][1]
        style = f"fill: var(--{colour}); opacity: {0.15 + 0.85 * share:.2f}"
        parts.append(element("rect", tip, style=style, **where))
    total = side + size + 4
    drawing = element(
        "svg", *parts, viewBox=f"0 0 {total} {total}", role="img", aria_label="confusion matrix",
        style=f"width: {total}px; max-width: none",
    )  # fmt: skip
    about = "Rows: what a picture is; columns: what was said. How strong a cell is, is its share of the row."
    return (
        f'<section><h2>Confusion</h2><p class="about">{about}</p><div class="wide">{drawing}</div></section>'
    )


def _classes(pairs: Mapping[tuple[str, str], int]) -> str:
    rows = [(name, f"{r} of {n}", f"{100 * r / n:.0f} %") for name, (r, n) in shares(pairs).items()]
    return folded("Every class", _table(("class", "right", ""), rows))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{esc(cell)}</th>" for cell in head)
    lines = ["<tr>" + "".join(f"<td>{esc(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return f'<div class="wide"><table>{f"<tr>{top}</tr>" if any(head) else ""}{"".join(lines)}</table></div>'


def _short(name: str) -> str:
    """A class by the last of its folders, cut where it is long."""
    last = name.rpartition("/")[2]
    return last if len(last) <= NAME else last[: NAME - 1] + "…"

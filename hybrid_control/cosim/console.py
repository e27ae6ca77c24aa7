"""Commands for the debugger, a line each, and what it answers: for a terminal, a script or a test."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

import numpy as np

from hybrid_control.cosim.clock import nanoseconds, text
from hybrid_control.cosim.debugger import Debugger, View
from hybrid_control.cosim.part import Array

HELP = """\
step [PART] [N]      on to the next run of PART (default: the part that runs most often), or to the N-th
meet [PART PART ..]  on to the next time at which they run together (default: any two of different periods)
until CONDITION      on until it holds: until ring rate > 100, until planner.out[3] > 0.5, until lif voltage > 0.9
until TIME           on to a time: until 50 ms
back [N]             to before the last move, or the last N
back TIME            to a time before: back 20 ms
show [PART]          what a part gave last: voltages, spikes, rates; without PART, all parts
links                the links: how old what was seen is, and what waits on them
help                 this
quit                 end

A rate is that of spikes, filtered over 50 ms. Without [NUMBER], a rate is the mean over neurons, spikes are counted
over all, and of values the largest counts."""

_CONDITION = re.compile(
    r"(?P<name>[\w.]+)\s*(?:\[\s*(?P<index>\d+)\s*\])?\s*(?P<what>[a-z_]+)?\s*(?P<sign>>=|<=|==|!=|>|<)\s*"
    r"(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
)
_SIGNS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 32  # bars of a row


class Console:
    """Gives a debugger commands. ended: whether it was told to quit."""

    def __init__(self, debugger: Debugger) -> None:
        self.debugger, self.ended = debugger, False
        self._commands: dict[str, Callable[[list[str]], list[str]]] = {
            "step": self._step,
            "meet": self._meet,
            "until": self._until,
            "back": self._back,
            "show": self._show,
            "links": self._links,
            "help": lambda _: HELP.splitlines(),
            "quit": self._quit,
        }

    def do(self, line: str) -> list[str]:
        """One command; the lines of its answer. ValueError, one line, where it can't be done; all is as before then."""
        words = line.split()
        if not words:
            return []
        if words[0] not in self._commands:
            raise ValueError(f"no command {words[0]!r}; there are {', '.join(self._commands)}")
        return self._commands[words[0]](words[1:])

    def _step(self, words: list[str]) -> list[str]:
        count = int(words.pop()) if words and words[-1].isdecimal() else 1
        if len(words) > 1:
            raise ValueError("step: expected step [PART] [N]")
        self.debugger.step(words[0] if words else None, count)
        return self._where()

    def _meet(self, words: list[str]) -> list[str]:
        self.debugger.meet(*words)
        return self._where()

    def _until(self, words: list[str]) -> list[str]:
        said = " ".join(words)
        if re.fullmatch(r"[\d.]+\s*[a-zµ]+", said):
            self.debugger.until_time(nanoseconds(said, "until"))
            return self._where()
        holds = condition(said, self.debugger)
        if self.debugger.until(holds):
            return self._where()
        end = text(self.debugger.hybrid.until_ns)
        return [f"not by {end}, where it ends: {said}", *self._where()]

    def _back(self, words: list[str]) -> list[str]:
        if not words:
            self.debugger.back()
        elif len(words) == 1 and words[0].isdecimal():
            self.debugger.back(int(words[0]))
        else:
            self.debugger.back_to(nanoseconds(" ".join(words), "back"))
        return self._where()

    def _where(self) -> list[str]:
        """The time, and which run of each part took place at it."""
        now = self.debugger.now_ns
        if now < 0:
            return ["at the start; nothing has run"]
        ran = [
            f"{m.name} {now // m.clock.period_ns}"
            for m in self.debugger.members
            if now % m.clock.period_ns == 0
        ]
        return [f"{text(now)}: {', '.join(ran) if ran else 'nothing runs at this time'}"]

    def _show(self, words: list[str]) -> list[str]:
        debugger = self.debugger
        if len(words) > 1:
            raise ValueError("show: expected show [PART]")
        if not words:
            width = max(len(m.name) for m in debugger.members)
            return [
                f"{m.name:{width}}  {m.next_ns // m.clock.period_ns} runs, every {text(m.clock.period_ns)}, the next "
                f"at {text(m.next_ns)}"
                for m in debugger.members
            ]
        member = debugger.member(words[0])
        runs = member.next_ns // member.clock.period_ns
        last = f", the last at {text(member.next_ns - member.clock.period_ns)}" if runs else ""
        lines = [f"{member.name}: {runs} runs{last}"]
        width = max(map(len, member.part.outputs), default=0)
        for port in member.part.outputs:
            lines += [
                f"  {port:{width}}  {words}" for words in view_lines(debugger.view(f"{member.name}.{port}"))
            ]
        return lines

    def _links(self, words: list[str]) -> list[str]:
        lines = []
        width = max((len(c.link.name) for c in self.debugger.scheduler.connections), default=0)
        for c in self.debugger.scheduler.connections:
            age, (waiting, first) = self.debugger.age(c), self.debugger.waiting(c)
            old = "nothing seen yet" if age < 0 else f"age {text(age)}"
            there = (
                f", {waiting} waiting, the first arrives at {text(first)}" if waiting else ", nothing waits"
            )
            lines.append(f"{c.link.name:{width}}  {old}{there}")
        return lines or ["no links"]

    def _quit(self, words: list[str]) -> list[str]:
        self.ended = True
        return []


def condition(said: str, debugger: Debugger) -> Callable[[Debugger], bool]:
    """What NAME[NUMBER] WHAT > VALUE asks. ValueError, one line, where that is not what it is."""
    match = _CONDITION.fullmatch(said.strip())
    if match is None:
        raise ValueError(f"until: {said!r}; expected such as ring rate > 100, planner.out[3] > 0.5, or 50 ms")
    name, what, sign = match["name"], match["what"], _SIGNS[match["sign"]]
    index = None if match["index"] is None else int(match["index"])
    number = float(match["number"])
    # a variable of a population is a port of its own
    port = debugger.port(name if what in (None, "rate", "spikes") else f"{name}.{what}")
    view = debugger.view(port)
    if (
        what in ("rate", "spikes")
        and view.rate is None
        and not (what == "rate" and view.port.kind == "rates")
    ):
        raise ValueError(f"until: {port} gives {view.port.kind}, which have no {what}")
    if index is not None and index >= view.port.size:
        raise ValueError(f"until: {port} has {view.port.size} numbers, 0 .. {view.port.size - 1}")

    def holds(at: Debugger) -> bool:
        return sign(value_of(at.view(port), what, index), number)

    return holds


def value_of(view: View, what: str | None, index: int | None) -> float:
    """A number of a port: of one neuron or value; or of all: of rates the mean, of spikes the sum, else the largest."""
    row = view.rate if what == "rate" and view.rate is not None else view.row
    if index is not None:
        return float(row[index])
    if what == "rate" or view.port.kind == "rates":
        return float(np.mean(row))
    return float(np.sum(row)) if view.port.kind == "spikes" else float(np.max(row))


def view_lines(view: View) -> list[str]:
    """What a port gave last, with small bars."""
    if view.at_ns < 0:
        return ["nothing yet"]
    if view.rate is not None:
        fired = np.flatnonzero(view.row)
        which = f" of {_listed(fired)}" if fired.size else ""
        return [
            f"spikes {view.row.sum():g}{which}",
            f"rate {view.rate.mean():.3g} Hz, most {view.rate.max():.3g}  {bars(view.rate, 0.0)}",
        ]
    unit = " Hz" if view.port.kind == "rates" else ""
    low = 0.0 if view.port.kind == "rates" else None
    if view.row.size == 1:
        return [f"{view.row[0]:.4g}{unit}"]
    return [f"{view.row.min():.4g} .. {view.row.max():.4g}{unit}  {bars(view.row, low)}"]


def _listed(neurons: Array) -> str:
    shown = ", ".join(map(str, neurons[:12].tolist()))
    return shown + (", …" if neurons.size > 12 else "")


def bars(row: Array, low: float | None = None) -> str:
    """A bar for each number, or for the largest of each of _WIDTH groups; from low, or the least, to the largest."""
    groups = [float(g.max()) for g in np.array_split(row, min(_WIDTH, row.size))]
    if not np.isfinite(groups).all():
        return "not finite"
    least = min(groups) if low is None else low
    span = max(groups) - least
    if span <= 0:
        return _BARS[0] * len(groups)
    return "".join(_BARS[int((g - least) / span * (len(_BARS) - 1) + 0.5)] for g in groups)

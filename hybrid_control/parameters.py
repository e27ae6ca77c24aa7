"""Parameters: the one place where name, unit, default, range and description of each stand.

ROS declarations and descriptors, the check of YAML files, the command line and the README's tables are all made
from lists of `Parameter`.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Value = bool | int | float | str


class ParameterError(ValueError):
    """A parameter that does not exist, or a value that it can't take. The message names both."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter.

    name: as in YAML and ROS. default: gives the type as well (bool, int, float or str).
    unit: SI, "" for none. low, high: inclusive bounds of a number. choices: what a string may be, () for anything.
    live: whether it may change while the node is active.
    """

    name: str
    default: Value
    unit: str
    description: str
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def range_text(self) -> str:
        """The range as a person writes it: ``0 .. 2``, ``stop | goal``, or "" for none."""
        if self.choices:
            return " | ".join(self.choices)
        if math.isinf(self.low) and math.isinf(self.high):
            return ""
        return f"{self.low:g} .. {self.high:g}"

    def check(self, value: Any) -> Value:
        """Return the value in the parameter's type; ParameterError where it can't take it."""
        kind = type(self.default)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise ParameterError(
                f"{self.name}: {value!r} is a {type(value).__name__}, expected {kind.__name__}"
            )
        if isinstance(value, (int, float)) and not self.low <= value <= self.high:  # NaN fails too
            unit = f" {self.unit}" if self.unit else ""
            raise ParameterError(f"{self.name}: {value} is out of range, expected {self.range_text}{unit}")
        if self.choices and value not in self.choices:
            raise ParameterError(f"{self.name}: {value!r} is unknown, expected {self.range_text}")
        return value


def check_all(
    parameters: Iterable[Parameter], values: Mapping[str, Any], *, where: str = ""
) -> dict[str, Value]:
    """Defaults overlaid with the values given.

    Raises ParameterError for an unknown name (with the nearest known one) or an impossible value; `where`, such as
    a file's name, begins the message.
    """
    known = {p.name: p for p in parameters}
    prefix = f"{where}: " if where else ""
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"
            raise ParameterError(f"{prefix}unknown parameter {name!r}{hint}")
    try:
        return {name: p.check(values.get(name, p.default)) for name, p in known.items()}
    except ParameterError as error:
        raise ParameterError(f"{prefix}{error}") from None


def table(parameters: Iterable[Parameter]) -> str:
    """The parameters as a Markdown table."""
    rows = ["| name | default | unit | range | live | what it does |", "|---|---|---|---|---|---|"]
    for p in parameters:
        default = (
            f"{p.default:g}"
            if isinstance(p.default, float)
            else str(p.default).lower()
            if isinstance(p.default, bool)
            else str(p.default)
        )
        cells = (
            f"`{p.name}`",
            default,
            p.unit,
            p.range_text.replace("|", "or"),
            "yes" if p.live else "",
            p.description,
        )
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)

"""A hybrid as a file, *.hybrid.yaml: parts, links, clocks, and what is recorded (docs/cosim.md)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hybrid_control.cosim.clock import Clock, nanoseconds
from hybrid_control.cosim.link import LinkOptions
from hybrid_control.cosim.mail import link_of
from hybrid_control.cosim.makers import MAKERS, Described, Kinds
from hybrid_control.cosim.part import Part
from hybrid_control.cosim.scheduler import Connection, EventScheduler, Loss, Recorder
from hybrid_control.files import read_text, read_yaml

VERSION = 1
_TOP = {"hybrid", "seed", "until", "parts", "links", "record"}
_TIMING = {"period", "latency", "lost", "beside"}


class HybridError(ValueError):
    """A hybrid that can't be; the message names the file, and the part or link."""


@dataclass
class Hybrid:
    """Parts with their clocks, and links between them; `scheduler` makes it run.

    parts: by name; clocks, losses: by the part's name; links: (name, (part, port), (part, port), options); record:
    names "part.port"; beside: whether a part runs in a thread of its own, where that is not left to be tried; text: of
    the file that it was read from.
    """

    parts: dict[str, Part] = field(default_factory=dict)
    clocks: dict[str, Clock] = field(default_factory=dict)
    losses: dict[str, Loss] = field(default_factory=dict)
    links: list[tuple[str, tuple[str, str], tuple[str, str], LinkOptions]] = field(default_factory=list)
    record: list[str] = field(default_factory=list)
    beside: dict[str, bool] = field(default_factory=dict)
    until_ns: int = 1_000_000_000
    seed: int = 0
    text: str = ""

    def add(
        self, name: str, part: Part, period: str | float, latency: str | float = 0.0, *, lost: float = 0.0
    ) -> None:
        """A part. period, latency: "33.3 ms", or seconds; lost: share of its runs whose results never arrive."""
        if name in self.parts:
            raise HybridError(f"{name}: there is a part of that name")
        if not name.isidentifier():
            raise HybridError(f"{name!r}: a part's name has letters, digits and _ alone")
        self.clocks[name] = Clock(
            nanoseconds(period, f"{name}: period", 1), nanoseconds(latency, f"{name}: latency")
        )
        self.parts[name], self.losses[name] = part, Loss(float(lost))

    def link(self, source: str, target: str, options: LinkOptions | None = None) -> None:
        """A link from "part.port" to "part.port"; a part with one port needs none named. One link writes a state."""
        name = f"{source} -> {target}"
        ends = [self._port(name, text, what) for text, what in ((source, "outputs"), (target, "inputs"))]
        part, port = ends[1]
        writers = [other for other, _, to, _ in self.links if to == ends[1]]
        if writers and self.parts[part].inputs[port].kind == "states":
            raise HybridError(f"{name}: {part}.{port} is a state, and {writers[0]} writes it already")
        self.links.append((name, ends[0], ends[1], options or LinkOptions()))

    def _port(self, link: str, text: str, what: str) -> tuple[str, str]:
        part, _, port = text.strip().partition(".")
        if part not in self.parts:
            raise HybridError(f"{link}: no part {part!r}; there are {', '.join(self.parts) or 'none'}")
        ports = getattr(self.parts[part], what)
        held = [name for name, p in ports.items() if p.kind != "states"] or list(ports)
        if not port and len(held) == 1:
            return part, held[0]
        if port not in ports:
            raise HybridError(
                f"{link}: {part} has no {port!r} among its {what}: {', '.join(ports) or 'none'}"
            )
        return part, port

    @property
    def recorded(self) -> frozenset[str]:
        """The ports of `record` by their whole names. HybridError where one is not there."""
        return frozenset(".".join(self._port("record", name, "outputs")) for name in self.record)

    def scheduler(self, recorder: Recorder | None = None, *, keep: bool = True) -> EventScheduler:
        """What runs it, from 0 and by its seed; it keeps what `record` names (keep). HybridError where it can't run."""
        ports = [self._port("record", name, "outputs") for name in sorted(self.recorded)] if keep else []
        try:
            connections = [
                Connection(
                    link_of(name, self.parts[a[0]].outputs[a[1]], self.parts[b[0]].inputs[b[1]], options), a, b
                )
                for name, a, b, options in self.links
            ]
            parts = {name: (part, self.clocks[name]) for name, part in self.parts.items()}
            return EventScheduler(
                parts, connections, losses=self.losses, beside=self.beside, keep=ports, record=recorder, seed=self.seed
            )
        except ValueError as error:
            raise HybridError(str(error)) from None


def load(path: str | os.PathLike[str], kinds: Kinds = MAKERS) -> Hybrid:
    """Read a hybrid file. kinds: of parts that it may have. HybridError, which begins with the path; OSError."""
    try:
        content, words = read_yaml(path), read_text(path)
    except ValueError as error:
        raise HybridError(str(error)) from None
    try:
        hybrid = build(content, Path(path).parent, kinds)
    except HybridError as error:
        raise HybridError(f"{path}: {error}") from None
    hybrid.text = words
    return hybrid


def build(content: Any, folder: Path, kinds: Kinds = MAKERS) -> Hybrid:
    """A hybrid from what its file says. folder: where the files that it names are; kinds: of parts that there are."""
    if not isinstance(content, dict) or content.get("hybrid") != VERSION:
        raise HybridError(f"no hybrid file: expected 'hybrid: {VERSION}' at the top")
    unknown = sorted(set(map(str, content)) - _TOP)
    if unknown:
        raise HybridError(f"unknown {unknown[0]!r}; there are {', '.join(sorted(_TOP))}")
    hybrid = Hybrid()
    if "until" in content:
        hybrid.until_ns = _checked("until", lambda: nanoseconds(content["until"], "until", 1))
    seed = content.get("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise HybridError(f"seed: {seed!r} must be a whole number")
    hybrid.seed = seed
    links = [_link(item) for item in _list(content, "links")]
    record = [str(name) for name in _list(content, "record")]
    named = [end for source, target, _ in links for end in (source, target)] + record
    parts = content.get("parts")
    if not isinstance(parts, dict) or not parts:
        raise HybridError("parts: expected parts by name")
    for name, description in parts.items():
        ports = [text.partition(".")[2] for text in named if text.partition(".")[0] == str(name)]
        _add(hybrid, str(name), description, folder, ports, kinds)
    for source, target, options in links:
        hybrid.link(source, target, options)
    hybrid.record = record
    return hybrid


def _list(content: Mapping[str, Any], key: str) -> list[Any]:
    value = content.get(key) or []
    if not isinstance(value, list):
        raise HybridError(f"{key}: expected a list")
    return value


def _checked(where: str, make: Callable[[], Any]) -> Any:
    """What `make` gives; its ValueError or TypeError as a HybridError that begins with `where`."""
    try:
        return make()
    except (ValueError, TypeError, KeyError) as error:
        text = str(error)
        raise HybridError(text if text.startswith(where) else f"{where}: {text}") from None


def _add(
    hybrid: Hybrid, name: str, description: Any, folder: Path, ports: Sequence[str], known: Kinds
) -> None:
    if not isinstance(description, dict):
        raise HybridError(f"{name}: expected a kind and options, such as ann: FILE.onnx")
    options = {str(key): value for key, value in description.items()}
    kinds = [key for key in options if key in known]
    if len(kinds) != 1:
        raise HybridError(
            f"{name}: expected one kind of {', '.join(known)}; there is {', '.join(kinds) or 'none'}"
        )
    timing = {key: options.pop(key) for key in list(options) if key in _TIMING}
    if "period" not in timing:
        raise HybridError(f"{name}: its period is missing, such as period: 1 ms")
    value = options.pop(kinds[0])
    period = _checked(name, lambda: nanoseconds(timing["period"], "period", 1))
    described = Described(folder, value, options, period, ports)
    part = _checked(name, lambda: known[kinds[0]](described))
    if described.options:
        raise HybridError(
            f"{name}: unknown {sorted(described.options)[0]!r} for a part of the kind {kinds[0]}"
        )
    _checked(name, lambda: hybrid.add(
        name, part, period * 1e-9, timing.get("latency", 0.0), lost=timing.get("lost", 0.0)
    ))  # fmt: skip
    hybrid.clocks[name] = dataclasses.replace(hybrid.clocks[name], period_ns=period)
    if isinstance(timing.get("beside"), bool):
        hybrid.beside[name] = timing["beside"]


def _link(item: Any) -> tuple[str, str, LinkOptions]:
    """(from, to, options) of a link: "a.x -> b.y", or {from: a.x, to: b.y, ...}."""
    if isinstance(item, str):
        source, arrow, target = item.partition("->")
        if not arrow:
            raise HybridError(f"link {item!r}: expected FROM -> TO")
        return source.strip(), target.strip(), LinkOptions()
    if not isinstance(item, dict) or not {"from", "to"} <= set(item):
        raise HybridError(f"link {item!r}: expected FROM -> TO, or from and to")
    options = {str(key): value for key, value in item.items()}
    source, target = str(options.pop("from")), str(options.pop("to"))
    where = f"{source} -> {target}"
    times: dict[str, Any] = {}
    for key in ("delay", "max_age"):
        if key in options:
            value = options.pop(key)
            times[f"{key}_ns"] = _checked(where, partial(nanoseconds, value, key))
    return source, target, _checked(where, lambda: LinkOptions(**times, **options))

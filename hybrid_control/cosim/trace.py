"""Writes what a co-simulation does to an MCAP file while it goes on: runs, ages, recorded ports (docs/cosim.md).

Log time is simulated time in ns. Topic PART has a message for each of its runs, PART.PORT one for each row that was
given; JSON, rates and spikes with the fields of the ROS messages RateVector and SpikeTrain.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control import __version__
from hybrid_control.cosim.ages import Ages
from hybrid_control.cosim.clock import text
from hybrid_control.cosim.hybrid import VERSION, Hybrid
from hybrid_control.cosim.part import Array, Message, Runs
from hybrid_control.cosim.scheduler import EventScheduler, Member
from hybrid_control.files.mcap import McapWriter

FLUSH = 0.5  # s between two times at which what was written is handed to the file system
SLOW = 2.0  # s after which a call that has not returned is written down
LOG = "/log"
MOST_REPEATED = 1000  # spikes of one neuron in one run that are written one by one

_TIME = {"type": "object", "properties": {"sec": {"type": "integer"}, "nanosec": {"type": "integer"}}}
_HEADER = {"type": "object", "properties": {"stamp": _TIME, "frame_id": {"type": "string"}}}


def _many(kind: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": kind}}


def _schema(title: str, **properties: Any) -> tuple[str, str, str]:
    return title, "jsonschema", json.dumps({"title": title, "type": "object", "properties": properties})


_OF = {"header": _HEADER, "populations": _many("string"), "sizes": _many("integer")}
_VALUES = _schema(
    "hybrid_control/Values", header=_HEADER, shape=_many("integer"), values=_many(["number", "null"])
)
SCHEMAS = {
    "values": _VALUES,
    "states": _VALUES,
    "rates": _schema("hybrid_control_msgs/msg/RateVector", **_OF, rates=_many(["number", "null"])),
    "spikes": _schema(
        "hybrid_control_msgs/msg/SpikeTrain",
        **_OF,
        duration_ns={"type": "integer"},
        neuron=_many("integer"),
        offset_ns=_many("integer"),
        count=_many("number"),
    ),
    "messages": _schema("hybrid_control/Message", time_ns={"type": "integer"}, value={}),
    "runs": _schema(
        "hybrid_control/Run",
        run={"type": "integer"},
        begin_ns={"type": "integer"},
        end_ns={"type": "integer"},
        wall_s={"type": "number"},
        waited={"type": "boolean"},
        lost={"type": "boolean"},
        ages_ns=_many(["integer", "null"]),
    ),
    "log": _schema(
        "foxglove.Log",
        timestamp={"type": "object", "properties": {"sec": {"type": "integer"}, "nsec": {"type": "integer"}}},
        level={"type": "integer"},
        message={"type": "string"},
        name={"type": "string"},
    ),
}


class TraceWriter:
    """Takes what a scheduler records, and writes it; memory does not grow with the simulated time.

    hybrid, scheduler: what runs; path: the file; OSError where it can't be written, now or later. A thread hands what
    was written to the file system twice a second, and writes down a part that does not return: what ran until then is
    in the file however the program ends.
    """

    def __init__(self, path: Path, hybrid: Hybrid, scheduler: EventScheduler) -> None:
        self._scheduler, self._ages = scheduler, Ages(scheduler.connections)
        self._wanted = hybrid.recorded
        self.counts: dict[str, int] = dict.fromkeys(sorted(self._wanted), 0)
        self._file = McapWriter(path)
        self._lock, self._ended = threading.Lock(), threading.Event()
        self._file.metadata("hybrid", description(hybrid, scheduler))
        for member in scheduler.members.values():
            self._channels(member)
        self._file.channel(LOG, "json", SCHEMAS["log"], {"kind": "log"})
        self._file.flush()
        self._check()
        self._thread = threading.Thread(target=self._watch, name="trace", daemon=True)
        self._thread.start()

    def _channels(self, member: Member) -> None:
        name, clock = member.name, member.clock
        words = {"part": name, "period_ns": str(clock.period_ns), "latency_ns": str(clock.latency_ns)}
        links = json.dumps([c.link.name for c in member.into])
        self._file.channel(name, "json", SCHEMAS["runs"], {**words, "kind": "runs", "links": links})
        for port, p in member.part.outputs.items():
            if f"{name}.{port}" in self._wanted:
                words |= {"port": port, "kind": p.kind, "shape": json.dumps(list(p.shape))}
                self._file.channel(f"{name}.{port}", "json", SCHEMAS[p.kind], words)

    def __call__(
        self, member: Member, runs: Runs, results: Mapping[str, Any], times: NDArray[np.int64]
    ) -> None:
        """For the scheduler."""
        with self._lock:
            self._runs(member, runs, results)
            for port, rows in results.items():
                topic = f"{member.name}.{port}"
                if topic in self._wanted and member.part.outputs[port].kind == "messages":
                    self._messages(topic, member, rows, times)
                elif topic in self._wanted:
                    rows = np.asarray(rows).reshape(runs.count, -1)
                    if member.part.outputs[port].kind == "spikes":
                        self._spikes(topic, member, port, rows, times)
                    else:
                        self._rows(topic, member, port, rows, times)
        self._check()

    def _runs(self, member: Member, runs: Runs, results: Mapping[str, Any]) -> None:
        latency, wall = member.clock.latency_ns, f"{member.seconds / runs.count:.3g}"
        ages = self._ages.of(member, runs).tolist()
        kept = member.kept
        for i, t in enumerate(runs.times.tolist()):
            waited = lost = "false"
            if kept is not None and not kept[i]:
                whole = all(
                    np.isfinite(rows[i]).all()
                    for port, rows in results.items()
                    if member.part.outputs[port].kind != "messages"
                )
                waited, lost = ("false", "true") if whole else ("true", "false")
            seen = ",".join("null" if age < 0 else str(age) for age in ages[i])
            self._file.add(
                member.name,
                f'{{"run":{t // runs.period_ns},"begin_ns":{t},"end_ns":{t + latency},"wall_s":{wall},'
                f'"waited":{waited},"lost":{lost},"ages_ns":[{seen}]}}'.encode(),
                t,
                t + latency,
            )

    def _rows(self, topic: str, member: Member, port: str, rows: Array, times: NDArray[np.int64]) -> None:
        """Values, rates and states: a message a row."""
        p = member.part.outputs[port]
        if p.kind == "rates":
            words, field = f'"populations":[{json.dumps(port)}],"sizes":[{p.size}]', "rates"
        else:
            words, field = f'"shape":{json.dumps(list(p.shape))}', "values"
        finite = bool(np.isfinite(rows).all())
        for t, row in zip(times.tolist(), rows.tolist(), strict=True):
            if not finite:
                row = [x if np.isfinite(x) else None for x in row]
            body = f'{{{_header(t, member.name)},{words},"{field}":{json.dumps(row)}}}'
            self._file.add(topic, body.encode(), t, t + member.clock.latency_ns)
        self.counts[topic] += len(rows)

    def _spikes(self, topic: str, member: Member, port: str, rows: Array, times: NDArray[np.int64]) -> None:
        """A message for each run with spikes. count: how many of each neuron, where that is not repeated."""
        rows = np.nan_to_num(rows, nan=0.0)
        words = f'"populations":[{json.dumps(port)}],"sizes":[{rows.shape[1]}],"duration_ns":{member.clock.period_ns}'
        for i in np.flatnonzero(rows.any(axis=1)):
            neuron = np.flatnonzero(rows[i])
            counts, extra = rows[i][neuron], ""
            if (counts == np.floor(counts)).all() and counts.min() > 0 and counts.max() <= MOST_REPEATED:
                neuron = np.repeat(neuron, counts.astype(np.int64))
                self.counts[topic] += len(neuron)
            else:
                extra = f',"count":{json.dumps(counts.tolist())}'
                self.counts[topic] += int(counts.sum())
            t = int(times[i])
            fired = f'"neuron":{neuron.tolist()},"offset_ns":{[0] * len(neuron)}{extra}'
            body = f"{{{_header(t, member.name)},{words},{fired}}}"
            self._file.add(topic, body.encode(), t, t + member.clock.latency_ns)

    def _messages(
        self, topic: str, member: Member, rows: Sequence[Sequence[Message]], times: NDArray[np.int64]
    ) -> None:
        """What travels whole, as far as JSON can say it."""
        for t, row in zip(times.tolist(), rows, strict=True):
            for time_ns, value in row:
                body = json.dumps({"time_ns": time_ns, "value": _plain(value)})
                self._file.add(topic, body.encode(), t, t + member.clock.latency_ns)
                self.counts[topic] += 1

    def _log(self, name: str, words: str, at_ns: int) -> None:
        stamp = {"sec": at_ns // 10**9, "nsec": at_ns % 10**9}
        message = {"timestamp": stamp, "level": 3, "message": words, "name": name}
        self._file.add(LOG, json.dumps(message).encode(), at_ns, at_ns)

    def _watch(self) -> None:
        """The thread: hand on what was written, and say of a part that it does not return."""
        seen: dict[str, tuple[Runs, float]] = {}
        while not self._ended.wait(FLUSH):
            with self._lock:
                for member in self._scheduler.members.values():
                    calling, now = member.calling, time.monotonic()
                    if calling is None:
                        seen.pop(member.name, None)
                    elif seen.get(member.name, (None, 0.0))[0] is not calling:
                        seen[member.name] = calling, now
                    elif now - seen[member.name][1] > SLOW:
                        seen[member.name] = calling, float("inf")
                        words = f"{member.name}: at {text(calling.first_ns)}: has not returned for {SLOW:g} s"
                        self._log(member.name, words, calling.first_ns)
                self._file.flush()

    def _check(self) -> None:
        if self._file.note:
            raise OSError(self._file.note)

    def close(self, error: BaseException | None = None) -> None:
        """Write how it ended, and the index. error: that ended it."""
        self._ended.set()
        self._thread.join()
        members = self._scheduler.members.values()
        words = "" if error is None else str(error) or type(error).__name__
        if error is not None and not isinstance(error, ValueError):
            at = [f"{m.name} was at {text(m.calling.first_ns)}" for m in members if m.calling is not None]
            words = ", ".join([words, *at])
        reached = min(member.next_ns for member in members)
        if words:
            self._log("", words, reached)
        self._file.metadata("end", {"error": words, "reached_ns": str(reached)})
        self._file.finish()
        if error is None:
            self._check()


def _plain(value: Any) -> Any:
    """Something that travels whole, in JSON's types: fields by name, arrays as lists, what is not finite as null."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: _plain(item) for name, item in zip(value._fields, value, strict=True)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, str | int | bool | type(None)) else str(value)


def _header(t: int, frame: str) -> str:
    return f'"header":{{"stamp":{{"sec":{t // 10**9},"nanosec":{t % 10**9}}},"frame_id":"{frame}"}}'


def description(hybrid: Hybrid, scheduler: EventScheduler) -> dict[str, str]:
    """What a trace says of what ran: the file's text, seed, version; parts in their order and links, as JSON."""

    def ports(side: Mapping[str, Any]) -> dict[str, Any]:
        return {name: {"kind": p.kind, "shape": list(p.shape)} for name, p in side.items()}

    parts = []
    for name in scheduler.order:
        member = scheduler.members[name]
        parts.append(
            {
                "name": name,
                "class": type(member.part).__name__,
                "period_ns": member.clock.period_ns,
                "latency_ns": member.clock.latency_ns,
                "lost": member.loss.share,
                "beside": name in hybrid.beside,
                "inputs": ports(member.part.inputs),
                "outputs": ports(member.part.outputs),
            }
        )
    links = []
    for c in scheduler.connections:
        options = c.link.options
        links.append(
            {
                "name": c.link.name,
                "from": ".".join(c.source),
                "to": ".".join(c.target),
                "delay_ns": options.delay_ns,
                "gain": options.gain,
                "when_old": options.when_old,
                "max_age_ns": options.max_age_ns,
                "initial": options.initial,
            }
        )
    return {
        "format": str(VERSION),
        "version": __version__,
        "text": hybrid.text,
        "seed": str(hybrid.seed),
        "until_ns": str(hybrid.until_ns),
        "parts": json.dumps(parts),
        "links": json.dumps(links),
    }

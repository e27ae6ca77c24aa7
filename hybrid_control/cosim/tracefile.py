"""Reads the trace of a co-simulation, whole, cut short or damaged: runs and recorded ports as arrays."""

from __future__ import annotations

import io
import json
import math
import os
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.part import KINDS, Array
from hybrid_control.files.mcap import McapRecords

LIMIT = 1 << 30  # bytes of messages that are read
LARGEST = 1 << 24  # numbers of one row
_ROS = {"hybrid_control_msgs/msg/RateVector": "rates", "hybrid_control_msgs/msg/SpikeTrain": "neuron"}

Times = NDArray[np.int64]


@dataclass(frozen=True)
class RecordedRuns:
    """Runs of a part: begin, end (n,) ns; wall (n,) s of the machine that it took; ages (n, links) ns, -1 for none.

    waited: those that did not take place, for an input was too old; lost: whose results never arrived. links: names.
    """

    begin: Times
    end: Times
    wall: NDArray[np.float64]
    waited: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    ages: Times
    links: tuple[str, ...]


@dataclass(frozen=True)
class Recorded:
    """What a port gave. times: (n,) ns of what `rows`, (n, size), or the spikes hold.

    kind: None where it is not known (an npz file). Of spikes: times, neuron and count, (k,) each, of those that were.
    """

    kind: str | None
    shape: tuple[int, ...]
    times: Times
    rows: Array | None = None
    neuron: NDArray[np.int64] | None = None
    count: NDArray[np.float64] | None = None

    @property
    def size(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.shape)


@dataclass
class Trace:
    """A trace: what ran (`words`, `parts` in the order of a time, `links`), its runs by part, and its ports.

    complete: False where the file ends before its end mark. error: what ended the simulation, "" where it was its time.
    """

    path: str
    words: Mapping[str, str]
    parts: list[dict[str, Any]]
    links: list[dict[str, Any]]
    runs: dict[str, RecordedRuns]
    ports: dict[str, Recorded]
    complete: bool
    error: str = ""
    log: list[tuple[int, str]] = field(default_factory=list)

    @property
    def end_ns(self) -> int:
        """Up to when it holds something."""
        ends = [int(r.begin[-1]) for r in self.runs.values() if len(r.begin)]
        periods = [int(r.begin[1] - r.begin[0]) for r in self.runs.values() if len(r.begin) > 1]
        return max(ends, default=0) + min(periods, default=1)


def read(path: str | os.PathLike[str]) -> Trace:
    """Read a trace. ValueError, one line, where it is none or is damaged; OSError as usual."""
    with _one_line(path):
        taken, words, complete = _collect(path, lambda channel, schema: _reader(channel))
        if "hybrid" not in words:
            raise ValueError("no trace of a co-simulation: its metadata has no hybrid")
        found = words["hybrid"]
        parts, links = (_objects(found, name) for name in ("parts", "links"))
        return Trace(
            str(path),
            found,
            parts,
            links,
            {r.topic: r.result() for r in taken if isinstance(r, _Runs)},
            {r.topic: r.result() for r in taken if isinstance(r, _Rows | _Spikes)},
            complete,
            words.get("end", {}).get("error", ""),
            sorted(entry for r in taken if isinstance(r, _Log) for entry in r.entries),
        )


def read_port(path: str | os.PathLike[str], topic: str | None) -> Recorded:
    """One port of a trace; or a topic of a robot's recording with RateVector or SpikeTrain messages.

    topic: PART.PORT, or a topic's name; None where there is one alone. The times of a robot's recording are those of
    reception since the first of its messages. ValueError, one line; OSError as usual.
    """

    def reader(channel: Any, schema: Any) -> Any:
        made = _ros_reader(channel, schema) if channel.message_encoding == "cdr" else _reader(channel)
        if isinstance(made, _Runs | _Log) or made is None:
            return None
        there.append(channel.topic.strip("/"))
        return made if topic is None or there[-1] == topic.strip("/") else None

    there: list[str] = []
    with _one_line(path):
        found, _, _ = _collect(path, reader)
        if len(found) != 1:
            raise ValueError(f"topic: expected one of {', '.join(there) or 'none that is there'}")
        port: Recorded = found[0].result()
        return port


@contextmanager
def _one_line(path: str | os.PathLike[str]) -> Iterator[None]:
    """What is wrong with a file as a ValueError of one line that begins with its name."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        line = " ".join(str(error).split())[:200]
        line = f"{type(error).__name__} {line}" if isinstance(error, KeyError) else line
        raise ValueError(line if line.startswith(f"{path}: ") else f"{path}: {line}") from None


def _collect(
    path: str | os.PathLike[str], make: Callable[[Any, Any], Any]
) -> tuple[list[Any], dict[str, dict[str, str]], bool]:
    """What takes the messages of each channel, as `make` gives it for channel and schema (None: nothing does).

    Also the file's metadata, and whether it is complete.
    """
    records = McapRecords(path)
    words: dict[str, dict[str, str]] = {}
    readers: dict[int, Any] = {}
    schemas: dict[int, Any] = {}
    total = 0
    begin: int | None = None
    record: Any
    for record in records:
        match type(record).__name__:
            case "Metadata":
                words.setdefault(record.name, record.metadata)
            case "Schema":
                schemas[record.id] = record
            case "Channel":
                if record.id not in readers:
                    readers[record.id] = make(record, schemas.get(record.schema_id))
            case "Message":
                begin = record.log_time if begin is None else begin
                reader = readers.get(record.channel_id)
                if reader is None:
                    continue
                total += len(record.data)
                if total > LIMIT:
                    raise ValueError(f"more than {LIMIT:,} bytes of messages")
                reader.take(record, begin)
    return [reader for reader in readers.values() if reader is not None], words, records.complete


def _objects(words: Mapping[str, str], name: str) -> list[dict[str, Any]]:
    """The parts or links of a description, each with its name."""
    value = json.loads(words.get(name, "[]"))
    if not isinstance(value, list) or not all(
        isinstance(x, dict) and isinstance(x.get("name"), str) for x in value
    ):
        raise ValueError(f"{name}: expected a list of objects with names")
    return value


def _reader(channel: Any) -> Any:
    """What takes the messages of a channel; None for one that is no co-simulation's, or whose messages are objects."""
    kind = channel.metadata.get("kind")
    if channel.message_encoding != "json" or kind not in (*KINDS, "runs", "log") or kind == "messages":
        return None
    if kind == "log":
        return _Log(channel.topic)
    if kind == "runs":
        return _Runs(channel.topic, tuple(map(str, _listed(channel, "links"))))
    shape = _listed(channel, "shape")
    if not all(type(n) is int and n > 0 for n in shape) or math.prod(shape) > LARGEST:
        raise ValueError(f"{channel.topic}: shape {shape}")
    return (_Spikes if kind == "spikes" else _Rows)(channel.topic, kind, tuple(shape))


def _ros_reader(channel: Any, schema: Any) -> _Ros | None:
    """The same of a robot's recording: rates and spikes."""
    field = _ROS.get(schema.name) if schema is not None else None
    if field is None:
        return None
    try:
        from mcap_ros2.decoder import DecoderFactory
    except ImportError:
        raise ValueError("ROS messages need mcap-ros2-support: pip install '.[sim]' in the repository") from None
    factory = DecoderFactory()
    return _Ros(channel.topic, field, lambda data: factory.decoder_for("cdr", schema)(data))  # type: ignore[misc]


def _listed(channel: Any, name: str) -> list[Any]:
    value = json.loads(channel.metadata.get(name, "[]"))
    if not isinstance(value, list):
        raise ValueError(f"{channel.topic}: {name}: expected a list")
    return value


class _Reader:
    """Messages of a topic as columns."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.times = array("q")

    def take(self, message: Any, begin_ns: int) -> None:
        """A message. ValueError, which names the topic and the message, where it is not what it should be."""
        try:
            self.put(message.log_time, json.loads(message.data))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            words = " ".join(str(error).split())[:100]
            raise ValueError(
                f"{self.topic}: message {len(self.times)}: {type(error).__name__}: {words}"
            ) from None

    def put(self, at: int, value: Any) -> None:
        """The same, decoded."""
        raise NotImplementedError

    def ordered(self) -> Times:
        """The times of the messages. ValueError where they go back."""
        times = np.array(self.times, np.int64)
        if (np.diff(times) < 0).any():
            raise ValueError(f"{self.topic}: its times go back")
        return times


class _Rows(_Reader):
    def __init__(self, topic: str, kind: str, shape: tuple[int, ...]) -> None:
        super().__init__(topic)
        self.kind, self.shape, self.size = kind, shape, math.prod(shape)
        self.numbers = array("d")

    def put(self, at: int, value: Any) -> None:
        row = value["rates" if self.kind == "rates" else "values"]
        if not isinstance(row, list) or len(row) != self.size:
            raise ValueError(f"expected {self.size} numbers")
        self.numbers.extend([math.nan if x is None else x for x in row])
        self.times.append(at)

    def result(self) -> Recorded:
        rows = np.array(self.numbers, np.float64).reshape(-1, self.size)
        return Recorded(self.kind, self.shape, self.ordered(), rows)


class _Spikes(_Reader):
    def __init__(self, topic: str, kind: str, shape: tuple[int, ...]) -> None:
        super().__init__(topic)
        self.shape, self.size = shape, math.prod(shape)
        self.neurons, self.counts = array("q"), array("d")

    def put(self, at: int, value: Any) -> None:
        neurons = value["neuron"]
        counts = value.get("count")
        if counts is None:  # written one by one
            grouped: dict[int, int] = {}
            for neuron in neurons:
                grouped[neuron] = grouped.get(neuron, 0) + 1
            neurons, counts = list(grouped), list(grouped.values())
        if len(neurons) != len(counts) or (neurons and not 0 <= min(neurons) <= max(neurons) < self.size):
            raise ValueError(f"expected neurons within 0 .. {self.size - 1}")
        self.neurons.extend(neurons)
        self.counts.extend(counts)
        self.times.extend([at] * len(neurons))

    def result(self) -> Recorded:
        return Recorded(
            "spikes", self.shape, self.ordered(), None, np.array(self.neurons, np.int64),
            np.array(self.counts, np.float64),
        )  # fmt: skip


class _Ros:
    """RateVector or SpikeTrain messages of a robot's recording; times since its first message."""

    def __init__(self, topic: str, field: str, decode: Callable[[bytes], Any]) -> None:
        self.topic, self._field, self._decode = topic, field, decode
        self._size = 0
        self._count = 0
        self._times, self._numbers = array("q"), array("d")

    def take(self, message: Any, begin_ns: int) -> None:
        """A message. ValueError, which names the topic and the message, where it is not what it should be."""
        try:
            with redirect_stderr(io.StringIO()):  # where the parser of definitions says more than one line
                decoded = self._decode(message.data)
            numbers = [float(x) for x in getattr(decoded, self._field)]
            at, size = message.log_time - begin_ns, sum(map(int, decoded.sizes))
            times = [at] if self._field == "rates" else [at + int(o) for o in decoded.offset_ns]
            inside = len(numbers) == size if self._field == "rates" else all(0 <= n < size for n in numbers)
            if not 0 < size <= LARGEST or self._size not in (0, size) or not inside:
                raise ValueError("its sizes do not fit")
            self._times.extend(times)
            self._numbers.extend(numbers)
        except Exception as error:  # on wrong bytes the decoder and its parser of definitions raise all sorts
            words = " ".join(str(error).split())[:100]
            raise ValueError(
                f"{self.topic}: message {self._count}: {words or type(error).__name__}"
            ) from None
        self._size = size
        self._count += 1

    def result(self) -> Recorded:
        if not self._size:
            raise ValueError(f"{self.topic}: no messages")
        times, numbers = np.array(self._times, np.int64), np.array(self._numbers, np.float64)
        if self._field == "rates":
            order = np.argsort(times, kind="stable")
            return Recorded("rates", (self._size,), times[order], numbers.reshape(-1, self._size)[order])
        if len(times) != len(numbers):
            raise ValueError(f"{self.topic}: {len(numbers)} spikes with {len(times)} times")
        order = np.argsort(times, kind="stable")
        neurons = numbers.astype(np.int64)[order]
        return Recorded("spikes", (self._size,), times[order], None, neurons, np.ones(len(neurons)))


class _Runs(_Reader):
    def __init__(self, topic: str, links: tuple[str, ...]) -> None:
        super().__init__(topic)
        self.links = links
        self.ends, self.ages, self.walls = array("q"), array("q"), array("d")
        self.waited, self.lost = bytearray(), bytearray()

    def put(self, at: int, value: Any) -> None:
        ages = value["ages_ns"]
        if not isinstance(ages, list) or len(ages) != len(self.links):
            raise ValueError(f"expected {len(self.links)} ages")
        end, wall = value["end_ns"], value["wall_s"]
        self.ends.append(end)
        self.walls.append(wall)
        self.ages.extend([-1 if age is None else age for age in ages])
        self.waited.append(bool(value["waited"]))
        self.lost.append(bool(value["lost"]))
        self.times.append(at)

    def result(self) -> RecordedRuns:
        count = len(self.times)
        return RecordedRuns(
            self.ordered(),
            np.array(self.ends, np.int64),
            np.array(self.walls, np.float64),
            np.array(self.waited, np.bool_),
            np.array(self.lost, np.bool_),
            np.array(self.ages, np.int64).reshape(count, len(self.links)),
            self.links,
        )


class _Log(_Reader):
    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.entries: list[tuple[int, str]] = []

    def put(self, at: int, value: Any) -> None:
        self.entries.append((at, str(value["message"])))

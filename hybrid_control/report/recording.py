"""Reads an MCAP file of ROS 2 messages, complete or cut short, without ROS."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from mcap.records import Channel, Message, Schema
from mcap_ros2.decoder import DecoderFactory
from numpy.typing import NDArray

from hybrid_control.files.mcap import McapRecords


class RecordingError(ValueError):
    """A file that is no recording of a run. The message names the file and what is wrong with it."""


@dataclass
class Topic:
    """One recorded topic: its messages in the order in which they were received.

    received, published: nanoseconds of the system clock, one for each message.
    """

    name: str
    type: str
    find_decoder: Callable[[], Callable[[bytes], Any] | None]
    data: list[bytes] = field(default_factory=list)
    received_ns: list[int] = field(default_factory=list)
    published_ns: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.data)

    def decode(self, i: int) -> Any:
        """Message i, its fields as attributes."""
        try:
            decode = self.find_decoder()
            if decode is not None:
                return decode(self.data[i])
        except Exception as error:  # on wrong bytes the decoder and its parser of definitions raise all sorts
            text = " ".join(str(error).split())
            raise RecordingError(f"{self.name}: message {i} is no {self.type}: {text}") from None
        raise RecordingError(f"{self.name}: no ros2msg definition of {self.type} in the recording")

    def __iter__(self) -> Iterator[Any]:
        return (self.decode(i) for i in range(len(self)))

    @cached_property
    def received(self) -> NDArray[np.int64]:
        """Time of reception of each message, (n,) nanoseconds of the system clock."""
        return np.array(self.received_ns, dtype=np.int64)


@dataclass
class Recording:
    """All topics of a recording; `complete` is False where the file ends before its footer."""

    topics: dict[str, Topic]
    complete: bool

    def topic(self, name: str) -> Topic | None:
        """The topic of that relative name, in whatever namespace; None where it was not recorded."""
        for full, topic in self.topics.items():
            if full == "/" + name or full.endswith("/" + name):
                return topic
        return None


def read(path: str | os.PathLike[str]) -> Recording:
    """Read a recording; what a file that was cut short still holds is kept.

    Raises OSError where the file can't be read and RecordingError where it is not MCAP at all.
    """
    decoders = DecoderFactory()
    schemas: dict[int, Schema] = {}
    channels: dict[int, Topic] = {}
    records = McapRecords(path)
    try:
        for record in records:
            if isinstance(record, Schema):
                schemas[record.id] = record
            elif isinstance(record, Channel):
                if record.id not in channels:
                    schema = schemas.get(record.schema_id)
                    name = schema.name if schema else ""
                    find = functools.partial(decoders.decoder_for, record.message_encoding, schema)
                    channels[record.id] = Topic(record.topic, name, find)
            elif isinstance(record, Message) and record.channel_id in channels:
                topic = channels[record.channel_id]
                topic.data.append(record.data)
                topic.received_ns.append(record.log_time)
                topic.published_ns.append(record.publish_time)
    except ValueError as error:
        raise RecordingError(str(error)) from None
    topics: dict[str, Topic] = {}
    for topic in channels.values():
        topics.setdefault(topic.name, topic)
    return Recording(topics, records.complete)

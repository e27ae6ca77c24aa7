"""Links that carry messages: objects, each of which arrives once, in order, and none of which is added to another."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.cosim.link import Link, LinkOptions
from hybrid_control.cosim.part import Message, PartError, Port, Runs

Messages = Sequence[Message]


@dataclass(slots=True)
class MessageLink:
    """A link from a port of messages to another one.

    A message leaves with all that its run gives, or at its own time where that is later, and never before one that was
    given earlier. A run sees those that arrived since the run before. Of the options a link of messages has the delay.
    """

    name: str
    source: Port
    target: Port
    options: LinkOptions = field(default_factory=LinkOptions)
    _mail: deque[tuple[int, Message]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        if self.source.kind != self.target.kind:
            raise ValueError(f"{self.name}: gives {self.source.kind}, and {self.target.kind} are taken")
        if self.options != LinkOptions(self.options.delay_ns):
            raise ValueError(f"{self.name}: carries messages, and has no other option than delay")

    def reset(self) -> None:
        """Nothing is on its way."""
        self._mail.clear()

    @property
    def waiting(self) -> int:
        """How many messages it holds."""
        return len(self._mail)

    @property
    def arrivals(self) -> NDArray[np.int64]:
        """When the messages that it holds arrive, the first one first, ns."""
        return np.array([arrival for arrival, _ in self._mail], np.int64)

    def put(self, runs: Runs, latency_ns: int, rows: Sequence[Messages], kept: Any) -> None:
        """What runs gave that take latency_ns; kept: which of them arrive, None for all."""
        for i, begin in enumerate(runs.begins):
            if kept is None or kept[i]:
                self.send(begin + latency_ns, rows[i])

    def send(self, given_ns: int, messages: Messages) -> None:
        """What was there at given_ns."""
        mail, delay = self._mail, self.options.delay_ns
        for message in messages:
            if type(message) is not Message:
                raise PartError(f"{self.name}: {message!r:.100} is no Message(time_ns, value)")
            time_ns, value = message
            arrival = (time_ns if time_ns > given_ns else given_ns) + delay
            if mail and mail[-1][0] > arrival:
                arrival = mail[-1][0]
            mail.append((arrival, Message(time_ns + delay, value) if delay else message))

    def take(self, runs: Runs) -> list[Messages]:
        """What runs see, a sequence for each."""
        return [self.due(begin) for begin in runs.begins]

    def due(self, time_ns: int) -> Messages:
        """What has arrived by a time; it is on its way no more."""
        mail = self._mail
        if not mail or mail[0][0] > time_ns:
            return ()
        row = [mail.popleft()[1]]
        while mail and mail[0][0] <= time_ns:
            row.append(mail.popleft()[1])
        return row

    def state(self) -> list[tuple[int, Message]]:
        """What is on its way."""
        return list(self._mail)

    def set_state(self, state: list[tuple[int, Message]]) -> None:
        """Go on from a state."""
        self._mail = deque(state)


def link_of(
    name: str, source: Port, target: Port, options: LinkOptions | None = None
) -> Link | MessageLink:
    """A link for what goes from a port to another. ValueError where that cannot be."""
    kind: Any = MessageLink if "messages" in (source.kind, target.kind) else Link
    link: Link | MessageLink = kind(name, source, target, options or LinkOptions())
    return link

"""Whether one publisher alone speaks on a topic: of two that contradict each other nobody can know which is right."""

from __future__ import annotations

import math

_FIRST = 1.0  # s of doubt after the first step back: a driver that was started anew makes one, a second publisher many
_MEMORY = 5.0  # s in which a second step back shows that there are two


class Sole:
    """Goes by the numbers that a publisher gives its messages, which go up by one from each to the next.

    A number that does not go up is another publisher's. One that took over from the first steps back once; two that
    speak side by side do so again and again. Lost messages are no step back.
    """

    def __init__(self) -> None:
        self._number = -1
        self._stepped = self._until = -math.inf  # s

    def alone(self, number: int | None, now: float) -> bool:
        """Whether a message may be acted on. number: its publisher's, None where the middleware tells none; now: s."""
        if number is not None:
            if number <= self._number:
                self._until = now + (_MEMORY if now - self._stepped < _MEMORY else _FIRST)
                self._stepped = now
            self._number = number
        return now >= self._until

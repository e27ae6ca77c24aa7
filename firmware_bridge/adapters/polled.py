"""What the adapters share: a thread that asks the device, hands it the newest command, stops it, and reconnects."""

from __future__ import annotations

import math
import statistics
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.link.connection import Connection
from firmware_bridge.link.frames import LinkError
from firmware_bridge.link.transport import Transport, open_transport
from firmware_bridge.wheels import DriverStatus, WheelDriver, WheelState


@dataclass(frozen=True, kw_only=True)
class PolledConfig:
    """address, baud: see open_transport. rate: Hz of commands and readings. command_timeout: s after which a command
    that was not renewed becomes a stop. answer: s to wait for each answer. retry: s between attempts to connect.
    """

    address: str
    baud: int = 115_200
    rate: float = 50.0
    command_timeout: float = 0.1
    answer: float = 0.1
    retry: float = 0.2

    def __post_init__(self) -> None:
        for name in ("baud", "rate", "command_timeout", "answer", "retry"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise LinkError(f"{name} {value} must be finite and > 0")


def check_directions(name: str, wheels: Sequence[object], directions: Sequence[int]) -> None:
    """LinkError unless there are wheels, each with a direction of +1 or -1. name: of the parameter that has them."""
    if not wheels or len(directions) != len(wheels) or {abs(d) for d in directions} != {1}:
        raise LinkError(f"{name} {wheels} and directions {directions} must be as many, directions +1 or -1")


class PolledDriver(WheelDriver):
    """A device that answers when it is asked. Subclasses say how: open, exchange, halt, reset."""

    def __init__(self, config: PolledConfig, wheels: int) -> None:
        self.config = config
        self.wheels = wheels
        self._command: tuple[float, tuple[float, ...]] | None = None
        self._stopped = False
        self._clear_wanted = False
        self._state: WheelState | None = None
        self._connection = Connection(type(self).__name__, self._serve, self._shut, config.retry)
        self._trips: deque[float] = deque(maxlen=256)
        self._counts = {"exchanges": 0, "failures": 0, "sent": 0}

    # ---- what a subclass does, all in the driver's thread; LinkError ends the connection ----

    @abstractmethod
    def _open(self) -> None:
        """Connect and make sure that it is the right device, with its own command timeout armed."""

    @abstractmethod
    def _shut(self) -> None:
        """Let go of the connection; may be called when there is none."""

    @abstractmethod
    def _exchange(self, speeds: tuple[float, ...] | None) -> WheelState:
        """Send the speeds (rad/s), or keep the wheels stopped where None, and read the state."""

    def _clear(self) -> None:
        """Clear the device's errors, where it has any to clear."""
        return

    # ---- what the caller uses ----

    def start(self) -> None:
        """Begin to connect, in the background. LinkError if it runs already or was closed."""
        self._connection.start()

    def close(self) -> None:
        """Stop the wheels and end the connection."""
        self._connection.close()

    def send(self, speeds: Sequence[float]) -> bool:
        """New wheel speeds in rad/s, taken at the next turn of the thread; False while not connected."""
        if len(speeds) != self.wheels:
            raise LinkError(f"{len(speeds)} speeds for {self.wheels} wheels")
        if not all(math.isfinite(v) for v in speeds):
            raise LinkError(f"speeds {tuple(speeds)} must be finite")
        if not self._connection.connected.is_set() or self._stopped:
            return False
        self._command = (time.monotonic(), tuple(float(v) for v in speeds))
        return True

    def stop(self) -> None:
        """Wheels off, until clear_stop."""
        self._stopped = True
        self._command = None

    def clear_stop(self) -> None:
        """Take back stop and clear the device's errors. Nothing moves before the next send."""
        self._command = None
        self._clear_wanted = True
        self._stopped = False

    def wait_connected(self, timeout: float) -> bool:
        """Wait until there is a connection, at most timeout seconds. For start-up and tests."""
        return self._connection.connected.wait(timeout)

    def state(self) -> WheelState | None:
        """The newest readings, None before the first."""
        return self._state

    def status(self) -> DriverStatus:
        """How the connection is; a round trip is one whole exchange."""
        trips = tuple(self._trips)
        return DriverStatus(
            self._connection.connected.is_set(),
            self._connection.error,
            self._connection.connections,
            statistics.median(trips) if trips else math.nan,
            dict(self._counts),
        )

    # ---- the thread ----

    def _serve(self) -> None:
        try:
            self._open()
            self._command = None  # nothing from before the connection moves anything
            self._connection.establish()
            self._poll()
        except LinkError:
            self._counts["failures"] += 1
            raise

    def _poll(self) -> None:
        due = time.monotonic()
        while not self._connection.closing.is_set():
            if self._clear_wanted:
                self._clear_wanted = False
                self._clear()
            command = self._command
            begun = time.monotonic()
            fresh = command is not None and begun - command[0] <= self.config.command_timeout
            speeds = command[1] if command is not None and fresh and not self._stopped else None
            self._state = self._exchange(speeds)
            self._trips.append(time.monotonic() - begun)
            self._counts["exchanges"] += 1
            self._counts["sent"] += speeds is not None
            due = max(due + 1 / self.config.rate, begun)
            self._connection.closing.wait(max(0.0, due - time.monotonic()))
        self._exchange(None)


class LineDriver(PolledDriver):
    """A polled device that speaks in lines of text or packets over a byte stream."""

    _transport: Transport | None = None
    _pending = b""

    def _open(self) -> None:
        self._transport = open_transport(self.config.address, self.config.baud)
        self._pending = b""

    def _shut(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        if self._transport.write(data) != len(data):
            raise LinkError(f"{self.config.address}: takes no more bytes")

    def _read_more(self, until: float, what: str) -> None:
        assert self._transport is not None
        left = until - time.monotonic()
        if left <= 0:
            raise LinkError(f"{self.config.address}: no answer to {what!r} within {self.config.answer} s")
        self._pending += self._transport.read(left)
        if len(self._pending) > 4096:
            raise LinkError(f"{self.config.address}: 4096 bytes and no answer to {what!r}: another protocol")

    def _read_line(self, what: str) -> str:
        until = time.monotonic() + self.config.answer
        while b"\n" not in self._pending:
            self._read_more(until, what)
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode("ascii", "replace").strip()

    def _numbers(self, line: str, count: int, what: str) -> list[float]:
        try:
            values = [float(word) for word in line.split()]
        except ValueError:
            values = []
        if len(values) != count or not all(math.isfinite(v) for v in values):
            raise LinkError(f"{self.config.address}: answered {line!r} to {what!r}, expected {count} numbers")
        return values

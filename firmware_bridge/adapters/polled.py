"""What the adapters share: a thread that asks the device, hands it the newest command, stops it, and reconnects.

One part out, all out: an error of any controller, or a wheel that does not follow, stops every wheel until clear_stop.
"""

from __future__ import annotations

import contextlib
import logging
import math
import statistics
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from firmware_bridge.following import Following
from firmware_bridge.link.connection import Connection
from firmware_bridge.link.frames import LinkError
from firmware_bridge.link.transport import Transport, open_transport
from firmware_bridge.wheels import DriverStatus, WheelDriver, WheelPositions, WheelState

logger = logging.getLogger(__name__)

_PATIENCE = 3.0  # s that a board may boot before anything is said about it
_MOST_TRIES = 3


class NoAnswer(LinkError):
    """An answer is missing, garbled or impossible; the question is worth another try."""


@dataclass(frozen=True, kw_only=True)
class PolledConfig:
    """address, baud: see open_transport. rate: Hz of commands and readings. command_timeout: s after which a command
    that was not renewed becomes a stop. answer: s to wait for each answer. retry: s between attempts to connect.
    boot: s that a board may take to boot once its port is open, for some reset then.
    """

    address: str
    baud: int = 115_200
    rate: float = 50.0
    command_timeout: float = 0.1
    answer: float = 0.1
    retry: float = 0.2
    boot: float = 12.0

    def __post_init__(self) -> None:
        for name in ("baud", "rate", "command_timeout", "answer", "retry"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise LinkError(f"{name} {value} must be finite and > 0")
        if not 0 <= self.boot < 3600:
            raise LinkError(f"boot {self.boot} s must be within 0 .. 3600")


def check_directions(name: str, wheels: Sequence[object], directions: Sequence[int]) -> None:
    """LinkError unless there are wheels, each with a direction of +1 or -1. name: of the parameter that has them."""
    if not wheels or len(directions) != len(wheels) or {abs(d) for d in directions} != {1}:
        raise LinkError(f"{name} {wheels} and directions {directions} must be as many, directions +1 or -1")


class PolledDriver(WheelDriver):
    """A device that answers when it is asked. Subclasses say how."""

    def __init__(self, config: PolledConfig, wheels: int) -> None:
        self.config = config
        self.wheels = wheels
        self.positions = WheelPositions(wheels)
        self._command: tuple[float, tuple[float, ...]] | None = None
        self._stopped = False
        self._clear_wanted = False
        self._following = Following()
        self._faults: tuple[str, ...] = ()  # what was found since the last clear_stop
        self._state: WheelState | None = None
        self._connection = Connection(type(self).__name__, self._serve, self._shut, config.retry)
        self._trips: deque[float] = deque(maxlen=256)
        self._counts = {"exchanges": 0, "failures": 0, "sent": 0, "retries": 0}

    # ---- what a subclass does, all in the driver's thread; LinkError ends the connection, NoAnswer is tried again ----

    @abstractmethod
    def _open(self) -> None:
        """Open the port."""

    @abstractmethod
    def _greet(self) -> None:
        """Make sure that it is the right device, with its own command timeout armed and its wheels stopped."""

    @abstractmethod
    def _shut(self) -> None:
        """Let go of the connection; may be called when there is none."""

    @abstractmethod
    def _exchange(self, speeds: tuple[float, ...] | None) -> WheelState:
        """Send the speeds (rad/s), or keep the wheels stopped where None, and read the state.

        faults: of every controller that is in error, idle or disarmed though it was commanded.
        """

    @abstractmethod
    def _let_go(self) -> None:
        """Tell every controller to stop, and wait for no answer: one of them has failed."""

    @abstractmethod
    def _settle(self, quiet: float) -> None:
        """Wait until nothing came for `quiet` s, so that a late answer is not taken for that of the next question."""

    def _clear(self) -> None:
        """Clear the device's errors, where it has any to clear."""
        return

    def _move(
        self,
        raw: Sequence[float],
        scale: Sequence[float],
        speeds: Sequence[float],
        begun: float,
    ) -> tuple[float, ...]:
        """The wheels' positions by the newest counts; NoAnswer where they are impossible. See WheelPositions."""
        fault = self.positions.put(raw, scale, speeds, (begun, time.monotonic()))
        if fault:
            raise NoAnswer(f"{self.config.address}: {fault}")
        return self.positions.radians

    # ---- what the caller uses ----

    def start(self) -> None:
        """Begin to connect, in the background. LinkError if it runs already or was closed."""
        self._connection.start()

    def close(self) -> None:
        """Stop the wheels and end the connection."""
        self._connection.close()

    def send(self, speeds: Sequence[float]) -> bool:
        """New wheel speeds in rad/s, taken at the next turn of the thread; False while not connected or stopped."""
        if len(speeds) != self.wheels:
            raise LinkError(f"{len(speeds)} speeds for {self.wheels} wheels")
        if not all(math.isfinite(v) for v in speeds):
            raise LinkError(f"speeds {tuple(speeds)} must be finite")
        if not self._connection.connected.is_set() or self._stopped or self._faults:
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
            try:
                self._greet_when_booted()
                self.positions.begin()
                self._command = None  # nothing from before the connection moves anything
                self._connection.establish()
                self._poll()
            except LinkError as error:
                self._all_out(str(error))
                raise
        except LinkError:
            self._counts["failures"] += 1
            raise

    def _all_out(self, error: str) -> None:
        """The connection has failed, perhaps to one controller of several: what can still be told is told to stop."""
        with contextlib.suppress(LinkError, OSError):
            self._let_go()
        if self._state is not None:
            self._state = replace(self._state, motors_on=False, faults=self._faults or (error,))

    def _greet_when_booted(self) -> None:
        """Greet again and again for as long as a board may boot; what it says meanwhile is no answer."""
        begun = time.monotonic()
        while True:
            try:
                self._greet()
                return
            except NoAnswer as error:
                waited = time.monotonic() - begun
                if waited >= self.config.boot + 3 * self.config.answer or self._connection.closing.is_set():
                    raise
                if waited > _PATIENCE:
                    self._connection.fail(str(error))
            self._settle(self.config.answer)

    def _poll(self) -> None:
        due = time.monotonic()
        while not self._connection.closing.is_set():
            if self._clear_wanted:
                self._clear_wanted = False
                self._faults = ()
                self._clear()
            command = self._command
            begun = time.monotonic()
            fresh = command is not None and begun - command[0] <= self.config.command_timeout
            off = self._stopped or bool(self._faults)
            speeds = command[1] if command is not None and fresh and not off else None
            self._state = self._guarded(speeds)
            self._trips.append(time.monotonic() - begun)
            self._counts["exchanges"] += 1
            self._counts["sent"] += speeds is not None
            due = max(due + 1 / self.config.rate, begun)
            self._connection.closing.wait(max(0.0, due - time.monotonic()))
        self._exchange(None)

    def _guarded(self, speeds: tuple[float, ...] | None) -> WheelState:
        """An exchange that stops every wheel where one part is out, until clear_stop."""
        state = self._tried(speeds)
        faults = state.faults
        if speeds is None:
            self._following.reset()
        else:
            astray = self._following.check(speeds, state.speeds, state.received_ns * 1e-9)
            faults += (astray,) if astray else ()
        if not set(faults) <= set(self._faults):
            self._faults = tuple(dict.fromkeys(self._faults + faults))
            logger.warning("%s: wheels stopped: %s", self.config.address, ", ".join(self._faults))
            state = self._tried(None)
        if self._faults:
            state = replace(state, motors_on=False, faults=self._faults)
        return state

    def _tried(self, speeds: tuple[float, ...] | None) -> WheelState:
        """An exchange; an answer that is garbled or missing costs another try, not the connection."""
        begun = time.monotonic()
        for tries in range(1, _MOST_TRIES + 1):
            try:
                return self._exchange(speeds)
            except NoAnswer:
                late = time.monotonic() - begun > 1.5 * self.config.answer
                if tries == _MOST_TRIES or (tries > 1 and late) or self._connection.closing.is_set():
                    raise
            self._counts["retries"] += 1
            self._settle(tries * self.config.answer / 4)  # short at first: the device's own watchdog is not fed
        raise AssertionError


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

    def _settle(self, quiet: float) -> None:
        assert self._transport is not None
        end = time.monotonic() + 2 * self.config.answer
        while self._transport.read(quiet) and time.monotonic() < end:
            pass
        self._pending = b""

    def _fresh(self) -> None:
        """Drop what came without a question, such as a line that the board says by itself."""
        assert self._transport is not None
        self._pending = b""
        self._transport.read(0.0)

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        if self._transport.write(data) != len(data):
            raise LinkError(f"{self.config.address}: takes no more bytes")

    def _read_more(self, until: float, what: str) -> None:
        assert self._transport is not None
        left = until - time.monotonic()
        if left <= 0:
            raise NoAnswer(f"{self.config.address}: no answer to {what!r} within {self.config.answer} s")
        self._pending += self._transport.read(left)
        if len(self._pending) > 4096:
            self._pending = b""
            raise NoAnswer(f"{self.config.address}: 4096 bytes and no answer to {what!r}: another protocol")

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
            raise NoAnswer(f"{self.config.address}: answered {line!r} to {what!r}, expected {count} numbers")
        return values

"""What makes the reflex's tick go on, and its commands fall due: real time, or simulated time by /clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock as ClockMessage

from hybrid_control.navigation.reflex import Reflex
from hybrid_control.realtime import Scheduling, scheduling
from hybrid_control.realtime.loop import PeriodicLoop
from hybrid_control.realtime.stepped import SteppedLoop
from hybrid_control.realtime.watchdog import Watchdog
from hybrid_control_ros import convert, qos

_CLOCK_PATIENCE = 2.0  # s of real time without /clock after which the robot is stopped
_FIRST_CLOCK = 4.0  # s until the first one: it may be started after the reflex
_NO_CLOCK = "/clock stands still: use_sim_time goes by it; let the simulation run, or set use_sim_time to false"


class Paced(Protocol):
    """What is asked of the node whose loop goes on; `reflex.ReflexNode` is one."""

    @property
    def active(self) -> bool:
        """Whether commands flow."""

    def value(self, name: str) -> Any:
        """A parameter's value."""

    def now_ns(self) -> int:
        """The ROS clock's time."""

    def listen(self, kind: type, topic: str, callback: Callable[[Any], None], profile: QoSProfile) -> Any:
        """Subscribe until cleanup."""

    def send_command(self, now_ns: int, loop_ns: int, begun_ns: int = 0) -> None:
        """Send the newest command, or zero where it is too old; see `reflex.ReflexNode`."""

    def steadily(self, period: float, callback: Callable[[], None]) -> Any:
        """Call back every so many seconds of real time, until cleanup."""

    def send_status(self) -> None:
        """Say what the reflex is doing."""

    def recover(self) -> None:
        """The loop ticks again."""

    def stop_for(self, fault: str) -> None:
        """Zero from now on, with a reason for a person."""


class RealTime:
    """A loop in a thread of its own, its watchdog, and a thread that sends commands.

    It sends at command_rate, and once more right after the tick that has seen a new scan. It has no real-time priority
    and stays on no core: what holds up the loop and its watchdog leaves it to see how old the newest command is.
    """

    def __init__(self, node: Paced, reflex: Reflex, tick: int, context: Any) -> None:
        self._node, self._reflex = node, reflex
        core = node.value("core")
        wished = Scheduling(
            priority=node.value("priority") or None,
            cpu=core if core >= 0 else None,
            standby=node.value("standby"),
            lock_memory=node.value("lock_memory"),
        )
        self.loop = PeriodicLoop(tick, context, reflex.rate, wished)
        self._watchdog: Watchdog | None = None
        self._sender: threading.Thread | None = None
        self._sending = False
        self._wake = threading.Event()

    @property
    def hangs(self) -> int:
        """Times that the loop stood still since activation."""
        return self._watchdog.hangs if self._watchdog is not None else 0

    def loop_ns(self) -> int:
        """The time that the tick goes by."""
        return time.monotonic_ns()

    def wake(self) -> None:
        """There is a new scan: the next tick's command is sent at once."""
        self._wake.set()

    def warm(self) -> None:
        """Compile and touch everything."""
        self.loop.warm()

    def start(self) -> None:
        """Tick, activate the reflex, and send its commands."""
        priority = self._node.value("priority")
        self.loop.start()
        self._watchdog = Watchdog(
            self.loop,
            self._on_hang,
            on_recovery=self._node.recover,
            timeout_s=max(self._node.value("watchdog_timeout"), 2.5 / self._reflex.rate),
            priority=min(99, priority + 1) if priority else None,
        )
        self._watchdog.start()
        self._reflex.activate()
        self._sending = True
        self._wake.clear()
        self._sender = threading.Thread(target=self._send, name="commands", daemon=True)
        self._sender.start()

    def stop(self) -> None:
        """End both threads; the reflex is deactivated first."""
        self._reflex.deactivate()
        self._sending = False
        self._wake.set()
        if self._sender is not None:
            self._sender.join(1.0)
            self._sender = None
        if self._watchdog is not None:
            self._watchdog.stop()
            self._watchdog = None
        self.loop.stop()

    def _send(self) -> None:
        scheduling.use_exact_timers()
        node, reflex = self._node, self._reflex
        period = 1.0 / node.value("command_rate")
        patience, poll = 2.5 / reflex.rate, 0.1 / reflex.rate
        due = time.monotonic()
        begun_ns = time.monotonic_ns()
        while self._sending:
            tick = reflex.command().tick
            if self._wake.wait(max(0.0, due - time.monotonic())):
                self._wake.clear()
                given_up = time.monotonic() + patience
                while reflex.command().tick <= tick and time.monotonic() < given_up:
                    time.sleep(poll)
            node.send_command(node.now_ns(), self.loop_ns(), begun_ns)
            due = max(due + period, time.monotonic())

    def _on_hang(self, age: float) -> None:
        """The watchdog's call: the loop died, or stands still. Stop."""
        if self.loop.alive:
            self._node.stop_for(f"the loop has stood still for {age * 1e3:.0f} ms")
        else:
            self._reflex.fail()
            self._node.stop_for("the loop has died; the node must be deactivated and activated")


class SimulatedTime:
    """The same tick, stepped by /clock; commands fall due in simulated time.

    One that fell due longer ago than max_command_age, because the clock jumped, is left out. A clock that stands
    still is a stop as well: what moves may not stand still with it.
    """

    def __init__(self, node: Paced, reflex: Reflex, tick: int, context: Any) -> None:
        self._node, self._reflex = node, reflex
        self.loop = SteppedLoop(tick, context, reflex.rate)
        self.hangs = 0
        self._next_command_ns = -1
        self._patient_until = 0.0  # monotonic s
        self._stands = False
        node.steadily(0.2, self._watch)
        node.listen(ClockMessage, "/clock", self._on_clock, qos.CLOCK)

    def loop_ns(self) -> int:
        """The time that the tick goes by."""
        return self._node.now_ns()

    def wake(self) -> None:
        """Commands fall due by the clock alone."""

    def warm(self) -> None:
        """It compiles with its first step."""

    def start(self) -> None:
        """Activate the reflex."""
        self._next_command_ns = -1
        self._patient_until = time.monotonic() + _FIRST_CLOCK
        self._stands = False
        self._reflex.activate()

    def stop(self) -> None:
        """Deactivate the reflex."""
        self._reflex.deactivate()

    def _on_clock(self, message: ClockMessage) -> None:
        """Step the tick to the simulated time, sending each command that falls due on the way."""
        if not self._node.active:
            return
        self._patient_until = time.monotonic() + _CLOCK_PATIENCE
        if self._stands:
            self._stands = False
            self._node.recover()
        now_ns = convert.to_ns(message.clock)
        oldest_ns = now_ns - round(self._node.value("max_command_age") * 1e9)
        period_ns = round(1e9 / self._node.value("command_rate"))
        if not max(0, oldest_ns) <= self._next_command_ns <= now_ns + period_ns:
            self._next_command_ns = now_ns  # the first one, or the clock was set
        try:
            while self._next_command_ns <= now_ns:
                self.loop.advance(self._next_command_ns)
                self._node.send_command(self._next_command_ns, self._next_command_ns)
                self._next_command_ns += period_ns
            self.loop.advance(now_ns)
        except RuntimeError as error:
            self._reflex.fail()
            self._node.stop_for(f"{error}; the node must be deactivated and activated")

    def _watch(self) -> None:
        """By the monotonic clock: stop where /clock stands still, and go on saying so, which no ROS timer can."""
        if not self._node.active or time.monotonic() < self._patient_until:
            return
        if not self._stands:
            self._stands = True
            self.hangs += 1
            self._node.stop_for(_NO_CLOCK)
        self._node.send_status()

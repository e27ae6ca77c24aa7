"""`hybrid-control bench loop`: how well the compiled loop keeps time, beside an rclpy timer and a Python thread.

All of them drive the reflex's tick in the same process under the same load, in turns of a few seconds.
`loop-fifo-alone` is the loop without its standby. The peers are given every help: exact timers, a tick that is one
call through ctypes, and bookkeeping of one list entry.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hybrid_control.bench.machine import machine, stolen_s
from hybrid_control.bringup.dds import without_shared_memory

if TYPE_CHECKING:
    from hybrid_control.realtime import Scheduling

LOADS = ("python", "dds", "memory", "gains")
DRIVERS = ("loop-fifo", "loop-fifo-alone", "loop", "python-thread", "rclpy-timer")
TURN_S = 5.0


class Counts:
    """Ticks of one driver over all its turns: lateness and cost in ns, and what was missed."""

    def __init__(self) -> None:
        from hybrid_control.realtime.histogram import BINS

        self.lateness = np.zeros(BINS, np.int64)
        self.cost = np.zeros(BINS, np.int64)
        self.max_lateness_ns = 0
        self.max_cost_ns = 0
        self.ticks = 0
        self.standby_ticks = 0
        self.missed = 0
        self.notes: tuple[str, ...] = ()

    def add_status(self, status: Any) -> None:
        """Add a turn of the compiled loop."""
        self.lateness += status.lateness.counts
        self.cost += status.cost.counts
        self.max_lateness_ns = max(self.max_lateness_ns, status.lateness.max_ns)
        self.max_cost_ns = max(self.max_cost_ns, status.cost.max_ns)
        self.ticks += status.ticks
        self.standby_ticks += status.standby_ticks
        self.missed += status.missed
        self.notes = status.notes

    def add_calls(self, calls: list[tuple[int, int]], first_due_ns: int, period_ns: int) -> None:
        """Add a turn of a peer: begin and end of each of its ticks, and when its first one was due, in ns.

        Counted as the compiled loop counts: a tick stands for the newest that was due, and those before it that
        were not run are missed; its lateness is that of the first of them.
        """
        from hybrid_control.realtime.histogram import bin_of

        following = 0
        for begin, end in calls:
            since = begin - first_due_ns
            lateness = max(since - following * period_ns, 0)
            index = max(since // period_ns, following)
            self.missed += index - following
            following = index + 1
            self.lateness[bin_of(lateness)] += 1
            self.cost[bin_of(end - begin)] += 1
            self.max_lateness_ns = max(self.max_lateness_ns, lateness)
            self.max_cost_ns = max(self.max_cost_ns, end - begin)
        self.ticks += len(calls)

    def as_dict(self) -> dict[str, Any]:
        """For the table and the JSON file."""
        from hybrid_control.realtime.histogram import Histogram

        return {
            "ticks": self.ticks,
            "standby_ticks": self.standby_ticks,
            "missed": self.missed,
            "missed_share": self.missed / max(self.ticks + self.missed, 1),
            "lateness": Histogram(self.lateness, self.max_lateness_ns).summary(),
            "cost": Histogram(self.cost, self.max_cost_ns).summary(),
            "notes": list(self.notes),
        }


@contextmanager
def _threads(*bodies: Callable[[threading.Event], None]) -> Iterator[None]:
    """Run functions in threads of their own; each ends when the event that it is given is set."""
    ended = threading.Event()
    threads = [threading.Thread(target=body, args=(ended,), daemon=True) for body in bodies]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _spin_python(ended: threading.Event) -> None:
    """Hold the interpreter as much as pure Python code can."""
    while not ended.is_set():
        sum(i * i for i in range(1000))


def _move_memory(ended: threading.Event) -> None:
    """Copy 32 MB to and fro: more than the caches hold."""
    a, b = np.zeros(1 << 22), np.ones(1 << 22)
    while not ended.is_set():
        np.copyto(a, b)
        np.copyto(b, a)


def _make_garbage(ended: threading.Event) -> None:
    """Make cycles of objects, and have the garbage collector find them."""
    while not ended.is_set():
        for _ in range(5000):
            cycle: list[Any] = []
            cycle.append(cycle)
        gc.collect()


class _Reflex:
    """The reflex with a scan at 20 Hz and odometry, so that its network has something to do."""

    def __init__(self, rate_hz: float) -> None:
        from hybrid_control.navigation.reflex import Reflex
        from hybrid_control.signals import Goal

        self.reflex = Reflex({"rate": rate_hz})
        self.reflex.activate()
        self.reflex.put_goal(Goal(0, 5.0, 1.0))
        self.context = self.reflex.context
        self.address = self.reflex.tick_address
        # PYFUNCTYPE keeps the interpreter during the call: giving it up and taking it again would cost a peer more
        kind = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
        call, memory = kind(self.address), self.context.ctypes.data
        self.tick: Callable[[int], int] = lambda now_ns: call(memory, now_ns)

    def feed(self, ended: threading.Event) -> None:
        """Put scans until told to end."""
        from hybrid_control.signals import Odometry, Pose, RangeScan, Twist

        ranges = np.full(360, 4.0, np.float32)
        ranges[150:190] = 1.2
        while not ended.wait(0.05):
            now = time.monotonic_ns()
            self.reflex.put_odometry(Odometry(now, Pose(), Twist(now, linear_x=0.5)), now)
            self.reflex.put_scan(RangeScan(now, -np.pi, 2 * np.pi / 360, 0.1, 10.0, ranges), now)

    def change_gains(self, ended: threading.Event) -> None:
        """Change gains at random, alone and in sets, about a thousand times a second."""
        from hybrid_control.navigation.reflex.gains import GAINS

        random = np.random.default_rng(3)
        while not ended.wait(0.001):
            chosen = random.choice(len(GAINS), random.integers(1, len(GAINS) + 1), replace=False)
            self.reflex.set_gains(
                {GAINS[i].name: float(random.uniform(GAINS[i].low, GAINS[i].high)) for i in chosen}
            )


def _look_at(scan: Any) -> None:
    """What a callback does with a scan, so that it costs something."""
    min(scan.ranges)


class _Ros:
    """A node with traffic of its own, as heavy as a robot's: 360 beams at 200 Hz, published and received."""

    def __init__(self, traffic: bool) -> None:
        try:
            import rclpy
        except ImportError as error:
            raise ValueError(f"the load dds and the drivers rclpy-* need ROS 2: {error}") from None
        self._rclpy = rclpy
        without_shared_memory(os.environ)
        self._context = rclpy.context.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node("bench_loop", context=self._context)
        if traffic:
            from sensor_msgs.msg import LaserScan

            message = LaserScan(ranges=[1.0] * 360)
            publisher = self.node.create_publisher(LaserScan, "bench_loop/scan", 10)
            self.node.create_subscription(LaserScan, "bench_loop/scan", _look_at, 10)
            self.node.create_timer(0.005, lambda: publisher.publish(message))

    @contextmanager
    def spinning(self) -> Iterator[None]:
        """Serve the node from a thread, by rclpy's ordinary single-threaded executor."""
        from rclpy.executors import SingleThreadedExecutor

        from hybrid_control.realtime import scheduling

        executor = SingleThreadedExecutor(context=self._context)
        executor.add_node(self.node)

        def spin() -> None:
            scheduling.use_exact_timers()
            executor.spin()

        thread = threading.Thread(target=spin, daemon=True)
        thread.start()
        try:
            yield
        finally:
            executor.shutdown()
            thread.join()

    def close(self) -> None:
        """Leave the graph."""
        self.node.destroy_node()
        self._rclpy.shutdown(context=self._context)


def _turn_of_loop(
    reflex: _Reflex, rate_hz: float, seconds: float, counts: Counts, scheduling: Scheduling
) -> None:
    from hybrid_control.realtime import PeriodicLoop

    loop = PeriodicLoop(reflex.address, reflex.context, rate_hz, scheduling)
    loop.warm()
    loop.start()
    time.sleep(seconds)
    loop.stop()
    counts.add_status(loop.status())


def _turn_of_thread(reflex: _Reflex, rate_hz: float, seconds: float, counts: Counts) -> None:
    from hybrid_control.realtime import scheduling

    period_ns = round(1e9 / rate_hz)
    calls: list[tuple[int, int]] = []
    first = time.monotonic_ns() + period_ns
    last = first + int(seconds * 1e9)

    def body(ended: threading.Event) -> None:
        scheduling.use_exact_timers()
        clock, tick, sleep = time.monotonic_ns, reflex.tick, time.sleep
        due = first
        while due < last:
            wait = due - clock()
            if wait > 0:
                sleep(wait * 1e-9)
            begin = clock()
            tick(begin)
            end = clock()
            calls.append((begin, end))
            due += (max(end - due, 0) // period_ns + 1) * period_ns

    with _threads(body):
        pass
    counts.add_calls(calls, first, period_ns)


def _turn_of_timer(reflex: _Reflex, rate_hz: float, seconds: float, counts: Counts, ros: _Ros) -> None:
    calls: list[tuple[int, int]] = []
    clock, tick = time.monotonic_ns, reflex.tick

    def callback() -> None:
        begin = clock()
        tick(begin)
        calls.append((begin, clock()))

    from rclpy.clock import Clock, ClockType

    # rcl's steady clock is CLOCK_MONOTONIC
    timer = ros.node.create_timer(1.0 / rate_hz, callback, clock=Clock(clock_type=ClockType.STEADY_TIME))
    first = clock() + timer.time_until_next_call()
    time.sleep(seconds)
    timer.cancel()
    ros.node.destroy_timer(timer)
    counts.add_calls(list(calls), first, round(1e9 / rate_hz))


def measure(
    rate_hz: float,
    seconds: float,
    load: list[str],
    drivers: list[str],
    priority: int = 80,
    cpu: int | None = None,
    spin_us: float | None = None,
) -> dict[str, Any]:
    """Drive the reflex's tick by each driver for so many seconds, in turns; a dictionary for a JSON file.

    rate_hz: as `reflex` allows; load: of LOADS; drivers: of DRIVERS. ValueError where ROS 2 is needed and missing.
    """
    from tqdm import tqdm

    from hybrid_control.realtime.scheduling import SPIN_S, Scheduling

    if not seconds > 0:
        raise ValueError(f"seconds: {seconds} must be above 0")
    turns = max(round(seconds / TURN_S), 1)
    length = seconds / turns
    stolen = stolen_s()
    reflex = _Reflex(rate_hz)
    counts = {name: Counts() for name in drivers}
    bodies = {
        "python": [_spin_python],
        "memory": [_move_memory, _make_garbage],
        "dds": [],
        "gains": [reflex.change_gains],
    }
    with ExitStack() as stack:
        ros = None
        if "dds" in load or any(name.startswith("rclpy") for name in drivers):
            ros = _Ros("dds" in load)
            stack.callback(ros.close)
        stack.enter_context(_threads(reflex.feed, *(body for name in load for body in bodies[name])))
        for _ in tqdm(range(turns), desc=f"{rate_hz:g} Hz", unit="turn", disable=None):
            for name in drivers:
                with ExitStack() as turn:
                    if ros is not None:
                        turn.enter_context(ros.spinning())
                    if name == "python-thread":
                        _turn_of_thread(reflex, rate_hz, length, counts[name])
                    elif name.startswith("rclpy") and ros is not None:
                        _turn_of_timer(reflex, rate_hz, length, counts[name], ros)
                    else:
                        scheduling = Scheduling(
                            priority=priority if name.startswith("loop-fifo") else None,
                            cpu=cpu,
                            standby=not name.endswith("alone"),
                            spin_s=SPIN_S if spin_us is None else spin_us * 1e-6,
                        )
                        _turn_of_loop(reflex, rate_hz, length, counts[name], scheduling)
    return {
        "benchmark": "loop",
        "machine": machine(),
        "rate_hz": rate_hz,
        "seconds": seconds,
        "turn_seconds": length,
        "spin_us": SPIN_S * 1e6 if spin_us is None else spin_us,
        "load": load,
        "stolen_seconds": round(stolen_s() - stolen, 3),
        "drivers": {name: counts[name].as_dict() for name in drivers},
    }


def table(result: dict[str, Any]) -> str:
    """A result of `measure` as text."""
    load = "+".join(result["load"]) or "none"
    lines = [
        f"{result['rate_hz']:g} Hz, {result['seconds']:g} s each, load: {load}; times in µs",
        f"{'':20s}{'lateness p50':>13s}{'p99':>12s}{'p99.9':>12s}{'max':>10s}"
        f"{'cost p50':>10s}{'p99':>12s}{'max':>10s}{'standby':>9s}{'missed':>9s}{'of':>9s}",
    ]
    for name, d in result["drivers"].items():
        late, cost = d["lateness"], d["cost"]
        lines.append(
            f"{name:20s}{late['p50_us']:13.1f}{late['p99_us']:12.1f}{late['p99.9_us']:12.1f}{late['max_us']:10.0f}"
            f"{cost['p50_us']:10.1f}{cost['p99_us']:12.1f}{cost['max_us']:10.0f}"
            f"{d['standby_ticks']:9d}{d['missed']:9d}{d['ticks'] + d['missed']:9d}"
        )
        lines += [f"{'':20s}{note}" for note in d["notes"]]
    if result.get("stolen_seconds"):
        lines.append(f"the hypervisor took {result['stolen_seconds']:g} s of processor time meanwhile")
    return "\n".join(lines)

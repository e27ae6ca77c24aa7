"""Measures what the simulator costs; the table in simulator.md comes from here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from hybrid_control.signals import Pose, Twist
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World, generate, load_world
from hybrid_control.sim.worlds.grid import geodesic_field


def best(call: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest call."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


def drive(sim: Simulator, seconds: float, paced: bool) -> float:
    """CPU seconds of driving with all sensors, at real time or as fast as it goes."""
    cpu, wall, first = time.process_time(), time.perf_counter(), sim.time_ns
    while sim.time_ns < first + seconds * 1e9:
        for _ in sim.advance(sim.time_ns + 10_000_000):
            sim.apply(Twist(0, linear_x=0.2, angular_z=0.6))
        if paced:
            time.sleep(max(0.0, (sim.time_ns - first) * 1e-9 - (time.perf_counter() - wall)))
    return time.process_time() - cpu


def training_frames(worlds: int, frames: int) -> float:
    """CPU seconds a frame with an expert's heading, taken as the planner's training does."""
    begin = time.process_time()
    for seed in range(worlds):
        world = generate("default", seed)
        field = geodesic_field(world)
        with Simulator(world, appearance=Appearance(seed, vary=True)) as sim:
            for i in range(frames):
                sim.place(Pose(8.0 * i / frames, 0.5, 0.3))
                sim.camera()
                field.heading(8.0 * i / frames, 0.5, 1.5)
    return (time.process_time() - begin) / (worlds * frames)


def measure(name: str, world: World) -> None:
    """Prints one table row a quantity."""
    with Simulator(world) as sim:
        sim.camera()
        print(f"| {name}: a physics step | {best(lambda: sim.step(0.1), 30) / 50 * 1e6:.0f} µs |")
        print(f"| {name}: a scan | {best(sim.scan, 200) * 1e6:.0f} µs |")
        print(f"| {name}: a camera frame | {best(sim.camera, 100) * 1e3:.1f} ms |")
        share = min(drive(sim, 3.0, True) for _ in range(3)) / 3.0
        print(f"| {name}: all sensors in real time | {share:.0%} of a core |")
        speed = 3.0 / min(drive(sim, 3.0, False) for _ in range(3))
        print(f"| {name}: all sensors, as fast as it goes | {speed:.0f} simulated seconds per CPU second |")


if __name__ == "__main__":
    measure("default world", generate("default", 3))
    for argument in sys.argv[1:]:
        measure(argument.rpartition("/")[2], load_world(argument))
    training_frames(1, 1)
    rate = 1.0 / min(training_frames(3, 100) for _ in range(3))
    print(f"| training frames in default worlds, 100 a world | {rate:.0f} per CPU second |")

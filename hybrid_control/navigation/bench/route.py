"""`hybrid-control bench route`: what the route memory costs as its grid grows, and how long its longest call takes.

A point that goes at 2 m/s from one corner of a field of pillars to the other, to wherever the memory sends it. Scans,
odometry and requests for a point come as they come to the planner's node; odometry is true, the scans have the lidar's
noise. Times are of the thread's processor clock, so other processes on the machine do not count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.navigation.route.guide import Guide
from hybrid_control.navigation.route.memory import warm
from hybrid_control.signals import Goal, NoWay, Odometry, Pose, Twist
from hybrid_control.sim.kinematic import beams_of, sweep
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.sensors import LidarNoise
from hybrid_control.sim.worlds.scatter import scatter

SPEED = 2.0  # m/s
DENSITY = 0.1  # pillars on a square metre: 1,000 on 100 x 100 m
RADIUS, GAP = (0.1, 0.2), 0.9  # m, of the pillars, and between them at least
CORNER = 0.03  # of the side, from which it goes to the opposite one
SCAN_NS = round(1e9 / JACKAL.lidar_rate)
ARRIVED = 0.5  # m from the goal by the memory's own reckoning
LONGEST = 6.0  # times the straight way, after which a drive ends
PERCENTILES = (50.0, 99.0, 99.9)

Drawn = tuple[FloatArray, FloatArray]  # cylinders (n, 3) and boxes (m, 5)


def pillars(side: float, seed: int) -> Drawn:
    """A square field of pillars, its corner at 0, 0."""
    rng = np.random.default_rng([seed, 43])
    near = CORNER * side
    ends = [(near, near, 1.0), (side - near, side - near, 1.0)]
    area = 0.0, 0.0, side, side
    circles = scatter(rng, round(DENSITY * side * side), area, RADIUS, GAP, ends)
    return np.array(circles), np.empty((0, 5))


def wall(side: float, seed: int) -> Drawn:
    """A wall across an empty square field, with a door of 1.3 m at the far end of it."""
    corner = 0.5 * side, 0.5 * side
    length = side * math.sqrt(2.0) - 1.3
    shift = -0.5 * 1.3 * math.sqrt(0.5)
    box = corner[0] + shift, corner[1] - shift, length, 0.1, -0.25 * math.pi
    return np.empty((0, 3)), np.array([box])


WORLDS: dict[str, Callable[[float, int], Drawn]] = {"pillars": pillars, "wall": wall}


def drive(kind: str, side: float, seed: int) -> dict[str, Any]:
    """One drive: how far it came, and what its calls cost, ms. The memory is asked for the next point after each scan,
    as the node asks; a call is both."""
    obstacles = WORLDS[kind](side, seed)
    lidar = LidarNoise(JACKAL, np.random.default_rng([seed, 11]))
    beams, near = beams_of(lidar.angles), CORNER * side
    guide = Guide(half_width=0.5 * JACKAL.width)
    x = y = near
    goal = Goal(0, side - near, side - near)
    guide.put_goal(goal)
    straight, way, now = math.hypot(goal.x - x, goal.y - y), 0.0, 0
    calls, yaw, to, reached = [], 0.25 * math.pi, (goal.x, goal.y), False
    while way < LONGEST * straight and now * 1e-9 * SPEED < LONGEST * straight and not reached:
        scan = lidar.read(now, sweep(x, y, yaw, beams, JACKAL.lidar_range_max + 1.0, *obstacles))
        odometry = Odometry(now, Pose(x, y, yaw), Twist(now, linear_x=SPEED))
        begin = time.thread_time_ns()
        guide.put_odometry(odometry)
        guide.put_scan(scan)
        point = guide.point(now)
        calls.append((time.thread_time_ns() - begin) * 1e-6)
        if isinstance(point, NoWay):
            to = x, y
        elif point is not None:
            to = point.x, point.y
        away = math.hypot(to[0] - x, to[1] - y)
        step = min(SPEED * SCAN_NS * 1e-9, away)
        if away > 0.0:
            yaw = math.atan2(to[1] - y, to[0] - x)
            x, y, way = x + step * math.cos(yaw), y + step * math.sin(yaw), way + step
        now += SCAN_NS
        reached = guide.memory is not None and guide.memory.distance(Pose(x, y, yaw)) < ARRIVED
    memory = guide.memory
    return {
        "world": kind,
        "side": side,
        "obstacles": len(obstacles[0]) + len(obstacles[1]),
        "reached": reached,
        "way": round(way, 1),
        "seconds": now * 1e-9,
        "cells": math.prod(memory.grid.shape) if memory is not None else 0,
        "calls": [round(ms, 4) for ms in calls],
    }


def summary(drive: dict[str, Any]) -> dict[str, Any]:
    """Of a drive: processor time in ms a simulated second and a metre, percentiles of its calls and the longest, ms."""
    calls = np.array(drive["calls"])
    found = {f"p{p:g}": float(np.percentile(calls, p)) for p in PERCENTILES}
    return {
        **{key: value for key, value in drive.items() if key != "calls"},
        "ms_a_second": float(calls.sum()) / drive["seconds"],
        "ms_a_metre": float(calls.sum()) / max(drive["way"], 1e-9),
        **found,
        "longest": float(calls.max()),
    }


def measure(kinds: Sequence[str], sides: Sequence[float], seed: int) -> Iterator[dict[str, Any]]:
    """The summary of a drive through each kind of world of each size. ValueError for an unknown kind."""
    for kind in kinds:
        if kind not in WORLDS:
            raise ValueError(f"--worlds: unknown {kind!r}; there are {', '.join(WORLDS)}")
    warm()
    for kind in kinds:
        for side in sides:
            yield summary(drive(kind, side, seed))


HEADER = "world     side  obstacles  driven     cells   ms/s   ms/m    p50    p99  p99.9  longest call"


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    return (
        f"{row['world']:8} {row['side']:3.0f} m  {row['obstacles']:9}  {row['way']:4.0f} m  {row['cells']:>8,}  "
        f"{row['ms_a_second']:5.1f}  {row['ms_a_metre']:5.1f}  {row['p50']:5.2f}  {row['p99']:5.1f}  "
        f"{row['p99.9']:5.1f}  {row['longest']:5.1f} ms{'' if row['reached'] else '  did not arrive'}"
    )

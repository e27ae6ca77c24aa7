"""What is called while a robot drives is compiled before: at the first scan it would stand still for seconds."""

import subprocess
import sys

PROGRAM = """
import gc
import math

import numpy as np
from numba.core.registry import CPUDispatcher

from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, Twist
from hybrid_control.navigation.reflex import Reflex
from hybrid_control.navigation.route import RouteMemory
from hybrid_control.navigation.route.memory import warm
from hybrid_control.navigation.sensors import Fusion, read_sources
from hybrid_control.navigation.sensors import warm as warm_sensors
from hybrid_control.navigation.sensors.readings import laser_points
from hybrid_control.navigation.sensors.views import laser_view

MS = 1_000_000


def compiled():
    functions = [f for f in gc.get_objects() if isinstance(f, CPUDispatcher)]
    return {f"{f.__module__}.{f.__name__}": len(f.signatures) for f in functions if f.__module__.startswith("hybrid")}


reflex = Reflex(clock=lambda: 0)
reflex.warm()
warm()
warm_sensors()
before = compiled()
memory = RouteMemory(Pose(), Goal(0, 5.0, 1.0), Pose(0.1))
rng = np.random.default_rng(0)
fusion = Fusion(read_sources("scan laser x=0.1; learner/ground ground"))
mount = read_sources("scan laser x=0.1")[0].mount
for k in range(40):
    now = k * 50 * MS
    odometry = Odometry(now, Pose(0.02 * k, 0.0, 0.01 * k), Twist(now, 0.4, angular_z=0.2))
    ranges = rng.uniform(0.5, 3.0, 360).astype(np.float32)
    ranges[100:110] = 3.0 - 0.05 * k  # something comes nearer
    scan = RangeScan(now, -math.pi, math.tau / 360, 0.05, 10.0, ranges)
    reflex.put_odometry(odometry, now)
    reflex.put_goal(Goal(now, 5.0, 1.0))
    reflex.put_hidden(np.ones((k, 4, 2)), now, now)
    reflex.put_scan(scan, now)
    fusion.put_points("scan", laser_points(scan, mount), now, now, laser_view(scan, mount))
    fusion.put_points("learner/ground", np.ones((k, 2), np.float32), now, now)
    fused = fusion.fuse(now, 1.65)
    reflex.put_points(
        fused.points, fused.sectors, fused.approach, fused.states, fused.sight, fused.stamps, now
    )
    reflex.spikes(now, now)
    reflex.status()
    memory.remember(scan, odometry)
    memory.point(odometry.pose, now)
after = compiled()
late = [name for name, count in after.items() if count > before.get(name, 0)]
print("late:", *late)
"""


def test_nothing_is_compiled_after_warm():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=110)
    assert done.stdout.strip() == "late:", done.stdout + done.stderr

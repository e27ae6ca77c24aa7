import numpy as np
import pytest

from hybrid_control.messages import Pose
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World

BOUNDS = (-10.0, -10.0, 20.0, 10.0)


def world(cylinders=(), boxes=(), start=Pose()):
    return World("test", start, (15.0, 0.0), BOUNDS, np.array(cylinders), np.array(boxes))


def drive(sim, linear_x, angular_z, seconds):
    for _ in range(round(seconds / 0.1)):
        sim.set_command(linear_x, angular_z)
        sim.step(0.1)


def test_straight_drive_covers_speed_times_time_less_the_ramp():
    sim = Simulator(world(), camera=False)
    drive(sim, 1.0, 0.0, 4.0)
    # 1 m/s for 4 s, less 1/2 v²/a = 1/6 m of ramp at 3 m/s²
    truth = sim.truth()
    assert truth.pose.x == pytest.approx(4.0 - 1.0 / 6.0, rel=0.01)
    assert truth.pose.y == pytest.approx(0.0, abs=0.005)
    assert truth.twist.linear_x == pytest.approx(1.0, rel=0.01)


def test_robot_turns_on_the_spot_at_the_rate_commanded():
    sim = Simulator(world(), camera=False)
    drive(sim, 0.0, 1.0, 1.0)
    before = sim.truth().pose.yaw
    drive(sim, 0.0, 1.0, 1.5)
    assert sim.truth().pose.yaw - before == pytest.approx(1.5, rel=0.01)
    assert np.hypot(sim.truth().pose.x, sim.truth().pose.y) < 0.01

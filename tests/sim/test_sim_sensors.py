import math
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hybrid_control.geometry.shapes import cast_rays
from hybrid_control.navigation.world import SimulatorPart
from hybrid_control.signals import Pose, Twist
from hybrid_control.signals.events import EVENT
from hybrid_control.sim.events import EventPixels
from hybrid_control.sim.model import Appearance, build_mjcf
from hybrid_control.sim.mujoco_import import import_mujoco
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.robots.vehicle import EventSensor
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import Mover, World, generate

BOUNDS = (-10.0, -10.0, 20.0, 10.0)


def world(cylinders=(), boxes=(), start=Pose()):
    return World("test", start, (8.0, 0.0), BOUNDS, np.array(cylinders), np.array(boxes))


import_mujoco()  # chooses how to draw
with_gl = pytest.mark.skipif(os.environ["MUJOCO_GL"] == "disable", reason="no library for off-screen GL here")


def frame(scene, appearance=None):
    with Simulator(scene, appearance=appearance) as sim:
        return sim.camera()


def test_scan_of_a_cylinder_equals_its_geometry_within_the_noise():
    sim = Simulator(world(cylinders=[(3.0, 0.0, 0.5)]), camera=False)
    scan = sim.scan()
    angles = scan.angles().astype(np.float64)
    chord = 0.25 - (3.0 * np.sin(angles)) ** 2
    hit = (chord > 0.001) & (np.abs(angles) < 0.5)
    expected = 3.0 * np.cos(angles[hit]) - np.sqrt(chord[hit])
    assert hit.sum() == 19  # 1 degree apart within asin(0.5 / 3) = 9.6 degrees
    measured = scan.ranges[hit].astype(np.float64)
    seen = np.isfinite(measured)
    assert seen.sum() >= hit.sum() - 2  # a beam may come back empty
    assert measured[seen] == pytest.approx(expected[seen], abs=5 * JACKAL.lidar_noise)
    assert np.isinf(scan.ranges[np.abs(angles) > 0.2]).all()  # nothing else there, nor the robot itself


def test_scan_turns_with_the_robot():
    sim = Simulator(world(cylinders=[(0.0, 3.0, 0.5)], start=Pose(0.0, 0.0, math.pi / 2)), camera=False)
    scan = sim.scan()
    ahead = int(np.argmin(np.abs(scan.angles())))
    assert scan.ranges[ahead] == pytest.approx(2.5, abs=5 * JACKAL.lidar_noise)
    assert scan.angle_min == pytest.approx(-math.pi)
    assert scan.angle_increment == pytest.approx(2 * math.pi / 360)


def test_scans_of_whole_worlds_equal_planar_ray_casting():
    for seed, name in enumerate(("default", "rooms", "field", "corridor")):
        scene = generate(name, seed)
        sim = Simulator(scene, seed=seed, camera=False)
        scan = sim.scan()
        start = scene.start
        beams = start.yaw + scan.angles().astype(np.float64)
        exact = cast_rays(start.x, start.y, beams, JACKAL.lidar_range_max, scene.cylinders, scene.boxes)
        both = np.isfinite(exact) & np.isfinite(scan.ranges)
        assert (np.isfinite(exact) & ~np.isfinite(scan.ranges)).sum() <= 5  # dropped
        close = np.abs(scan.ranges[both] - exact[both]) < 6 * JACKAL.lidar_noise
        assert (~close).sum() <= 2  # beams that graze an edge


def test_noise_of_the_lidar_has_the_stated_spread_and_share_of_empty_beams():
    sim = Simulator(world(boxes=[(3.0, 0.0, 0.1, 4.0, 0.0)]), camera=False)
    scans = np.array([sim.scan().ranges for _ in range(400)], dtype=np.float64)
    beam = scans[:, 180]
    beam = beam[np.isfinite(beam)]
    assert beam.mean() == pytest.approx(2.95, abs=0.003)
    assert beam.std() == pytest.approx(JACKAL.lidar_noise, rel=0.15)
    ahead = scans[:, 170:190]
    assert np.isinf(ahead).mean() == pytest.approx(JACKAL.lidar_dropout, abs=0.001)


def test_obstacles_beyond_the_range_come_back_empty():
    sim = Simulator(world(cylinders=[(0.0, 9.0, 0.5), (0.0, -9.99, 0.5)]), camera=False)
    scan = sim.scan()
    left, right = int(np.argmin(np.abs(scan.angles() - math.pi / 2))), 90
    assert scan.ranges[left] == pytest.approx(8.5, abs=0.06)
    assert scan.ranges[right] == pytest.approx(9.49, abs=0.06)
    far = Simulator(World("far", Pose(), (8.0, 0.0), (-20, -20, 20, 20), np.array([(0.0, 11.0, 0.5)])))
    assert np.isinf(far.scan().ranges).all()


def test_imu_at_rest_reads_gravity_and_turning_reads_the_turn_rate():
    sim = Simulator(world(), camera=False)
    sim.step(0.5)
    readings = [sim.imu() for _ in range(200)]
    force = np.mean([r.linear_acceleration for r in readings], axis=0)
    assert force == pytest.approx([0.0, 0.0, 9.81], abs=0.25)
    assert np.mean([r.angular_velocity for r in readings], axis=0) == pytest.approx([0, 0, 0], abs=0.02)
    for _ in range(10):
        sim.apply(Twist(0, linear_x=0.0, angular_z=1.0))
        sim.step(0.1)
    turning = np.mean([sim.imu().angular_velocity for _ in range(200)], axis=0)
    assert turning[2] == pytest.approx(1.0, abs=0.03)


def test_imu_feels_the_acceleration_of_the_ramp():
    sim = Simulator(world(), camera=False)
    sim.apply(Twist(0, linear_x=2.0, angular_z=0.0))
    sim.step(0.1)
    forward = []
    for _ in range(50):
        sim.step(0.002)
        forward.append(sim.imu().linear_acceleration[0])
    assert np.mean(forward) == pytest.approx(JACKAL.acceleration, abs=0.5)


@with_gl
def test_camera_sees_ground_below_and_sky_above_the_horizon_and_the_beacon_at_the_goal():
    image = frame(world())
    assert image.shape == (120, 160, 3)
    assert image.dtype == np.uint8
    sky, ground = image[5].astype(int), image[115].astype(int)
    assert (sky[:, 2] > sky[:, 0] + 20).all()
    assert (np.abs(ground[:, 2] - ground[:, 0]) < 40).all()
    magenta = (image[..., 0] > 120) & (image[..., 1] < 60) & (image[..., 2] > 120)
    rows, columns = np.nonzero(magenta)
    assert len(rows) > 10
    assert abs(columns.mean() - 79.5) < 1.0  # straight ahead
    # the ball: 3.5 m high, 8 m off; focal length 80 pixels, camera 0.28 m up, 0.25 m ahead, 0.08 rad down
    elevation = math.atan2(3.5 - 0.28, 8.0 - 0.25) + 0.08
    ball = rows[columns == 80].min()
    assert ball == pytest.approx(59.5 - 80 * math.tan(elevation), abs=5)


@with_gl
def test_camera_sees_an_obstacle_where_it_stands_and_as_wide_as_it_is():
    empty = frame(world()).astype(int)
    # 2.25 m before the camera, 1 m to the left, 0.4 m wide: centre 80 · 1 / 2 = 40 pixels left of the middle
    filled = frame(world(cylinders=[(2.25, 1.0, 0.2)])).astype(int)
    changed = np.abs(filled - empty).sum(axis=2) > 30
    columns = np.nonzero(changed[60])[0]
    assert columns.size
    assert (columns.min() + columns.max()) / 2 == pytest.approx(79.5 - 40, abs=2)
    assert columns.size == pytest.approx(80 * 0.4 / 2, abs=3)


@with_gl
@pytest.mark.parametrize("far", [3.0, 15.0, 60.0])
def test_camera_sees_what_stands_5_cm_before_it_however_large_the_world_is(far):
    behind = (-far, 0.0, 0.3)
    empty = frame(world(cylinders=[behind])).astype(int)
    wall = [(0.30 + 0.05, 0.0, 0.1, 4.0, 0.0)]  # its face; the camera is 0.25 m ahead
    filled = frame(world(cylinders=[behind], boxes=wall)).astype(int)
    changed = np.abs(filled - empty).sum(axis=2) > 30
    assert changed[40:].mean() > 0.8


@with_gl
def test_camera_frames_follow_from_the_seed_and_vary_where_asked():
    scene = generate("default", 0)
    plain, again = frame(scene), frame(scene)
    assert np.array_equal(plain, again)
    varied = [frame(scene, Appearance(seed=s, vary=True)).astype(int) for s in range(3)]
    assert np.array_equal(varied[0], frame(scene, Appearance(seed=0, vary=True)))
    for one in varied:
        assert one.std() > 10
        assert np.abs(one - plain).mean() > 10
    assert np.abs(varied[0] - varied[1]).mean() > 10


@with_gl
def test_camera_readings_are_among_the_events_at_15_hz():
    with Simulator(world(), camera=True) as sim:
        stamps = [e.time_ns for e in sim.advance(1_000_000_000) if e.kind == "camera"]
    assert len(stamps) == 15
    assert np.diff(stamps) == pytest.approx(1e9 / 15, abs=2e6)


@with_gl
def test_camera_still_draws_its_own_world_after_another_simulator_has_drawn_and_closed():
    one = Simulator(world(cylinders=[(2.0, 0.0, 0.2)]))
    before = one.camera()
    two = Simulator(world(boxes=[(3.0, 1.0, 1.0, 1.0, 0.3)]))
    other = two.camera()
    assert np.array_equal(one.camera(), before)
    two.close()
    assert np.array_equal(one.camera(), before)
    assert np.array_equal(two.camera(), other)
    assert not np.array_equal(before, other)
    one.close()
    two.close()


@with_gl
def test_each_thread_draws_with_a_simulator_of_its_own():
    expected = frame(world(cylinders=[(2.0, 0.0, 0.2)]))
    with ThreadPoolExecutor(2) as pool:
        frames = list(pool.map(lambda _: frame(world(cylinders=[(2.0, 0.0, 0.2)])), range(4)))
    assert all(np.array_equal(f, expected) for f in frames)


def test_a_pattern_of_the_ground_that_is_named_takes_the_place_of_the_drawn_one_and_changes_nothing_else():
    ground, drawn = 'name="ground" type="2d" builtin="{}"', set()
    for seed in range(8):
        looks = Appearance(seed, vary=True)
        text = build_mjcf(world(), JACKAL, looks, 0.002)
        pattern = re.search(ground.format(r"(\w+)"), text)[1]
        named = build_mjcf(world(), JACKAL, replace(looks, ground="flat"), 0.002)
        assert named == text.replace(ground.format(pattern), ground.format("flat"))
        drawn.add(pattern)
    assert drawn == {"checker", "flat", "gradient"}


def seeing(**options):
    """A Jackal with an event camera whose pixels are alike and make no noise."""
    clean = EventPixels(mismatch=0.0, leak_rate=0.0, noise_rate=0.0)
    return replace(JACKAL, event_camera=EventSensor(**{"pixels": clean, **options}))


@with_gl
def test_event_camera_is_silent_where_nothing_moves_and_sees_a_mover_where_it_is():
    # 2.75 m before the camera; the focal length is 32 pixels: 1 m to the left is 11.6 pixels left of the middle
    still = world(cylinders=[(3.0, 1.0, 0.2)])
    with Simulator(still, seeing(width=64, height=48), camera=False) as sim:
        packets = [e for e in sim.advance(500_000_000) if e.kind == "events"]
    assert [p.time_ns for p in packets[:3]] == [4_000_000, 8_000_000, 12_000_000]
    assert len(packets) == 125
    assert sum(p.value.size for p in packets) == 0
    walker = Mover(0.2, (3.0, 1.0), (3.0, -1.0), 0.5)
    moves = replace(still, cylinders=np.empty((0, 3)), movers=(walker,))
    with Simulator(moves, seeing(width=64, height=48), camera=False) as sim:
        events = np.concatenate([e.value for e in sim.advance(2_000_000_000) if e.kind == "events"])
    assert events.size > 200
    assert (np.diff(events["t"]) >= 0).all()
    y = 1.0 - 0.5 * events["t"] * 1e-9
    middle, half = 31.5 - 32 * y / 2.75, 32 * 0.2 / 2.55
    assert (abs(events["x"] - middle) < half + 1.5).all()
    # its edges, and what is drawn on it; left and right of the middle alike
    assert abs(np.mean(events["x"] - middle)) < 1.0


@with_gl
def test_event_camera_events_follow_from_the_seed_and_go_on_from_a_state_to_the_bit():
    scene = generate("crossing", 2)

    def run(sim, until):
        for event in sim.advance(until):
            if event.kind == "events":
                yield event.value
            sim.apply(Twist(0, linear_x=0.6, angular_z=0.4))

    robot = replace(JACKAL, event_camera=EventSensor())
    with Simulator(scene, robot, seed=4, camera=False) as sim:
        first = np.concatenate([*run(sim, 200_000_000)])
        state = sim.state()
        rest = np.concatenate([*run(sim, 400_000_000)])
        sim.set_state(state)
        assert np.array_equal(np.concatenate([*run(sim, 400_000_000)]), rest)
        sim.reset()
        assert np.array_equal(np.concatenate([*run(sim, 200_000_000)]), first)
    assert min(first.size, rest.size) > 100


@with_gl
def test_event_camera_of_the_robots_hybrid_gives_its_packets_at_the_port_events_each_with_its_time():
    ms = 1_000_000
    with Simulator(world(cylinders=[(3.0, 0.0, 0.5)]), seeing(), camera=False) as sim:
        runs = SimpleNamespace(begins=(0, 10 * ms, 20 * ms))
        messages = SimulatorPart(sim).run(runs, {"command": ([], [], [])})["events"]
    assert [[m.time_ns // ms for m in window] for window in messages] == [[], [4, 8], [12, 16, 20]]
    assert all(m.value.dtype == EVENT for window in messages for m in window)


def test_event_camera_that_is_not_there_changes_nothing_and_is_refused_in_a_line():
    with Simulator(world(), camera=False) as sim:
        assert {e.kind for e in sim.advance(100_000_000)} == {"scan", "imu", "odometry"}
        with pytest.raises(ValueError, match="the robot 'jackal' has no event camera"):
            sim.events()
    frames = seeing(z=0.5, pitch=0.1).sensor_frames()
    assert "event_camera" not in JACKAL.sensor_frames()
    assert frames["event_camera"].xyz == pytest.approx((0.25, 0.0, 0.5 - JACKAL.mount_height))


def test_without_gl_everything_but_the_camera_works_and_says_which_packages_are_missing():
    code = (
        "from hybrid_control.sim.simulator import Simulator\n"
        "from hybrid_control.sim.worlds import generate\n"
        "sim = Simulator(generate('open'))\n"
        "sim.step(0.01)\n"
        "print(sim.scan().ranges.size)\n"
        "try:\n    sim.camera()\nexcept ValueError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"MUJOCO_GL": "disable"},
        capture_output=True,
        text=True,
        check=True,
    )
    size, message = done.stdout.strip().splitlines()
    assert size == "360"
    assert "apt-get install libegl1 libgl1-mesa-dri" in message


def test_importing_the_worlds_does_not_import_mujoco():
    code = (
        "import hybrid_control.sim.worlds, hybrid_control.sim.simulator, sys; print('mujoco' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_obstacles_lower_than_the_lidar_are_refused():
    with pytest.raises(ValueError, match="lower than the lidar"):
        Simulator(world(), appearance=Appearance(obstacle_height=(0.2, 1.0)))
    with pytest.raises(ValueError, match="ground 'grass'; there are checker, flat, gradient"):
        Appearance(ground="grass")
    with pytest.raises(ValueError, match="obstacle_height"):
        Appearance(obstacle_height=(1.0, 0.5))

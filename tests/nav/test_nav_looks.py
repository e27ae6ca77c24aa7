"""What the camera of a benchmark's robot sees."""

import numpy as np
import pytest

pytest.importorskip("hybrid_control.sim.mujoco_import")
from hybrid_control.navigation.bench.harness import Harness, Setup
from hybrid_control.navigation.bench.looks import LOOKS, LOWERED, appearance_of, mounted
from hybrid_control.navigation.planner import contract
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import generate


def frame(looks):
    world, robot = generate("field", 3), mounted(looks, JACKAL)
    with Simulator(world, robot, appearance=appearance_of(looks, world.name, robot)) as simulator:
        return simulator.camera()


def test_black_shows_nothing_and_every_other_look_something_of_its_own():
    seen = {looks: frame(looks) for looks in LOOKS}
    assert not seen.pop("black").any()
    for looks, image in seen.items():
        assert image.std() > 5.0, looks
    assert (seen.pop("blurred") == seen["varied"]).all()  # of a robot that stands
    pictures = [image.tobytes() for image in seen.values()]
    assert len(set(pictures)) == len(pictures)


def test_lowered_is_told_to_whoever_drives():
    by, more = LOWERED
    for looks in LOOKS:
        told = Harness(Setup(looks=looks)).told
        lower = looks == "lowered"
        assert told.camera_z == pytest.approx(JACKAL.camera_z - by * lower)
        assert told.camera_pitch == pytest.approx(JACKAL.camera_pitch + more * lower)


def test_the_horizon_of_the_lowered_camera_lies_higher_in_the_picture_by_its_tilt():
    # 0.08 rad of a view of 90 degrees across 160 pixels: 80 tan(0.16) - 80 tan(0.08) = 6.5 rows
    rows = 80 * (np.tan(JACKAL.camera_pitch + LOWERED[1]) - np.tan(JACKAL.camera_pitch))
    assert rows == pytest.approx(6.5, abs=0.1)
    before, after = frame("varied").astype(float).mean(axis=1), frame("lowered").astype(float).mean(axis=1)
    errors = [np.abs(before[k : k + 40] - after[:40]).mean() for k in range(12)]  # sky, shifted up by k rows
    assert abs(int(np.argmin(errors)) - rows) < 3.0


def test_a_duration_of_ones_own_keeps_what_the_rules_have_of_the_robot():
    plain, longer = Harness(Setup(robot="burger")), Harness(Setup(robot="burger", duration=77.0))
    assert longer.rules.duration == 77.0
    assert longer.rules == type(plain.rules)(**{**vars_of(plain.rules), "duration": 77.0})


def vars_of(rules):
    return {name: getattr(rules, name) for name in rules.__dataclass_fields__}


def test_a_depth_camera_is_there_where_it_is_asked_for_and_the_planner_takes_its_images():
    world, takes = generate("field", 3), str(contract.named("closed"))
    for depth in (False, True):
        harness = Harness(Setup(model=takes, depth=depth))
        with harness._simulator(world, 0, harness.driver("hybrid").planner) as simulator:
            assert ("depth" in {event.kind for event in simulator.advance(200_000_000)}) == depth
    with pytest.raises(ValueError, match=r"depth: .*planner.onnx takes no depth images"):
        Harness(Setup(depth=True)).driver("hybrid")

"""The drive task: what is asked of a robot's events is what it does, in a mirror too, and carried on as it changed."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hybrid_control.bench.hand_over import drive, drive_networks, measure  # noqa: E402
from hybrid_control.bench.hand_over.drive_task import Drive  # noqa: E402
from hybrid_control.bench.hand_over.follower import pair  # noqa: E402
from hybrid_control.bench.hand_over.sequences import SIZE, Sequences  # noqa: E402
from hybrid_control.bench.hand_over.task import VARIANTS, Window  # noqa: E402
from hybrid_control.signals import Pose, Twist  # noqa: E402
from hybrid_control.sim.camera import Camera, GraphicsError  # noqa: E402
from hybrid_control.sim.simulator import Simulator  # noqa: E402
from hybrid_control.sim.worlds import World  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore:node")]

TASK, WINDOW = Drive(), Window(4, 5, 2, 0.05)
WALL = np.array([[3.05, 0.0, 0.1, 6.0, 0.0]])  # its face is at x = 3 m
AHEAD = World("wall", Pose(), (1.0, 2.0), (-3.0, -4.0, 4.0, 4.0), boxes=WALL)


def _gl():
    try:
        with Simulator(AHEAD, drive.ROBOT, camera=False) as sim:
            Camera(sim.mujoco, "event_camera", 16, 16).close()
    except GraphicsError:
        return False
    return True


with_gl = pytest.mark.skipif(not _gl(), reason="no OpenGL to draw with")


class Commanded(drive.Driver):
    """A driver who wants what it is told."""

    wish = (0.0, 0.0)

    def command(self, world, pose):
        return Twist(0, linear_x=self.wish[0], angular_z=self.wish[1])


@pytest.fixture
def driven(monkeypatch):
    """A sequence before the wall with one command from the start on."""
    monkeypatch.setattr(drive, "Driver", Commanded)

    def run(speed, turn, steps=60, start=Pose(-1.0)):
        monkeypatch.setattr(Commanded, "wish", (speed, turn))
        with Simulator(AHEAD, drive.ROBOT, camera=False, timestep=1e-3) as sim:
            return drive.drive(sim, start, steps, np.random.default_rng(0))

    return run


def test_drive_approach_is_speed_by_distance_straight_ahead_and_0_where_nothing_is_near():
    # the camera is 0.25 m before the middle: 3 - 0.5 - 0.25 = 2.25 m from the wall
    assert drive.approach(AHEAD, Pose(0.5), 0.9) == pytest.approx(0.4)
    assert drive.approach(AHEAD, Pose(0.5), 0.0) == 0.0
    # at 60 degrees the nearest of what is straight ahead is what lies 57 degrees off the wall's normal
    x = 2.75 + 0.25 * (1.0 - math.cos(math.radians(60.0)))
    near = 0.25 / math.cos(math.radians(57.0))
    assert drive.approach(AHEAD, Pose(x - 0.25, 0.0, math.radians(60.0)), 1.0) == pytest.approx(1.0 / near)
    assert drive.approach(AHEAD, Pose(0.5, 0.0, math.pi), 0.9) == 0.0
    assert drive.approach(AHEAD, Pose(2.7 - drive.REACH), 0.9) == 0.0
    assert drive.approach(AHEAD, Pose(2.8 - drive.REACH), 0.9) == pytest.approx(0.9 / (drive.REACH - 0.05))


@with_gl
def test_drive_truth_of_a_robot_that_drives_at_a_wall(driven):
    sequence = driven(1.0, 0.0)
    speed, turn, approach = sequence.truth.T
    # it gathers speed by 3 m/s² from x = -1 m on: 0.4 s later it has gone 0.167 + 0.067 m
    assert speed == pytest.approx(np.ones(60), abs=0.03)
    assert turn == pytest.approx(np.zeros(60), abs=0.02)
    assert approach[0] == pytest.approx(1.0 / (3.0 + 1.0 - 0.25 - 0.234), rel=0.05)
    # v / d grows by its square
    assert (approach[-1] - approach[0]) / 0.059 == pytest.approx(approach[0] ** 2, rel=0.25)
    assert sequence.events[:, 0].max() < 60
    assert (np.diff(sequence.events[:, 0].astype(int)) >= 0).all()
    assert len(sequence.events) > 100


@with_gl
def test_drive_truth_of_a_robot_that_stands_is_0_and_of_one_that_turns_its_yaw_rate(driven):
    stands, turns = driven(0.0, 0.0, 20), driven(0.0, 2.0, 20)
    assert stands.truth == pytest.approx(np.zeros((20, 3)), abs=1e-3)
    assert turns.truth[:, 1] == pytest.approx(np.full(20, 2.0), abs=0.1)
    assert abs(turns.truth[:, 0]).max() < 0.05


@with_gl
def test_drive_a_sequence_in_which_the_robot_touches_something_is_none(driven):
    assert driven(2.0, 0.0, 500, Pose(1.9)) is None


def test_drive_driver_brakes_before_what_lies_in_its_way():
    driver = drive.Driver(np.random.default_rng(0), left=drive.FRAME, speed=2.0)
    room = 0.5 - drive.KEEPS
    command = driver.command(AHEAD, Pose(3.0 - 0.25 - 0.5))
    assert command.linear_x == pytest.approx(math.sqrt(2.0 * drive.ROBOT.deceleration * room), rel=1e-3)
    driver = drive.Driver(np.random.default_rng(0), left=drive.FRAME, speed=2.0)
    assert driver.command(AHEAD, Pose(-2.0, 0.0, math.pi)).linear_x == 2.0


def test_drive_in_a_mirror_the_yaw_rate_alone_changes_its_sign():
    events, truth = torch.zeros(1, 1, 2, SIZE, SIZE), torch.tensor([[[0.7, 1.5, 0.4]]])
    events[0, 0, 1, 20, 3] = 1.0
    seen = {}
    for seed in range(20):
        e, t = TASK.turned(events, truth, np.random.default_rng(seed))
        at = tuple(int(k) for k in torch.nonzero(e[0, 0, 1])[0])
        assert e.sum() == 1.0
        seen[at] = t[0, 0].tolist()
    assert set(seen) == {(20, 3), (20, SIZE - 4)}
    assert seen[20, 3] == pytest.approx([0.7, 1.5, 0.4])
    assert seen[20, SIZE - 4] == pytest.approx([0.7, -1.5, 0.4])


def test_drive_values_are_carried_on_as_they_changed_and_speeds_not_below_0():
    at, per_second = torch.tensor([1.0, -0.5, 0.3]), torch.tensor([-4.0, -10.0, -2.0])
    assert TASK.carried(at, per_second, torch.tensor(0.1)).tolist() == pytest.approx([0.6, -1.5, 0.1])
    assert TASK.carried(at, per_second, torch.tensor(0.5)).tolist() == pytest.approx([0.0, -5.5, 0.0])


def test_drive_distance_is_in_spreads_and_what_is_said_of_each_value_in_its_own_unit():
    found, truth = torch.tensor([[1.0, 1.0, 0.5]]), torch.tensor([[0.56, 2.07, 0.5]])
    away = TASK.distance(found, truth)
    assert [part.one * v for part, v in zip(TASK.parts, away[0].tolist(), strict=True)] == pytest.approx(
        [0.44, 1.07, 0.0]
    )
    row = measure.table(TASK, [{"hybrid": away.reshape(1, 1, 1, 3).numpy()}])["hybrid"]
    assert row["parts"] == pytest.approx({"speed": 0.44, "yaw_rate": 1.07, "approach": 0.0})
    assert row["mean"] == pytest.approx(float(away.mean()))


def test_drive_what_the_ann_gives_is_where_the_snn_goes_on_and_its_change_moves_it():
    """With an SNN whose readouts say nothing values leak to their mean, and go on by what the changes hold."""
    torch.manual_seed(0)
    network = TASK.ann(WINDOW.bins).eval()
    whole = pair(TASK, network, WINDOW, VARIANTS["hybrid"], 0).eval()
    seen = torch.rand(2, WINDOW.bins, 2, SIZE, SIZE)
    with torch.no_grad():
        for readout in ("to_quick", "to_change"):
            whole.both.mirror.numbers.leaves[readout, "weight"].zero_()
        known, _ = TASK.known(network(seen))
        state, at = whole.begin(seen)
        torch.testing.assert_close(at, known)
        voltages = {("level", "voltage"): torch.tensor([[1.0, 0.0, -1.0]])}
        voltages["change", "voltage"] = torch.tensor([[0.0, 2.0, 0.0]])
        state = whole.both.mirror.start(1, voltages)
        found, _ = whole(torch.zeros(1, 1, 2, SIZE, SIZE), state, at[:1])
    dt, keeps = 5e-3, 3e-3 * WINDOW.length
    kept = 1.0 - dt / drive_networks.KEPT
    level = [kept, drive_networks.CHANGES * dt * 2.0 * (1.0 - dt / keeps), -kept]
    wanted = drive_networks.MEAN + drive_networks.SPREAD * torch.tensor(level)
    assert found[0, 0].tolist() == pytest.approx(wanted.tolist(), abs=1e-5)


def test_drive_a_value_is_told_by_a_bell_over_the_codes():
    told = drive_networks.Told().told(
        drive_networks.MEAN + drive_networks.SPREAD * torch.tensor([-2.5, 0.0, 4.0])
    )
    bells = told.reshape(3, -1)
    assert bells.argmax(-1).tolist() == [0, 5, 13]
    assert bells.max(-1).values.tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert 0 < int((told > 0).sum()) < 20


def test_drive_is_measured_as_the_arm_is(monkeypatch):
    """All that was found stands beside the truth of its tick; what is held does not change in a window."""
    monkeypatch.setattr(measure, "TESTED", 2)
    draw = np.random.default_rng(0)
    events = np.zeros((400, 4), np.uint16)
    events[:, 0] = np.sort(draw.integers(0, 60, 400))
    events[:, 1], events[:, 2:] = draw.integers(0, 2, 400), draw.integers(0, SIZE, (400, 2))
    truth = np.cumsum(np.full((2, 60, 3), 0.01, np.float32), axis=1)
    data = Sequences(truth, np.concatenate([events, events]), np.array([0, 400, 800]))
    torch.manual_seed(0)
    network = TASK.ann(WINDOW.bins).eval()
    ticks = measure.Ticks(TASK, data, WINDOW)
    errors = measure.of_ann(network, ticks)
    assert {e.shape for e in errors.values()} == {(2, 1, 4, 3)}
    with torch.no_grad():
        at, _ = TASK.known(network(ticks.before(8, slice(0, 2))))
    held = TASK.distance(at[:, None], torch.from_numpy(truth)[:, 44:60:5])
    np.testing.assert_allclose(errors["ann_held"][:, 0], held, atol=1e-4)
    whole = pair(TASK, network, WINDOW, VARIANTS["hybrid"], 0).eval()
    assert measure.of_snn(whole, ticks).shape == (2, 1, 4, 3)

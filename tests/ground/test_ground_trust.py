"""Trust in a planner: a scan confirms it, refutes it, or has nothing to say; who lies is found out within a second."""

import math

import numpy as np
import pytest

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.bench.closing import closed_by_map
from hybrid_control.navigation.ground.hidden import HiddenMemory
from hybrid_control.navigation.ground.overlay import overlay
from hybrid_control.navigation.ground.trust import Judged, Trust, judge, read_trust, shown_to
from hybrid_control.navigation.ground.watch import Watch
from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    STANDING,
    STANDING_AT,
    UNSEEN,
    ClosedDirections,
)
from hybrid_control.parameters import ParameterError
from hybrid_control.signals import (
    PLANNER_POPULATIONS,
    Odometry,
    Pose,
    RangeScan,
    RateVector,
    SpikeTrain,
    Twist,
    layout,
)
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.sim.worlds import Patch, World

MOUNT = CameraMount(0.2, 0.5, 0.0, math.pi / 2, 0.75)
LIDAR = (0.0, 0.0, 0.0)
AHEAD = np.abs(HEADINGS) < math.pi / 4  # 18 of them


def answer(standing=0.0, standing_at=4.0, hidden=0.0, hidden_at=4.0):
    rows = np.zeros((4, SECTORS))
    rows[STANDING], rows[STANDING_AT], rows[HIDDEN], rows[HIDDEN_AT] = standing, standing_at, hidden, hidden_at
    rows[np.ix_([STANDING, HIDDEN], ~AHEAD)] = UNSEEN
    return ClosedDirections(0, rows)


def counted(closed, shown):
    judged = judge(closed, np.full(SECTORS, float(shown)))
    assert not (judged.right & judged.wrong).any()
    assert not (judged.right | judged.wrong)[~AHEAD].any()
    return int(judged.right.sum()), int(judged.wrong.sum())


@pytest.mark.parametrize(
    ("said", "shown", "right", "wrong"),
    [
        # closed at 1 m: 0.15 + 0.1 * 1 m off at most
        ({"standing": 0.9, "standing_at": 1.0}, 1.0, 18, 0),
        ({"standing": 0.9, "standing_at": 1.0}, 1.24, 18, 0),
        ({"standing": 0.9, "standing_at": 1.0}, 0.76, 18, 0),
        ({"standing": 0.9, "standing_at": 1.0}, 1.26, 0, 18),  # free beyond
        ({"standing": 0.9, "standing_at": 1.0}, 0.74, 0, 18),  # something in what it calls free
        ({"standing": 0.9, "standing_at": 1.0}, 100.0, 0, 18),
        ({"standing": 0.9, "standing_at": 1.0}, math.nan, 0, 0),  # no beam went there
        ({"standing": 0.49, "standing_at": 1.0}, 100.0, 0, 0),  # it is not sure
        ({"standing": 0.49, "standing_at": 1.0}, 0.5, 0, 18),  # but of the free way before it
        ({"standing": 0.9, "standing_at": 2.1}, 100.0, 0, 0),  # beyond its reach
        ({}, 100.0, 0, 0),  # both free: nothing to judge
        ({}, 1.7, 0, 0),  # within 0.15 + 0.1 * 2 m of its reach
        ({}, 1.6, 0, 18),
        ({"hidden": 0.9, "hidden_at": 1.0}, 100.0, 0, 0),  # what a scan does not show it does not refute
        ({"hidden": 0.9, "hidden_at": 1.0}, 1.0, 0, 0),
        ({"hidden": 0.9, "hidden_at": 1.0}, 0.7, 0, 18),
        ({"standing": 0.6, "standing_at": 1.5, "hidden": 0.4, "hidden_at": 1.0}, 100.0, 0, 0),  # behind what is hidden
    ],
)
def test_a_scan_confirms_what_stands_there_and_refutes_what_is_clearly_otherwise(said, shown, right, wrong):
    assert counted(answer(**said), shown) == (right, wrong)


def test_what_is_right_in_the_heading_beside_is_right_and_a_thin_pole_refutes_nobody():
    shown = np.full(SECTORS, 100.0)
    shown[36] = 1.0
    judged = judge(answer(standing=0.9, standing_at=1.0), shown)
    assert np.flatnonzero(judged.right).tolist() == [35, 36, 37]
    assert int(judged.wrong.sum()) == 15
    assert not judge(answer(), shown).wrong.any()
    shown[35:38] = 1.0
    assert np.flatnonzero(judge(answer(), shown).wrong).tolist() == [36]


def looks(trust, right, wrong, seconds, rate=15.0, begin=0.0):
    judged = Judged(np.arange(SECTORS) < right, np.arange(SECTORS)[::-1] < wrong)
    for i in range(round(seconds * rate) + 1):
        trust.put(judged, round((begin + i / rate) * 1e9))
    return trust.value


def test_trust_begins_at_one_and_follows_the_share_that_was_right_with_a_time_constant_of_300_ms():
    assert looks(Trust(), 9, 0, 2.0) == 1.0
    assert looks(Trust(), 0, 9, 0.6) == pytest.approx(math.exp(-0.6 / 0.3))
    assert looks(Trust(), 3, 9, 0.6) == pytest.approx(0.25 + 0.75 * math.exp(-0.6 / 0.3))
    assert looks(Trust(), 0, 9, 0.6, rate=5.0) == pytest.approx(math.exp(-0.6 / 0.3))  # whatever its rate
    assert looks(Trust(), 0, 0, 9.0) == 1.0  # nothing to judge
    # 0.2 s apart one heading alone counts a third: 1 - (1 - exp(-2 / 3)) / 3 is left each time
    assert looks(Trust(), 0, 1, 0.4, rate=5.0) == pytest.approx((1 - (1 - math.exp(-2 / 3)) / 3) ** 2)
    fallen = Trust()
    low = looks(fallen, 0, 9, 1.0)
    assert looks(fallen, 9, 0, 0.6, begin=1.0) == pytest.approx(1 - (1 - low) * math.exp(-0.6 / 0.3))
    fallen.reset()
    assert fallen.value == 1.0


def test_a_fixed_trust_stays_what_it_is_until_it_is_told_otherwise():
    trust = Trust(0.7)
    assert looks(trust, 0, 9, 1.0) == 0.7
    trust.fix(None)
    assert looks(trust, 0, 9, 1.0) < 0.1
    with pytest.raises(ValueError, match=r"^trust: 1.5 must be within 0 .. 1$"):
        trust.fix(1.5)
    assert [read_trust(t) for t in ("adaptive", "0", "1", "0.25")] == [None, 0.0, 1.0, 0.25]
    for text in ("", "often", "nan", "-0.1", "1.01", "inf"):
        with pytest.raises(ParameterError, match=r"^trust: .*expected adaptive, or a number within 0 .. 1$"):
            read_trust(text)


def test_a_plans_rates_are_multiplied_by_the_trust_and_below_a_quarter_there_is_no_plan():
    plan = RateVector(5, np.arange(80, dtype=np.float32), PLANNER_POPULATIONS)
    assert Trust().of(plan) is plan
    half = Trust(0.5).of(plan)
    assert (half.stamp_ns, half.populations) == (5, plan.populations)
    np.testing.assert_array_equal(half.rates, plan.rates / 2)
    assert Trust(0.25).of(plan) is not None
    assert Trust(0.24).of(plan) is None
    assert [Trust(v).enters for v in (1.0, 0.5, 0.49)] == [True, True, False]


def test_of_a_plans_spikes_each_neuron_keeps_the_share_that_is_the_trust():
    window, populations = 10_000_000, layout(heading=3)
    # neuron 0 fires four times in a window, neuron 1 once, neuron 2 never
    neuron, offset = np.array([0, 1, 0, 0, 0]), np.array([1, 2, 3, 4, 4])
    trains = [SpikeTrain(k * window, window, populations, neuron, offset) for k in range(100)]
    assert Trust().of_spikes(trains[0]) is trains[0]
    assert Trust(0.24).of_spikes(trains[0]) is None
    for share in (0.25, 0.5, 0.9):
        trust = Trust(share)
        kept = [trust.of_spikes(train) for train in trains]
        counts = sum(train.counts().astype(int) for train in kept)
        np.testing.assert_allclose(counts, [400 * share, 100 * share, 0], atol=1)
        assert [train.stamp_ns for train in kept] == [train.stamp_ns for train in trains]
        for train in kept:  # each is one of those that there were, at its own time
            assert set(zip(train.neuron.tolist(), train.offset_ns.tolist(), strict=True)) <= set(
                zip(neuron.tolist(), offset.tolist(), strict=True)
            )


def test_neurons_do_not_all_wait_for_their_first_spike_while_trust_is_low():
    everyone = SpikeTrain(0, 1000, PLANNER_POPULATIONS, np.arange(80), np.zeros(80, np.int64))
    trust = Trust(0.25)
    assert [trust.of_spikes(everyone).neuron.size for _ in range(4)] == pytest.approx([20] * 4, abs=2)



def test_a_scan_is_seen_from_the_cameras_foot_at_the_images_time():
    # a lidar 0.1 m behind the centre that looks backwards, and a wall of one beam 2 m behind the robot's back
    ranges = np.full(360, np.inf, np.float32)
    ranges[180] = 1.9  # straight along the lidar's x
    scan = RangeScan(0, -math.pi, math.tau / 360, 0.1, 10.0, ranges)
    shown = shown_to(MOUNT, scan, (-0.1, 0.0, math.pi), Pose(), Pose())
    assert shown[[0, -1]].min() == pytest.approx(2.0 + 0.2)  # from the foot, 0.2 m ahead of the centre
    assert (shown[20:50] > 50).all()  # beams that met nothing
    # the robot has turned about since, and gone 0.5 m towards it: 1.5 - 0.2 m straight ahead
    shown = shown_to(MOUNT, scan, (-0.1, 0.0, math.pi), Pose(), Pose(-0.5, 0.0, math.pi))
    assert shown[[35, 36]].min() == pytest.approx(1.3)
    ranges[:] = np.nan
    ranges[:180] = 0.05  # nearer than it can measure
    assert np.isnan(shown_to(MOUNT, RangeScan(0, -math.pi, math.tau / 360, 0.1, 10.0, ranges),
                             (0.0, 0.0, 0.0), Pose(), Pose())).all()  # fmt: skip


ROW = World(
    "row", Pose(), (30.0, 0.0), (-1.0, -5.0, 31.0, 5.0),
    # posts on the left in the first half of each 2 m, and thicker ones farther off on the right in the second
    np.array([(x, 0.9, 0.2) for x in np.arange(1.0, 30.0, 2.0)] + [(x, -1.4, 0.3) for x in np.arange(2.0, 30.0, 2.0)]),
    patches=(Patch("puddle", 12.0, 0.0, 0.6, 0.6),),
)  # fmt: skip


def drive(lie, seconds, speed=1.0, turn=0.0):
    """Trust over time, (n,), of a robot that drives along ROW with scans at 40 Hz and answers at 15 Hz."""
    watch = Watch(MOUNT)
    found = []
    for i in range(round(seconds * 120)):
        time, now = i / 120, round(i / 120 * 1e9)
        pose = Pose(speed * time, 0.0, turn * math.sin(2 * time))
        watch.moved(Odometry(now, pose, Twist(now)))
        if i % 3 == 0:
            angles = -math.pi + math.tau / 720 * np.arange(720)
            ranges = ROW.ranges(pose.x, pose.y, pose.yaw + angles, 10.0).astype(np.float32)
            watch.scanned(RangeScan(now, -math.pi, math.tau / 720, 0.1, 10.0, ranges), LIDAR)
        if i % 8 == 0:
            closed = ClosedDirections(now, lie(closed_by_map(ROW, MOUNT, pose, now).rows.copy(), time))
            watch.look(closed)
            found.append(watch.trust.value)
    return np.array(found)


def noisy(rows, time):
    """Distances are 8 % off, and one heading in thirty is said to be free or closed by chance."""
    draw = np.random.default_rng(round(time * 1000))
    seen = rows[STANDING] >= 0
    rows[STANDING_AT] *= 1 + 0.08 * draw.standard_normal(SECTORS)
    flipped = seen & (draw.random(SECTORS) < 1 / 30)
    rows[STANDING, flipped] = 1.0 - rows[STANDING, flipped]
    rows[HIDDEN, flipped] = 0.0
    return np.maximum(rows, np.where(seen, 0.0, -1.0))


def test_a_planner_that_is_right_stays_near_one_also_with_noise_and_while_the_robot_turns():
    assert drive(lambda rows, time: rows, 8.0, turn=0.4).min() > 0.95
    assert drive(noisy, 8.0, turn=0.4).min() > 0.7


def frozen_from(begin):
    kept = []

    def lie(rows, time):
        if time < begin:
            return rows
        kept.append(rows)
        return kept[0]

    return lie


def by_chance(rows, time):
    draw = np.random.default_rng(round(time * 1000))
    seen = rows[STANDING] >= 0
    rows[STANDING, seen] = draw.choice([0.05, 0.9], int(seen.sum()))
    rows[STANDING_AT, seen] = draw.uniform(0.3, 3.0, int(seen.sum()))
    rows[HIDDEN, seen] = 0.02
    return rows


@pytest.mark.parametrize("begin", [0.5, 1.0, 1.7])
@pytest.mark.parametrize("kind", ["mirrored", "frozen", "random"])
def test_a_planner_that_lies_falls_below_half_within_a_second_of_motion(kind, begin):
    frozen = frozen_from(begin)

    def lie(rows, time):
        if kind == "frozen":
            return frozen(rows, time)
        if time < begin:
            return rows
        return rows[:, ::-1].copy() if kind == "mirrored" else by_chance(rows, time)

    found = drive(lie, begin + 4.0)
    since = np.arange(len(found)) / 15 - begin
    assert found[since < 0].min() > 0.95
    assert found[(since > 0) & (since <= 1.0)].min() < 0.5
    assert np.mean(found[since > 1.0] < 0.5) > 0.6


def test_a_frozen_image_is_right_while_the_robot_stands():
    assert drive(frozen_from(0.5), 3.0, speed=0.0).min() > 0.95


def test_what_a_liar_says_is_not_entered_and_what_was_seen_before_it_lied_is_kept():
    mount, ahead = CameraMount(0.2, 0.5, 0.0, math.pi / 2, 0.75), Pose()
    watch = Watch(mount, HiddenMemory(mount))
    free = RangeScan(0, -math.pi, math.tau / 360, 0.1, 10.0, np.full(360, np.inf, np.float32))
    rates = RateVector(0, np.zeros(80, np.float32), PLANNER_POPULATIONS)

    def look(closed, now):
        watch.moved(Odometry(now, ahead, Twist(now)))
        watch.scanned(RangeScan(now, free.angle_min, free.angle_increment, 0.1, 10.0, free.ranges), LIDAR)
        watch.look(ClosedDirections(now, closed.rows))
        return watch.trust.of(rates)

    step = 66_666_667
    for k in range(3):
        assert look(answer(hidden=0.9, hidden_at=1.0), k * step) is not None
    kerb = watch.memory.points(ahead)
    assert len(kerb) > 20
    # now it says that something stands 1.6 m ahead, where the scan shows nothing, and all before it is free
    for k in range(3, 12):
        counts = look(answer(standing=0.9, standing_at=1.6), k * step)
    assert counts is None
    assert watch.trust.value < 0.25
    assert {tuple(p) for p in kerb.tolist()} <= {tuple(p) for p in watch.memory.points(ahead).tolist()}
    for k in range(12, 20):  # and makes up a kerb, which nobody enters
        look(answer(standing=0.5, standing_at=1.9, hidden=0.5, hidden_at=0.7), k * step)
    assert len(watch.memory.points(ahead)) == len(kerb)
    shown = overlay(free, watch.memory.points(ahead), LIDAR, Outline(0.25, 0.2)).ranges
    assert shown[180] == pytest.approx(1.25, abs=0.06)


def test_an_answer_whose_place_is_not_known_is_neither_judged_nor_entered():
    watch = Watch(MOUNT)
    closed = answer(hidden=0.9, hidden_at=1.0)
    for _ in range(3):
        watch.look(closed)
    assert len(watch.memory.points(Pose())) == 0
    watch.moved(Odometry(200_000_000, Pose(), Twist(0)))  # 0.2 s later
    watch.look(closed)
    watch.look(closed)
    assert len(watch.memory.points(Pose())) == 0
    watch.moved(Odometry(50_000_000, Pose(), Twist(0)))
    watch.look(closed)
    watch.look(closed)
    assert len(watch.memory.points(Pose())) > 0

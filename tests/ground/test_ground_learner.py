"""Ground that is taught: what it takes up, what it refuses, what it does to plans, and that nothing is lost."""

import errno
import itertools
import math

import numpy as np
import pytest

from hybrid_control.navigation.bench import lesson
from hybrid_control.navigation.drive import Navigator
from hybrid_control.navigation.ground import learner as learners
from hybrid_control.navigation.ground.effects import SLOW_SPEED, Effects
from hybrid_control.navigation.ground.features import FeatureMap
from hybrid_control.navigation.ground.learner import GroundLearner
from hybrid_control.navigation.ground.memory import MAX_RATE, SeenGround
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.planner import BlindError, Planner
from hybrid_control.navigation.planner.timed import TimedPlanner
from hybrid_control.signals import PLANNER_POPULATIONS, Odometry, Pose, RateVector, Twist
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.sim.robots.jackal import JACKAL
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import generate

RED, GREEN, GREY = (170, 40, 30), (40, 130, 50), (130, 126, 118)
CAMERA = lesson.camera_of(JACKAL)


@pytest.fixture(scope="module")
def encoder():
    return FeatureMap(contract.DEFAULT_MODEL)


def picture(colour, seed=0):
    """Sky above, ground of a colour below, with noise."""
    draw = np.random.default_rng(seed)
    image = np.full((120, 160, 3), (130, 170, 220), np.float64)
    image[54:] = colour
    return np.clip(image + draw.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def pupil(encoder, effects=None, **options):
    return GroundLearner(
        encoder, CAMERA, {"puddle": "avoid"} if effects is None else effects, copies=3, **options
    )


def taught(encoder, effects=None):
    ground = pupil(encoder, effects)
    for label, colour in (("ground", GREY), ("puddle", RED), ("mat", GREEN)):
        ground.teach(label)
        for seed in range(30):
            ground.look(picture(colour, seed), Pose())
    ground.finish()
    ground.forget_places()
    return ground


def right(ground, label, colour):
    """Of the cells that it is sure of, which are not few, the part that it says right."""
    labels = ground.look(picture(colour, 99), Pose())
    sure = labels != ""
    assert sure.mean() > 0.3, (label, sure.mean())
    return float(np.mean(labels[sure] == label))


def test_nothing_has_an_effect_before_anything_is_taught(encoder):
    ground = pupil(encoder)
    for seed in range(3):
        assert set(ground.look(picture(RED, seed), Pose()).tolist()) == {""}
    assert ground.classes == ()
    ground.teach("puddle")
    for seed in range(5):
        assert set(ground.look(picture(RED, seed), Pose()).tolist()) == {""}  # told apart from what?
    assert ground.classes == ("puddle",)
    ground = pupil(encoder)
    assert len(ground.seen.points("avoid", Pose())) == 0
    assert ground.seen.rates(Pose(), 5).rates.size == 0


def test_two_seconds_of_each_kind_are_enough_to_tell_them_apart_everywhere_in_view(encoder):
    ground = taught(encoder)
    assert ground.classes == ("ground", "puddle", "mat")
    for label, colour in (("ground", GREY), ("puddle", RED), ("mat", GREEN)):
        assert right(ground, label, colour) > 0.95, label


def test_a_class_that_is_new_takes_nothing_away_of_what_was_known(encoder):
    ground = taught(encoder)
    before = {label: right(ground, label, c) for label, c in (("ground", GREY), ("puddle", RED), ("mat", GREEN))}
    ground.teach("tar")
    for seed in range(30):
        ground.look(picture((25, 25, 30), seed), Pose())
    ground.teach("")
    assert right(ground, "tar", (25, 25, 30)) > 0.95
    for label, colour in (("ground", GREY), ("puddle", RED), ("mat", GREEN)):
        assert right(ground, label, colour) >= before[label] - 0.05, label


def test_what_is_avoided_is_in_the_rates_of_its_class_in_its_direction(encoder):
    ground = taught(encoder)
    for seed in range(2):
        ground.look(picture(RED, seed), Pose())
    said = ground.seen.rates(Pose(), 7)
    assert [p.name for p in said.populations] == ["puddle"]  # the others have no effect
    assert said.stamp_ns == 7
    ahead = said.of("puddle")[SECTORS // 2 - 2 : SECTORS // 2 + 2]
    assert (ahead > 0.5 * MAX_RATE).all()
    assert (said.of("puddle")[[0, -1]] == 0).all()  # nothing is seen behind
    nearest = np.hypot(*ground.seen.points("avoid", Pose()).T).min()
    assert said.rates.max() == pytest.approx(MAX_RATE * (1 - nearest / 6.4), rel=1e-5)


def plan(ahead=0.0, speed=1.0):
    away = np.remainder(HEADINGS - ahead + np.pi, 2 * np.pi) - np.pi
    code = np.exp(-((contract.PREFERRED_SPEEDS - speed) ** 2) / (2 * contract.SPEED_SIGMA**2))
    rates = 100.0 * np.concatenate([np.exp(-0.5 * (away / 0.2) ** 2), code])
    return RateVector(3, rates.astype(np.float32), PLANNER_POPULATIONS)


def blended(plan, ground, speed=0.0):
    return Effects().blended(plan, ground.seen, Odometry(0, Pose(), Twist(0, speed, 0.0)))


@pytest.mark.parametrize("effect", ["avoid", "approach", "slow", "ignore"])
def test_each_effect_does_to_a_plan_what_it_is_named_after(encoder, effect):
    ground = taught(encoder, {"puddle": effect})
    for seed in range(2):
        ground.look(picture(RED, seed), Pose())
    # the ground is red all over the view, 45 degrees to either side
    went, was = blended(plan(), ground, speed=1.0), plan()
    heading, speed = went.of("heading"), went.of("speed")
    assert went.stamp_ns == 3
    if effect == "avoid":
        assert (heading[np.abs(HEADINGS) < 0.5] == 0).all()
    elif effect == "slow":
        assert speed[0] > 20.0  # that asks to stand
        np.testing.assert_array_equal(heading, was.of("heading"))
    elif effect == "approach":
        aside = blended(plan(ahead=1.4), ground)  # the plan leads elsewhere
        assert abs(HEADINGS[aside.of("heading").argmax()]) < 0.8
        assert float(aside.of("heading").max()) <= 101.0
    else:
        np.testing.assert_array_equal(went.rates, was.rates)
    if effect != "slow":
        np.testing.assert_array_equal(speed, was.of("speed"))


def test_the_wish_to_go_slowly_grows_until_the_robot_does_and_ends_with_the_ground():
    effects, red = Effects(), SeenGround({"tar": np.array([[0.55, 0.05]])}, {"tar": "slow"})

    def asked(seen, speed, fastest=math.inf):
        return float(effects.blended(plan(), seen, Odometry(0, Pose(), Twist(0, speed, 0.0)), fastest).of("speed")[0])

    first, second, third = asked(red, 1.0), asked(red, 1.0), asked(red, SLOW_SPEED)
    assert 0 < first < second == pytest.approx(third)
    assert asked(red, 0.0) < third  # slower than it needs to be
    assert asked(SeenGround(), 1.0) == pytest.approx(float(plan().of("speed")[0]))
    assert asked(SeenGround(), 1.0, fastest=SLOW_SPEED) == pytest.approx(first)
    for _ in range(1000):
        most = asked(red, 5.0)
    assert most <= 4.0 * 100.0 + 1e-3


def test_a_robot_told_to_go_slowly_goes_at_that_speed_in_the_mean():
    class Everywhere:
        classes = ("tar",)

        def forget_places(self):
            self.seen = SeenGround()

        def look(self, image, pose, turning=0.0):
            x, y = np.meshgrid(np.arange(-1.0, 4.0, 0.1), np.arange(-1.0, 1.0, 0.1))
            self.seen = SeenGround({"tar": np.column_stack([x.ravel(), y.ravel()])}, {"tar": "slow"})

    went = Navigator(TimedPlanner(Planner(contract.DEFAULT_MODEL)), ground=Everywhere()).run(generate("open", 0))
    assert went.success
    slow, later = (went.way[(went.way[:, 0] > a) & (went.way[:, 0] < b)] for a, b in ((1.0, 3.0), (5.0, 9.0)))
    assert 2.0 / (len(slow) * 0.1) == pytest.approx(SLOW_SPEED, abs=0.12)
    assert 4.0 / (len(later) * 0.1) > 0.8


def test_a_dark_camera_teaches_nothing_and_makes_nothing_forgotten(encoder):
    ground = taught(encoder)
    for seed in range(2):
        ground.look(picture(RED, seed), Pose())
    before, samples = ground.seen.points("avoid", Pose()), ground._recogniser.network.samples
    ground.teach("puddle")
    for level in (0, 255):
        with pytest.raises(BlindError):
            ground.look(np.full((120, 160, 3), level, np.uint8), Pose())
    assert ground._recogniser.network.samples == samples
    np.testing.assert_array_equal(ground.seen.points("avoid", Pose()), before)


@pytest.mark.parametrize("label", ["Puddle", "", " ", "a b", "x" * 33, "../etc", 7, None])
def test_a_bad_label_is_refused_in_one_line_and_changes_nothing(encoder, label):
    ground = pupil(encoder)
    ground.teach("mat")
    if label != "":
        with pytest.raises(ValueError, match=r"^class [^\n]*expected a small letter[^\n]*$"):
            ground.teach(label)
        assert ground.teaching == "mat"
    with pytest.raises(ValueError, match=r"^class"):
        pupil(encoder, {label: "avoid"})


def test_an_effect_that_there_is_not_is_refused_and_too_many_classes_are(encoder, monkeypatch):
    with pytest.raises(ValueError, match=r"effect 'flee' is unknown; expected avoid, approach, slow, ignore"):
        pupil(encoder, {"puddle": "flee"})
    ground = taught(encoder)
    monkeypatch.setattr(learners, "CLASSES", 3)
    ground.teach("puddle")  # one that is known
    with pytest.raises(ValueError, match="there are 3 classes already"):
        ground.teach("fourth")
    assert ground.teaching == "puddle"


def test_what_was_learnt_is_kept_in_a_file_and_says_the_same_to_the_bit(encoder, tmp_path):
    ground, other = taught(encoder), pupil(encoder)
    with pytest.raises(ValueError, match="nothing was taught yet"):
        other.save(tmp_path / "none.npz")
    ground.save(tmp_path / "a.npz")
    other.load(tmp_path / "a.npz")
    assert other.classes == ground.classes
    for colour, seed in itertools.product((RED, GREEN, GREY), range(3)):
        x = picture(colour, seed)
        np.testing.assert_array_equal(ground.look(x, Pose()), other.look(x, Pose()))


def test_a_full_disk_loses_neither_what_was_learnt_nor_the_file_of_before(encoder, tmp_path, monkeypatch):
    ground = taught(encoder)
    ground.save(tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()
    ground.teach("tar")
    ground.look(picture((25, 25, 30)), Pose())

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numpy.savez", full)
    monkeypatch.setattr("numpy.savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        ground.save(tmp_path / "a.npz")
    assert (tmp_path / "a.npz").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]
    assert "tar" in ground.classes


def test_a_camera_that_sees_no_ground_in_its_aim_is_refused(encoder):
    up = lesson.CameraMount(0.2, 0.3, -1.0, 1.5, 0.75)
    with pytest.raises(ValueError, match=r"sees no ground within 2 m"):
        GroundLearner(encoder, up, {})


def test_the_truth_of_a_lesson_is_what_lies_under_each_point():
    world = lesson.course()
    points = np.array([[1.6, 0.0], [1.6, 0.8], [4.2, 0.0]])
    assert lesson.kinds(world, Pose(1.0, 0.0), points).tolist() == ["mat", "ground", "puddle"]
    assert lesson.told(world, Pose(1.8, 0.0), learners.Aim()) == "mat"
    assert lesson.told(world, Pose(2.4, 0.0), learners.Aim()) == ""  # its far edge is in the aim


def test_after_a_lesson_of_ten_seconds_puddles_that_were_never_seen_are_seen_where_they_are():
    ground = lesson.learner()
    told = lesson.teach(ground, lesson.course())
    assert sum(told.labelled.values()) <= 10.0
    assert set(told.labelled) == {"ground", "mat", "puddle"}
    right = wrong = 0
    for world in lesson.unseen(4):
        for patch in world.patches[:2]:  # a puddle and a mat
            with Simulator(world) as simulator:
                simulator.place(Pose(patch.x - 1.2, patch.y))
                ground.forget_places()
                for _ in range(3):
                    ground.look(simulator.camera(), Pose())
                found = ground.seen.points("avoid", Pose())
                there = lesson.kinds(world, simulator.pose, found) == "puddle"
            right, wrong = right + int(there.sum()), wrong + int((~there).sum())
            if patch.kind == "puddle":
                assert there.sum() > 10, world.name
    assert wrong < 0.25 * right  # cells at the edges among them


@pytest.mark.slow
@pytest.mark.timeout(900)  # forty drives; two minutes where the machine does nothing else
def test_a_lesson_is_good_for_eighteen_of_twenty_worlds_of_which_five_at_most_go_well_without():
    ground = lesson.learner()
    lesson.teach(ground, lesson.course())
    worlds = lesson.unseen(20)
    assert sum(e.success for e in lesson.drives(ground, worlds)) >= 18
    assert sum(e.success for e in lesson.drives(None, worlds)) <= 5

"""Imitation: the network in training sees and does what the reflex does, and its ring comes nearer to the expert."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hybrid_control.navigation.bench import coevolve  # noqa: E402
from hybrid_control.navigation.bench.harness import Harness, Setup  # noqa: E402
from hybrid_control.navigation.bench.imitation import (  # noqa: E402
    CURRENTS,
    LENGTH,
    Pupil,
    imitation,
    lesson,
)
from hybrid_control.navigation.bench.scenes import load_scenes  # noqa: E402
from hybrid_control.navigation.bench.sides import WEIGHT_NUMBERS, shaped  # noqa: E402
from hybrid_control.navigation.reflex import Reflex  # noqa: E402
from hybrid_control.navigation.reflex.gains import ON_BOARD  # noqa: E402
from hybrid_control.navigation.reflex.network import with_gains  # noqa: E402
from hybrid_control.snn import Engine  # noqa: E402

pytestmark = pytest.mark.train

SETUP = Setup(level="kinematic", rules="barn", seed=3, duration=5.0, ways=True, gains={"goal_gain": 1.5})
LIMITS = np.array([(n.low, n.high) for n in WEIGHT_NUMBERS])


@pytest.fixture(scope="module")
def reflex():
    return Reflex(Harness(SETUP).robot.reflex_settings, SETUP.gains, clock=lambda: 0)


@pytest.fixture(scope="module")
def lessons(reflex):
    (scene,) = load_scenes("field")
    x, y, yaw = scene.world.start.x, scene.world.start.y, scene.world.start.yaw
    places = [coevolve.Situation(0, k % 2 == 0, x, y, yaw + 0.4 * k) for k in range(6)]
    return [lesson(reflex, Harness(SETUP).robot, scene, place, k) for k, place in enumerate(places)]


def pupil(reflex):
    gains = {name: float(reflex.gains[name]) for name in ON_BOARD}
    return Pupil([n.name for n in WEIGHT_NUMBERS], LIMITS, gains), gains


def test_a_lesson_has_spikes_where_there_is_a_planner_and_the_heading_turns_with_the_robot(lessons):
    assert [bool(one.spikes.any()) for one in lessons] == [True, False] * 3
    turned = [(lessons[0].heading - one.heading) * 5 for one in lessons]  # 72 neurons, 5 degrees apart
    assert turned == pytest.approx([np.degrees(0.4 * k) for k in range(6)], abs=5.0)


def test_the_network_in_training_spikes_as_the_engine_does(reflex, lessons):
    learning, gains = pupil(reflex)
    counts = []
    for one in lessons:
        engine, late = Engine(with_gains(shaped({}), gains), dt=1e-3), np.zeros(72)
        for tick in range(LENGTH):
            for k, name in enumerate(CURRENTS):
                engine.input(name)[...] = one.currents[k]
            engine.input("planner")[...] = one.spikes[tick]
            engine.input("arousal")[...] = 1.0
            engine.step()
            late += engine.spikes("ring") if tick >= LENGTH // 2 else 0.0
        assert late.any()
        counts.append(late)
    wanted = torch.tensor([one.heading for one in lessons])
    theirs = torch.nn.functional.cross_entropy(torch.tensor(np.array(counts), dtype=torch.float32), wanted)
    assert float(learning.loss(lessons).detach()) == pytest.approx(float(theirs), rel=1e-6)


def test_the_ring_comes_nearer_to_the_expert_and_what_it_does_not_see_stays(reflex, lessons):
    learning, _ = pupil(reflex)
    losses = [learning.step(lessons) for _ in range(12)]
    assert min(losses[6:]) < losses[0]
    moved = {n.name for n, x in zip(WEIGHT_NUMBERS, learning.x, strict=True) if x}
    assert "weights.ring_recurrence.0" in moved
    assert not [name for name in moved if name.startswith("weights.ring_turn")]
    assert (learning.x >= LIMITS[:, 0]).all()
    assert (learning.x <= LIMITS[:, 1]).all()


def test_a_generation_drives_the_whole_population_and_gives_the_same_bits_again():
    scenes = load_scenes("field")
    start = scenes[0].world.start
    plan = coevolve.Plan(SETUP, "field", generations=1, population=4, batches=1)
    asked = []

    def tried(k, values):
        asked.append((k, dict(values)))
        return {"value": 0.0, "situations": [[0, k % 2 == 0, start.x, start.y, start.yaw + 0.3 * k]]}

    first, again = (imitation(plan, scenes)(0, tried) for _ in range(2))
    assert first == again
    assert any(first.values())
    assert [k for k, _ in asked] == [0, 1, 2, 3] * 2
    assert not any(asked[0][1].values())

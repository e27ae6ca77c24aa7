"""Initial states in a planner's file: which outputs they are, which plans say them, and that nothing else changes."""

import math

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from hybrid_control.learning.initial_states import PREFIX
from hybrid_control.navigation import states
from hybrid_control.navigation.bench.map_planner import planner_rates
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.contract import ContractError
from hybrid_control.navigation.planner.need import PlannerOnNeed
from hybrid_control.navigation.planner.planner import Planner
from hybrid_control.navigation.planner.states import TURN, NewDirection, Plan
from hybrid_control.signals import PLANNER_POPULATIONS, Goal, Odometry, Pose, StateVector, Twist, layout

RING = np.linspace(-1.0, 1.0, 72, dtype=np.float32)[None]
HERE, GOAL = Odometry(0, Pose(), Twist(0)), Goal(0, 3.0, 1.0)
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def test_states_outputs_named_after_populations_come_along_with_a_plan_that_is_asked_for_them(make_model):
    planner = Planner(make_model(states={"recurrence": RING, "excitation": 2 * RING}))
    assert planner.info.states == layout(recurrence=72, excitation=72)
    plan = planner.plan(PICTURE, HERE, GOAL, 7, states=True)
    assert plan.states.stamp_ns == 7
    np.testing.assert_array_equal(plan.states.of("excitation"), 2 * RING[0])
    alone = planner.plan(PICTURE, HERE, GOAL, 7)
    assert alone.states is None
    np.testing.assert_array_equal(alone.rates, plan.rates)


def test_states_a_planner_that_has_none_works_as_before(make_model):
    plan = Planner(make_model()).plan(PICTURE, HERE, GOAL, 7, states=True)
    assert plan.states is None


def test_states_outputs_of_another_type_or_shape_are_none(make_model):
    others = {"class": np.ones((1, 4), np.int64), "grid": np.ones((1, 2, 2), np.float32), "two": np.float32([[1], [2]])}
    _, info = contract.load(make_model(states=others))
    assert info.states == ()
    assert len(info.extra_outputs) == 3


def test_states_that_are_not_finite_break_the_contract(make_model):
    with pytest.raises(ContractError, match=r"output 'recurrence' is not finite \(on a test image\)"):
        contract.load(make_model(states={"recurrence": np.full((1, 72), np.nan, np.float32)}))


def test_states_rates_that_hold_bring_none_along(make_model):
    planner = PlannerOnNeed(Planner(make_model(states={"recurrence": RING})), 0.3)
    first, second = (planner.plan(PICTURE, HERE, GOAL, t, states=True) for t in (0, 1_000_000))
    assert first.states is not None
    assert getattr(second, "states", None) is None


def plan_of(heading):
    begin = StateVector(0, RING[0], layout(recurrence=72))
    return Plan(0, planner_rates(heading, 1.0), PLANNER_POPULATIONS, begin)


def test_states_are_said_of_the_first_plan_and_of_those_that_turn_away_from_the_last_one_said():
    turned = NewDirection()
    step = TURN / 2.5
    said = [turned.states(plan_of(k * step), 0.0) is not None for k in range(7)]
    assert said == [True, False, False, True, False, False, True]
    turned.reset()
    assert turned.states(plan_of(6 * step), 0.0) is not None


def test_states_are_not_said_for_a_robot_that_turns_towards_its_plan():
    turned = NewDirection()
    said = [turned.states(plan_of(math.pi / 2 - yaw), yaw) is not None for yaw in np.linspace(0.0, math.pi / 2, 20)]
    assert said == [True] + [False] * 19


def test_states_a_kept_direction_is_gone_on_from():
    turned, other = NewDirection(), NewDirection()
    turned.states(plan_of(1.0), 0.0)
    other.set_state(turned.state())
    assert other.states(plan_of(1.1), 0.0) is None


def test_states_of_the_shipped_planner_leave_its_rates_the_same_to_the_bit_and_are_those_of_its_map():
    model = onnx.load(contract.DEFAULT_MODEL)
    names = [p.name for p in states.POPULATIONS]
    for group, own in ((model.graph.output, names), (model.graph.node, names)):
        for item in [i for i in group if i.name.startswith(PREFIX) or i.name in own]:
            group.remove(item)
    bare, whole = (ort.InferenceSession(m) for m in (model.SerializeToString(), contract.DEFAULT_MODEL))
    assert [o.name for o in bare.get_outputs()] == ["heading", "speed", contract.FEATURES]
    settled, rng = states.read(contract.DEFAULT_MODEL), np.random.default_rng(0)
    for bearing in rng.uniform(-math.pi, math.pi, 20):
        feed = {
            "image": rng.integers(0, 256, (1, *whole.get_inputs()[0].shape[1:]), dtype=np.uint8),
            "goal": np.array([[3.0, math.cos(bearing), math.sin(bearing)]], np.float32),
            "velocity": rng.normal(size=(1, 2)).astype(np.float32),
        }
        heading, speed, *potentials = whole.run(["heading", "speed", *names], feed)
        for one, other in zip((heading, speed), bare.run(["heading", "speed"], feed), strict=True):
            assert one.tobytes() == other.tobytes()
        wanted = settled(heading[0], bearing, 0)
        for name, values in zip(names, potentials, strict=True):
            np.testing.assert_allclose(values[0], wanted.of(name), atol=2e-4)

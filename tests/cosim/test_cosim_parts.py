"""Codes, frames, plants and fusion as parts, against hand-worked numbers and what they stand for."""

import math

import numba
import numpy as np
import pytest

from hybrid_control.cosim import Hybrid, HybridError, LinkOptions, PartError, Port, Runs, run
from hybrid_control.cosim.hybrid import build
from hybrid_control.cosim.parts import (
    ArraySource,
    CompiledPlantPart,
    FramesPart,
    FunctionPart,
    GymPlant,
    PlantPart,
    PopulationEncoderPart,
    PopulationVectorPart,
    WeightedFusion,
    gaussian,
    plant_part,
)
from hybrid_control.cosim.scheduler import seed_of
from hybrid_control.signals.coding import GaussianCode, PoissonEncoder

MS = 1_000_000


def test_cosim_population_encoder_gives_the_rates_of_its_tuning_and_the_spikes_of_an_encoder():
    code = GaussianCode.line(-1.0, 1.0, 12)
    part = PopulationEncoderPart(code, seed=3)
    values = np.linspace(-1, 1, 50)[:, None]
    out = part.run(Runs(0, MS, 50), {"value": values})
    encoder = PoissonEncoder(12, 3)
    for k, value in enumerate(values[:, 0]):
        rates = code.rates(value)
        assert np.array_equal(out["rates"][k], rates)
        assert np.array_equal(out["spikes"][k], encoder.counts(rates, MS))


def test_cosim_population_vector_reads_back_the_value_and_holds_it_in_silence():
    code = gaussian(16, -math.pi, math.pi, circle=True)
    part = PopulationVectorPart(code, silent=0.25)
    rows = np.array([np.zeros(16), code.rates(1.2), np.zeros(16), code.rates(-3.1)])
    assert part.run(Runs(0, MS, 4), {"rates": rows})["value"][:, 0] == pytest.approx([0.25, 1.2, 1.2, -3.1], abs=1e-3)


def test_cosim_a_frame_holds_the_counts_of_the_last_runs_the_newest_first():
    part = FramesPart((2,), 3)
    rows = np.arange(8.0).reshape(4, 2)
    frames = part.run(Runs(0, MS, 4), {"spikes": rows})["frame"].reshape(4, 3, 2)
    assert frames[0].tolist() == [[0, 1], [0, 0], [0, 0]]
    assert frames[3].tolist() == [[6, 7], [4, 5], [2, 3]]


def test_cosim_spikes_reach_an_ann_as_counts_of_its_period_whatever_the_two_are():
    # 1 kHz into a part at 33 ms: run k sees what came since run k - 1
    class Ann:
        inputs, outputs = {"x": Port("values", (1,))}, {"y": Port("values", (1,))}

        def reset(self, seed): ...
        def state(self): ...
        def set_state(self, state): ...
        def run(self, runs, inputs):
            return {"y": np.array(inputs["x"])}

    hybrid = Hybrid(until_ns=100 * MS, record=["ann.y"])
    hybrid.add("spikes", ArraySource(np.ones((100, 1)), "spikes"), "1 ms")
    hybrid.add("ann", Ann(), "33 ms")
    hybrid.link("spikes", "ann")
    assert run(hybrid)["ann.y"][:, 0].tolist() == [1, 33, 33, 33]


@numba.njit
def _lag(state, inputs, outputs, dt):
    outputs[0], outputs[1] = state[0], state[1]
    state[0] += dt * (inputs[0] - state[0])
    state[1] += dt * inputs[2]


class Lag:
    inputs, outputs = {"u": (2,), "w": (1,)}, {"x": (1,), "y": (1,)}
    kernel = staticmethod(_lag)

    def start(self, seed):
        return np.array([1.0, seed % 2])

    def reset(self, seed):
        self.s = self.start(seed)

    def step(self, dt, inputs):
        out = np.zeros(2)
        _lag.py_func(self.s, np.concatenate([inputs["u"], inputs["w"]]), out, dt)
        return {"x": out[:1], "y": out[1:]}


def test_cosim_a_compiled_plant_gives_what_the_same_plant_gives_in_python():
    results = []
    for part in (plant_part(Lag()), PlantPart(Lag())):
        hybrid = Hybrid(until_ns=300 * MS, record=["plant.x", "plant.y", "sum.out"])
        hybrid.add("plant", part, "1 ms")
        hybrid.add("drive", ArraySource(np.sin(np.arange(90.0)).reshape(45, 2)), "7 ms")
        hybrid.add("sum", WeightedFusion([2.0, -0.5], (1,)), "1 ms", "1 ms")
        for a, b in (("drive", "plant.u"), ("plant.x", "sum.a"), ("plant.y", "sum.b"), ("sum", "plant.w")):
            hybrid.link(a, b)
        results.append(run(hybrid))
    assert isinstance(plant_part(Lag()), CompiledPlantPart)
    for name in ("plant.x", "plant.y", "sum.out"):
        assert np.array_equal(results[0][name], results[1][name])
    assert np.abs(results[0]["plant.x"]).max() < 10.0


def test_cosim_a_compiled_plant_that_gives_no_number_ends_in_one_line_with_its_time():
    @numba.njit
    def kernel(state, inputs, outputs, dt):
        state[0] += 1.0
        outputs[0] = math.nan if state[0] > 5 else 0.0

    class Bad:
        inputs, outputs = {}, {"x": (1,)}

        def start(self, seed):
            return np.zeros(1)

    Bad.kernel = staticmethod(kernel)
    hybrid = Hybrid()
    hybrid.add("bad", plant_part(Bad()), "1 ms")
    with pytest.raises(PartError, match=r"^bad: at 5 ms: x is not finite$"):
        run(hybrid)


def called(result):
    """A scheduler of a function of a clock and of a port that nobody feeds; what it recorded, after ten runs."""
    shapes = {"clock": (1, 1), "unfed": (2,)}
    source = FunctionPart(lambda clock, unfed: result(clock[0, 0], unfed), shapes, {"y": (2, 2)})
    hybrid = Hybrid()
    hybrid.add("clock", ArraySource(np.arange(20.0)[:, None, None]), "1 ms")
    hybrid.add("called", source, "1 ms")
    hybrid.link("clock", "called.clock")
    hybrid.record = ["called.y"]
    return hybrid.scheduler()


@pytest.mark.parametrize("result", [
    lambda t, unfed: {"y": np.full((2, 2), t), "more": 1.0}, lambda t, unfed: {"y": [t, t, unfed[0], unfed[1]]},
    lambda t, unfed: {"y": np.full(4, t, np.float32)}, lambda t, unfed: {"y": np.full((1, 4), t)},
])  # fmt: skip
def test_cosim_a_function_gives_the_same_whether_somebody_looks_on_or_not(result):
    alone, seen = called(result), called(result)
    seen.observe(lambda *_: None)
    for scheduler in (alone, seen):
        scheduler.advance(10 * MS)
    rows = [scheduler.recordings["called", "y"].rows()[1] for scheduler in (alone, seen)]
    assert np.array_equal(*rows)
    assert np.array_equal(rows[0][:, 0], np.arange(10))


@pytest.mark.parametrize(("result", "says"), [
    (lambda t, _: {"y": np.zeros(4 if t < 5 else 3)}, r"y has the shape \(3,\), expected \(2, 2\)"),
    (lambda t, _: {"y": 1.0 if t >= 5 else np.zeros(4)}, r"y has the shape \(\), expected \(2, 2\)"),
    (lambda t, _: {"y": np.zeros(4)} if t < 5 else {}, "y is not finite"),
    (lambda t, _: {"y": np.full(4, 1 / (5 - t) if t < 5 else math.inf)}, "y is not finite"),
])  # fmt: skip
def test_cosim_a_function_that_fails_says_the_same_whether_somebody_looks_on_or_not(result, says):
    alone, seen = called(result), called(result)
    seen.observe(lambda *_: None)
    for scheduler in (alone, seen):
        with pytest.raises(PartError, match=rf"^called: at 5 ms: {says}$"):
            scheduler.advance(10 * MS)


def test_cosim_a_file_has_populations_and_frames_and_says_what_is_wrong_with_them(tmp_path):
    np.save(tmp_path / "v.npy", np.linspace(-1, 1, 20)[:, None])
    content = {
        "hybrid": 1, "until": "20 ms", "record": ["read.value", "frames.frame"],
        "parts": {
            "v": {"source": "v.npy", "period": "1 ms"},
            "code": {"encode": "population", "size": 12, "low": -1, "high": 1, "period": "1 ms"},
            "read": {"decode": "population", "size": 12, "low": -1, "high": 1, "period": "1 ms"},
            "frames": {"frames": 4, "shape": [12], "period": "5 ms"},
        },
        "links": ["v -> code", "code.rates -> read", "code.spikes -> frames"],
    }  # fmt: skip
    results = run(build(content, tmp_path))
    assert results["read.value"][:, 0] == pytest.approx(np.linspace(-1, 1, 20), abs=0.01)
    assert results["frames.frame"].shape == (4, 4, 12)
    content["parts"]["code"]["circle"] = True
    with pytest.raises(HybridError, match=r"code: circle: -1 \.\. 1; a circle goes from"):
        build(content, tmp_path)


def cart(kick, until=400 * MS):
    """A pole on a cart under a controller that pushes the way it falls; kick: what it makes of the pole's angle."""
    hybrid = Hybrid(until_ns=until, record=["cart.observation", "cart.done", "cart.reward"], seed=4)
    hybrid.add("cart", PlantPart(GymPlant("CartPole-v1")), "20 ms")
    push = FunctionPart(lambda observation: {"action": kick(observation)}, {"observation": (4,)}, {"action": (1,)})
    hybrid.add("push", push, "20 ms")
    hybrid.link("cart.observation", "push")
    hybrid.link("push", "cart", LinkOptions(20 * MS))
    return run(hybrid)


def test_cosim_a_gymnasium_environment_is_a_plant_that_gives_what_it_gives_alone():
    import gymnasium

    results = cart(lambda o: o[2] + o[3] > 0)
    env = gymnasium.make("CartPole-v1")
    seen, _ = env.reset(seed=seed_of(4, "cart") % 2**31)
    action = 0  # before the first push has arrived
    for row in results["cart.observation"]:
        assert np.array_equal(row, seen)
        following = int(seen[2] + seen[3] > 0)
        seen, *_ = env.step(action)
        action = following


def test_cosim_a_gymnasium_episode_that_ends_begins_anew():
    results = cart(lambda o: 1.0, 2000 * MS)
    done = np.flatnonzero(results["cart.done"][:, 0])
    assert done.size >= 2
    assert (np.abs(results["cart.observation"][done + 1]) <= 0.05).all()


def test_cosim_a_gymnasium_environment_of_another_step_or_name_is_refused_in_one_line(tmp_path):
    content = {"hybrid": 1, "parts": {"cart": {"plant": "gymnasium:CartPole-v1", "period": "1 ms"}}}
    with pytest.raises(PartError, match=r"cart: at 0 ns: gymnasium:CartPole-v1 steps by 0.02 s; give the part that"):
        run(build(content, tmp_path))
    content["parts"]["cart"]["plant"] = "gymnasium:NoSuch-v1"
    with pytest.raises(HybridError, match=r"^cart: gymnasium:NoSuch-v1: Environment .*doesn't exist"):
        build(content, tmp_path)

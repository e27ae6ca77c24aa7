"""A network in Loihi's integers, and the compiled arithmetic, against hand-worked numbers and nengo-loihi's own."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.boards.loihi import LoihiConfig, emulator_command
from hybrid_control.navigation.reflex.network import build_network
from hybrid_control.signals import layout
from hybrid_control.snn import AdaptiveLIF, Engine, Network
from hybrid_control.snn.backends.capabilities import BoardRefusal
from hybrid_control.snn.backends.loihi import loihi_program
from hybrid_control.snn.backends.loihi.engine import LoihiEngine
from hybrid_control.snn.backends.loihi.form import (
    EXPONENTS,
    INPUT_BITS,
    MANTISSA,
    MAX_COUNT,
    STATE_BITS,
    VTH_MAX,
    VTH_UNIT,
    LoihiPopulation,
    LoihiProgram,
    LoihiProjection,
    loihi_form,
)
from hybrid_control.snn.backends.split import spiking, split

VECTORS = Path(__file__).parent / "loihi_vectors.json"


def _one(decay_u: int, decay_v: int, vth: int, bias: int, weight: int) -> LoihiEngine:
    """One input, one compartment, one synapse, by their integers."""
    ints = [np.array([k], np.int32) for k in (decay_u, decay_v, vth, bias)]
    cell = LoihiPopulation("cell", 1, *ints, 1.0)
    synapse = LoihiProjection("in_cell", "in", "cell", np.array([[weight]], np.int32), 6)
    return LoihiEngine(LoihiProgram(1e-3, layout(**{"in": 1}), layout(out=1), ("cell",), (cell,), (synapse,)))


def _run(engine: LoihiEngine, counts: list[int]) -> tuple[list[int], list[int]]:
    spikes, voltages = [], []
    for n in counts:
        spikes.append(int(engine.step([n])[0]))
        voltages.append(int(engine.voltage("cell")[0]))
    return spikes, voltages


def test_current_and_voltage_decay_in_4096ths_rounded_towards_zero() -> None:
    # decay_u 2047: u keeps (4095 - 2047) / 4096 = 1/2; decay_v 1024: v keeps 3/4. A spike of 641 arrives in tick 2:
    # u 641, 320, 160, 80; v 641, 480 + 320 = 800, 600 + 160 = 760, 570 + 80 = 650
    assert _run(_one(2047, 1024, 6400, 0, 641), [1, 0, 0, 0, 0]) == ([0] * 5, [0, 641, 800, 760, 650])
    assert _run(_one(2047, 1024, 6400, 0, -641), [1, 0, 0, 0, 0])[1] == [0, -641, -800, -760, -650]


def test_a_spike_is_above_the_threshold_and_leaves_zero() -> None:
    # no memory of u; v does not decay: 64, 128 (not above), 192 spikes
    assert _run(_one(4095, 0, 128, 0, 64), [1, 1, 1, 1, 0]) == ([0, 0, 0, 1, 0], [0, 64, 128, 0, 64])


def test_bias_and_several_spikes_of_one_input_add_up() -> None:
    assert _run(_one(4095, 0, 10**6, 5, 64), [2, 0, 0])[1] == [5, 138, 143]


def test_sums_that_are_too_wide_wrap_and_are_counted() -> None:
    engine = _one(4095, 4095, VTH_MAX, 0, 2**20)
    _run(engine, [2, 0])
    assert engine.overflows == 1
    assert engine.voltage("cell")[0] == -(2**21)


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text()), ids=lambda c: c["name"])
def test_spikes_and_voltages_are_those_that_nengo_loihi_gave(case: dict) -> None:  # type: ignore[type-arg]
    """Recorded from nengo-loihi 1.1.0 by tests/peers/test_peers_loihi.py, which compares again where it is there."""
    populations = [
        LoihiPopulation(
            n, len(v["vth"]), *(np.array(v[k], np.int32) for k in ("decay_u", "decay_v", "vth", "bias")), 1.0
        )
        for n, v in case["populations"].items()
    ]
    projections = [
        LoihiProjection(f"{s}_{t}", s, t, np.array(w, np.int32), e) for s, t, e, w in case["projections"]
    ]
    names = list(case["populations"])
    program = LoihiProgram(
        1e-3,
        layout(**case["inputs"]),
        layout(**{f"{n}_out": len(case["populations"][n]["vth"]) for n in names}),
        tuple(names),
        tuple(populations),
        tuple(projections),
    )
    engine = LoihiEngine(program)
    size = sum(case["inputs"].values())
    for given_, want in zip(case["given"], case["spikes"], strict=True):
        out = engine.step(np.bincount(given_, minlength=size) if given_ else np.zeros(size, int))
        assert np.flatnonzero(out).tolist() == want
    assert {n: engine.voltage(n).tolist() for n in names} == case["voltage"]
    assert sum(map(len, case["spikes"])) > 50


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """One input, two populations of any sort joined in a ring."""
    size = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    net = Network()
    net.add_input("in", draw(st.integers(1, 5)))
    strength = draw(st.floats(0.1, 50.0))
    for name in ("a", "b"):
        common = {
            "v_threshold": rng.uniform(0.5, 2.0, size) + 0.3,
            "v_reset": rng.uniform(-0.2, 0.3, size),
            "r": rng.uniform(0.5, 3.0, size),
        }
        kind = draw(st.sampled_from((nir.LIF, nir.CubaLIF, nir.IF)))
        if kind is nir.IF:
            net.add_population(name, kind, size, **{**common, "r": 500 * common["r"]})
        elif kind is nir.LIF:
            net.add_population(
                name, kind, size, tau=rng.uniform(0.003, 0.1, size), v_leak=rng.uniform(-0.3, 0.3), **common
            )
        else:
            net.add_population(
                name,
                kind,
                size,
                tau_syn=rng.uniform(0.001, 0.08, size),
                tau_mem=rng.uniform(0.003, 0.1, size),
                w_in=rng.uniform(0.5, 2.0, size),
                v_leak=rng.uniform(-0.3, 0.3),
                **common,
            )
    n_in = int(net.nodes["in"].input_type["input"][0])
    net.connect("in", "a", strength * rng.normal(1.0, 1.0, (size, n_in)))
    net.connect("a", "b", strength * rng.normal(0.5, 1.0, (size, size)), delay=1e-3)
    net.connect("b", "a", strength * rng.normal(0.0, 1.0, (size, size)), delay=1e-3)
    net.add_output("a_out", "a")
    net.add_output("b_out", "b")
    return net


def max_bits(program: LoihiProgram) -> tuple[float, float]:
    """Bits that the sum of a tick's weights, and u, can need at most, each input MAX_COUNT times in a tick."""
    sums, states = [0.0], [0.0]
    inputs = {p.name for p in program.inputs}
    for p in program.populations:
        total = np.zeros(p.size)
        for j in program.projections:
            if j.target == p.name:
                times = MAX_COUNT if j.source in inputs else 1
                total += times * np.abs(j.weights.astype(np.int64)).sum(axis=1)
        sums.append(float(total.max()))
        states.append(float((total * 4096 / (p.decay_u + 1.0) + np.abs(p.bias)).max()))
    return math.log2(max(sums) + 1), math.log2(max(states) + 1)


@settings(max_examples=60, deadline=None)
@given(networks())
def test_integers_lie_in_their_ranges_and_nothing_can_overflow(net: Network) -> None:
    program, _ = loihi_form(net)
    sums, states = max_bits(program)
    assert sums <= INPUT_BITS
    assert states <= STATE_BITS
    for p in program.populations:
        assert ((p.vth >= VTH_UNIT) & (p.vth <= VTH_MAX) & (p.vth % VTH_UNIT == 0)).all()
        assert ((p.decay_u >= 0) & (p.decay_u < 4096) & (p.decay_v >= 0) & (p.decay_v < 4096)).all()
    for j in program.projections:
        mantissa, rest = np.divmod(j.weights, 2**j.exponent)
        assert not rest.any()
        assert np.abs(mantissa).max() <= MANTISSA
        assert j.exponent in EXPONENTS
    engine = LoihiEngine(program)
    rng = np.random.default_rng(1)
    for _ in range(50):
        engine.step(rng.integers(0, MAX_COUNT + 1, program.inputs[0].size))
    assert engine.overflows == 0


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(0, 1000))
def test_until_the_first_spike_that_differs_voltages_are_as_near_to_the_quantised_engine_as_rounding_allows(
    net: Network, seed: int
) -> None:
    """Rounding takes less than 1 of u and of v a tick: |du| < 1 / b, |dv| < (1 + |du|) / a."""
    program, quantised = loihi_form(net)
    engine = LoihiEngine(program)
    floating = Engine(quantised, dtype=np.float64, initial="zero")
    for p in program.populations:
        floating.set_voltage(p.name, quantised.nodes[p.name].v_reset)
    rng = np.random.default_rng(seed)
    bound = {}
    for p in program.populations:
        ticks = 120
        loss_u = np.minimum(4096.0 / (p.decay_u + 1.0), ticks)
        loss_u[p.decay_u == 4095] = 0.0
        bound[p.name] = (1 + loss_u) * np.minimum(4096.0 / np.maximum(p.decay_v, 1e-9), ticks) + 1
    compared = 0
    for _ in range(120):
        x = rng.integers(0, 2, program.inputs[0].size)
        engine.step(x)
        floating.step(x.astype(float))
        apart = False
        for p in program.populations:
            spikes = engine.spikes(p.name)
            reset = np.asarray(quantised.nodes[p.name].v_reset)
            if (spikes != floating.spikes(p.name)).any():
                apart = True
                continue
            v = (floating.voltage(p.name) - reset) * p.scale
            limited = v > -(2.0**23) + 1  # the chip's v goes no lower
            assert (np.abs(engine.voltage(p.name) - v)[limited] <= bound[p.name][limited]).all()
            if not limited.all():
                apart = True
            compared += 1
        if apart:
            break
    assert compared > 0


def test_the_reflex_fits_and_spikes_as_its_quantised_network_until_rounding_shows() -> None:
    board = spiking(split(build_network()).board)
    program, quantised = loihi_form(board)
    assert [p.size for p in program.populations] == [72, 72, 8, 16, 16, 16, 16]
    for p in program.populations:
        node, made = board.nodes[p.name], quantised.nodes[p.name]
        np.testing.assert_allclose(made.tau_mem, node.tau_mem, rtol=2e-3)
        np.testing.assert_allclose(made.tau_syn, node.tau_syn, rtol=2e-3)
        np.testing.assert_allclose(made.v_threshold, node.v_threshold, rtol=1e-3)
    for j in program.projections:
        want, have = board.nodes[j.name].weight, quantised.nodes[j.name].weight
        assert np.abs(have - want).max() <= 0.035 * np.abs(want).max()


def test_a_program_is_read_back_from_its_file_by_numpy_alone() -> None:
    program = loihi_program(split(build_network()).board)
    with np.load(io.BytesIO(program.to_bytes()), allow_pickle=False) as file:
        meta = json.loads(file["meta"].tobytes())
        assert [n for n, _, _ in meta["populations"]] == [p.name for p in program.populations]
        for i, j in enumerate(program.projections):
            np.testing.assert_array_equal(file[f"weights_{i}"], j.weights)
        assert meta["outputs"][0] == ["forward_out", 16, "forward"]


def _with(change) -> Network:  # type: ignore[no-untyped-def]
    net = Network()
    net.add_input("in", 2)
    net.add_population("cell", nir.LIF, 2, tau=0.01)
    net.connect("in", "cell", np.eye(2))
    change(net)
    if not any(isinstance(n, nir.Output) for n in net.nodes.values()):
        net.add_output("out", "cell")
    return net


@pytest.mark.parametrize(
    ("change", "reason", "nearest"),
    [
        (
            lambda n: n.add_population("ada", AdaptiveLIF, 2, tau=0.01),
            "'ada' is a AdaptiveLIF",
            "LIF or CubaLIF",
        ),
        (
            lambda n: n.connect("cell", "cell", np.eye(2), delay=5e-3),
            "delays by 5 ticks, and nengo-loihi has no delays",
            "a delay of 1 tick",
        ),
        (
            lambda n: (
                n.add_population("big", nir.LIF, 1025, tau=0.01),
                n.connect("in", "big", np.ones((1025, 2))),
            ),
            "population 'big' of 1025 neurons fits no core",
            "at most 1024 neurons",
        ),
        (
            lambda n: (
                n.add_input("many", 4097),
                n.connect("many", "cell", np.ones((2, 4097))),
            ),
            "4099 axons into 'cell'",
            "at most 4096",
        ),
        (
            # 1,024 weights of 8 + 10 bits and 10 for each 64 of them: 16 times 1,162 bits, in 19 words of 64
            lambda n: (
                n.add_input("many", 60),
                n.add_population("wide", nir.LIF, 1024, tau=0.01),
                n.connect("many", "wide", np.full((1024, 60), 0.1)),
            ),
            f"the synapses into 'wide' take {60 * 16 * 19 * 64:,} bits",
            "at most 1,048,576",
        ),
        (
            lambda n: n.add_population("flat", nir.LIF, 2, tau=0.01, v_threshold=0.0),
            "'flat' has a threshold that is not above its reset",
            "v_threshold > v_reset",
        ),
        (lambda n: n.add_output("raw", "in"), "Output 'raw' gives", "an Output each"),
        (
            lambda n: n.connect("in", "cell", np.full((2, 2), 1e9), "huge"),
            "thresholds a tick",
            "smaller weights",
        ),
        (
            lambda n: n.add("gain", nir.Scale(np.ones(2))),
            "'gain' is a Scale",
            "LIF, CubaLIF and IF",
        ),
    ],
)
def test_what_no_core_can_run_is_refused_with_the_nearest_that_could(
    change, reason: str, nearest: str
) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BoardRefusal) as refusal:
        loihi_form(_with(change))
    assert reason in refusal.value.reason
    assert nearest in refusal.value.nearest
    assert "\n" not in str(refusal.value)


def test_ticks_of_another_length_than_the_chip_can_have_are_refused() -> None:
    with pytest.raises(BoardRefusal, match=r"a tick of 1 s"):
        loihi_program(_with(lambda n: None), 1.0)


def test_without_its_environment_the_emulator_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no nengo-loihi: .*; scripts/loihi.sh makes its environment"):
        emulator_command(tmp_path / "board.nir", LoihiConfig(python=tmp_path / "python"))

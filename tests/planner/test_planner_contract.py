import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.planner.closed import ClosedDirections
from hybrid_control.navigation.planner.contract import ContractError, PlannerError
from hybrid_control.signals import StateVector, layout

U8, F32, F64 = TensorProto.UINT8, TensorProto.FLOAT, TensorProto.DOUBLE
GOOD = {contract.KEY_VERSION: "1", contract.KEY_MAX_RATE: "200", contract.KEY_GOAL_CAP: "10"}


def test_a_model_that_keeps_the_contract_is_accepted_and_described(make_model):
    _, info = contract.load(make_model(metadata=GOOD | {"author": "somebody"}))
    assert (info.version, info.height, info.width, info.max_rate, info.goal_cap) == (1, 12, 16, 200.0, 10.0)
    assert (info.optional, info.extra_outputs) == ((), ())
    assert info.metadata["author"] == "somebody"


def test_an_open_batch_dimension_is_accepted(make_model):
    _, info = contract.load(make_model(image=(U8, ["N", 12, 16, 3]), goal=(F32, ["N", 3])))
    assert (info.height, info.width) == (12, 16)


def typical():
    return {
        "image": np.full((1, 12, 16, 3), 255, np.uint8),
        "goal": np.array([[1.0, 1.0, 0.0]], np.float32),
        "velocity": np.zeros((1, 2), np.float32),
    }


def without(key):
    return {k: v for k, v in GOOD.items() if k != key}


@pytest.mark.parametrize(
    ("breach", "message"),
    [
        ({"image": None}, "input 'image' is missing; the contract wants image uint8"),
        ({"goal": None}, "input 'goal' is missing; the contract wants goal float"),
        (
            {"image": (F32, [1, 12, 16, 3])},
            r"input 'image' is tensor\(float\); the contract wants image uint8",
        ),
        ({"goal": (F64, [1, 3])}, r"input 'goal' is tensor\(double\); the contract wants goal float"),
        ({"image": (U8, [1, 3, 12, 16])}, r"input 'image' has shape \[1, 3, 12, 16\]"),
        ({"image": (U8, [1, "h", "w", 3])}, "input 'image' has shape"),
        ({"image": (U8, [2, 12, 16, 3])}, "input 'image' has shape"),
        ({"image": (U8, [1, 4, 16, 3])}, "each side must be 8 .. 1024"),
        ({"image": (U8, [1, 12, 100000, 3])}, "each side must be 8 .. 1024"),
        ({"goal": (F32, [1, 4])}, r"input 'goal' has shape \[1, 4\]"),
        ({"required": [("grid", F32, [1, 4])]}, "input 'grid' is required but unknown to contract 1"),
        ({"heading": ("directions", [1, 72])}, "output 'heading' is missing"),
        ({"heading": ("heading", [1, 36])}, r"output 'heading' has shape \[1, 36\]"),
        ({"cast": F64}, r"output 'heading' is tensor\(double\)"),
        ({"speed": ("speed", [1, 4])}, r"output 'speed' has shape \[1, 4\]"),
        ({"metadata": {}}, f"metadata '{contract.KEY_VERSION}' is missing"),
        ({"metadata": without(contract.KEY_MAX_RATE)}, f"metadata '{contract.KEY_MAX_RATE}' is missing"),
        ({"metadata": without(contract.KEY_GOAL_CAP)}, f"metadata '{contract.KEY_GOAL_CAP}' is missing"),
        (
            {"metadata": GOOD | {contract.KEY_VERSION: "3"}},
            "made for contract 3; this hybrid_control knows up to 2",
        ),
        ({"metadata": GOOD | {contract.KEY_VERSION: "one"}}, "not a whole number"),
        ({"metadata": GOOD | {contract.KEY_VERSION: "0"}}, "not a whole number"),
        ({"metadata": GOOD | {contract.KEY_MAX_RATE: "nan"}}, "must be above 0"),
        ({"metadata": GOOD | {contract.KEY_MAX_RATE: "-5"}}, "must be above 0"),
        ({"metadata": GOOD | {contract.KEY_GOAL_CAP: "far"}}, "must be above 0"),
        ({"scale": -1.0}, r"output 'heading' spans .* Hz, outside 0 .. 200 Hz \(on a test image\)"),
        ({"scale": 100.0}, r"output 'heading' spans .* Hz, outside 0 .. 200 Hz \(on a test image\)"),
        ({"scale": math.nan}, r"output 'heading' is not finite \(on a test image\)"),
    ],
)
def test_each_breach_is_named_in_one_line(make_model, breach, message):
    path = make_model(**breach)
    with pytest.raises(ContractError, match=message) as caught:
        contract.load(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


SECOND = GOOD | {contract.KEY_VERSION: "2"}


def closed(row=0, value=0.5):
    rows = np.zeros((1, 4, 72), np.float32)
    rows[0, [0, 2]] = -1.0
    rows[0, :, 30:42] = 0.25
    rows[0, row, 36] = value
    return rows


def test_a_model_of_contract_2_says_which_directions_are_closed(make_model):
    path = make_model(metadata=SECOND, closed=closed(2, 0.75))
    session, info = contract.load(path)
    assert (info.version, info.extra_outputs) == (2, ())
    said = contract.infer(session, info, typical()).closed
    assert said == pytest.approx(closed(2, 0.75)[0])
    seen = ClosedDirections(7, said).seen
    assert (seen.sum(), seen[30], seen[29]) == (12, True, False)


def test_closed_directions_are_the_same_after_a_way_as_states():
    said = ClosedDirections(7, closed(2, 0.75)[0])
    back = ClosedDirections.of(said.states())
    assert (back.stamp_ns, back.rows.tolist()) == (7, said.rows.tolist())
    assert said.states().of("hidden")[36] == 0.75


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (StateVector(0, np.zeros(72), layout(ring=72)), "populations ring of 72, expected standing of 72, standing_at"),
        (ClosedDirections(0, closed(0, 1.5)[0]).states(), "a confidence above 1"),
        (ClosedDirections(0, closed(3, -0.1)[0]).states(), "a distance below 0 m"),
    ],
)
def test_states_that_are_no_closed_directions_are_refused_in_one_line(states, message):
    with pytest.raises(ValueError, match=message):
        ClosedDirections.of(states)


def test_a_model_of_contract_1_closes_nothing_whatever_its_outputs_are_called(make_model):
    session, info = contract.load(make_model(closed=closed()))
    assert info.version == 1
    assert contract.infer(session, info, typical()).closed is None


@pytest.mark.parametrize(
    ("breach", "message"),
    [
        ({}, r"output 'closed' is missing; the contract wants closed float \(1, 4, 72\)"),
        ({"closed": np.zeros((1, 4, 36), np.float32)}, r"output 'closed' has shape \[1, 4, 36\]"),
        ({"closed": closed().astype(np.float64)}, r"output 'closed' is tensor\(double\)"),
        ({"closed": closed(0, 1.5)}, "has 1.5 as a confidence of what is standing"),
        ({"closed": closed(2, -0.5)}, "has -0.5 as a confidence of what is hidden"),
        ({"closed": closed(3, -0.1)}, "output 'closed' has a distance of -0.1 m"),
        ({"closed": closed(1, math.inf)}, "output 'closed' is not finite"),
        (
            {"closed": closed(), "optional": {"camera": np.zeros((1, 4), np.float32)}},
            r"optional input camera float \(1, 4\); contract 2 wants camera float \(1, 3\)",
        ),
    ],
)
def test_each_breach_of_contract_2_is_named_in_one_line(make_model, breach, message):
    with pytest.raises(ContractError, match=message) as caught:
        contract.load(make_model(metadata=SECOND, **breach))
    assert "\n" not in str(caught.value)


def test_optional_inputs_are_listed(make_model):
    _, info = contract.load(make_model(optional={"grid": np.zeros((1, 2, 2), np.float32)}))
    assert [str(spec) for spec in info.optional] == ["grid float (1, 2, 2)"]


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"not a model", b"PK\x03\x04" + b"\x00" * 40])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ContractError, match="not an ONNX model") as caught:
        contract.load(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "absent.onnx", tmp_path):
        with pytest.raises(ContractError, match="no such file"):
            contract.load(path)


def test_a_model_cut_short_anywhere_is_refused(make_model, tmp_path):
    whole = make_model().read_bytes()
    for length in np.linspace(1, len(whole) - 1, 60).astype(int):
        cut = tmp_path / "cut.onnx"
        cut.write_bytes(whole[:length])
        with pytest.raises(ContractError):
            contract.load(cut)


@pytest.mark.parametrize("providers", [["NoSuchExecutionProvider"], ["CPUExecutionProvider", "Nonsense"], []])
def test_an_absent_provider_is_refused_instead_of_replaced(make_model, providers):
    with pytest.raises(PlannerError, match=r"available: .*CPUExecutionProvider"):
        contract.load(make_model(), providers)


def test_a_rate_that_overshoots_by_rounding_is_cut(make_model):
    # the white test image is the brightest: 255 / 2 * scale = 200.1 Hz, within 0.1 % of 200 Hz
    session, info = contract.load(make_model(scale=200.1 / 127.5))
    heading = contract.infer(session, info, typical()).heading
    assert heading.max() == 200.0


def test_preferred_directions_are_those_of_the_contract():
    assert np.degrees(contract.HEADINGS[[0, 35, 36, 71]]) == pytest.approx([-177.5, -2.5, 2.5, 177.5])
    assert pytest.approx([-math.pi + (i + 0.5) * 2 * math.pi / 72 for i in range(72)]) == contract.HEADINGS
    assert contract.PREFERRED_SPEEDS.tolist() == pytest.approx([i / 7 for i in range(8)])
    assert [(p.name, p.first, p.size) for p in contract.POPULATIONS] == [("heading", 0, 72), ("speed", 72, 8)]


def test_speed_code_by_hand():
    # at its preferred value full rate; one spacing (= one sigma) off, exp(-1/2) of it
    rates = contract.encode_speed(3 / 7, 100.0)
    assert rates[3] == pytest.approx(100.0)
    assert rates[[2, 4]] == pytest.approx(100.0 * math.exp(-0.5))


@given(st.floats(0.0, 1.0), st.floats(1.0, 1000.0))
def test_a_speed_comes_back_from_its_code(fraction, peak):
    assert contract.decode_speed(contract.encode_speed(fraction, peak)) == pytest.approx(fraction, abs=0.003)


@given(st.floats(-math.pi, math.pi), st.floats(0.1, 200.0))
def test_a_heading_comes_back_from_its_bump(heading, peak):
    rates = peak * np.exp(33.0 * (np.cos(contract.HEADINGS - heading) - 1.0))
    error = contract.decode_heading(rates) - heading
    assert abs(math.atan2(math.sin(error), math.cos(error))) < math.radians(1.0)


def test_of_two_bumps_the_stronger_wins_and_not_the_middle():
    def bump(heading):
        return np.exp(33.0 * (np.cos(contract.HEADINGS - heading) - 1.0))

    rates = 100 * bump(math.radians(40)) + 90 * bump(math.radians(-40))
    assert math.degrees(contract.decode_heading(rates)) == pytest.approx(40, abs=1)


def test_silence_decodes_to_straight_ahead_at_no_speed():
    assert contract.decode_heading(np.zeros(72)) == 0.0
    assert contract.decode_speed(np.zeros(8)) == 0.0

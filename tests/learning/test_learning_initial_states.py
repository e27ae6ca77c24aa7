"""Maps from what drives a ring to what it settles at: found from samples, and the same in numpy, numba and ONNX."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from hybrid_control.learning.initial_states import RingMap, append, correlate, extract, fit, ridge, softmax

N = 24


def ring_map(seed=0):
    rng = np.random.default_rng(seed)
    apart = np.minimum(np.arange(N), N - np.arange(N))
    drive = np.stack([np.exp(-0.5 * apart**2), rng.normal(0.0, 0.05, N)])
    return RingMap(drive, 20.0 * np.exp(-0.5 * (apart / 1.5) ** 2) / 3.76, rng.random(N))


def samples(count, seed=1):
    return np.random.default_rng(seed).random((count, 2, N))


def test_learning_states_a_kernel_is_found_again_from_what_it_correlates_to():
    rng = np.random.default_rng(2)
    kernel, x = rng.normal(size=(2, N)), samples(400)
    found = ridge(x, correlate(x, kernel))
    np.testing.assert_allclose(found, kernel, atol=0.02)
    out = correlate(x[0], kernel)
    assert out[3] == pytest.approx(sum(kernel[c, k] * x[0, c, (3 + k) % N] for c in range(2) for k in range(N)))


def test_learning_states_a_ring_that_settles_like_a_map_is_fitted_by_one():
    truth, x = ring_map(), samples(600)
    settles = np.array([truth(row) for row in x])
    found = fit(x, settles)
    unseen = samples(50, seed=9)
    wanted = np.array([truth(row) for row in unseen])
    off = np.array([found(row) for row in unseen]) - wanted
    assert (off**2).mean() < 0.02 * wanted.var()


def test_learning_states_turning_what_drives_a_ring_turns_what_it_settles_at():
    ring, x = ring_map(), samples(1)[0]
    np.testing.assert_allclose(ring(np.roll(x, 5, axis=1)), np.roll(ring(x), 5, axis=1), atol=1e-12)


def test_learning_states_compiled_code_and_arrays_answer_the_same():
    ring, x = ring_map(), samples(1)[0]
    driven = correlate(x, ring.drive)
    recurrent = correlate(softmax(correlate(driven[None], ring.compete[None])), ring.answer[None])
    np.testing.assert_allclose(ring(x), [driven, recurrent], atol=1e-12)


def model_of_two():
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, N]) for name in ("a", "b", "sum")]
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"])]
    graph = helper.make_graph(nodes, "two", values[:2], values[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_learning_states_that_are_appended_to_a_model_answer_as_the_map_and_leave_the_rest_alone():
    ring, model = ring_map(), model_of_two()
    before = ort.InferenceSession(model.SerializeToString())
    append(model, ring, ["a", "b"], ("driven", "recurrent"))
    onnx.checker.check_model(model, full_check=True)
    after = ort.InferenceSession(model.SerializeToString())
    for x in samples(5, seed=3).astype(np.float32):
        feed = {"a": x[:1], "b": x[1:]}
        total, driven, recurrent = after.run(["sum", "driven", "recurrent"], feed)
        np.testing.assert_array_equal(total, before.run(["sum"], feed)[0])
        np.testing.assert_allclose([driven[0], recurrent[0]], ring(x.astype(np.float64)), atol=1e-4)
    read = extract(model)
    np.testing.assert_allclose(read.compete, ring.compete, rtol=1e-6)
    np.testing.assert_allclose(read.drive, ring.drive, rtol=1e-6, atol=1e-9)


def test_learning_states_are_not_appended_twice_nor_read_where_there_are_none():
    model = model_of_two()
    with pytest.raises(ValueError, match="no initial states; `hybrid-control train states` adds them"):
        extract(model)
    append(model, ring_map(), ["a", "b"], ("driven", "recurrent"))
    with pytest.raises(ValueError, match="has an output 'driven' already"):
        append(model, ring_map(), ["a", "b"], ("driven", "recurrent"))

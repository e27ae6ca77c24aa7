"""From ANN to SNN: every kind of layer, and what can't be converted."""

import io
import re
import zipfile

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from PIL import Image  # noqa: E402

from hybrid_control.ann import multiply_accumulates  # noqa: E402
from hybrid_control.bench.conversion import measure  # noqa: E402
from hybrid_control.cli import main  # noqa: E402
from hybrid_control.cosim.part import Runs  # noqa: E402
from hybrid_control.cosim.parts.snn import SnnPart  # noqa: E402
from hybrid_control.learning.conversion.compare import Comparison, compare  # noqa: E402
from hybrid_control.learning.conversion.convert import convert  # noqa: E402
from hybrid_control.learning.conversion.onnx_file import ConversionError, OnnxFile  # noqa: E402
from hybrid_control.learning.conversion.reading import Reader  # noqa: E402
from hybrid_control.learning.conversion.readout import Readout, eighths  # noqa: E402
from hybrid_control.learning.conversion.scales import scales  # noqa: E402
from hybrid_control.learning.conversion.spiking import OPTIONS, Builder  # noqa: E402
from hybrid_control.snn import Engine, Network  # noqa: E402
from hybrid_control.snn.backends.capabilities import BoardRefusal  # noqa: E402
from hybrid_control.snn.backends.loihi.form import loihi_form  # noqa: E402
from hybrid_control.snn.backends.spinnaker.form import spinnaker_form  # noqa: E402

RNG = np.random.default_rng(0)


class Net:
    """An ONNX file, node by node; each method gives the name of what it adds."""

    def __init__(self, shape):
        self.nodes, self.initializers, self.count = [], [], 0
        self.input = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, *shape])

    def const(self, values, dtype=np.float32):
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def add(self, kind, *inputs, **attributes):
        self.count += 1
        name = f"{kind.lower()}{self.count}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, x, inputs, outputs, kernel=(3, 3), group=1, **attributes):
        attributes.setdefault("pads", [k // 2 for k in kernel] * 2)
        size = inputs // group * int(np.prod(kernel))
        weight = RNG.normal(0, 1.4 / np.sqrt(size), (outputs, inputs // group, *kernel))
        bias = self.const(RNG.normal(0, 0.1, outputs))
        return self.add("Conv", x, self.const(weight), bias, group=group, **attributes)

    def dense(self, x, inputs, outputs):
        weight = self.const(RNG.normal(0, 1.4 / np.sqrt(inputs), (outputs, inputs)))
        return self.add("Gemm", x, weight, self.const(RNG.normal(0, 0.1, outputs)), transB=1)

    def save(self, path, *outputs):
        out = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(self.nodes, "net", [self.input], out, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, path)
        return path


def errors(path, data, ticks, **cuts):
    """Root mean square of what the SNN gives less what the ANN gives, after each of `ticks`, and of the latter."""
    reader = Reader(OnnxFile(path, **cuts))
    built = Builder(reader, scales(reader, {"x": data}, 100))
    engine = Engine.load(built.network, OPTIONS)
    file, gaps, size = reader.file, [], []
    for found in file.values({"x": data}, file.start + file.end):
        engine.reset()
        for tensor, layer in zip(file.start, reader.layers, strict=False):
            engine.input(layer.name)[...] = found[tensor][0]
        result = engine.run(max(ticks))
        result = result if isinstance(result, dict) else {engine.output_names[0]: result}
        for tensor in file.end:
            wanted = found[tensor].reshape(-1)
            got = result[built.outputs[tensor]].reshape(max(ticks), -1)
            gaps.append([got[t - 1] / t - wanted for t in ticks])
            size.append(wanted)
    rms = np.sqrt((np.concatenate(gaps, axis=1) ** 2).mean(axis=1))
    return rms, float(np.sqrt((np.concatenate(size) ** 2).mean()))


def images(n=3, shape=(2, 9, 8)):
    return RNG.uniform(0, 1, (n, *shape)).astype(np.float32)


def plain(net):
    return net.add("Relu", net.conv("x", 2, 4))


def depthwise(net):
    x = net.add("Relu", net.conv("x", 2, 6))
    x = net.add("Relu", net.conv(x, 6, 6, group=6))
    return net.conv(x, 6, 3, kernel=(1, 1))


def multiplied(net):
    return net.conv(net.add("Relu", net.conv("x", 2, 4, group=2)), 4, 8, group=4)


def strided(net):
    x = net.add("Relu", net.conv("x", 2, 4, strides=[2, 1], pads=[1, 0, 1, 2]))
    return net.conv(x, 4, 3, strides=[2, 2], pads=[0, 0, 1, 1])


def same_padding(net):
    x = net.add("Relu", net.conv("x", 2, 4, strides=[2, 2], pads=[0] * 4))
    weight = net.const(RNG.normal(0, 0.3, (3, 4, 3, 3)))
    return net.add("Conv", x, weight, auto_pad="SAME_UPPER", strides=[2, 2])


def dilated(net):
    return net.conv(net.add("Relu", net.conv("x", 2, 4, dilations=[2, 2], pads=[2] * 4)), 4, 3)


def residual(net):
    x = net.add("Relu", net.conv("x", 2, 4))
    y = net.conv(net.add("Relu", net.conv(x, 4, 4)), 4, 4)
    x = net.add("Relu", net.add("Add", y, x))
    y = net.conv(net.add("Relu", net.conv(x, 4, 6, strides=[2, 2])), 6, 6)
    return net.add("Relu", net.add("Add", net.conv(x, 4, 6, (1, 1), strides=[2, 2]), y))


def normalised(net):
    def norm(x, channels):
        return net.add(
            "BatchNormalization", x, net.const(RNG.uniform(0.5, 2, channels)), net.const(RNG.normal(0, 0.3, channels)),
            net.const(RNG.normal(0, 0.3, channels)), net.const(RNG.uniform(0.5, 2, channels)),
        )  # fmt: skip

    x = net.add("Relu", norm(net.conv("x", 2, 4), 4))
    y = net.conv(net.add("Relu", norm(x, 4)), 4, 4)  # a normalisation that follows no weights
    return norm(net.add("Add", x, y), 4)


def pooled(net):
    x = net.add("AveragePool", net.add("Relu", net.conv("x", 2, 4)), kernel_shape=[2, 2], strides=[2, 2])
    x = net.add("GlobalAveragePool", net.add("Relu", net.conv(x, 4, 5)))
    return net.dense(net.add("Flatten", x), 5, 3)


def most(net):
    x = net.add("Relu", net.conv("x", 2, 4))
    x = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.add("MaxPool", net.conv(x, 4, 4), kernel_shape=[2, 2], strides=[2, 2])
    return net.conv(x, 4, 3, (1, 1))


def mean(net):
    x = net.add("ReduceMean", net.add("Relu", net.conv("x", 2, 4)), axes=[2, 3], keepdims=0)
    x = net.add("MatMul", x, net.const(RNG.normal(0, 1, (4, 6))))
    x = net.add("Relu", net.add("Add", x, net.const(RNG.normal(0, 0.1, 6))))
    return net.dense(x, 6, 3)


def clipped(net):
    x = net.add("Clip", net.conv("x", 2, 4), net.const(0.0), net.const(0.4))
    return net.conv(x, 4, 2)


def factors(net):
    x = net.add("Div", net.add("Sub", "x", net.const([[[0.5]], [[0.4]]])), net.const(0.3))
    x = net.add("Relu", net.add("Mul", net.conv(x, 2, 4), net.const(0.5)))
    return net.add("Sub", net.const(1.0), net.conv(x, 4, 2))


def flattened(net):
    x = net.add("Flatten", net.add("Relu", net.conv("x", 2, 4)))
    return net.dense(net.add("Relu", net.dense(x, 288, 10)), 10, 3)


def joined(net):
    x = net.add("Relu", net.conv("x", 2, 4))
    same = net.const(RNG.normal(0, 1, (1, 1, 9, 8)))
    y = net.add("Relu", net.conv(net.add("Concat", x, "x", same, axis=1), 7, 3))
    return net.dense(net.add("Flatten", net.add("Concat", y, x, axis=1)), 504, 3)


def around(net):
    """A ring: what is beyond the end is what is at the start."""
    x = net.add("Reshape", net.add("Relu", net.conv("x", 2, 4)), net.const([1, 4, 72], np.int64))
    one, end, axis = (net.const([v], np.int64) for v in (2, 72, 2))
    tail = net.add("Slice", x, net.const([70], np.int64), end, axis)
    head = net.add("Slice", x, net.const([0], np.int64), one, axis)
    y = net.conv(net.add("Concat", tail, x, head, axis=2), 4, 4, (5,), pads=[0, 0])
    x = net.add("Relu", net.add("Add", x, y))
    matrix = net.const(RNG.normal(0, 0.1, (72, 6)))
    return net.add("Relu", net.conv(net.add("MatMul", x, matrix), 4, 3, (3,)))


def differences(net):
    x, y = (net.add("Relu", net.conv("x", 2, 4)) for _ in range(2))
    return net.add("Relu", net.add("Sub", x, y))


def apart(net):
    x = net.add("Transpose", net.add("Relu", net.conv("x", 2, 4)), perm=[0, 2, 3, 1])
    x = net.add("Pad", x, net.const([0, 1, 0, 0, 0, 0, 0, 0], np.int64))
    return net.dense(net.add("Reshape", x, net.const([1, -1], np.int64)), 4 * 80, 3)


def aside(net):
    """What is scaled here is taken as it is there, past a node that only moves it."""
    x = net.conv("x", 2, 4)
    scaled = net.add("Relu", net.add("Mul", net.add("Identity", x), net.const(-2.0)))
    return net.add("Add", scaled, net.add("Relu", net.add("Identity", x)))


KINDS = (
    plain, depthwise, multiplied, strided, same_padding, dilated, residual, normalised, pooled, most, mean, clipped,
    factors, flattened, joined, around, differences, apart, aside,
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_learning_conversion_comes_to_what_the_ann_gives_as_the_ticks_grow(kind, tmp_path):
    net = Net((2, 9, 8))
    path = net.save(tmp_path / "net.onnx", kind(net))
    (few, some, many), size = errors(path, images(), (16, 128, 768))
    assert few < 0.5 * size
    assert some < 0.3 * few
    assert many < 0.4 * some


def line(tmp_path, *values):
    """Conversion of a Relu alone, whose scale is 1, and what it gives after each of 64 ticks for a value."""
    net = Net((1,))
    path = net.save(tmp_path / "relu.onnx", net.add("Relu", "x"))
    conversion = convert(path, np.array([[1.0]], np.float32), percentile=100, calibrated=False)
    engine, rows = conversion.engine(), []
    for value in values:
        conversion.present(engine, {"x": np.array([value], np.float32)})
        rows.append(engine.run(64)[:, 0])
    return np.array(rows)


def test_learning_conversion_of_one_unit_fires_when_its_sum_passes_every_half(tmp_path):
    """3/8 a tick: 3/8, 6/8 (fires), 9/8, 12/8 (not above), 15/8 (fires), 18/8, 21/8 (fires), 24/8."""
    assert line(tmp_path, 0.375)[0, :8].tolist() == [0, 1, 1, 1, 2, 2, 3, 3]


def test_learning_conversion_of_one_unit_is_never_further_off_than_half_a_spike(tmp_path):
    """ceil(T x - 1/2) spikes in T ticks; none for what is below 0, one a tick for what is above the scale."""
    values = np.array([0.0625, 0.28125, 0.5, 0.84375, 1.0])  # exact in binary
    given, ticks = line(tmp_path, *values, -0.75, 1.75), np.arange(1, 65)
    assert given[:5].tolist() == np.ceil(values[:, None] * ticks - 0.5).tolist()
    assert not given[5].any()
    assert given[6].tolist() == ticks.tolist()


def test_learning_conversion_counts_events_and_energy(tmp_path):
    """Units with 1/2 and 1 a tick, three synapses each: in 8 ticks 4 + 8 spikes and 36 events; the ANN: 6 products."""
    net = Net((2,))
    path = net.save(tmp_path / "net.onnx", net.dense(net.add("Relu", "x"), 2, 3))
    data = np.array([[0.5, 1.0]], np.float32)
    conversion = convert(path, data, percentile=100, by="layer", calibrated=False)
    comparison = compare(conversion, data, (8,))
    assert comparison.spikes == [4 + 8]
    assert comparison.events == [36]
    assert comparison.value_macs == [0]
    assert comparison.joules(8) == pytest.approx((6 * 4.6e-12, 36 * 0.9e-12))


def test_learning_conversion_runs_in_the_cosimulator_as_in_the_engine(tmp_path):
    net = Net((2, 9, 8))
    data = images(2)
    conversion = convert(net.save(tmp_path / "net.onnx", residual(net)), data, calibrated=False)
    conversion.network.save(tmp_path / "net.nir")
    (given,), (output,) = conversion.inputs.values(), conversion.outputs.values()
    part = SnnPart(Engine.load(Network.load(tmp_path / "net.nir"), OPTIONS))
    part.reset(0)
    rows = np.tile(data[0].reshape(1, -1), (32, 1))
    got = part.run(Runs(0, 1_000_000, 32), {given: rows})[output]
    wanted = conversion.engine().run(np.tile(data[0], (32, 1, 1, 1)))
    assert np.array_equal(got, wanted.reshape(32, -1))


def test_learning_conversion_is_refused_by_boards_that_reset_to_a_value_in_one_line(tmp_path):
    net = Net((6,))
    path = net.save(tmp_path / "net.onnx", net.dense(net.add("Relu", net.dense("x", 6, 4)), 4, 3))
    network = convert(path, images(3, (6,)), calibrated=False).network
    for form in (loihi_form, spinnaker_form):
        with pytest.raises(BoardRefusal) as error:
            form(network)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda net: net.add("Tanh", net.conv("x", 2, 4)),
            "'tanh2' (Tanh) cannot be converted: a ReLU in its place",
        ),
        (lambda net: net.add("Mul", plain(net), net.conv("x", 2, 4)), "'mul4' (Mul) cannot be converted"),
        (lambda net: net.add("Clip", "x", net.const(-1.0), net.const(1.0)), "'clip1' (Clip): clips from -1"),
        (lambda net: net.add("Conv", "x", net.add("Relu", "x")), "its weights are no constants"),
        (lambda net: net.add("MaxPool", "x", kernel_shape=[3, 3], pads=[1] * 4), "a Relu before it"),
    ],
)
def test_learning_conversion_names_the_node_that_cannot_be_converted(make, words, tmp_path):
    net = Net((2, 9, 8))
    path = net.save(tmp_path / "net.onnx", net.add("Relu", make(net)))
    with pytest.raises(ConversionError) as error:
        Reader(OnnxFile(path))
    assert words in str(error.value)
    assert str(error.value).startswith(f"{path}: node ")
    assert "\n" not in str(error.value)


def test_learning_conversion_takes_no_data_of_another_shape_or_with_holes(tmp_path):
    net = Net((2, 9, 8))
    path = net.save(tmp_path / "net.onnx", plain(net))
    for data, words in (
        (np.zeros((3, 2, 9, 9)), "expected (examples, *(2, 9, 8))"),
        (np.full((3, 2, 9, 8), np.nan), "not all finite"),
        ({"y": images()}, "the file's inputs are x"),
    ):
        with pytest.raises(ConversionError) as error:
            convert(path, data)
        assert words in str(error.value)


def test_learning_conversion_counts_the_multiply_accumulates_of_the_ann(tmp_path):
    net = Net((2, 9, 8))
    path = net.save(tmp_path / "net.onnx", residual(net))
    assert convert(path, images(), calibrated=False).macs == multiply_accumulates(path)


def compared(grown, wanted, marks=range(2, 17, 2)):
    """A comparison whose outputs grew by so much in a tick of each eighth of 16, (examples, values, 8)."""
    sums = np.cumsum(2.0 * np.asarray(grown, float), axis=2).transpose(0, 2, 1)
    given = {"y": sums / np.arange(2, 17, 2)[:, None]}
    return Comparison(
        tuple(marks), len(sums), 0, 0, [], [], [], 0.0, given, {}, {"y": np.asarray(wanted, float)}
    )


def test_learning_conversion_a_fitted_reading_weighs_eighths_and_adds_what_each_value_lacks():
    assert eighths(64) == (8, 16, 24, 32, 40, 48, 56, 64)
    weights, offsets = np.array([0, 0, 0, 0, 0, -0.5, 0.5, 1.0]), np.array([3.0, -2.0])
    grown = np.random.default_rng(1).normal(size=(12, 2, 8))
    readout = Readout.fitted(compared(grown, grown @ weights + offsets), 16)
    np.testing.assert_allclose(readout.weights["y"], weights, atol=1e-12)
    np.testing.assert_allclose(readout.offsets["y"], offsets, atol=1e-12)
    other = [[[9, 9, 9, 9, 9, 2, 4, 8], [0, 0, 0, 0, 0, 0, 2, 0]]]  # -1 + 2 + 8 + 3 = 12, 1 - 2 = -1
    np.testing.assert_allclose(readout.read(compared(other, [[0, 0]]))["y"], [[12.0, -1.0]], atol=1e-11)


def test_learning_conversion_a_fitted_reading_says_in_one_line_after_which_ticks_to_look():
    marks = (2, 4, 6, 8, 10, 12, 14, 17)
    with pytest.raises(ValueError, match=r"compared after \(2, .*, 17\) ticks; expected \(2, .*, 16\) among them"):
        Readout.fitted(compared(np.ones((2, 1, 8)), [[1], [2]], marks), 16)
    with pytest.raises(ValueError, match="7 ticks: expected 8 or more"):
        eighths(7)


@pytest.mark.slow
def test_learning_conversion_sets_initial_potentials_that_bring_few_ticks_nearer(tmp_path):
    net = Net((2, 9, 8))
    path, data = net.save(tmp_path / "net.onnx", residual(net)), images(16)
    plainly, calibrated = (
        compare(convert(path, data, 16, calibrated=calibrated), images(16), (16,))
        for calibrated in (False, True)
    )
    assert calibrated.error[0] < plainly.error[0]


def test_learning_conversion_command_writes_a_network_that_the_engine_runs(tmp_path, capsys):
    net = Net((2, 9, 8))
    path = net.save(tmp_path / "net.onnx", net.add("Softmax", pooled(net)))
    data = images(6)
    np.save(tmp_path / "data.npy", data)
    out, svg = tmp_path / "net.nir", tmp_path / "net.svg"
    arguments = [
        "snn",
        "convert",
        str(path),
        "--data",
        str(tmp_path / "data.npy"),
        "--out",
        str(out),
        "--svg",
        str(svg),
    ]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "integrate and fire" in said
    assert "multiply-accumulates" in said
    assert svg.read_text().startswith("<svg")
    engine = Engine(Network.load(out), reset="subtract")
    got = engine.run(np.broadcast_to(data[0], (256, *data[0].shape)))[-1] / 256
    file = OnnxFile(path)
    (wanted,) = (found[file.end[0]][0] for found in file.values({"x": data[:1]}, file.end))
    assert np.abs(got - wanted).max() < 0.1 * np.abs(wanted).max()


def test_learning_conversion_command_says_in_one_line_what_it_cannot_convert(tmp_path, capsys):
    net = Net((2, 9, 8))
    path = net.save(tmp_path / "net.onnx", net.conv(net.add("Sigmoid", plain(net)), 4, 2))
    np.save(tmp_path / "data.npy", images())
    assert main(["snn", "convert", str(path), "--data", str(tmp_path / "data.npy"), "--out", "x.nir"]) == 2
    said = capsys.readouterr().err.strip()
    assert "(Sigmoid) cannot be converted: a ReLU in its place" in said
    assert "\n" not in said


def test_learning_conversion_bench_reads_photographs_in_all_ways(tmp_path, capsys):
    net = Net((8, 8, 3))
    seen = net.conv(net.add("Transpose", "x", perm=[0, 3, 1, 2]), 3, 4)
    mean = net.add("Flatten", net.add("GlobalAveragePool", net.add("Relu", seen)))
    path = net.save(tmp_path / "net.onnx", net.dense(mean, 4, 3))
    draw = np.random.default_rng(3)
    with zipfile.ZipFile(tmp_path / "photographs.zip", "w") as archive:
        for k in range(150):
            file = io.BytesIO()
            Image.fromarray(draw.integers(0, 256, (8, 8, 3), np.uint8)).save(file, "PNG")
            archive.writestr(f"{k}.png", file.getvalue())
    asked = [str(path), str(tmp_path / "photographs.zip"), "8", "1", "--examples", "20"]
    measure.main(["photographs", *asked])
    lines = capsys.readouterr().out.splitlines()
    ticks = [8, 16, 24, 32, 40, 48, 56, 64, 128, 256]
    assert [int(line.split()[0]) for line in lines[2:12]] == ticks
    fitted = re.fullmatch(r"fitted by 128 others, 64 ticks: error (.+) %, same class (.+) %", lines[-2])
    assert float(fitted[1]) < 10.0
    assert float(fitted[2]) > 80.0

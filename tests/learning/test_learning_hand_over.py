"""An ANN's initial states of an SNN: the engine starts from them as the mirror does, and only what should learns."""

import itertools

import nir
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hybrid_control.learning.hand_over import HandOver, Initialiser  # noqa: E402
from hybrid_control.learning.mirror import Mirror  # noqa: E402
from hybrid_control.learning.surrogates import Surrogate  # noqa: E402
from hybrid_control.snn import Engine, Options  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore:node")]

OPTIONS = Options(dt=0.01, reset="subtract")
SHAPE = (3, 6, 5)


def convolution(draw, outputs, inputs, how, size=SHAPE[1:]):
    weight = draw.normal(0.0, 1.0, (outputs, inputs, 3, 3)).astype(np.float32)
    return nir.Conv2d(size, weight, *how, 1, draw.normal(0.0, 0.1, outputs).astype(np.float32))


def follower(seed=0):
    """Events (2, 6, 5), a layer of LIF neurons, and two maps that keep what they got."""
    draw = np.random.default_rng(seed)
    ones = np.ones(SHAPE)
    nodes = {
        "events": nir.Input(np.array([2, *SHAPE[1:]])),
        "conv": convolution(draw, 3, 2, (1, 1, 1)),
        "lif": nir.LIF(0.03 * ones, ones, 0 * ones, ones, 0 * ones),
        "readout": convolution(draw, 2, 3, (1, 2, 2)),
        "map": nir.I(np.full((2, *SHAPE[1:]), 100.0)),
        "out": nir.Output(np.array([2, *SHAPE[1:]])),
    }
    return nir.NIRGraph(nodes, list(itertools.pairwise(nodes)))


class Ann(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Sequential(
            torch.nn.Conv2d(4, 7, 3, 1, 1), torch.nn.BatchNorm2d(7), torch.nn.ReLU()
        )
        self.last = torch.nn.Conv2d(7, 2, 1)

    def forward(self, x):
        return self.last(self.first(x))


def paired(**changes):
    torch.manual_seed(0)
    settings = {
        "layers": {"lif": "first"},
        "outputs": ["map"],
        "example": torch.zeros(1, 4, *SHAPE[1:]),
    } | changes
    mirror = Mirror(follower(), OPTIONS, free=("weights", "tau"), surrogate=Surrogate("atan"))
    return HandOver(Ann(), mirror, **settings)


def seen(batch, channels=4, seed=1):
    return torch.randn(batch, channels, *SHAPE[1:], generator=torch.Generator().manual_seed(seed))


def events(batch, ticks, seed=2):
    draw = np.random.default_rng(seed)
    return torch.from_numpy(draw.poisson(0.5, (batch, ticks, 2, *SHAPE[1:])).astype(np.float32))


def test_the_engine_from_the_states_that_the_ann_set_gives_what_the_mirror_gives():
    pair, x = paired().eval(), events(2, 12)
    with torch.no_grad():
        given, voltages = pair.states(seen(2))
        (maps,), _ = pair.mirror(x, pair.start(voltages))
    for k in range(2):
        engine = Engine(pair.mirror.to_nir(), dt=0.01, reset="subtract")
        engine.set_state({f"{name}.{what}": values[k].numpy() for (name, what), values in voltages.items()})
        np.testing.assert_array_equal(engine.run({"events": x[k].numpy()}), maps[k].numpy())
        assert not np.array_equal(
            Engine(pair.mirror.to_nir(), dt=0.01, reset="subtract").run(x[k].numpy()), maps[k]
        )
    # the output began at the ANN's own
    assert torch.equal(voltages["map", "voltage"], given[0])


def test_an_exported_file_gives_the_engine_the_same_states(tmp_path):
    """By ONNX Runtime, its outputs named after the populations that they set."""
    pytest.importorskip("onnxscript")
    from hybrid_control.ann.model import OnnxModel

    pair, x = paired().eval(), seen(1)
    pair.export(tmp_path / "ann.onnx", x)
    answers = OnnxModel(tmp_path / "ann.onnx")({"events": x[0].numpy()})
    with torch.no_grad():
        _, voltages = pair.states(x)
    assert set(answers) == {"map", "lif"}
    for (population, _), values in voltages.items():
        np.testing.assert_allclose(answers[population], values[0].numpy(), rtol=1e-4, atol=1e-5)


def test_each_output_of_an_ann_sets_its_population_and_what_sets_none_keeps_a_name_in_the_file(tmp_path):
    class Two(Ann):
        def forward(self, x):
            return super().forward(x), 2.0 * self.first(x)[:, :3]

    mirror = Mirror(follower(), OPTIONS)
    pair = HandOver(Two(), mirror, {}, ["map", "lif"], torch.zeros(1, 4, *SHAPE[1:])).eval()
    given, voltages = pair.states(seen(2))
    assert torch.equal(voltages["map", "voltage"], given[0])
    assert torch.equal(voltages["lif", "voltage"], given[1])
    pytest.importorskip("onnxscript")
    from hybrid_control.ann.model import OnnxModel

    for outputs, names in (
        (["map", "lif"], {"map", "lif"}),
        (["map"], {"map", "output0"}),
        ([], {"output0", "output1"}),
    ):
        pair = HandOver(Two(), mirror, {}, outputs, torch.zeros(1, 4, *SHAPE[1:]))
        pair.export(tmp_path / "two.onnx", seen(1))
        assert set(OnnxModel(tmp_path / "two.onnx")({"events": seen(1)[0].numpy()})) == names


def test_gradients_reach_snn_and_initialisers_and_the_ann_stays_as_it_was():
    pair = paired().train()
    before = {name: value.clone() for name, value in pair.ann.state_dict().items()}
    optimizer = torch.optim.Adam(pair.trained(), 1e-2)
    for step in range(3):
        _, voltages = pair.states(seen(4, seed=step))
        _, following = pair.states(seen(4, seed=step + 10))
        (maps,), end = pair.mirror(events(4, 8, step), pair.start(voltages))
        loss = maps.square().mean() + pair.consistency(end, following)
        optimizer.zero_grad()
        loss.backward()
        for parameter in pair.trained():
            assert torch.isfinite(parameter.grad).all()
        assert any(bool((p.grad != 0).any()) for p in pair.initialisers.parameters())
        optimizer.step()
    for name, value in pair.ann.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_consistency_is_the_mean_square_between_an_end_and_the_next_beginning():
    pair = paired().eval()
    with torch.no_grad():
        _, voltages = pair.states(seen(2))
        state = pair.start(voltages)
        moved = {tap: value + 0.5 for tap, value in voltages.items()}
        assert float(pair.consistency(state, moved)) == pytest.approx(0.25, rel=1e-5)
        assert float(pair.consistency(state, voltages)) == 0.0


def test_a_smaller_feature_is_spread_over_the_population_and_a_flat_one_over_all_of_it():
    class Coarse(Ann):
        def __init__(self):
            super().__init__()
            self.small = torch.nn.AvgPool2d(3, 3)
            self.flat = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())

        def forward(self, x):
            self.small(x), self.flat(x)
            return super().forward(x)

    for layer, places in (("small", 2), ("flat", 1)):
        mirror = Mirror(follower(), OPTIONS)
        pair = HandOver(Coarse(), mirror, {"lif": layer}, ["map"], torch.zeros(1, 4, *SHAPE[1:])).eval()
        _, voltages = pair.states(seen(2))
        values = voltages["lif", "voltage"].detach()
        assert values.shape == (2, *SHAPE)
        assert len(np.unique(values[0, 0].numpy())) == places


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": {"lif": "middle"}}, "no module 'middle'; it has ['first',"),
        ({"layers": {"nobody": "first"}}, "there is no node 'nobody'"),
        ({"outputs": ["map", "lif"]}, "the ANN has 1 outputs and cannot set ['map', 'lif']"),
        ({"outputs": ["lif"]}, "'lif' has the shape (3, 6, 5), the ANN gives (2, 6, 5)"),
    ],
)
def test_names_and_shapes_that_do_not_fit_are_refused_in_one_line(changes, words):
    with pytest.raises(ValueError) as error:
        paired(**changes)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_start_from_values_that_no_population_has_is_refused_in_one_line():
    mirror = Mirror(follower(), OPTIONS)
    for given, words in (
        ({("lif", "current"): torch.zeros(1, *SHAPE)}, "it has ['output', 'voltage']"),
        ({("lif", "output"): torch.zeros(1, *SHAPE)}, "follows from its variables"),
        ({("lif", "voltage"): torch.zeros(1, 3, 5, 6)}, "expected (1, 3, 6, 5)"),
    ):
        with pytest.raises(ValueError) as error:
            mirror.start(1, given)
        assert words in str(error.value)


@pytest.mark.parametrize("how", [(1, 1, 1), (2, 0, 1), ((2, 1), (1, 2), (1, 2))])
def test_gradients_of_a_convolution_are_torchs_own(how):
    """Through the mirror, whose forward pass adds up as the engine does, and through torch's convolution."""
    draw = np.random.default_rng(4)
    node = convolution(draw, 4, 2, how, (9, 8))
    probe = torch.nn.functional.conv2d(torch.zeros(1, 2, 9, 8), torch.from_numpy(node.weight), None, *how)
    nodes = {"in": nir.Input(np.array([2, 9, 8])), "c": node, "out": nir.Output(np.array(probe.shape[1:]))}
    graph = nir.NIRGraph(nodes, [("in", "c"), ("c", "out")])
    mirror = Mirror(graph, Options(dtype=np.float64))
    x = torch.from_numpy(draw.normal(0, 1, (3, 1, 2, 9, 8))).requires_grad_()
    (given,), _ = mirror(x)
    factor = torch.from_numpy(draw.normal(0, 1, given.shape))
    (given * factor).sum().backward()
    weight = torch.from_numpy(node.weight).double().requires_grad_()
    other = x.detach().clone().requires_grad_()
    wanted = torch.nn.functional.conv2d(other[:, 0], weight, torch.from_numpy(node.bias).double(), *how)
    (wanted * factor[:, 0]).sum().backward()
    torch.testing.assert_close(given[:, 0], wanted)
    torch.testing.assert_close(x.grad, other.grad)
    torch.testing.assert_close(mirror.numbers.leaves["c", "weight"].grad, weight.grad)


def test_an_initialiser_is_two_convolutions_of_a_place_with_norms():
    kinds = [type(layer).__name__ for layer in Initialiser(5, 3)]
    assert kinds == ["Conv2d", "BatchNorm2d", "LeakyReLU", "Conv2d", "BatchNorm2d"]

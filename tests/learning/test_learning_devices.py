"""The mirror elsewhere than on the CPU: torch's own sums give the engine's values, and nothing is left behind.

There is no GPU here: the sums are compared on the CPU, and torch's meta device, which has shapes and no numbers,
refuses to work on a tensor that lies elsewhere, as a GPU does.
"""

import nir
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from snn_networks import drive_of, networks, options  # noqa: E402
from test_learning_mirror import TICKS, windows  # noqa: E402

from hybrid_control.bench.hand_over.arm_task import Arm  # noqa: E402
from hybrid_control.bench.hand_over.drive_task import Drive  # noqa: E402
from hybrid_control.bench.hand_over.follower import pair  # noqa: E402
from hybrid_control.bench.hand_over.sequences import SIZE  # noqa: E402
from hybrid_control.bench.hand_over.task import VARIANTS, Window  # noqa: E402
from hybrid_control.learning import operations, propagation, tracing  # noqa: E402
from hybrid_control.learning.devices import device_of  # noqa: E402
from hybrid_control.learning.losses import Loss  # noqa: E402
from hybrid_control.learning.mirror import Mirror  # noqa: E402
from hybrid_control.learning.parameters import GROUPS  # noqa: E402
from hybrid_control.learning.training import Settings, Task, fit  # noqa: E402
from hybrid_control.snn import Options  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore:node")]

few = settings(max_examples=30, deadline=None)
META = torch.device("meta")


@pytest.fixture
def as_elsewhere(monkeypatch):
    """Everything runs as it would on a GPU, on the CPU."""

    def on():
        for module in (propagation, operations, tracing):
            monkeypatch.setattr(module, "compiled_for", lambda x: False)

    return on


def in_batches(x):
    return {name: torch.from_numpy(np.asarray(values)[None]) for name, values in x.items()}


def gradients(mirror, x):
    given, _ = mirror(x)
    sum((values**2).sum() for values in given).backward()
    return [values.detach() for values in given], [leaf.grad for _, leaf in mirror.numbers.named()]


def test_sums_of_torch_give_values_and_gradients_of_the_compiled_ones(as_elsewhere):
    rng = np.random.default_rng(0)
    x = {"in": rng.poisson(0.5, (TICKS, 3, 8, 9)) * 1.0, "wave": rng.normal(0, 1, (TICKS, 2, 7))}
    both = []
    for _ in range(2):
        mirror = Mirror(windows(), Options(dtype=np.float64), free=GROUPS)
        both.append(gradients(mirror, in_batches(x)))
        as_elsewhere()
    for here, there in zip(both[0], both[1], strict=True):
        assert len(here) == len(there) > 0
        for a, b in zip(here, there, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                torch.testing.assert_close(b, a, rtol=1e-9, atol=1e-9)


def meta_of(mirror, x):
    """What a mirror gives on the meta device, and a gradient that has come all the way to its initial states."""
    mirror.to(META)
    state = mirror.start(1)
    for name, values in list(state.variables.items()):
        state.variables[name] = tuple(v.detach().clone().requires_grad_() for v in values)
    first = [v for values in state.variables.values() for v in values]
    given, _ = mirror({name: values.to(META) for name, values in x.items()}, state)
    loss = sum((values**2).sum() for values in given)
    if loss.requires_grad and first:
        torch.autograd.grad(loss, first, allow_unused=True)
    return given


@few
@given(networks(), options)
def test_nothing_of_a_network_is_left_on_the_cpu(net, chosen):
    mirror = Mirror(net, Options(**chosen), free=GROUPS)
    x = in_batches(drive_of(net, 3))
    shapes = [tuple(values.shape) for values in mirror(x)[0]]
    given = meta_of(mirror, x)
    assert all(values.device == META for values in given)
    assert [tuple(values.shape) for values in given] == shapes
    assert all(leaf.device.type == "cpu" for leaf in mirror.parameters())


def test_nothing_of_convolutions_pooling_and_thresholds_is_left_on_the_cpu():
    x = {"in": torch.zeros(1, 2, 3, 8, 9), "wave": torch.zeros(1, 2, 2, 7)}
    assert all(values.device == META for values in meta_of(Mirror(windows(), free=GROUPS), x))


@pytest.mark.parametrize("name", ["cross_entropy", "mse_rate", "mse_voltage", "van_rossum"])
def test_nothing_of_a_loss_is_left_on_the_cpu(name):
    given = torch.zeros(2, 5, 3, device=META)
    wanted = {"cross_entropy": torch.zeros(2, dtype=torch.long), "mse_rate": torch.zeros(2, 3)}
    loss = Loss(name)(given, wanted.get(name, torch.zeros(2, 5, 3)).to(META), 1e-3)
    assert loss.device == META


@pytest.mark.parametrize("task", [Arm(), Drive()])
@pytest.mark.parametrize("name", VARIANTS)
def test_nothing_of_what_is_handed_over_is_left_on_the_cpu(task, name):
    window = Window(4, 5, 2, 0.05)
    whole = pair(task, task.ann(window.bins), window, VARIANTS[name], 0).to(META).train()
    events = torch.zeros(2, window.ticks, 2, SIZE, SIZE, device=META)
    state, at = whole.begin(window.seen(events))
    found, state = whole(events, state, at)
    assert found.device == META
    assert task.distance(found, found).device == META
    seconds = torch.zeros(1, device=META)
    assert task.carried(at, at, seconds).device == META
    if VARIANTS[name].initialised:
        assert whole.both.consistency(state, whole.both.states(window.seen(events))[1]).device == META


@pytest.mark.parametrize("task", [Arm(), Drive()])
def test_nothing_of_an_anns_training_or_of_the_gru_is_left_on_the_cpu(task):
    network, gru = task.ann(2).to(META), task.gru().to(META)
    truth = task.unknown(2).to(META)
    given = network(torch.zeros(2, 2, 2, SIZE, SIZE, device=META))
    assert task.ann_loss(given, truth, truth).device == META
    assert gru(torch.zeros(2, 3, 2, SIZE, SIZE, device=META), *task.known(given)).device == META


def test_a_training_on_torchs_own_sums_learns_as_on_the_compiled_ones(as_elsewhere):
    rng = np.random.default_rng(1)
    nodes = {
        "in": nir.Input(np.array([6])),
        "w": nir.Affine(rng.normal(0, 1.0, (3, 6)), np.zeros(3)),
        "lif": nir.LIF(*(np.full(3, v) for v in (5e-3, 1.0, 0.0, 1.0)), np.zeros(3)),
        "out": nir.Output(np.array([3])),
    }
    graph = nir.NIRGraph(nodes, [("in", "w"), ("w", "lif"), ("lif", "out")])

    def drawn(epoch, generator):
        wanted = torch.arange(12) % 3
        own = torch.arange(6) // 2 == wanted[:, None, None]
        yield {"in": (torch.rand(12, 20, 6, generator=generator) < 0.1 + 0.5 * own).float()}, wanted

    losses = []
    for _ in range(2):
        mirror = Mirror(graph, Options(dtype=np.float64))
        rows = fit(Task(mirror, drawn, Loss("cross_entropy")), Settings(epochs=20, rate=0.05))
        losses.append([row["loss"] for row in rows])
        as_elsewhere()
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    assert losses[0][-1] < 0.5 * losses[0][0]


@pytest.mark.parametrize("name", ["nonsense", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_in_one_line(name):
    with pytest.raises(ValueError, match=f"device '{name}': torch has none such here.*; cpu always works"):
        device_of(name)


def test_auto_is_a_gpu_where_there_is_one():
    assert device_of("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")

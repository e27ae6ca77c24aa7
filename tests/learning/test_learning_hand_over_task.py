"""The arm task: where a heat map says that a joint is, what is turned, weights that let it fire, what is measured."""

import itertools

import nir
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hybrid_control.bench.hand_over import arm, measure  # noqa: E402
from hybrid_control.bench.hand_over import arm_networks as models  # noqa: E402
from hybrid_control.bench.hand_over.arm_task import LINKS, PACES, Arm  # noqa: E402
from hybrid_control.bench.hand_over.follower import pair  # noqa: E402
from hybrid_control.bench.hand_over.sequences import SIZE, Sequences  # noqa: E402
from hybrid_control.bench.hand_over.task import STEPS, VARIANTS, Window  # noqa: E402
from hybrid_control.learning.initial_weights import scale_to_rate  # noqa: E402
from hybrid_control.learning.mirror import Mirror  # noqa: E402
from hybrid_control.snn import Options  # noqa: E402

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore:node")]

TASK, WINDOW = Arm(), Window(4, 5, 2, 0.05)


@pytest.fixture(scope="module")
def data():
    return Sequences.of(arm.sequence(LINKS, STEPS, PACES["10x10"], seed) for seed in range(3))


def test_hand_over_a_heat_map_that_stands_at_one_cell_is_its_middle_and_one_of_two_cells_between_them():
    maps = torch.full((1, 1, models.CELLS, models.CELLS), -1e4)
    maps[0, 0, 2, 5] = 0.0
    size = SIZE / models.CELLS  # a cell's middle in pixels, whose own middles are whole numbers
    assert models.places(maps)[0, 0].tolist() == pytest.approx([5.5 * size - 0.5, 2.5 * size - 0.5])
    maps[0, 0, 2, 6] = np.log(3.0)
    assert models.places(maps)[0, 0].tolist() == pytest.approx([6.25 * size - 0.5, 2.5 * size - 0.5])


def test_hand_over_a_joint_goes_on_with_the_flow_around_it_and_a_share_of_the_way_to_its_heat_map():
    tracker = models.Tracker(0.01, 0.25)
    at = torch.tensor([[[20.0, 30.0]]])
    maps = torch.full((1, 1, models.CELLS, models.CELLS), -1e4)
    maps[..., 5, 9] = 0.0  # x of 37.5 px, y of 21.5
    flow = torch.zeros(1, 2, models.CELLS, models.CELLS)
    flow[:, 0], flow[:, 1] = 3.0, -1.0  # 300 px/s to the right, 100 up: 3 px and 1 in a tick
    found = tracker([flow, torch.zeros_like(flow), maps], at)[0, 0].tolist()
    assert found == pytest.approx([23.0 + 0.25 * (37.5 - 23.0), 29.0 + 0.25 * (21.5 - 29.0)])
    # a flow far away is another joint's
    flow[:, 0, :, 11:] = 100.0
    assert tracker([flow, torch.zeros_like(flow), maps], at)[0, 0].tolist() == pytest.approx(found, abs=0.05)


def test_hand_over_the_snn_is_told_where_a_joint_is_by_a_bell_around_it_that_ends():
    centre = 5 * SIZE / models.CELLS + 1.5  # px, of the sixth cell
    told = models.around(torch.tensor([[centre, centre + models.NEAR]]))[0]
    assert told[5, 5] == pytest.approx(np.exp(-0.5))
    at = np.unravel_index(int(told.argmax()), told.shape)
    assert at == (6, 5)  # rows go by y, 3 px further: nearer to the next row's middle, 4 px further
    assert told[6, 5] == pytest.approx(np.exp(-0.5 * (1.0 / models.NEAR) ** 2))
    assert told[told > 0].min() >= models.LEAST
    assert (told > 0).sum() < 40


def test_hand_over_velocities_are_those_around_the_joint():
    flow = torch.zeros(2, models.CELLS, models.CELLS)
    flow[0], flow[1] = 1.5, -0.5
    assert models.velocity(flow, torch.tensor([[30.0, 40.0]]))[0].tolist() == pytest.approx([150.0, -50.0])


def test_hand_over_events_that_are_turned_stay_where_the_joint_is():
    """An event at a joint's pixel is at the joint's pixel however it is turned, in all eight ways."""
    events, joints = torch.zeros(1, 1, 2, SIZE, SIZE), torch.tensor([[[[10.0, 50.0]]]])
    events[0, 0, 1, 50, 10] = 1.0
    places = set()
    for seed in range(40):
        e, j = TASK.turned(events, joints, np.random.default_rng(seed))
        x, y = (int(v) for v in j[0, 0, 0])
        assert e[0, 0, 1, y, x] == 1.0
        assert e.sum() == 1.0
        places.add((x, y))
    assert len(places) == 8


def test_hand_over_bins_of_the_ann_add_up_to_the_ticks():
    ticks = torch.arange(8.0).reshape(1, 8, 1, 1, 1)
    assert Window(8, 1, 2, 0.1).seen(ticks).flatten().tolist() == [6.0, 22.0]


def test_hand_over_weights_are_scaled_until_each_layer_fires(data):
    both = pair(TASK, models.Finder(WINDOW.bins, LINKS), WINDOW, VARIANTS["hybrid"], 0).both
    x = torch.from_numpy(data.bins(np.arange(3), np.full(3, 100), 8, WINDOW.per_tick))
    x = {"events": x, "joints": torch.zeros(*x.shape[:2], LINKS, models.CELLS, models.CELLS)}
    reached = scale_to_rate(both.mirror, x, models.SPIKING.projections, 0.05)
    assert list(reached) == [*models.SPIKING.projections]
    for population, rate in reached.items():
        with torch.no_grad():
            (spikes,), _ = both.mirror(x, None, [(population, "output")])
        assert rate == pytest.approx(0.05, abs=0.015), population
        if (
            population == "lif4"
        ):  # of those before it the rates were reached before what comes back was scaled
            assert float(spikes.mean()) == pytest.approx(rate, abs=1e-6)


def test_hand_over_scaling_refuses_what_cannot_be_in_one_line():
    draw = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([3])),
        "w": nir.Linear(draw.normal(0, 1, (4, 3))),
        "n": nir.LIF(*(np.full(4, v) for v in (0.02, 1.0, 0.0, 1.0)), np.zeros(4)),
        "out": nir.Output(np.array([4])),
    }
    graph = nir.NIRGraph(nodes, list(itertools.pairwise(nodes)))
    x = torch.ones(1, 5, 3)
    with pytest.raises(ValueError, match="must lie between 0 and 1"):
        scale_to_rate(Mirror(graph, Options()), x, {"n": ["w"]}, 1.5)
    with pytest.raises(ValueError, match="weights of 'w' are not free"):
        scale_to_rate(Mirror(graph, Options(), free=("tau",)), x, {"n": ["w"]}, 0.1)


def test_hand_over_variants_are_measured_as_they_are_meant(data, monkeypatch):
    """The ANN held stands still within a window; a hybrid that hears nothing after the first is as one that is carried
    on; one that hears a whole window late begins it with what was known a window before."""
    monkeypatch.setattr(measure, "TESTED", 3)
    monkeypatch.setattr(measure, "AT_ONCE", 2)
    monkeypatch.setattr(measure, "COUNTED", 2)
    torch.manual_seed(0)
    network = models.Finder(WINDOW.bins, LINKS).eval()
    ticks = measure.Ticks(TASK, data, WINDOW)
    assert ticks.starts[:2] == [8, 12]
    errors = measure.of_ann(network, ticks)
    shape = (3, len(ticks.starts), WINDOW.ticks, LINKS)
    assert {name: e.shape for name, e in errors.items()} == dict.fromkeys(errors, shape)
    with torch.no_grad():
        at = models.places(network(ticks.before(12, slice(0, 3)))[0])
        now = models.places(network(ticks.before(14, slice(0, 3)))[0])
    held = TASK.distance(at[:, None], ticks.truth[:, 12:16])
    np.testing.assert_allclose(errors["ann_held"][:, 1], held, rtol=1e-4, atol=1e-3)
    every = TASK.distance(now, ticks.truth[:, 13])
    np.testing.assert_allclose(errors["ann_every_tick"][:, 1, 1], every, rtol=1e-4, atol=1e-3)
    whole = pair(TASK, network, WINDOW, VARIANTS["hybrid"], 0).eval()
    right, silent = measure.of_snn(whole, ticks), measure.of_snn(whole, ticks, dropped=1.0)
    np.testing.assert_array_equal(right[:, 0], silent[:, 0])
    assert not np.array_equal(right[:, 1], silent[:, 1])
    some = measure.of_snn(whole, ticks, dropped=0.3)[:, 1]
    heard = [np.abs(some[k] - right[k, 1]).max() < 1e-3 for k in range(3)]
    assert sorted(set(heard)) == [False, True]  # drawn for each sequence
    np.testing.assert_allclose(some[~np.array(heard)], silent[~np.array(heard), 1], atol=1e-3)
    late = measure.of_snn(whole, ticks, late=2)
    np.testing.assert_array_equal(late[:, 0], right[:, 0])
    assert not np.array_equal(late[:, 1], right[:, 1])
    cost = measure.costs(whole, ticks)
    first = 24 * (SIZE // 2) ** 2 * 2 * WINDOW.bins * 9  # of the ANN's first convolution alone
    assert cost["ann_macs"] > first
    neurons = 8 * (SIZE // 2) ** 2 + models.CELLS**2 * (3 * 16 + 5 * LINKS)
    assert cost["snn_updates"] == pytest.approx(WINDOW.ticks * neurons)
    energy = measure.energies(cost | {"snn_macs": 0.0, "snn_acs": 0.0, "initialiser_macs": 0.0}, 10)
    assert energy["hybrid"] == pytest.approx(energy["ann"] / 10)


def test_hand_over_half_an_interval_is_students():
    assert measure.interval([1.0, 2.0, 3.0]) == (2.0, pytest.approx(4.303 / 3**0.5))

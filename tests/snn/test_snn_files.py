"""Reading and writing NIR files, and everything that has to be refused."""

import io
from functools import cache
from itertools import pairwise

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.snn import AdaptiveLIF, Engine, GraphError, Izhikevich, Network, SparseLinear
from hybrid_control.snn.network import random_sparse, same_graph
from hybrid_control.snn.nir import files as nir_files


def lif(n=3, **changed):
    values = {"tau": 0.01, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **changed}
    return nir.LIF(**{k: np.full(n, v) if np.ndim(v) == 0 else np.asarray(v) for k, v in values.items()})


def graph(nodes, edges):
    return nir.NIRGraph(nodes, edges, type_check=False)


def chain(*middle, shape_in=3, shape_out=3):
    """Input, the given nodes one after another, Output."""
    nodes = {"x": nir.Input(np.atleast_1d(shape_in))}
    nodes |= {f"n{i}": node for i, node in enumerate(middle)}
    nodes["y"] = nir.Output(np.atleast_1d(shape_out))
    names = list(nodes)
    return graph(nodes, list(pairwise(names)))


def every_node():
    """A graph with each NIR type."""
    rng = np.random.default_rng(0)
    one = np.ones(4)
    flat = graph({"in": nir.Input(np.array([4])), "s": nir.Scale(one * 2), "out": nir.Output(np.array([4]))},
                 [("in", "s"), ("s", "out")])  # fmt: skip
    return chain(
        nir.Conv2d((6, 6), rng.normal(size=(2, 1, 3, 3)), 1, 1, 1, 1, np.zeros(2)),
        nir.IF(np.full((2, 6, 6), 300.0), np.ones((2, 6, 6))),
        nir.SumPool2d(np.array([3, 3]), np.array([3, 3]), np.array([0, 0])),
        nir.AvgPool2d(np.array([2, 1]), np.array([1, 1]), np.array([0, 0])),
        nir.Flatten(np.array([2, 1, 2]), 0, -1),
        nir.I(np.ones(4)),
        nir.LI(one * 0.01, one, one * 0),
        nir.Affine(rng.normal(size=(4, 4)), one * 3),
        lif(4),
        nir.Delay(one * 2e-3),
        nir.Linear(rng.uniform(1, 3, (4, 4))),
        nir.CubaLIF(one * 0.005, one * 0.01, one * 5, one * 0, one, one * 0, one * 2),
        nir.CubaLI(one * 0.005, one * 0.01, one, one * 0),
        nir.Threshold(one * 0.01),
        flat,
        nir.Flatten(np.array([4]), 0, 0),
        shape_in=(1, 6, 6),
        shape_out=4,
    )


def test_a_file_written_here_is_what_the_nir_package_reads_and_the_other_way_round(tmp_path):
    made = every_node()
    made.nodes["conv1"] = nir.Conv1d(5, np.ones((2, 3, 2)), 1, 0, 1, 1, np.zeros(2))
    made.nodes["z"] = nir.Input(np.array([3, 5]))
    made.nodes["w"] = nir.Output(np.array([2, 4]))
    made.edges += [("z", "conv1"), ("conv1", "w")]
    nir_files.write(tmp_path / "ours.nir", made)
    nir.write(tmp_path / "theirs.nir", made)
    theirs = nir.read(tmp_path / "ours.nir", type_check=False)
    assert same_graph(nir_files.read(tmp_path / "theirs.nir"), nir_files.read(tmp_path / "ours.nir"))
    assert theirs.nodes.keys() == made.nodes.keys()
    assert sorted(theirs.edges) == sorted(made.edges)
    np.testing.assert_array_equal(theirs.nodes["n10"].weight, made.nodes["n10"].weight)
    x = {"x": np.random.default_rng(1).uniform(0, 2, (30, 1, 6, 6)), "z": np.zeros((30, 3, 5))}
    first, second = Engine(made).run(x), Engine(nir_files.read(tmp_path / "theirs.nir")).run(x)
    np.testing.assert_array_equal(first["y"], second["y"])
    assert first["y"].any()


def test_nodes_beyond_nir_come_back_and_other_readers_refuse_them(tmp_path):
    net = Network()
    net.add_input("x", 4)
    net.add_population("a", AdaptiveLIF, 4, tau=0.01, beta=0.2, refractory=2e-3)
    net.add_population("i", Izhikevich, 2, substeps=4)
    net.connect("x", "a", random_sparse(0.5, 1.0, seed=1))
    net.connect("a", "i", np.ones((2, 4)), delay=np.full((2, 4), 3e-3))
    net.metadata["made by"] = "a test"
    net.save(tmp_path / "net.nir")
    back = Network.load(tmp_path / "net.nir")
    assert back == net
    assert isinstance(back.nodes["a_i"], SparseLinear)
    assert back.metadata["made by"] == "a test"
    with pytest.raises(AssertionError):
        nir.read(tmp_path / "net.nir")


def test_networks_differ_when_a_weight_an_edge_or_a_parameter_does():
    def make(weight=1.0, tau=0.01, edge=True):
        net = Network()
        net.add_input("x", 2)
        net.add_population("n", nir.LIF, 2, tau=tau)
        net.add("s", nir.Scale(np.array([weight, 1.0])))
        net.edge("x", "s")
        if edge:
            net.edge("s", "n")
        return net

    assert make() == make()
    assert make() != make(weight=np.nextafter(1.0, 2.0))
    assert make() != make(tau=0.02)
    assert make() != make(edge=False)


def test_parameters_without_a_dimension_in_a_file_spread_over_the_others(tmp_path):
    nir_files.write(tmp_path / "a.nir", chain(lif(3)))
    with h5py.File(tmp_path / "a.nir", "a") as file:
        del file["node/nodes/n0/tau"], file["node/nodes/n0/v_reset"]
        file["node/nodes/n0/tau"] = 0.02
    node = nir_files.read(tmp_path / "a.nir").nodes["n0"]
    assert node.tau.tolist() == [0.02] * 3
    assert node.v_reset.tolist() == [0.0] * 3


BAD = {
    "an edge to a missing node": (graph({"x": nir.Input(np.array([1]))}, [("x", "q")]), r"\('x', 'q'\) names 'q'"),
    "an edge given twice": (
        graph({"x": nir.Input(np.array([1])), "s": nir.Scale(np.ones(1))}, [("x", "s")] * 2),
        "given twice",
    ),
    "shapes that differ": (
        chain(nir.Linear(np.ones((3, 4)))),
        r"node 'x' gives shape \(3,\), but node 'n0' takes shape \(4,\)",
    ),
    "sizes of populations that differ": (
        chain(lif(2)),
        r"node 'x' gives shape \(3,\), but node 'n0' takes shape \(2,\)",
    ),
    "NaN weights": (chain(nir.Linear(np.full((3, 3), np.nan))), "'n0': weight holds NaN"),
    "infinite weights": (chain(nir.Scale(np.array([1, np.inf, 1]))), "'n0': scale holds infinity"),
    "a negative time constant": (chain(lif(tau=-0.01)), "'n0': tau must be positive, but holds -0.01 s"),
    "a time constant of zero": (chain(lif(tau=[0.01, 0.0, 0.01])), "'n0': tau must be positive"),
    "a negative delay": (chain(nir.Delay(np.full(3, -1e-3))), "'n0': delay must not be negative"),
    "a weight that is no matrix": (chain(nir.Scale(np.ones(3)), nir.Delay(np.array([]))), "'n1': delay is empty"),
    "a bias that does not fit": (chain(nir.Affine(np.ones((3, 3)), np.ones(2))), r"bias of shape \(2,\)"),
    "a kernel larger than its input": (
        chain(nir.Conv1d(None, np.ones((1, 1, 9)), 1, 0, 1, 1, np.zeros(1)), shape_in=(1, 3)),
        "does not fit into an input",
    ),
    "padding 'same' with a stride": (
        chain(nir.Conv1d(None, np.ones((1, 1, 2)), 2, "same", 1, 1, np.zeros(1)), shape_in=(1, 3)),
        "padding 'same' needs stride 1",
    ),
    "groups that do not divide": (
        chain(nir.Conv1d(None, np.ones((3, 1, 2)), 1, 0, 1, 2, np.zeros(3)), shape_in=(2, 3)),
        "not a multiple of 2 groups",
    ),
    "an input shape of a convolution that is not what comes": (
        chain(nir.Conv1d(5, np.ones((1, 1, 2)), 1, 0, 1, 1, np.zeros(1)), shape_in=(1, 3)),
        r"node 'x' gives shape \(1, 3\), but node 'n0' takes shape \(1, 5\)",
    ),
    "groups that are no whole number": (
        chain(nir.Conv1d(None, np.ones((2, 1, 2)), 1, 0, 1, 1.5, np.zeros(2)), shape_in=(1, 3)),
        "'n0': groups 1.5 must be",
    ),
    "a complex padding": (
        chain(nir.Conv1d(None, np.ones((2, 1, 2)), 1, np.array(1 + 2j), 1, 1, np.zeros(2)), shape_in=(1, 3)),
        "'n0': padding .* must be",
    ),
    "two strides along one dimension": (
        chain(nir.Conv1d(None, np.ones((2, 1, 2)), (1, 2), 0, 1, 1, np.zeros(2)), shape_in=(1, 3)),
        r"'n0': stride \(1, 2\) must be one whole number",
    ),
    "a dimension to flatten that is no whole number": (chain(nir.Flatten(None, 0.5, 0)), "start_dim 0.5"),
    "a pool on a line": (chain(nir.SumPool2d(*np.ones((3, 2), int))), r"needs \(channels"),
    "dimensions to flatten that are not there": (chain(nir.Flatten(None, 1, 2)), "dimensions 1 to 2"),
    "a graph of nothing": (graph({}, []), "no nodes"),
    "a node whose input shape nobody knows": (graph({"f": nir.Flatten(None)}, []), "'f': nothing leads to it"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_run_is_refused_in_one_line_that_names_it(case):
    bad, message = BAD[case]
    with pytest.raises(GraphError, match=message) as error:
        Engine(bad)
    assert "\n" not in str(error.value)


def test_a_type_that_is_not_known_is_refused(tmp_path):
    class Dream(nir.Scale):
        pass

    with pytest.raises(GraphError, match="'n0': unknown node type 'Dream'"):
        Engine(chain(Dream(np.ones(3))))
    nir_files.write(tmp_path / "a.nir", chain(lif()))
    with h5py.File(tmp_path / "a.nir", "a") as file:
        del file["node/nodes/n0/type"]
        file["node/nodes/n0/type"] = "Hodgkin"
    with pytest.raises(GraphError, match="'n0': unknown node type 'Hodgkin'"):
        nir_files.read(tmp_path / "a.nir")


@pytest.mark.parametrize(
    "path", ["node/nodes/n0/tau", "node/nodes/n0/type", "node/edges", "node/nodes", "node"]
)
def test_a_file_with_a_part_missing_is_refused(tmp_path, path):
    nir_files.write(tmp_path / "a.nir", chain(lif()))
    with h5py.File(tmp_path / "a.nir", "a") as file:
        del file[path]
    with pytest.raises(GraphError):
        nir_files.read(tmp_path / "a.nir")


def test_files_that_are_not_nir_are_refused_by_name(tmp_path):
    (tmp_path / "text.nir").write_text("no network")
    with pytest.raises(GraphError, match=r"text\.nir: not a NIR file"):
        nir_files.read(tmp_path / "text.nir")
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["a"] = 1
    with pytest.raises(GraphError, match=r"other\.nir: not a NIR file"):
        nir_files.read(tmp_path / "other.nir")
    with pytest.raises(OSError, match=r"missing\.nir"):
        nir_files.read(tmp_path / "missing.nir")


junk = st.one_of(
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.text(max_size=8).filter(lambda text: "\0" not in text),
    st.booleans(),
    st.lists(st.floats(), max_size=4).map(np.array),
    st.lists(st.integers(-3, 5), max_size=4).map(np.array),
    st.sampled_from(
        [np.zeros((2, 2, 2)), np.zeros((0, 3)), np.array([b"x"]), np.array([1 + 2j]), {"a": 1}, {}]
    ),
)


@cache
def every_node_stored():
    """A file with every type of node, as bytes, and the places in it."""
    made, places = io.BytesIO(), []
    with h5py.File(made, "w") as file:
        nir_files.write_tree(file, every_node())
        file["node"].visit(places.append)
    return made.getvalue(), places


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_file_with_anything_in_place_of_a_value_is_refused_or_run(data):
    """(Damage to the bytes of HDF5's own structure is another matter: the HDF5 library may hang on it.)"""
    stored, places = every_node_stored()
    with h5py.File(io.BytesIO(stored), "r+") as file:
        place = data.draw(st.sampled_from(places))
        del file["node"][place]
        value = data.draw(junk | st.none())
        if isinstance(value, dict):
            group = file["node"].create_group(place)
            for key, inner in value.items():
                group[key] = inner
        elif value is not None:
            file["node"][place] = value
        try:
            engine = Engine(nir_files.read_tree(file))
        except ValueError as error:
            assert "\n" not in str(error), str(error)  # noqa: PT017
            return
    engine.run(2)


def test_a_file_cut_short_is_refused(tmp_path):
    nir_files.write(tmp_path / "good.nir", chain(lif(), nir.Linear(np.ones((3, 3)))))
    content = (tmp_path / "good.nir").read_bytes()
    for size in range(0, len(content) - 1, 997):  # `make fuzz-files` has many more
        (tmp_path / "a.nir").write_bytes(content[:size])
        with pytest.raises((ValueError, OSError)):
            nir_files.read(tmp_path / "a.nir")


def test_names_that_a_file_cannot_hold_are_refused(tmp_path):
    net = Network()
    with pytest.raises(ValueError, match="'a/b'"):
        net.add_input("a/b", 1)
    with pytest.raises(GraphError, match="'a/b'"):
        nir_files.write(tmp_path / "a.nir", graph({"a/b": nir.Input(np.array([1]))}, []))


def test_a_nested_graph_with_two_inputs_cannot_be_an_edges_target():
    two = graph(
        {"a": nir.Input(np.array([3])), "b": nir.Input(np.array([3])), "o": nir.Output(np.array([3]))},
        [("a", "o")],
    )
    with pytest.raises(GraphError, match="nested graph 'n0' has 2 inputs"):
        Engine(chain(two))


def test_a_tick_longer_than_a_time_constant_warns_under_euler_only():
    with pytest.warns(UserWarning, match="'n0': dt 0.02 s is larger than tau 0.01 s"):
        Engine(chain(lif()), dt=0.02)
    Engine(chain(lif()), dt=0.02, scheme="exponential")


@pytest.mark.parametrize(
    "options",
    [{"dt": 0}, {"dt": float("nan")}, {"dtype": np.int32}, {"scheme": "rk4"}, {"reset": "none"}, {"order": "x"},
     {"if_step": "two"}, {"initial": "rest"}, {"recurrent_delay": 0}, {"recurrent_delay": 1.5}],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Engine(chain(lif()), **options)


def test_builder_errors_name_what_was_wrong():
    net = Network()
    net.add_input("x", 3)
    net.add_population("n", nir.LIF, 2, tau=0.01)
    with pytest.raises(ValueError, match=r"weights of shape \(3, 2\).*\(2, 3\)"):
        net.connect("x", "n", np.ones((3, 2)))
    with pytest.raises(ValueError, match="no node 'm'"):
        net.connect("x", "m", np.ones((3, 2)))
    with pytest.raises(ValueError, match="already"):
        net.add_input("x", 3)
    with pytest.raises(ValueError, match="tau must be given"):
        net.add_population("o", nir.LIF, 2)
    with pytest.raises(ValueError, match="no parameter \\['tua'\\]"):
        net.add_population("o", nir.LIF, 2, tua=1.0)
    with pytest.raises(ValueError, match=r"r of shape \(3,\) does not fit \(2,\)"):
        net.add_population("o", nir.LIF, 2, tau=0.01, r=np.ones(3))


def test_a_file_of_a_few_bytes_that_asks_for_gigabytes_is_refused_at_once(tmp_path):
    huge = 1_000_000_000
    graphs = {
        "values in all": graph({"n0": nir.Input(np.array([huge])), "n1": nir.Scale(np.ones(1))}, [("n0", "n1")]),
        "state of more than": chain(*(nir.Delay(np.full(2, 1e5)) for _ in range(3)), shape_in=2, shape_out=2),
    }
    for why, made in graphs.items():
        nir_files.write(tmp_path / "a.nir", made)
        assert (tmp_path / "a.nir").stat().st_size < 200_000
        with pytest.raises(GraphError, match=why) as refusal:
            Engine(nir_files.read(tmp_path / "a.nir"))
        assert "\n" not in str(refusal.value)

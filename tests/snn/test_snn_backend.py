"""What every back end does: the engine, and a plain one in Python that shows what another simulator has to bring."""

import subprocess
import sys

import nir
import numpy as np
import pytest

from hybrid_control.snn import Backend, Engine, GraphError, Network, Options
from hybrid_control.snn.energy import Counters


class Plain(Backend):
    """Inputs, Linear and LIF under Euler, reset to a value, no cycles: node by node in double precision."""

    def __init__(self, graph, options):
        super().__init__(graph, options)
        if any(type(n.nir) not in (nir.Input, nir.Output, nir.Linear, nir.LIF) for n in self.graph.nodes.values()):
            raise GraphError("a node that Plain cannot run")
        self.ticks, self.values, self.held = 0, {}, {}
        self.reset()

    @classmethod
    def load(cls, graph, options):
        return cls(graph, options)

    def reset(self):
        nodes = self.graph.nodes
        self.ticks, self.values = 0, {n: np.zeros(node.shape_out) for n, node in nodes.items()}
        self.held = {n: np.array(node.nir.v_leak) for n, node in nodes.items() if isinstance(node.nir, nir.LIF)}
        self.fired = dict.fromkeys(self.held, 0)

    def read(self, name, what="output"):
        return self.held[name] if what == "voltage" else self.values[name]

    def state(self):
        return {f"{name}.voltage": v.copy() for name, v in self.held.items()} | {"tick": np.array(self.ticks)}

    def set_state(self, state):
        for name, values in state.items():
            if name == "tick":
                self.ticks = int(values)
            elif name.removesuffix(".voltage") not in self.held:
                raise ValueError(f"there is no state {name!r}")
            else:
                self.held[name.removesuffix(".voltage")] = np.array(values)

    @property
    def counters(self):
        return Counters(self.ticks, self.ticks * self.options.dt, self.fired, {}, {}, {})

    def step(self, x=None):
        flat = self.flat(x)
        if not np.isfinite(flat).all():
            raise ValueError("input holds NaN or infinity")
        waiting, ended = sorted(self.graph.nodes), 0
        for name in self.input_names:
            end = ended + self.graph.nodes[name].size_out
            self.values[name], ended = flat[ended:end].reshape(self.graph.nodes[name].shape_out), end
            waiting.remove(name)
        while waiting:
            name = next(n for n in waiting if not any(b == n and a in waiting for a, b in self.graph.edges))
            node = self.graph.nodes[name]
            taken = sum(self.values[a] for a, b in self.graph.edges if b == name)
            self.values[name] = self._give(name, node.nir, taken)
            waiting.remove(name)
        self.ticks += 1
        given = {name: self.values[name] for name in self.output_names}
        return given if len(given) > 1 else next(iter(given.values()))

    def _give(self, name, node, x):
        if isinstance(node, nir.Linear):
            return node.weight @ x
        if isinstance(node, nir.LIF):
            v = self.held[name] + self.options.dt / node.tau * (node.v_leak + node.r * x - self.held[name])
            fired = v > node.v_threshold
            self.held[name] = np.where(fired, node.v_reset, v)
            self.fired[name] += int(fired.sum())
            return fired.astype(float)
        return x


def layered():
    rng = np.random.default_rng(0)
    net = Network()
    net.add_input("x", 5)
    net.add_population("a", nir.LIF, 20, tau=10e-3, r=10.0)
    net.add_population("b", nir.LIF, 4, tau=20e-3, r=20.0, v_leak=0.1, v_reset=-0.2)
    net.connect("x", "a", rng.normal(0.5, 0.5, (20, 5)))
    net.connect("a", "b", rng.normal(0.05, 0.2, (4, 20)))
    net.add_output("y", "b")
    return net


every = pytest.mark.parametrize("kind", [Engine, Plain])
OPTIONS = Options(dtype=np.float64)
X = np.random.default_rng(1).poisson(0.4, (60, 5)).astype(float)


@every
def test_many_ticks_are_as_many_single_ones(kind):
    many, single = kind.load(layered(), OPTIONS), kind.load(layered(), OPTIONS)
    got = many.run(X, record=("a", "b"))
    for t, x in enumerate(X):
        np.testing.assert_array_equal(single.step(x), got["output"][t])
        np.testing.assert_array_equal(single.spikes("a"), got["a"]["spikes"][t])
        np.testing.assert_array_equal(single.voltage("b"), got["b"]["voltage"][t])
    assert many.counters.ticks == 60
    assert many.counters.spikes["a"] == got["a"]["spikes"].sum() > 20


@every
def test_a_state_goes_back_in_by_name_and_by_parts(kind):
    backend = kind.load(layered(), OPTIONS)
    backend.run(X[:20])
    middle = backend.state()
    assert middle["b.voltage"].shape == (4,)
    want = backend.run(X[20:])
    backend.set_state(middle)
    np.testing.assert_array_equal(backend.run(X[20:]), want)
    backend.set_state({"b.voltage": np.array([0.1, 0.2, 0.3, 0.4])})
    assert backend.voltage("b").tolist() == [0.1, 0.2, 0.3, 0.4]
    backend.set_voltage("b", 0.5)
    assert backend.voltage("b").tolist() == [0.5] * 4
    with pytest.raises(ValueError, match="no state 'q"):
        backend.set_state({"q.voltage": np.zeros(1)})
    backend.reset()
    assert backend.counters.ticks == 0
    assert backend.voltage("b").tolist() == [0.1] * 4


@every
def test_a_batch_and_the_refusals_are_the_same_everywhere(kind):
    backend = kind.load(layered(), OPTIONS)
    got = backend.run(np.stack([X, X[::-1]]))
    np.testing.assert_array_equal(got[0], backend.run(X))
    for call, message in (
        (lambda: backend.step(np.full(5, np.nan)), "NaN"),
        (lambda: backend.step(np.zeros(4)), "x"),
        (lambda: backend.run({"z": X}), "inputs are"),
        (lambda: backend.spikes("x_a"), "does not spike"),
        (lambda: backend.voltage("x"), "no voltage"),
        (lambda: backend.run(X, record=("q",)), "no node 'q'"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_two_back_ends_give_the_same_spikes():
    engine, plain = (kind.load(layered(), OPTIONS) for kind in (Engine, Plain))
    ours, theirs = (backend.run(X, record=("a", "b")) for backend in (engine, plain))
    np.testing.assert_array_equal(ours["a"]["spikes"], theirs["a"]["spikes"])
    np.testing.assert_array_equal(ours["output"], theirs["output"])
    np.testing.assert_allclose(ours["b"]["voltage"], theirs["b"]["voltage"], atol=1e-12)
    assert ours["output"].sum() > 5


def test_the_engine_keeps_all_its_state_under_names():
    net = layered()
    net.connect("b", "a", np.full((20, 4), 0.3), name="back", delay=3e-3)
    engine, other = Engine(net), Engine(net)
    engine.run(X)
    other.set_state(engine.state())
    np.testing.assert_array_equal(engine.snapshot(), other.snapshot())
    with pytest.raises(ValueError, match="expected"):
        engine.set_state({"a.voltage": np.zeros(3)})


NEURON = '''
import sys
from dataclasses import dataclass
import nir, numpy as np
from nir.ir.node import NIRNode
from hybrid_control.snn import Engine, Network
from hybrid_control.snn.neurons import NeuronModel, register

net = Network()
net.add_input("x", 1)
net.add_population("n", nir.IF, 1)
net.edge("x", "n")
net.add_output("y", "n")
before = Engine(net, if_step="one")  # the interpreter is compiled without the new type
before.run(np.ones((3, 1)))

@dataclass(eq=False)
class Tired(NIRNode):
    """v = v + x; a spike where v >= limit; then v = 0 and the limit grows by `step` times the spikes so far."""
    limit: np.ndarray
    step: np.ndarray
    def __post_init__(self):
        self.input_type = {"input": np.array(self.limit.shape)}
        self.output_type = {"output": np.array(self.limit.shape)}

def tick(x, state, c, setting):
    v, count = state
    limit, step = c
    v = v + x
    fired = v >= limit + step * count
    return fired, (type(v)(0) if fired else v, count + fired)

register(NeuronModel(Tired, {"limit": None, "step": 1.0}, ("limit", "step"), lambda p, options: p, tick,
                     variables=("voltage", "spikes_so_far")))
net = Network()
net.add_input("x", 2)
net.add_population("n", Tired, 2, limit=[1.0, 2.0])
net.edge("x", "n")
net.add_output("y", "n")
net.save(sys.argv[1])
engine = Engine(Network.load(sys.argv[1]))
got = engine.run(np.ones((7, 2)), record=("n",))
print(got["output"].astype(int).T.tolist(), engine.voltage("n").tolist(), engine.read("n", "spikes_so_far").tolist())
print(before.run(np.ones((2, 1))).tolist())
'''


@pytest.mark.slow
def test_a_new_neuron_type_is_one_file(tmp_path):
    # limits 1, 2, 3, 4: spikes at ticks 1, 3, 6 of 7; limits 2, 3, 4: at 2, 5
    (tmp_path / "tired.py").write_text(NEURON)
    command = [sys.executable, tmp_path / "tired.py", tmp_path / "tired.nir"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "[[1, 0, 1, 0, 0, 1, 0], [0, 1, 0, 0, 1, 0, 0]] [1.0, 2.0] [3.0, 2.0]"
    assert lines[1] == "[[1.0], [0.0]]"  # an IF whose v is 1 after 3 ticks of 1, then 2, then 1 again

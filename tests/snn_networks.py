"""Random networks of all node types, cycles and delays included, for tests of what must hold for any graph."""

import nir
import numpy as np
from hypothesis import strategies as st

from hybrid_control.snn import AdaptiveCubaLIF, AdaptiveLIF, Izhikevich, Network

KINDS = [nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF, AdaptiveLIF, AdaptiveCubaLIF, Izhikevich]


def parameters(kind, size, rng, mixed):
    """Parameters that make a population of this type active; mixed: each neuron its own."""
    n = size if mixed else ()
    times = {k: rng.uniform(2e-3, 2e-2, n) for k in ("tau", "tau_syn", "tau_mem", "tau_adapt")}
    own = {nir.LI: ("tau",), nir.LIF: ("tau",), nir.CubaLI: ("tau_syn", "tau_mem"), nir.CubaLIF: ("tau_syn", "tau_mem"),
           AdaptiveLIF: ("tau", "tau_adapt"), AdaptiveCubaLIF: ("tau_syn", "tau_mem", "tau_adapt")}  # fmt: skip
    given = {k: times[k] for k in own.get(kind, ())}
    if kind is not Izhikevich:
        given["r"] = rng.uniform(2.0, 6.0, n)
    if kind in (AdaptiveLIF, AdaptiveCubaLIF):
        given |= {"beta": rng.uniform(0, 0.5, n), "refractory": rng.choice([0.0, 1e-3, 2e-3])}
    if kind in (nir.LIF, nir.CubaLIF, AdaptiveLIF):
        given |= {"v_reset": rng.uniform(-0.3, 0.1, n), "v_leak": rng.uniform(-0.2, 0.3, n)}
    return given


@st.composite
def networks(draw):
    """A network of one or two inputs, some populations and other nodes, joined at random, cycles among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    net = Network()
    sizes = {}
    for name in ("left", "right")[: draw(st.integers(1, 2))]:
        sizes[name] = draw(st.integers(1, 20))
        net.add_input(name, sizes[name])
    for i in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(KINDS))
        name, size = f"p{i}", draw(st.integers(1, 70))
        net.add_population(name, kind, size, **parameters(kind, size, rng, draw(st.booleans())))
        sizes[name] = size
    populations = [n for n in sizes if n[0] == "p"]
    for number in range(draw(st.integers(1, 7))):
        source, target = draw(st.sampled_from(sorted(sizes))), draw(st.sampled_from(populations))
        size = (sizes[target], sizes[source])
        weights = rng.normal(0.3, 1.0, size) * (rng.random(size) < draw(st.sampled_from([0.05, 0.4, 1.0])))
        delay = draw(st.sampled_from([None, 0.0, 2e-3, "each"]))
        bias = rng.normal(0, 0.1, sizes[target]) if delay in (None, 2e-3) and draw(st.booleans()) else None
        delays = rng.integers(0, 4, size) * 1e-3 if isinstance(delay, str) else delay
        net.connect(source, target, weights, name=f"w{number}", bias=bias, delay=delays)
    if draw(st.booleans()):
        node = draw(st.sampled_from([nir.Threshold, nir.Scale, nir.Delay]))
        source = draw(st.sampled_from(populations))
        values = rng.integers(0, 3, sizes[source]) * (1e-3 if node is nir.Delay else 0.5)
        net.add("extra", node(values))
        net.edge(source, "extra")
        if draw(st.booleans()):
            net.edge("extra", source)
        net.add_output("seen", "extra")
    net.add_output("out", populations[-1])
    return net


def drive_of(net, steps, seed=0):
    """Inputs: counts of spikes and now and then a current."""
    rng = np.random.default_rng(seed)
    shapes = {
        n: steps_shape.input_type["input"]
        for n, steps_shape in net.nodes.items()
        if isinstance(steps_shape, nir.Input)
    }
    return {n: rng.poisson(0.5, (steps, *s)) * rng.choice([1.0, 0.5], (steps, *s)) for n, s in shapes.items()}


options = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([np.float32, np.float64]),
        "scheme": st.sampled_from(["euler", "exponential", "exact"]),
        "reset": st.sampled_from(["value", "subtract"]),
        "order": st.sampled_from(["current_first", "voltage_first"]),
        "if_step": st.sampled_from(["dt", "one"]),
        "recurrent_delay": st.integers(1, 3),
    }
)

"""The scheduler against a reference of a few lines that looks at every nanosecond at which something runs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.cosim.clock import Clock
from hybrid_control.cosim.link import Link, LinkOptions
from hybrid_control.cosim.mail import MessageLink, link_of
from hybrid_control.cosim.part import Message, PartError, Port, Runs, Updates
from hybrid_control.cosim.parts import ArraySource
from hybrid_control.cosim.scheduler import Connection, EventScheduler, Loss


class Mixer:
    """A part with a memory: sums what comes, and gives values, spikes, states and messages that depend on all of it."""

    def __init__(self, inputs, salt, per_run=None):
        self.inputs = {name: port(kind) for name, kind in inputs.items()}
        self.outputs = {kind: port(kind) for kind in KINDS}
        self.salt, self.per_run = salt, per_run
        self.reset(0)

    def reset(self, seed):
        self.memory = np.array([self.salt, 1.0 + seed % 5])

    def run(self, runs: Runs, inputs):
        if self.per_run is not None:
            self.per_run(runs)
        out = {kind: np.zeros((runs.count, 2)) for kind in self.outputs if kind != "messages"}
        out["messages"] = [[]] * runs.count
        for i in range(runs.count):
            for name in sorted(inputs):
                given = inputs[name]
                if isinstance(given, Updates):
                    for k in np.flatnonzero(given.before == i):
                        self.memory = self.memory * 0.5 + given.values[k]
                elif self.inputs[name].kind == "messages":
                    for time_ns, value in given[i]:
                        self.memory = (self.memory * 0.5 + time_ns % 7 + value) % 1000.0
                else:
                    self.memory = (self.memory * 0.75 + given[i] * (1 + len(name))) % 1000.0
            self.memory = (self.memory + np.array([0.5, 0.25])) % 1000.0
            out["values"][i] = self.memory
            out["spikes"][i] = np.floor(self.memory) % 3
            out["states"][i] = self.memory[::-1]
            # none, one or two, some of them of a later time than the run's
            number, later = int(self.memory[0]) % 3, int(self.memory[1]) % 9
            out["messages"][i] = [Message(runs.begins[i] + later * k, self.memory[k]) for k in range(number)]
        return out

    def state(self):
        return self.memory.copy()

    def set_state(self, state):
        self.memory = state.copy()


KINDS = ("values", "spikes", "states", "messages")


def port(kind):
    return Port(kind, () if kind == "messages" else (2,))


def reference(parts, clocks, links, until):
    """Everything in the order of time; at one time, what feeds without delay first. Rows by part, (runs, 2) by kind."""
    order = [m.name for m in scheduler_of(parts, clocks, links)._order]
    rows = {name: [] for name in parts}
    sent = {i: [] for i in range(len(links))}  # (arrival, row)
    last = dict.fromkeys(parts, -1)
    for part in parts.values():
        part.reset(0)
    times = sorted({k * c.period_ns for c in clocks.values() for k in range(c.runs_before(until))})
    for t in times:
        for name in order:
            if t % clocks[name].period_ns:
                continue
            inputs = {}
            for i, (_, (_, kind), (target, port), _) in enumerate(links):
                if target != name:
                    continue
                arrived = [(a, row) for a, row in sent[i] if a <= t]
                new = [row for a, row in arrived if a > last[name]]
                if kind == "messages":
                    value = [[message for row in new for message in row]]
                elif kind == "spikes":
                    value = sum(new, np.zeros(2))[None]
                elif kind == "states":
                    value = Updates(np.zeros(len(new), np.int64), np.reshape(new, (-1, 2)))
                else:
                    value = (arrived[-1][1] if arrived else np.zeros(2))[None]
                inputs[port] = value
            given = parts[name].run(Runs(t, clocks[name].period_ns, 1), inputs)
            last[name] = t
            rows[name].append({kind: given[kind][0] for kind in given})
            for i, (_, (source, kind), _, delay) in enumerate(links):
                if source == name and kind == "messages":
                    for time_ns, value in given[kind][0]:
                        leaves = max([t + clocks[name].latency_ns, time_ns, *(a - delay for a, _ in sent[i])])
                        sent[i].append((leaves + delay, [Message(time_ns + delay, value)]))
                elif source == name:
                    sent[i].append((t + clocks[name].latency_ns + delay, given[kind][0]))
    return rows


def scheduler_of(parts, clocks, links, **more):
    connections = [
        Connection(
            link_of(name, parts[source[0]].outputs[source[1]], parts[target[0]].inputs[target[1]], LinkOptions(delay)),
            source, target,
        )
        for name, source, target, delay in links
    ]  # fmt: skip
    return EventScheduler({n: (p, clocks[n]) for n, p in parts.items()}, connections, **more)


def recorded(parts, clocks, links, until, steps=1, **more):
    rows = {name: [] for name in parts}

    def record(member, runs, results, times):
        rows[member.name] += [{kind: results[kind][i] for kind in results} for i in range(runs.count)]

    scheduler = scheduler_of(parts, clocks, links, record=record, **more)
    scheduler.reset(0)
    for part in parts.values():
        part.reset(0)
    for k in range(steps):
        scheduler.advance(until * (k + 1) // steps)
    scheduler.close()
    return rows


def same(a, b):
    assert {n: len(r) for n, r in a.items()} == {n: len(r) for n, r in b.items()}
    for name, mine in a.items():
        for k, (x, y) in enumerate(zip(mine, b[name], strict=True)):
            for kind in x:
                equal = x[kind] == y[kind] if kind == "messages" else np.array_equal(x[kind], y[kind])
                assert equal, (name, k, kind, x[kind], y[kind])


@st.composite
def graphs(draw):
    """Parts with periods that need not divide each other, links of every kind, cycles where something takes time."""
    names = "abcde"[: draw(st.integers(1, 5))]
    clocks = {
        n: Clock(draw(st.sampled_from([1, 2, 3, 5, 7, 10, 33])), draw(st.sampled_from([0, 0, 1, 2, 4, 33])))
        for n in names
    }
    links = []
    for i in range(draw(st.integers(0, 8))):
        source, target = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        kind = draw(st.sampled_from(KINDS))
        delay = draw(st.sampled_from([0, 0, 1, 3, 10]))
        # what goes back or stays takes time
        if source >= target and clocks[source].latency_ns + delay == 0:
            delay = 1
        links.append((f"l{i}", (source, kind), (target, f"i{i}"), delay))
    return names, clocks, links


def mixers(names, links):
    return {
        n: Mixer({t[1]: s[1] for _, s, t, _ in links if t[0] == n}, salt=float(ord(n))) for n in names
    }


@settings(max_examples=300, deadline=None)
@given(graphs(), st.integers(1, 120))
def test_cosim_any_graph_gives_what_a_walk_through_all_times_gives(graph, until):
    names, clocks, links = graph
    wanted = reference(mixers(names, links), clocks, links, until)
    same(recorded(mixers(names, links), clocks, links, until), wanted)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 90), st.randoms(use_true_random=False))
def test_cosim_neither_the_order_of_parts_nor_threads_nor_steps_change_a_bit(graph, until, random):
    names, clocks, links = graph
    first = recorded(mixers(names, links), clocks, links, until)
    shuffled = random.sample(names, len(names))
    beside, links = dict.fromkeys(shuffled[::2], True), random.sample(links, len(links))
    again = recorded(mixers(shuffled, links), clocks, links, until, steps=3, beside=beside)
    same(first, {n: again[n] for n in first})


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 60), st.integers(0, 60))
def test_cosim_a_restored_snapshot_goes_on_as_the_first_time(graph, first, more):
    names, clocks, links = graph
    rows = []

    def record(member, runs, results, times):
        rows.extend((int(t), member.name, results["values"][i].tolist()) for i, t in enumerate(times))

    scheduler = scheduler_of(mixers(names, links), clocks, links, record=record)
    scheduler.advance(first)
    snapshot = scheduler.snapshot()
    del rows[:]
    scheduler.advance(first + more)
    once = sorted(rows)
    scheduler.advance(first + more + 50)
    scheduler.restore(snapshot)
    del rows[:]
    scheduler.advance(first + more)
    assert sorted(rows) == once


@settings(max_examples=300, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 50), st.integers(1, 50),
    st.lists(st.integers(1, 9), max_size=30),
)
def test_cosim_a_spike_is_counted_once_and_by_the_first_run_at_or_after_it(give, take, delay, count, batches):
    link = Link("l", Port("spikes", (1,)), Port("spikes", (1,)), LinkOptions(delay))
    times = give * np.arange(count)
    link.put(times, 1.0 + np.arange(count)[:, None])
    seen, run = [], 0
    while (run - 1) * take < times[-1] + delay:
        n = batches.pop() if batches else 4
        seen += link.take(Runs(run * take, take, n))[:, 0].tolist()
        run += n
    wanted = np.zeros(len(seen))
    for k, t in enumerate(times):
        wanted[math.ceil((t + delay) / take)] += k + 1
    assert seen == wanted.tolist()
    assert link.waiting == 0


def test_cosim_a_cycle_in_which_nothing_takes_time_is_named():
    links = [("x", ("a", "values"), ("b", "i0"), 0), ("y", ("b", "values"), ("a", "i1"), 0)]
    parts = {"a": Mixer({"i1": "values"}, 1.0), "b": Mixer({"i0": "values"}, 2.0)}
    with pytest.raises(ValueError, match=r"(a -> b -> a|b -> a -> b): a cycle in which nothing takes time"):
        scheduler_of(parts, {"a": Clock(1), "b": Clock(2)}, links)


def test_cosim_a_part_that_fails_is_named_with_its_time_and_what_ran_until_then_is_kept():
    def fail(runs):
        if runs.first_ns + runs.period_ns * runs.count > 30:
            raise RuntimeError("the model broke\nbadly")

    links = [("x", ("a", "values"), ("b", "i0"), 0)]
    parts = {"a": Mixer({}, 1.0), "b": Mixer({"i0": "values"}, 2.0, fail)}
    seen = []
    scheduler = scheduler_of(
        parts, {"a": Clock(10), "b": Clock(10)}, links, record=lambda m, r, *_: seen.append((m.name, r.first_ns))
    )
    with pytest.raises(PartError, match=r"^b: at .*: RuntimeError: the model broke badly$"):
        scheduler.advance(1000)
    assert ("a", 0) in seen


@pytest.mark.parametrize(("given", "says"), [
    ({"values": np.zeros((1, 3))}, r"p: at 0 ns: values has the shape \(1, 3\), expected \(1, 2\)"),
    ({"values": np.full((1, 2), np.nan)}, r"p: at 0 ns: values is not finite"),
    ({}, r"p: at 0 ns: values has the shape \(0,\), expected \(1, 2\)"),
])  # fmt: skip
def test_cosim_a_result_of_the_wrong_shape_or_that_is_not_finite_ends_in_one_line(given, says):
    part = Mixer({}, 1.0)
    part.outputs = {"values": Port("values", (2,))}
    part.run = lambda runs, inputs: given
    with pytest.raises(PartError, match=says):
        EventScheduler({"p": (part, Clock(1))}, []).advance(1)


def ones(runs):
    return {k: np.ones((runs.count, 2)) for k in KINDS[:3]} | {"messages": [[]] * runs.count}


def test_cosim_lost_runs_are_the_declared_share_and_the_same_for_a_seed():
    arrived = []
    for seed in (1, 1, 2):
        parts = {"a": Mixer({}, 1.0), "b": Mixer({"i0": "spikes"}, 2.0)}
        parts["a"].run = lambda runs, inputs: ones(runs)
        counts = []
        parts["b"].run = lambda runs, inputs, counts=counts: (
            counts.extend(inputs["i0"][:, 0]) or ones(runs)
        )
        scheduler = scheduler_of(
            parts, {"a": Clock(1), "b": Clock(1)}, [("x", ("a", "spikes"), ("b", "i0"), 0)], losses={"a": Loss(0.3)}
        )
        scheduler.reset(seed)
        scheduler.advance(2000)
        arrived.append(counts)
    assert arrived[0] == arrived[1] != arrived[2]
    assert np.mean(arrived[0]) == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("kind", ["values", "spikes"])
def test_cosim_of_a_part_whose_runs_are_all_lost_nothing_arrives(kind):
    parts = {"a": Mixer({}, 1.0), "b": Mixer({"i0": kind}, 2.0)}
    parts["a"].run = lambda runs, inputs: ones(runs)
    seen = []
    parts["b"].run = lambda runs, inputs: (
        seen.extend(inputs["i0"][:, 0]) or ones(runs)
    )
    scheduler = scheduler_of(
        parts, {"a": Clock(33), "b": Clock(1)}, [("x", ("a", kind), ("b", "i0"), 0)], losses={"a": Loss(1.0)}
    )
    scheduler.advance(100)
    assert seen == [0.0] * 100


@pytest.mark.parametrize(("policy", "seen"), [
    ("hold", [0, 0, 1, 1, 2, 2, 2, 2]), ("drop", [0, 0, 1, 1, 2, 2, -1, -1]),
    ("extrapolate", [0, 0, 1, 1, 2, 2, 3.0, 3.5]),
])  # fmt: skip
def test_cosim_a_value_that_is_too_old_is_held_drawn_on_or_dropped(policy, seen):
    options = LinkOptions(0, when_old=policy, max_age_ns=1, initial=-1)
    link = Link("l", Port("values", (1,)), Port("values", (1,)), options)
    link.put(np.array([0, 2, 4]), np.array([[0.0], [1.0], [2.0]]))
    assert link.take(Runs(0, 1, 8))[:, 0].tolist() == seen


def test_cosim_a_run_whose_input_is_too_old_waits():
    link = Link("l", Port("values", (1,)), Port("values", (1,)), LinkOptions(0, when_old="wait", max_age_ns=1))
    link.put(np.array([1, 5]), np.array([[0.0], [1.0]]))
    assert link.waits(Runs(0, 1, 8)).tolist() == [True, False, False, True, True, False, False, True]


def test_cosim_a_message_arrives_once_at_its_own_time_in_order_and_later_by_the_delay():
    link = MessageLink("l", Port("messages", ()), Port("messages", ()), LinkOptions(5))
    early, late, after = Message(3, "a scan"), Message(12, "rates"), Message(4, "given after them")
    link.put(Runs(0, 10, 2), 2, [[early, late], [after]], None)
    # the run at 0 takes until 2; the second message leaves at its own time, and what comes after it not before it
    assert link.take(Runs(0, 1, 8)) == [()] * 8
    assert link.take(Runs(8, 1, 1)) == [[Message(8, "a scan")]]
    assert link.take(Runs(9, 8, 2)) == [(), [Message(17, "rates"), Message(9, "given after them")]]
    assert link.waiting == 0


@pytest.mark.parametrize(("options", "target", "says"), [
    (LinkOptions(gain=2.0), Port("messages", ()), "l: carries messages, and has no other option than delay"),
    (LinkOptions(), Port("values", ()), "l: gives messages, and values are taken"),
])  # fmt: skip
def test_cosim_of_a_link_of_messages_what_makes_no_sense_is_refused(options, target, says):
    with pytest.raises(ValueError, match=says):
        link_of("l", Port("messages", ()), target, options)


def test_cosim_messages_come_by_one_link_alone():
    links = [("x", ("a", "messages"), ("b", "i0"), 0), ("y", ("c", "messages"), ("b", "i0"), 0)]
    parts = {"a": Mixer({}, 1.0), "b": Mixer({"i0": "messages"}, 2.0), "c": Mixer({}, 3.0)}
    with pytest.raises(ValueError, match="y: another link brings b these messages"):
        scheduler_of(parts, dict.fromkeys(parts, Clock(1)), links)


def test_cosim_what_is_no_message_is_named():
    link = MessageLink("a.x -> b.y", Port("messages", ()), Port("messages", ()))
    with pytest.raises(PartError, match=r"^a.x -> b.y: 1.5 is no Message\(time_ns, value\)$"):
        link.put(Runs(0, 1, 1), 0, [[1.5]], None)
    with pytest.raises(ValueError, match="an array holds no messages"):
        ArraySource([1.0, 2.0], "messages")

"""The debugger: what it shows is what runs, it stops where it is told to, and back is exact."""

import numpy as np
import pytest
from test_cosim_trace import FILE

from hybrid_control.cli import main
from hybrid_control.cosim import Hybrid, LinkOptions, PartError, console, debugger, load, run
from hybrid_control.cosim.console import Console, bars, condition
from hybrid_control.cosim.debugger import Debugger
from hybrid_control.cosim.parts import ArraySource, FunctionPart

MS = 1_000_000


@pytest.fixture
def opened(folder):
    made = Debugger(load(folder / "a.hybrid.yaml"))
    yield made
    made.close()


def shown(made):
    """All that it says of where it is."""
    talk = Console(made)
    return [talk.do(f"show {m.name}") for m in made.members] + [talk.do("show"), talk.do("links"), made.now_ns]


def same(a, b):
    """Whether two states are the same to the bit."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def test_debug_step_by_step_is_what_runs_at_once_to_the_bit(folder, opened):
    results = run(load(folder / "a.hybrid.yaml"))
    for k in range(200):
        opened.step("reflex")
        assert opened.now_ns == k * MS
        for name in ("reflex.output", "reflex.lif.voltage", "rates.rates"):
            assert np.array_equal(opened.view(name).row, results[name][k].reshape(-1))
        assert np.array_equal(opened.view("planner.out").row, results["planner.out"][k // 20])


def test_debug_shows_populations_that_are_not_recorded(folder):
    text = FILE.replace("record: [planner, reflex.output, reflex.lif.voltage, rates.rates]\n", "")
    (folder / "a.hybrid.yaml").write_text(text)
    made = Debugger(load(folder / "a.hybrid.yaml"))
    made.until_time(100 * MS)
    assert made.view("reflex.lif.voltage").row.shape == (8,)
    assert np.array_equal(made.view("reflex.lif").row, made.view("reflex.output").row)
    made.close()


def test_debug_rates_are_those_of_an_exponential_filter(folder, opened):
    results = run(load(folder / "a.hybrid.yaml"))
    opened.until_time(150 * MS)
    ages = 150 - np.arange(151)
    expected = (results["reflex.output"][:151] * np.exp(-ages / 50)[:, None]).sum(axis=0) / 0.05
    assert np.allclose(opened.view("reflex.output").rate, expected)


@pytest.mark.parametrize("moves", [
    ["step"], ["step planner"], ["step reflex 7"], ["meet"], ["until reflex rate > 60"], ["until 133 ms"],
    ["step", "meet", "until planner.out[3] > 0.5", "step 3"],
])  # fmt: skip
def test_debug_back_is_exact(opened, moves):
    talk = Console(opened)
    talk.do("until 47 ms")
    before, state = shown(opened), opened.scheduler.snapshot()
    for move in moves:
        talk.do(move.replace("reflex rate", "reflex.output rate"))
    after = shown(opened)
    assert after != before
    talk.do(f"back {len(moves)}")
    assert shown(opened) == before
    assert same(opened.scheduler.snapshot(), state)
    for move in moves:
        talk.do(move.replace("reflex rate", "reflex.output rate"))
    assert shown(opened) == after


def test_debug_back_to_a_time_is_what_it_was_then(opened):
    talk = Console(opened)
    talk.do("until 31 ms")
    at_31 = shown(opened)
    talk.do("until 150 ms")
    assert talk.do("back 31 ms") == ["31 ms: code 31, reflex 31, rates 31"]
    assert shown(opened) == at_31
    talk.do("until 90 ms")
    talk.do("back 40 ms")
    assert talk.do("back") == ["31 ms: code 31, reflex 31, rates 31"]
    assert talk.do("back") == ["at the start; nothing has run"]


def test_debug_until_stops_at_the_first_time_at_which_it_holds(folder, opened):
    results = run(load(folder / "a.hybrid.yaml"))
    first = np.flatnonzero(results["planner.out"][:, 3] > 0.5)[0]
    assert opened.until(condition("planner.out[3] > 0.5", opened))
    assert opened.now_ns == first * 20 * MS
    opened.back()
    first = np.flatnonzero(results["reflex.output"].sum(axis=1) >= 3)[0]
    assert opened.until(condition("reflex.lif spikes >= 3", opened))
    assert opened.now_ns == first * MS
    second = np.flatnonzero(results["reflex.lif.voltage"][first + 1 :].max(axis=1) > 0.5)[0] + first + 1
    assert opened.until(condition("lif voltage>0.5", opened))
    assert opened.now_ns == second * MS
    assert not opened.until(condition("rates rate > 1e6", opened))
    assert opened.now_ns == 199 * MS


def test_debug_meet_goes_to_the_next_time_at_which_parts_run_together():
    hybrid = Hybrid(until_ns=1000 * MS)
    for name, period in (("a", "6 ms"), ("b", "4 ms"), ("c", "4 ms"), ("d", "35 ms")):
        hybrid.add(name, ArraySource(np.zeros((1, 1))), period)
    made = Debugger(hybrid)
    times = []
    for _ in range(5):
        made.meet()
        times.append(made.now_ns // MS)
    # of 4, 6 and 35 ms any two: multiples of 12, 140 and 210
    assert times == [0, 12, 24, 36, 48]
    made.meet("a", "d")
    assert made.now_ns == 210 * MS
    made.meet("a", "b", "d")
    made.meet("a", "b", "d")
    with pytest.raises(ValueError, match=r"they meet at 1\.26 s, and it ends at 1 s"):
        made.meet("a", "b", "d")
    assert made.now_ns == 840 * MS


def test_debug_snapshots_stay_within_their_memory_and_the_start_is_kept(opened, monkeypatch):
    monkeypatch.setattr(debugger, "MEMORY", 60_000)
    for _ in range(100):
        opened.step()
    kept = len(opened._history)
    assert 2 < kept < 60
    assert sum(s.size for s in opened._history[:-1]) < 60_000
    with pytest.raises(ValueError, match=rf"back: 99 moves; {kept - 1} can be taken back"):
        opened.back(99)
    opened.back_to(5 * MS)  # from the start, for what was there is gone
    assert opened.now_ns == 5 * MS


def test_debug_of_a_part_that_fails_stands_before_the_instant_at_which_it_does():
    def function(x):
        if x[0] >= 35.0:
            raise RuntimeError("no more")
        return {"out": x + 1.0}

    hybrid = Hybrid(until_ns=100 * MS)
    hybrid.add("f", FunctionPart(function, {"x": (1,)}, {"out": (1,)}), "1 ms", "1 ms")
    hybrid.link("f", "f")
    made = Debugger(hybrid)
    made.step()
    with pytest.raises(PartError, match="f: at 35 ms: RuntimeError: no more; it stands before that"):
        made.until_time(80 * MS)
    assert made.now_ns == 34 * MS
    assert made.view("f.out").row.tolist() == [35.0]
    made.back()
    assert made.now_ns == 0


def test_debug_links_say_how_old_what_was_seen_is_and_what_waits():
    hybrid = Hybrid(until_ns=100 * MS)
    hybrid.add("a", ArraySource(np.arange(9.0)[:, None]), "10 ms", "4 ms")
    hybrid.add("b", FunctionPart(lambda x: {"out": x}, {"x": (1,)}, {"out": (1,)}), "5 ms")
    hybrid.link("a", "b", LinkOptions(delay_ns=3 * MS))
    talk = Console(Debugger(hybrid))
    assert talk.do("links") == ["a -> b  nothing seen yet, nothing waits"]
    talk.do("step")
    assert talk.do("links") == ["a -> b  nothing seen yet, 1 waiting, the first arrives at 7 ms"]
    talk.do("step 2")
    assert talk.do("links") == ["a -> b  age 3 ms, 1 waiting, the first arrives at 17 ms"]


@pytest.mark.parametrize(("line", "says"), [
    ("stop", "no command 'stop'; there are step, meet"),
    ("step nobody", "no part 'nobody'; there are camera"),
    ("step reflex 0", "step: 0 runs"),
    ("meet reflex", "meet: expected two parts or more"),
    ("until", "until: ''; expected such as ring rate > 100"),
    ("until nothing > 3", "no single port 'nothing'"),
    ("until reflex > 3", "no single port 'reflex'; there are|are meant"),
    ("until planner.out[16] > 3", "until: planner.out has 16 numbers, 0 .. 15"),
    ("until planner.out spikes > 3", "gives values, which have no spikes"),
    ("until 1 ms", "until: 1 ms is not ahead"),
    ("back 9", "back: 9 moves; 1 can be taken back"),
    ("back 1 h", "back: '1 h' is no time"),
    ("show a b", "show: expected"),
])  # fmt: skip
def test_debug_a_command_that_cannot_be_done_is_one_line_and_changes_nothing(opened, line, says):
    talk = Console(opened)
    talk.do("until 20 ms")
    before = shown(opened)
    with pytest.raises(ValueError, match=says) as error:
        talk.do(line)
    assert "\n" not in str(error.value)
    assert shown(opened) == before


def test_debug_help_has_every_command(opened):
    talk = Console(opened)
    for name in talk._commands:
        assert any(line.startswith(name) for line in talk.do("help"))
    assert max(map(len, console.HELP.splitlines())) <= 120


def test_debug_bars_grow_with_the_numbers():
    assert bars(np.array([0.0, 1.0, 2.0, 7.0]), 0.0) == "▁▂▃█"
    assert bars(np.array([-1.0, 1.0])) == "▁█"
    assert bars(np.ones(100)) == "▁" * 32


def test_debug_from_the_command_line_by_a_script_and_by_a_person(folder, capsys, monkeypatch):
    file = str(folder / "a.hybrid.yaml")
    assert main(["cosim", "debug", file, "--commands", "step planner; meet; links; show reflex; quit; nonsense"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "0 ns: camera 0, code 0, planner 0, reflex 0, rates 0"
    assert out[1] == "20 ms: camera 1, code 20, planner 1, reflex 20, rates 20"
    assert any("lif.voltage" in line for line in out)
    assert main(["cosim", "debug", file, "--commands", "step; nonsense"]) == 2
    assert capsys.readouterr().err.strip().startswith("hybrid-control: no command 'nonsense'")
    lines = iter(["step", "nonsense", "until 5 ms"])

    def person(prompt):
        prompts.append(prompt)
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    prompts = []
    monkeypatch.setattr("builtins.input", person)
    assert main(["cosim", "debug", file]) == 0
    assert prompts == ["(start) ", "(0 ns) ", "(0 ns) ", "(5 ms) "]
    assert "no command 'nonsense'" in capsys.readouterr().out

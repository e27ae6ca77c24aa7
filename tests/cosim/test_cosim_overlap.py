"""Whether a part is run beside the others, by times that a clock of the test gives; and the thread that it runs in."""

import threading

import pytest

from hybrid_control.cosim import overlap
from hybrid_control.cosim.overlap import KEPT, TRIED, Overlap, Side


def calls(monkeypatch, own, alone, beside, count, chosen=None):
    """Which of the calls are beside, where a call to the next takes so long alone and so long beside."""
    now = [0.0]
    monkeypatch.setattr(overlap.time, "perf_counter", lambda: now[0])
    which, part = [], Overlap(chosen)
    for _ in range(count):
        which.append(part.beside(1))
        now[0] += beside if which[-1] else alone
        if not which[-1]:
            part.ran(own, 1)
    return which


def test_cosim_overlap_is_tried_and_kept_where_it_is_faster_and_tried_again_later(monkeypatch):
    which = calls(monkeypatch, 1e-3, 2e-3, 1.2e-3, KEPT + 100)
    assert not any(which[: TRIED - 1])
    assert all(which[TRIED - 1 : KEPT])
    assert not all(which[KEPT:])


def test_cosim_overlap_is_left_where_it_is_slower(monkeypatch):
    which = calls(monkeypatch, 1e-3, 2e-3, 2.1e-3, KEPT)
    assert sum(which) == TRIED


@pytest.mark.parametrize(("own", "alone"), [(1e-5, 2e-3), (1.99e-3, 2e-3)])
def test_cosim_overlap_is_not_tried_where_one_side_has_next_to_nothing_to_do(monkeypatch, own, alone):
    assert not any(calls(monkeypatch, own, alone, 1e-5, KEPT))


@pytest.mark.parametrize("chosen", [True, False])
def test_cosim_overlap_that_is_declared_is_not_tried(monkeypatch, chosen):
    assert set(calls(monkeypatch, 1e-3, 2e-3, 1e-3, 100, chosen)) == {chosen}


def test_cosim_side_gives_results_and_exceptions_of_a_thread_of_its_own():
    side = Side("s")
    side.begin(threading.get_ident)
    assert side.busy
    assert side.result() != threading.get_ident()
    assert not side.busy
    side.begin(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        side.result()
    side.close()

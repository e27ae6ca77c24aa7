import threading

from hybrid_control.realtime.worker import Worker


def test_worker_skips_what_is_old_and_works_on_the_newest():
    done, begun, go_on = [], threading.Event(), threading.Event()

    def work(item):
        done.append(item)
        begun.set()
        go_on.wait(5)

    worker = Worker("test", work)
    worker.start()
    worker.put(1)
    assert begun.wait(5)
    for item in (2, 3, 4):
        worker.put(item)
    begun.clear()
    go_on.set()
    assert begun.wait(5)
    worker.stop()
    assert done == [1, 4]


def test_worker_ends_in_the_middle_of_a_pause_and_forgets_what_waits_when_it_begins_anew():
    done, begun = [], threading.Event()

    def work(item):
        done.append(item)
        begun.set()
        worker.pause(60.0)

    worker = Worker("test", work)
    worker.stop()  # nothing was begun
    for _ in range(2):
        worker.start()
        assert not begun.is_set()
        worker.put("a")
        assert begun.wait(5)
        worker.put("b")
        worker.stop()
        begun.clear()
    assert done == ["a", "a"]
    assert "test" not in {t.name for t in threading.enumerate()}

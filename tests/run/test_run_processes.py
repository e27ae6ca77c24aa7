"""Children end with their parent however that ends, and no two runs share a ROS domain."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")

from hybrid_control_ros.run.processes import Children, private_domain, python

_SLEEPER = "import time\nprint('begun', flush=True)\ntime.sleep(60)\n"
_STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + _SLEEPER
_FAILING = "raise ValueError('the model is missing')\n"


@pytest.fixture
def modules(tmp_path):
    for name, code in (("sleeper", _SLEEPER), ("stubborn", _STUBBORN), ("failing", _FAILING)):
        (tmp_path / f"run_test_{name}.py").write_text(code)
    return {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}", "PYTHONUNBUFFERED": "1"}


def wait_for(condition, seconds=10.0):
    given_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < given_up
        time.sleep(0.01)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_children_end_when_the_context_ends_even_those_that_do_not_listen(modules, tmp_path):
    with Children(tmp_path, modules) as children:
        started = [children.run(name, python(f"run_test_{name}")) for name in ("sleeper", "stubborn")]
        for child in started:
            wait_for(lambda child=child: "begun" in child.log.read_text())
        assert all(child.alive for child in started)
        children.end(patience=0.3)
    assert [child.process.returncode for child in started] == [-signal.SIGTERM, -signal.SIGKILL]


def test_children_die_with_a_parent_that_is_killed(modules, tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom hybrid_control_ros.run.processes import Children, python\n"
        f"child = Children(Path({str(tmp_path)!r}), {{}}).run('sleeper', python('run_test_sleeper'))\n"
        "print(child.process.pid, flush=True)\ntime.sleep(60)\n"
    )
    environment = {**os.environ, **modules}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    wait_for(lambda: not alive(child))


def test_child_that_failed_is_told_by_its_last_words(modules, tmp_path):
    with Children(tmp_path, modules) as children:
        child = children.run("failing", python("run_test_failing"))
        wait_for(lambda: not child.alive)
        assert child.end_text() == "failing ended with status 1"
        assert child.last_words() == "ValueError: the model is missing"
        other = children.run("sleeper", python("run_test_sleeper"))
        other.process.kill()
        wait_for(lambda: not other.alive)
        assert other.end_text() == "sleeper was killed (SIGKILL)"


def test_domains_of_two_runs_differ_and_are_free_again_afterwards():
    with private_domain() as first, private_domain() as second:
        assert first != second
        assert 1 <= first <= 101
        with pytest.raises(ValueError, match=f"ROS domain {first} is in use"), private_domain(first):
            pass
    with private_domain(first) as again:
        assert again == first

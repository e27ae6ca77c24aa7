"""Tests that run processes and threads against the clock get another try on a busy machine; pytest says RERUN."""

import signal

import pytest

# what a shell starts in the background ignores Ctrl-C, and so would every program that a test starts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL_TIME = ("ros", "run", "launch", "realtime", "firmware_bridge", "firmware_node", "boards", "mavlink")


def pytest_collection_modifyitems(config, items):
    for item in items:
        room = item.path.relative_to(config.rootpath / "tests").parts[0]
        if room in REAL_TIME:
            item.add_marker(pytest.mark.flaky(reruns=2, reruns_delay=1))

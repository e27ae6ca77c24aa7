"""The systemd unit keeps what it starts in bounds, and `up` tells systemd what it has to know."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from hybrid_control.bringup.systemd import Notifier

UNIT = Path(__file__).parents[2] / "config" / "hybrid-control.service"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_unit_is_exposed_by_at_most_four_of_ten():
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=40", "--no-pager", str(UNIT)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_unit_keeps_real_time_and_has_a_watchdog_and_a_limit_of_memory():
    lines = UNIT.read_text().splitlines()
    for line in ("LimitRTPRIO=95", "LimitMEMLOCK=infinity", "Type=notify", "WatchdogSec=5", "MemoryMax=3G"):
        assert line in lines
    assert not [line for line in lines if line.startswith("RestrictRealtime=yes")]


@pytest.mark.parametrize("abstract", [False, True])
def test_notifier_says_ready_and_alive(tmp_path, abstract):
    name = f"@hybrid-{tmp_path.name}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(5.0)
        notifier = Notifier({"NOTIFY_SOCKET": name})
        notifier.ready()
        notifier.alive()
        assert [manager.recv(100), manager.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
    notifier.alive()  # nobody listens any more: nothing happens


def test_notifier_without_systemd_says_nothing():
    Notifier({}).ready()

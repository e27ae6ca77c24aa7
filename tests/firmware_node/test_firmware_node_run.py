"""A whole run through the firmware on the emulated chip, as a person starts it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="no ROS 2 here: `make setup` installs it, or source one")
pytest.importorskip("hybrid_control_msgs.msg", reason="the workspace is not built: `make setup` builds it")

from hybrid_control.cli import main
from hybrid_control.report.run import load

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_firmware_run_reaches_the_goal_with_the_firmware_between_reflex_and_wheels(built_firmware, tmp_path):
    source = ROOT / "ros2_ws" / "src" / "hybrid_control_ros"
    environment = dict(
        os.environ, PYTHONPATH=os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH", "")]))
    )
    done = subprocess.run(
        [sys.executable, "-m", "hybrid_control", "sim", "--firmware", "--world", "open", "--out", str(tmp_path)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = tmp_path.iterdir()
    # the very file that ran is kept, and the report says that it was in the loop
    elf = folder / "firmware" / "firmware.elf"
    assert elf.read_bytes() == built_firmware[1].read_bytes()
    report = json.loads((folder / "report.json").read_text())
    assert "ATmega328P emulated by simavr" in report["versions"]["motor firmware in the loop"]
    assert "motor firmware in the loop" in (folder / "report.html").read_text()
    assert report["contacts"] == 0
    # the encoders' odometry and the wheels' joints come from the bridge alone
    assert {"/odom", "/joint_states", "/battery_state"} <= set(report["topics"])
    run = load(folder)
    joints = list(run.recording.topic("joint_states"))
    assert joints[-1].position[0] * 0.098 == pytest.approx(report["outcome"]["path_length_m"], rel=0.05)
    # no process and no pty stays behind
    assert not (folder / "firmware.pty").is_symlink()


@pytest.mark.parametrize("path", ["nothing", "no avr-gcc"])
def test_firmware_run_without_the_toolchain_names_the_packages_in_one_line(
    path, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    if path == "no avr-gcc":
        for name in ("gcc", "avr-objcopy", "avr-size"):
            (tmp_path / name).write_text("#!/bin/sh\n")
            (tmp_path / name).chmod(0o755)
    assert main(["sim", "--firmware"]) == 2
    error = capsys.readouterr().err
    assert "avr-gcc" in error
    assert "apt install gcc-avr avr-libc binutils-avr" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_firmware_run_refuses_a_pace_that_the_chip_has_not(tmp_path, capsys, built_firmware):
    assert main(["sim", "--firmware", "--real-time-factor", "2", "--out", str(tmp_path / "out")]) == 2
    assert "--firmware: the emulated chip runs in real time" in capsys.readouterr().err


@pytest.mark.parametrize(("robot", "has"), [("car", "steered ones"), ("mecanum", "4"), ("quad", "none")])
def test_firmware_run_refuses_a_robot_that_two_wheels_do_not_drive(
    robot, has, tmp_path, capsys, built_firmware
):
    assert main(["sim", "--firmware", "--robot", robot, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert f"drives two wheels, and the robot '{robot}' has {has}\n" in error
    assert error.count("\n") == 1

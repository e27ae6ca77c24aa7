"""Starts the nodes of a run as processes, watches them to the end, and sees to it that nothing stays behind."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

import hybrid_control
from hybrid_control.bringup.dds import without_shared_memory
from hybrid_control.bringup.options import RunOptions
from hybrid_control_ros.run.attached import attachments
from hybrid_control_ros.run.plan import Plan
from hybrid_control_ros.run.processes import Children, private_domain
from hybrid_control_ros.run.session import TICK, Session
from hybrid_control_ros.run.terminal import Display, Interrupt

END = 1.3  # s that the programs may take to end when a person wants it; a node of ours takes 1.2 at most
_ORDERLY_END = 3.0  # s that they may take otherwise


def versions() -> dict[str, str]:
    """Versions of what took part."""
    result = {
        "hybrid_control": hybrid_control.__version__,
        "python": platform.python_version(),
        "ros": os.environ.get("ROS_DISTRO", "unknown"),
    }
    for package in ("numpy", "numba", "onnxruntime", "mujoco"):
        try:
            result[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            result[package] = "missing"
    result["machine"] = f"{platform.system()} {platform.release()}, {len(os.sched_getaffinity(0))} cores"
    return result


class Run:
    """One run, from nothing to a folder with its recording and its outcome."""

    def __init__(
        self, options: RunOptions, seed: int, folder: Path, interrupt: Interrupt, display: Display
    ) -> None:
        self._options, self._seed, self._folder = options, seed, folder
        self._interrupt, self._display = interrupt, display
        self._parts = attachments(options)

    def drive(self) -> dict[str, Any]:
        """Start everything, watch it to the end, stop everything; the outcome. StartError where it did not start."""
        self._folder.mkdir(parents=True, exist_ok=False)
        with self._interrupt.raising():
            plan = Plan(self._options, self._seed, self._folder)
            for part in self._parts:
                part.prepare(plan)
        commands = plan.commands()
        started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        with private_domain(self._options.domain) as domain:
            # the own participant goes by the same environment
            os.environ.update(ROS_DOMAIN_ID=str(domain), ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST")
            without_shared_memory(os.environ)
            environment = {"RCUTILS_COLORIZED_OUTPUT": "0", "PYTHONUNBUFFERED": "1"}
            with Children(self._folder, environment) as children:
                for name, command in commands.items():
                    children.run(name, command)
                context = Context()
                rclpy.init(context=context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
                try:
                    self._display.line(f"{self._folder}: seed {self._seed}, ROS_DOMAIN_ID={domain}")
                    session = Session(plan, context, children, self._interrupt, self._display)
                    self._last(session)
                finally:
                    rclpy.shutdown(context=context)
        self._write_metadata(session, started)
        return session.judge.outcome()

    def _last(self, session: Session) -> None:
        """From the processes' start to their end."""
        session.recorder.start()
        try:
            session.bring_up()
            for part in self._parts:
                part.wait(session)
            session.begin()
            self._watch(session)
        finally:
            # a person who waits is not kept waiting by a machine that is busy
            session.children.end(END if self._interrupt.requested else _ORDERLY_END)
            session.recorder.end()
            session.close()

    def _watch(self, session: Session) -> None:
        judge = session.judge
        while not self._interrupt.requested:
            time.sleep(TICK)
            for part in self._parts:
                part.tick(session)
                if judge.ended:
                    return
            if judge.over(session.mode):
                return
        judge.ended = "interrupted"

    def _write_metadata(self, session: Session, started: str) -> None:
        plan = session.plan
        content = {
            "outcome": session.judge.outcome(),
            "ended_s": session.judge.t,
            "seed": self._seed,
            "world": self._options.world,
            "robot": dataclasses.asdict(plan.robot),
            "goal": list(plan.world.goal),
            "started": started,
            "duration_limit_s": self._options.duration,
            "real_time_factor": self._options.real_time_factor,
            "composed": self._options.composed,
            "firmware": None,
            "backend": self._options.backend,
            "versions": versions(),
            "events": session.events,
            "recording": session.recorder.note,
            "parameters": plan.parameters,
        }
        for part in self._parts:
            part.describe(content)
        try:
            (self._folder / "run.json").write_text(json.dumps(content, indent=2) + "\n")
        except OSError as error:
            self._display.line(f"run.json was not written: {error.strerror or error}")


def drive(
    options: RunOptions, seed: int, folder: Path, interrupt: Interrupt, display: Display
) -> dict[str, Any]:
    """One run into a new folder; its outcome. Raises ValueError where the system could not be started."""
    return Run(options, seed, folder, interrupt, display).drive()

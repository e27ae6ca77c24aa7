"""What `hybrid-control up` runs: the programs of a graph, watched and restarted, until a signal ends them."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hybrid_control.bringup.commands import command
from hybrid_control.bringup.graph import MAX_RESTARTS, RESTART_DELAY, Graph, Program
from hybrid_control.bringup.systemd import Notifier
from hybrid_control_ros.run.manager import Manager
from hybrid_control_ros.run.processes import Child, Children
from hybrid_control_ros.run.supervisor import END
from hybrid_control_ros.run.terminal import Interrupt


class _Robot:
    """One graph's programs, and the manager that looks after them."""

    def __init__(self, graph: Graph, children: Children, folder: Path) -> None:
        self.graph, self._children = graph, children
        self._commands = {p.name: command(p, graph, folder) for p in graph.programs}
        self.manager = Manager(graph, self.say)
        self._running: dict[str, Child] = {}
        self._due: dict[str, float] = {}
        self._restarts: Counter[str] = Counter()
        for program in graph.programs:
            self._start(program)

    def say(self, text: str) -> None:
        """A line for a person."""
        where = f"{self.graph.namespace} " if self.graph.namespace else ""
        sys.stderr.write(f"up {self.graph.kind}: {where}{text}\n")
        sys.stderr.flush()

    def _start(self, program: Program) -> None:
        name = f"{self.graph.namespace}/{program.name}"
        self._running[program.name] = self._children.run(name, self._commands[program.name])
        self.manager.started(program.name)

    def watch(self) -> int | None:
        """Look after everything once; an exit status where all is to end."""
        now = time.monotonic()
        for program in self.graph.programs:
            child = self._running.get(program.name)
            if child is not None and not child.alive:
                del self._running[program.name]
                self.manager.ended(program.name)
                status = self._mourn(program, child, now)
                if status is not None:
                    return status
            if child is None and self._due.get(program.name, now) < now:
                del self._due[program.name]
                self._start(program)
        self.manager.poll()
        if self.manager.refused:
            self.say(f"{self.manager.refused} could not be started; the reason stands above")
            return 1
        return None

    def _mourn(self, program: Program, child: Child, now: float) -> int | None:
        code = child.process.returncode
        said = child.end_text().removeprefix(f"{self.graph.namespace}/")
        if program.essential:
            self.say(f"{said}: everything is ended")
            return 0 if code == 0 else 1
        if code == 2 and program.managed:
            self.say(f"{said}; the reason stands above")
            return 2  # what was asked for does not work
        if not program.restart:
            if code:
                self.say(said)
            return None
        if self._restarts[program.name] >= MAX_RESTARTS:
            self.say(f"{said} for the {MAX_RESTARTS + 1}th time: everything is ended")
            return 1
        self._restarts[program.name] += 1
        self._due[program.name] = now + RESTART_DELAY
        self.say(f"{said}; it is started again")
        return None


class _Service:
    """Says to systemd, where that has started this, that all nodes are active, and that the reflexes tick."""

    _PERIOD = 1.0  # s between two words of life

    def __init__(self) -> None:
        self._notifier = Notifier()
        self._ready = False
        self._at = 0.0

    def tell(self, managers: Sequence[Manager]) -> None:
        """Say what is due."""
        now = time.monotonic()
        if not self._ready and all(manager.all_active for manager in managers):
            self._ready = True
            self._notifier.ready()
        if now - self._at >= self._PERIOD and all(manager.alive for manager in managers):
            self._at = now
            self._notifier.alive()


def run(graphs: Sequence[Graph]) -> NoReturn:
    """Run graphs, each a robot of its own, until a signal (status 0), or until something ends them (1; 2 for a
    mistake in what was asked). The process ends here: to take a node of this many clients down piece by piece takes
    DDS seconds."""
    with (
        Interrupt() as interrupt,
        tempfile.TemporaryDirectory(prefix="hybrid-control-") as folder,
        Children(None, {"PYTHONUNBUFFERED": "1"}) as children,
    ):
        robots = []
        for i, graph in enumerate(graphs):
            own = Path(folder) / str(i)
            own.mkdir()
            robots.append(_Robot(graph, children, own))
        status, service = 0, _Service()
        while not interrupt.requested and not status:
            for robot in robots:
                found = robot.watch()
                if found is not None:
                    status = found
                    interrupt.requested = True
            service.tell([robot.manager for robot in robots])
        # all are told at once; the base stops by itself, and this is for one that is not ours
        children.ask_to_end()
        for robot in robots:
            robot.manager.stop()
        children.end(END)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

"""Makes launch descriptions of the graphs that hybrid_control.bringup.kinds describes. Needs launch and launch_ros."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit, OnProcessStart, OnShutdown
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

import launch
from hybrid_control.bringup import kinds
from hybrid_control.bringup.commands import node_parameters_file
from hybrid_control.bringup.graph import MAX_RESTARTS, OURS, RESTART_DELAY, Graph, Program
from hybrid_control_ros.main import STARTER
from hybrid_control_ros.run.manager import ManagerThread


def description(kind: str) -> launch.LaunchDescription:
    """A launch description of a kind of graph, with all of its arguments."""
    declared = [
        DeclareLaunchArgument(
            a.name, default_value=a.default, description=a.description, choices=list(a.choices) or None
        )
        for a in kinds.KINDS[kind].arguments
    ]
    return launch.LaunchDescription([*declared, OpaqueFunction(function=_start, args=[kind])])


def _start(context: launch.LaunchContext, kind: str) -> list[Any]:
    given = {a.name: LaunchConfiguration(a.name).perform(context) for a in kinds.KINDS[kind].arguments}
    return actions(kinds.build(kind, given))


def actions(graph: Graph) -> list[Any]:
    """What launch has to do to run a graph: its processes, and a manager that hears of each one's start and end."""
    logger = launch.logging.get_logger("bringup")
    waiting: list[Any] = []  # made before launch runs, filled when it does

    def refused(node: str) -> None:
        logger.error(f"{graph.namespace}/{node} could not be started; the reason stands above")

    folder = tempfile.TemporaryDirectory(prefix="hybrid-control-")
    manager = ManagerThread(graph, logger.info, refused)
    result: list[Any] = [OpaqueFunction(function=lambda context: manager.start())]
    for program in graph.programs:
        process = _process(program, graph, Path(folder.name))
        waiting.append(process)
        result += [
            RegisterEventHandler(
                OnProcessStart(
                    target_action=process,
                    on_start=lambda event, context, name=program.name: manager.started(name),
                )
            ),
            RegisterEventHandler(
                OnProcessExit(
                    target_action=process,
                    on_exit=lambda event, context, p=program: _ended(p, event, context, manager),
                )
            ),
        ]

    def end(event: Any, context: Any) -> None:
        manager.end()
        folder.cleanup()

    result.append(RegisterEventHandler(OnShutdown(on_shutdown=end)))
    return [*result, *waiting]


def _ended(program: Program, event: Any, context: Any, manager: ManagerThread) -> list[Any]:
    manager.ended(program.name)
    mistake = event.returncode == 2 and program.managed  # what was asked for does not work
    if (program.essential or mistake) and not context.is_shutdown:
        reason = f"{program.name} ended with status {event.returncode}"
        return [LogInfo(msg=f"{reason}: everything is ended"), EmitEvent(event=Shutdown(reason=reason))]
    return []


def _process(program: Program, graph: Graph, folder: Path) -> Any:
    again = {"respawn": program.restart, "respawn_delay": RESTART_DELAY, "respawn_max_retries": MAX_RESTARTS}
    if not program.package:
        return ExecuteProcess(
            cmd=[program.executable, *program.arguments], name=program.name, output="screen", **again
        )
    own = node_parameters_file(program, folder, graph.namespace)
    single = len(program.managed) < 2
    return Node(
        package=program.package,
        executable=program.executable,
        # a process of several nodes gives each its own name
        name=program.name if single else None,
        namespace=graph.namespace,
        parameters=[*program.files, *([str(own)] if own else [])],
        remappings=list(program.remappings),
        arguments=list(program.arguments),
        ros_arguments=["--log-level", graph.log_level],
        output="screen",
        emulate_tty=program.package == OURS,
        additional_env={STARTER: str(os.getpid())},
        **again,
    )

"""The tasks, by name."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_control.bench.hand_over.arm_task import Arm
from hybrid_control.bench.hand_over.drive_task import Drive
from hybrid_control.bench.hand_over.task import Task

TASKS: Mapping[str, Task] = {task.name: task for task in (Arm(), Drive())}

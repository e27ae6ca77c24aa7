"""The plants of the hybrids beside it: an arm of two joints, and the sensor that passes on what it feels.

A plant of your own is a class like these (docs/cosim.md): `inputs` and `outputs`, `reset` and `step` in Python, or
`start` and a step that numba compiles.
"""

from hybrid_control.bench.arm.plant import Arm, Sensor, Task

__all__ = ["Sensor", "arm"]


def arm(task: int = 0) -> Arm:
    """The arm with the targets, the load and the push that a number draws."""
    return Arm(Task.of(task))

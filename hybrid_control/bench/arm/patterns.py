"""The patterns in which an ANN and an SNN can be coupled, each a hybrid that moves the same arm.

Sensors every 5 ms (1 ms on the way), the ANN every 33 ms (10 ms latency), the SNN every 1 ms, the arm every 1 ms:
T_sync 165 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.bench.arm.networks import Features, kinematics, only, policy
from hybrid_control.bench.arm.plant import DURATION, Arm, Sensor, Task
from hybrid_control.bench.arm.spiking import foresight, servo
from hybrid_control.cosim import Hybrid
from hybrid_control.cosim.parts import (
    AnnPart,
    CompiledPlantPart,
    FunctionPart,
    GatedFusion,
    SnnPart,
    WeightedFusion,
)
from hybrid_control.cosim.scheduler import Loss

SENSOR, ANN, ANN_LATENCY, SNN = "5 ms", "33 ms", "10 ms", "1 ms"
SENSOR_LATENCY = "1 ms"
# by seeds 1000 .. 1003: s that the SNN looks ahead for the ANN (latency, half a period, the lag of senses and filter)
FORESIGHT = 0.05
SHARES = (0.25, 0.75)  # of ANN and SNN, where their torques are added
Array = NDArray[Any]


def _body(seed: int) -> Hybrid:
    """The arm and its sensors, without a controller."""
    hybrid = Hybrid(seed=seed, until_ns=round(DURATION * 1e9))
    hybrid.add("arm", CompiledPlantPart(Arm(Task.of(seed))), SNN)
    hybrid.add("sensor", CompiledPlantPart(Sensor()), SENSOR, SENSOR_LATENCY)
    hybrid.link("arm.senses", "sensor.senses")
    hybrid.record = ["arm.hand", "arm.target", "arm.elbow"]
    return hybrid


def _ann(hybrid: Hybrid, model: Features, source: str = "sensor") -> None:
    hybrid.add("ann", AnnPart(model), ANN, ANN_LATENCY)
    hybrid.link(f"{source}.{model.name}", "ann")


def _snn(hybrid: Hybrid, part: SnnPart) -> None:
    hybrid.add("snn", part, SNN)
    hybrid.link("sensor.senses", "snn.senses")


def ann_alone(hybrid: Hybrid) -> None:
    """All in the ANN: senses to torque, every 33 ms."""
    _ann(hybrid, only(policy(), "torque"))
    hybrid.link("ann.torque", "arm.torque")


def snn_alone(hybrid: Hybrid) -> None:
    """All in the SNN, every 1 ms: a servo, and neurons that know the kinematics as an ANN would."""
    _snn(hybrid, servo(goal="spikes"))
    hybrid.link("snn.out", "arm.torque")


def servo_alone(hybrid: Hybrid) -> None:
    """The SNN's servo without anything that knows more than the best affine kinematics."""
    _snn(hybrid, servo(goal="linear"))
    hybrid.link("snn.out", "arm.torque")


def sequential(hybrid: Hybrid) -> None:
    """ANN -> SNN: the ANN says at which angles the target is reached, the SNN goes there."""
    _ann(hybrid, only(kinematics(), "goal"))
    _snn(hybrid, servo(goal="input"))
    hybrid.link("ann.goal", "snn.goal")
    hybrid.link("snn.out", "arm.torque")


def filtered(hybrid: Hybrid) -> None:
    """SNN -> ANN -> commands: the SNN expects how the arm will be when the ANN's command holds, the ANN commands."""
    _snn(hybrid, foresight(FORESIGHT))
    join = FunctionPart(
        lambda target, state: {"senses": np.concatenate([target, state])},
        {"target": (2,), "state": (4,)}, {"senses": (6,)},
    )  # fmt: skip
    hybrid.add("join", join, ANN)
    hybrid.link("sensor.target", "join.target")
    hybrid.link("snn.out", "join.state")
    _ann(hybrid, only(policy(ahead=0.0), "torque"), "join")
    hybrid.link("ann.torque", "arm.torque")


def weighted(hybrid: Hybrid) -> None:
    """Parallel: a quarter of the torque of the ANN alone, the rest from the SNN alone."""
    _ann(hybrid, only(policy(), "torque"))
    _snn(hybrid, servo(goal="spikes"))
    hybrid.add("fuse", WeightedFusion(SHARES, (2,)), SNN)
    _fused(hybrid)


def gated(hybrid: Hybrid) -> None:
    """Parallel: the torque of the ANN alone by its confidence, for the rest that of the SNN alone."""
    _ann(hybrid, policy())
    _snn(hybrid, servo(goal="spikes"))
    hybrid.add("fuse", GatedFusion((2,)), SNN)
    hybrid.link("ann.confidence", "fuse.confidence")
    _fused(hybrid)


def _fused(hybrid: Hybrid) -> None:
    hybrid.link("ann.torque", "fuse.a")
    hybrid.link("snn.out", "fuse.b")
    hybrid.link("fuse.out", "arm.torque")


def hierarchical(hybrid: Hybrid) -> None:
    """The ANN writes into the SNN's states what its affine kinematics lack; the SNN, with a reflex, goes on alone."""
    _ann(hybrid, only(kinematics(), "offset"))
    _snn(hybrid, servo(goal="state", reflex=True))
    hybrid.link("ann.offset", "snn.setpoint.voltage")
    hybrid.link("snn.out", "arm.torque")


PATTERNS: dict[str, Callable[[Hybrid], None]] = {
    "ANN alone": ann_alone,
    "SNN alone": snn_alone,
    "SNN alone, affine": servo_alone,
    "ANN -> SNN": sequential,
    "SNN -> ANN": filtered,
    "parallel, weighted": weighted,
    "parallel, gated": gated,
    "hierarchical": hierarchical,
}


def hybrid_of(pattern: str, seed: int, lost: float = 0.0) -> Hybrid:
    """A pattern on the arm and the task of a seed. lost: share of the ANN's runs whose results never arrive.

    KeyError for another name.
    """
    hybrid = _body(seed)
    PATTERNS[pattern](hybrid)
    if "ann" in hybrid.parts:
        hybrid.losses["ann"] = Loss(lost)
    return hybrid

"""What is controlled, and any function, as parts."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from hybrid_control.cosim.block import CompiledPart, words
from hybrid_control.cosim.kernels import parts
from hybrid_control.cosim.part import Array, CalledPart, Port, Stateless


class Plant(Protocol):
    """Something that goes on by a period under commands, and can be measured; anybody's class.

    Its attributes are its state, and are copied for a snapshot.
    """

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes by name."""

    @property
    def outputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes by name."""

    def reset(self, seed: int) -> None:
        """To the start."""

    def step(self, dt: float, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        """What is measured now; then go on by dt seconds under the inputs."""


class PlantPart(CalledPart):
    """A Plant, stepped once a run."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self.inputs = {name: Port("values", tuple(shape)) for name, shape in plant.inputs.items()}
        self.outputs = {name: Port("values", tuple(shape)) for name, shape in plant.outputs.items()}

    def reset(self, seed: int) -> None:
        """To the start."""
        self._plant.reset(seed)

    def call(self, inputs: Mapping[str, Array], period_ns: int) -> Mapping[str, Any]:
        """A step."""
        return self._plant.step(period_ns * 1e-9, inputs)

    def state(self) -> Any:
        """A copy of its attributes."""
        return copy.deepcopy(vars(self._plant))

    def set_state(self, state: Any) -> None:
        """Its attributes as they were."""
        vars(self._plant).update(copy.deepcopy(state))


@runtime_checkable
class CompiledPlant(Protocol):
    """A plant whose step numba has compiled; anybody's class. It costs no Python call a run.

    kernel(state, inputs, outputs, dt): writes what is measured now to outputs, then goes on by dt seconds: arrays of
    float64 of one axis, ports one after the other in the order of `inputs` and `outputs`.
    """

    @property
    def inputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes by name."""

    @property
    def outputs(self) -> Mapping[str, tuple[int, ...]]:
        """Shapes by name."""

    @property
    def kernel(self) -> Callable[[Array, Array, Array, float], None]:
        """A function that numba.njit has made."""

    def start(self, seed: int) -> Array:
        """The state at the start, (n,), the same length for each seed."""


class CompiledPlantPart(CompiledPart):
    """A CompiledPlant, stepped once a run."""

    def __init__(self, plant: CompiledPlant) -> None:
        self._plant = plant
        self.inputs = {name: Port("values", tuple(shape)) for name, shape in plant.inputs.items()}
        self.outputs = {name: Port("values", tuple(shape)) for name, shape in plant.outputs.items()}
        self._state = np.array(plant.start(0), np.float64)
        sizes = [port.size for port in (*self.inputs.values(), *self.outputs.values())]
        taken = sum(sizes[: len(self.inputs)])
        self._room = np.zeros(taken), np.zeros(sum(sizes) - taken)
        self._function = parts.plant_function(plant.kernel)
        self.function = int(self._function.address)
        self.data = words(
            self._state.ctypes.data, self._state.size, len(self.inputs), len(self.outputs),
            [room.ctypes.data for room in self._room], [room.size for room in self._room], sizes,
        )  # fmt: skip

    def reset(self, seed: int) -> None:
        """To the start."""
        self._state[:] = self._plant.start(seed)

    def state(self) -> Any:
        """A copy."""
        return self._state.copy()

    def set_state(self, state: Any) -> None:
        """As it was."""
        self._state[:] = state


def plant_part(plant: Plant | CompiledPlant) -> PlantPart | CompiledPlantPart:
    """The part for a plant of either kind."""
    return CompiledPlantPart(plant) if isinstance(plant, CompiledPlant) else PlantPart(plant)


class FunctionPart(CalledPart, Stateless):
    """A function of arrays by name, called once a run; it has no memory."""

    def __init__(
        self,
        function: Callable[..., Mapping[str, Any]],
        inputs: Mapping[str, tuple[int, ...]],
        outputs: Mapping[str, tuple[int, ...]],
    ) -> None:
        self._function = function
        self.inputs = {name: Port("values", tuple(shape)) for name, shape in inputs.items()}
        self.outputs = {name: Port("values", tuple(shape)) for name, shape in outputs.items()}

    def call(self, inputs: Mapping[str, Array], period_ns: int) -> Mapping[str, Any]:
        """A call."""
        return self._function(**inputs)

"""A Gymnasium environment as a plant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hybrid_control.cosim.part import Array


class GymPlant:
    """One step of the environment a run: action in; observation (flat), reward and done out, as they were before it.

    id: as `gymnasium.make` takes it, with its options. An action of a Discrete space is the nearest of its numbers; one
    of a Box is clipped to it. An episode that ends begins anew at the next run. ValueError where Gymnasium is not
    there, does not know the id, or where the environment's own step is not the part's period.
    """

    def __init__(self, id: str, **options: Any) -> None:
        try:
            import gymnasium
        except ImportError:
            raise ValueError("gymnasium is not installed: pip install gymnasium") from None
        try:
            self._env = gymnasium.make(id, **options)
        except Exception as error:  # gymnasium's, and what the environment itself needs
            raise ValueError(f"gymnasium:{id}: {' '.join(str(error).split())[:200]}") from None
        space = self._env.action_space
        if not isinstance(space, gymnasium.spaces.Box | gymnasium.spaces.Discrete):
            raise ValueError(f"gymnasium:{id}: actions are {space}; there are Box and Discrete")
        self.name, self._discrete = f"gymnasium:{id}", isinstance(space, gymnasium.spaces.Discrete)
        shape = (1,) if self._discrete else space.shape
        size = gymnasium.spaces.flatdim(self._env.observation_space)
        self.inputs: Mapping[str, tuple[int, ...]] = {"action": shape or (1,)}
        self.outputs: Mapping[str, tuple[int, ...]] = {"observation": (size,), "reward": (1,), "done": (1,)}
        self._now = (np.zeros(size), 0.0, False)

    def reset(self, seed: int) -> None:
        """A new episode of this seed."""
        self._now = (self._flat(self._env.reset(seed=seed % 2**31)[0]), 0.0, False)

    def step(self, dt: float, inputs: Mapping[str, Array]) -> Mapping[str, Any]:
        """What was observed; then a step."""
        own = getattr(self._env.unwrapped, "dt", None) or getattr(self._env.unwrapped, "tau", None)
        if isinstance(own, float) and abs(own - dt) > 1e-9:
            raise ValueError(f"{self.name} steps by {own:g} s; give the part that period, not {dt:g} s")
        observation, reward, done = self._now
        if done:
            self._now = (self._flat(self._env.reset()[0]), 0.0, False)
        else:
            seen, gained, ended, cut, _ = self._env.step(self._action(inputs["action"]))
            self._now = (self._flat(seen), float(gained), bool(ended or cut))
        return {"observation": observation, "reward": reward, "done": float(done)}

    def _action(self, value: Array) -> Any:
        space: Any = self._env.action_space
        if self._discrete:
            first = int(space.start)
            return int(np.clip(round(float(value[0])), first, first + int(space.n) - 1))
        return np.clip(np.reshape(value, space.shape), space.low, space.high).astype(space.dtype)

    def _flat(self, observation: Any) -> Array:
        from gymnasium.spaces import flatten

        return np.asarray(flatten(self._env.observation_space, observation), np.float64)

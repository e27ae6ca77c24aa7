"""An episode in lock step of a drone: planner, encoder and reflex as of a rover, with ranges up and down."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_control.navigation.drive import GOAL_RADIUS, Episode, ImageFault, LockStep, Plans, run_episode
from hybrid_control.parameters import Value
from hybrid_control.sim.model import Appearance
from hybrid_control.sim.quadrotor import QuadSimulator
from hybrid_control.sim.robots import QUAD, QuadModel
from hybrid_control.sim.simulator import Event
from hybrid_control.sim.worlds import World

# What differs from a ground robot's defaults. config/quad.yaml has the same outline, and leaves height to an autopilot.
QUAD_SETTINGS: Mapping[str, Value] = {
    "holonomic": True,
    "hover_height": QUAD.hover_height,
    "robot_length": QUAD.length,
    "robot_width": QUAD.width,
}
QUAD_SPEED = 1.0  # m/s, the fastest that its measured success holds for
QUAD_GAINS: Mapping[str, Value] = {"max_speed": QUAD_SPEED}


class Flight(LockStep):
    """Ready to fly one world after another; the arguments are LockStep's, over a quadrotor's settings and gains."""

    def __init__(
        self,
        planner: Plans | None,
        *,
        robot: QuadModel = QUAD,
        planner_rate: float = 15.0,
        planner_latency: float = 0.04,
        code: str = "poisson",
        settings: Mapping[str, Value] | None = None,
        gains: Mapping[str, Value] | None = None,
        memory: bool = True,
    ) -> None:
        self.model = robot
        super().__init__(
            planner,
            robot=robot,
            planner_rate=planner_rate,
            planner_latency=planner_latency,
            code=code,
            settings={**QUAD_SETTINGS, **(settings or {})},
            gains={**QUAD_GAINS, **(gains or {})},
            memory=memory,
        )

    def run(
        self,
        world: World,
        seed: int = 0,
        *,
        duration: float = 90.0,
        goal_radius: float = GOAL_RADIUS,
        planner_dies_at: float = float("inf"),
        image_fault: ImageFault | None = None,
        appearance: Appearance | None = None,
    ) -> Episode:
        """Fly one world to its goal, to the first contact, or until `duration` simulated seconds have passed."""
        self.planner_dies_at, self.image_fault = planner_dies_at, image_fault
        with QuadSimulator(world, self.model, seed, camera=self.camera, appearance=appearance) as simulator:
            return self.fly(simulator, seed, duration=duration, goal_radius=goal_radius)

    def fly(
        self,
        simulator: QuadSimulator,
        seed: int,
        *,
        duration: float = 90.0,
        goal_radius: float = GOAL_RADIUS,
        centre_contact: float | None = None,
    ) -> Episode:
        """As `run`, in a simulator that is there already."""

        def act(now_ns: int) -> str:
            _, _, mode = self.command(now_ns)
            simulator.set_twist(self.reflex.command().twist)
            return mode

        return run_episode(
            self,
            simulator.world,
            simulator,
            self.model,
            seed,
            duration=duration,
            goal_radius=goal_radius,
            centre_contact=centre_contact,
            act=act,
        )

    def receive(self, event: Event) -> None:
        """As of a rover, and the ranges up and down."""
        if event.kind == "vertical":
            self._now = max(self._now, event.time_ns)
            self.reflex.put_vertical(event.value, event.time_ns)
        else:
            super().receive(event)

"""One episode in lock step: simulator, planner, encoder and reflex, each at its own rate of simulated time.

The parts are those that the ROS nodes run, and the tick is the one of the real-time loop; the same seed gives the
same episode to the bit. It is the sequential co-simulation of a slow ANN and a fast SNN: the planner's rates,
computed from an image at time t, act from t + latency on, and every window of spikes lies within one of their
lifetimes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybrid_control.coding import encoder
from hybrid_control.messages import Goal, Odometry, Pose, RateVector
from hybrid_control.parameters import Value
from hybrid_control.planner.planner import BlindError, Planner
from hybrid_control.realtime import SteppedLoop
from hybrid_control.reflex import Mode, Reflex
from hybrid_control.reflex.network import PLANNER_LAYOUT
from hybrid_control.sim.robot import JACKAL, RobotModel
from hybrid_control.sim.simulator import Simulator
from hybrid_control.sim.worlds import World

if TYPE_CHECKING:
    from hybrid_control.sim.model import Appearance

WINDOW_NS = 10_000_000  # spikes are encoded and commands are sent a hundred times a second
GOAL_RADIUS = 0.5  # m, of the robot's true place from the goal

ImageFault = Callable[[NDArray[np.uint8], float], "NDArray[np.uint8] | None"]


@dataclass(frozen=True, slots=True)
class Episode:
    """How an episode went, by ground truth.

    time: simulated s until the goal was reached or the episode ended; path: m; least_distance: m from the outline
    to the nearest obstacle; modes: share of the time spent in each mode; way: (n, 3) x, y, yaw every 0.1 s.
    """

    reached: bool
    contacts: int
    time: float
    path: float
    least_distance: float
    modes: Mapping[str, float]
    way: NDArray[np.float64]

    @property
    def success(self) -> bool:
        """The goal was reached without a contact."""
        return self.reached and self.contacts == 0


class LockStep:
    """Planner, encoder, reflex and simulator, ready to drive one world after another.

    planner: None leaves the reflex alone. planner_rate, Hz, and planner_latency, s, from image to rates. code: name
    of an encoder. settings, gains: of the reflex. ValueError as the parts raise it.
    """

    def __init__(
        self,
        planner: Planner | None,
        *,
        robot: RobotModel = JACKAL,
        planner_rate: float = 15.0,
        planner_latency: float = 0.04,
        code: str = "poisson",
        settings: Mapping[str, Value] | None = None,
        gains: Mapping[str, Value] | None = None,
    ) -> None:
        self.planner, self.robot, self.code = planner, robot, code
        self.planner_period_ns = round(1e9 / planner_rate)
        self.planner_latency_ns = round(planner_latency * 1e9)
        self._now = 0
        self.reflex = Reflex(settings, gains, clock=lambda: self._now)

    def run(
        self,
        world: World,
        seed: int = 0,
        *,
        duration: float = 90.0,
        planner_dies_at: float = float("inf"),
        image_fault: ImageFault | None = None,
        appearance: Appearance | None = None,
    ) -> Episode:
        """Drive one world to its goal, to the first contact, or until `duration` simulated seconds have passed.

        planner_dies_at: s, no rates from then on. image_fault: given each image and the time in s, returns what the
        planner sees instead, None for no image.
        """
        reflex = self.reflex
        reflex.reset()
        self._now = 0
        loop = SteppedLoop(reflex.tick, reflex.context, reflex.rate)
        size = sum(p.size for p in PLANNER_LAYOUT)
        spikes = encoder(self.code, size, seed=seed) if self.code == "poisson" else encoder(self.code, size)
        simulator = Simulator(world, self.robot, seed, camera=self.planner is not None, appearance=appearance)
        with simulator:
            reflex.activate()
            goal = Goal(0, *world.goal)
            reflex.put_goal(goal)
            odometry: Odometry | None = None
            pending: list[RateVector] = []
            rates: RateVector | None = None
            next_plan = 0
            modes = dict.fromkeys(Mode, 0)
            way: list[tuple[float, float, float]] = []
            windows = round(duration * 1e9 / WINDOW_NS)
            reached = False
            for window in range(windows):
                until = (window + 1) * WINDOW_NS
                for kind, stamp, value in simulator.advance(until):
                    self._now = max(self._now, stamp)
                    if kind == "scan":
                        reflex.put_scan(value, stamp)
                    elif kind == "odometry":
                        odometry = value
                        reflex.put_odometry(value, stamp)
                    elif kind == "camera" and stamp >= next_plan and odometry is not None:
                        image = value if image_fault is None else image_fault(value, stamp * 1e-9)
                        if image is not None and stamp * 1e-9 < planner_dies_at and self.planner is not None:
                            next_plan = stamp + self.planner_period_ns - self.planner_period_ns // 2
                            with contextlib.suppress(BlindError):
                                pending.append(self.planner.plan(image, odometry, goal, stamp))
                    self._now = stamp
                self._now = until
                while pending and until >= pending[0].stamp_ns + self.planner_latency_ns:
                    rates = pending.pop(0)
                if rates is not None and until - rates.stamp_ns > 400_000_000:
                    rates = None
                if rates is not None:
                    vector = RateVector(until, rates.rates, PLANNER_LAYOUT)
                    reflex.put_planner_spikes(spikes.train(vector, WINDOW_NS), until)
                loop.advance(until)
                command = reflex.command()
                simulator.set_command(command.twist.linear_x, command.twist.angular_z)
                modes[command.mode] += 1
                pose: Pose = simulator.truth().pose
                if window % 10 == 0:
                    way.append((pose.x, pose.y, pose.yaw))
                reached = simulator.goal_distance() < GOAL_RADIUS
                if reached or simulator.contacts:
                    break
            return Episode(
                reached=reached,
                contacts=simulator.contacts,
                time=simulator.time_ns * 1e-9,
                path=simulator.path_length,
                least_distance=simulator.closest_approach,
                modes={m.name: n / (window + 1) for m, n in modes.items() if n},
                way=np.array(way),
            )

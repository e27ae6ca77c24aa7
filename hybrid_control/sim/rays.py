"""What a robot's range sensors meet in MuJoCo: the lidar, and the ranges up and down."""

from __future__ import annotations

import numpy as np

from hybrid_control.geometry.shapes import FloatArray
from hybrid_control.signals import RangeScan, VerticalRanges
from hybrid_control.sim.mjcf import OBSTACLE
from hybrid_control.sim.mujoco_import import MuJoCo
from hybrid_control.sim.robots.vehicle import Vehicle
from hybrid_control.sim.sensors import LidarNoise


class Rays:
    """A robot's range sensors; seed decides their noise."""

    def __init__(self, mujoco: MuJoCo, robot: Vehicle, seed: int) -> None:
        self._mujoco, self._robot = mujoco, robot
        self._site, self._body = mujoco.model.site("lidar").id, mujoco.model.body("robot").id
        self._noise = LidarNoise(robot, np.random.default_rng([seed, 11]))
        self._vertical_rng = np.random.default_rng([seed, 14])
        angles = self._noise.angles
        self._beams = np.column_stack((np.cos(angles), np.sin(angles), np.zeros(angles.size)))
        self._groups = np.zeros(6, np.uint8)
        self._groups[OBSTACLE] = 1

    def scan(self, time_ns: int) -> RangeScan:
        """A sweep of the lidar."""
        data = self._mujoco.data
        rotation = data.site_xmat[self._site].reshape(3, 3)
        distances = self._cast(self._beams @ rotation.T, data.site_xpos[self._site])
        return self._noise.read(time_ns, distances)

    def vertical(self, time_ns: int) -> VerticalRanges:
        """The range sensors along the body's z axis, both in its middle. ValueError where it has none."""
        sensor = self._robot.vertical
        if sensor is None:
            raise ValueError(f"simulator: the robot {self._robot.name!r} has no range sensors up and down")
        data = self._mujoco.data
        axis = data.xmat[self._body].reshape(3, 3)[:, 2]
        distances = self._cast(np.stack((axis, -axis)), data.xpos[self._body].copy())
        noisy = np.maximum(distances + self._vertical_rng.normal(0.0, sensor.noise, 2), 0.0)
        up, down = np.where(distances > sensor.range_max, np.inf, noisy).tolist()
        return VerticalRanges(time_ns, up, down)

    def _cast(self, directions: FloatArray, origin: FloatArray) -> FloatArray:
        """Distance along unit vectors (n, 3) of the world to the nearest obstacle, (n,) m, negative or inf for none.

        What flies and tilts meets the level ground as well.
        """
        count = len(directions)
        distances = np.zeros((count, 1))
        self._mujoco.library.mj_multiRay(
            m=self._mujoco.model,
            d=self._mujoco.data,
            pnt=origin.reshape(3, 1),
            vec=np.ascontiguousarray(directions).reshape(-1, 1),
            geomgroup=self._groups,
            flg_static=True,
            bodyexclude=self._body,
            geomid=np.zeros((count, 1), np.int32),
            dist=distances,
            normal=None,
            nray=count,
            cutoff=self._robot.lidar_range_max + 1.0,
        )
        met = distances[:, 0]
        if not self._robot.flies:
            return met
        down = -directions[:, 2]
        ground = np.where(down > 1e-9, origin[2] / np.maximum(down, 1e-9), np.inf)
        return np.minimum(np.where(met < 0, np.inf, met), ground)

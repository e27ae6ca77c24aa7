"""The ANN planner: camera image, odometry and goal in, rates of the heading and speed populations out."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from hybrid_control.navigation.planner import contract, depths
from hybrid_control.navigation.planner.closed import ClosedDirections
from hybrid_control.navigation.planner.contract import ModelInfo, PlannerError
from hybrid_control.navigation.planner.images import ImageError, UInt8Array, contrast, middle, resize
from hybrid_control.navigation.planner.scans import told
from hybrid_control.navigation.planner.states import Plan
from hybrid_control.signals import Goal, Odometry, Pose, RangeScan, StateVector

#: Least contrast (images.contrast of the resized image, grey levels) of an image that shows something.
MIN_CONTRAST = 2.0

_DTYPES = {
    "float": np.float32, "double": np.float64, "uint8": np.uint8, "int32": np.int32, "int64": np.int64,
    "bool": np.bool_,
}  # fmt: skip


class BlindError(PlannerError):
    """The image shows nothing (black, white, or one even shade), so there is nothing to plan from."""


def resized(image: UInt8Array, size: tuple[int, int], min_contrast: float = MIN_CONTRAST) -> UInt8Array:
    """An image (h, w, 3) brought to size, height and width. BlindError where it then has less than min_contrast."""
    small = resize(image, *size)
    seen = contrast(small)
    if seen < min_contrast:
        raise BlindError(
            f"blind: the image's contrast is {seen:.2f} grey levels (mean {small.mean():.0f}), "
            f"less than {min_contrast:g}"
        )
    return small


class Planner:
    """A checked ONNX planner, ready to run.

    model_path: an ONNX file that keeps the contract (docs/planner.md); by default the package's own.
    providers: onnxruntime execution providers in order of preference; the CPU, on one thread, where None.
    min_contrast: grey levels; an image with less is refused as blind. camera: its height in m, pitch (positive looks
    down) and width of view in rad, for a model of contract 2 that asks for them; the model's own where None. Such a
    model gets the middle of an image of another shape than its own, and that one's width of view; others get all of it,
    stretched. lidar: where the range sensor is in the body, for a model that asks for scans.
    Raises ContractError where the file breaks the contract, PlannerError where a provider is not there.
    The same arguments give the same rates: it keeps nothing from call to call.
    """

    def __init__(
        self,
        model_path: str | os.PathLike[str] = contract.DEFAULT_MODEL,
        providers: Sequence[str] | None = None,
        min_contrast: float = MIN_CONTRAST,
        camera: tuple[float, float, float] | None = None,
        lidar: Pose = Pose(),
    ) -> None:
        if not 0 <= min_contrast < 128:
            raise PlannerError(f"min_contrast {min_contrast}: must be 0 .. 128 grey levels")
        self._session, self._info = contract.load(model_path, providers)
        self._min_contrast, self._lidar = min_contrast, lidar
        self._optional = {spec.name: spec for spec in self._info.optional}
        self._measures = self._info.version >= 2 and contract.CAMERA.name in self._optional
        self._camera: NDArray | None = None
        if camera is not None and self._measures:
            self._camera = self._checked_optional(contract.CAMERA.name, np.array([camera], np.float32))

    @property
    def info(self) -> ModelInfo:
        """What the model says about itself."""
        return self._info

    @property
    def max_rate(self) -> float:
        """The highest rate in Hz that the model says a neuron has."""
        return self._info.max_rate

    @property
    def closes(self) -> bool:
        """Whether its plans say which directions are closed."""
        return self._info.version >= 2

    @property
    def scans(self) -> bool:
        """Whether it looks at a scan, too, where there is one."""
        return contract.SCAN in self._info.optional

    @property
    def depths(self) -> bool:
        """Whether it looks at a depth image, too, where there is one."""
        return self._info.depths

    def plan(
        self,
        image: UInt8Array,
        odometry: Odometry,
        goal: Goal,
        stamp_ns: int,
        optional: Mapping[str, NDArray] | None = None,
        states: bool = False,
        scan: RangeScan | None = None,
        depth: NDArray | None = None,
    ) -> Plan:
        """Where to go, as rates in Hz of the populations heading (72) and speed (8), stamped stamp_ns.

        image: (h, w, 3) uint8 RGB of any size, brought to the model's; goal: in the frame of the odometry;
        optional: values for inputs that the model offers beyond the contract (info.optional); states: whether the plan
        is to bring the model's initial states along, if it has any (info.states); scan: the newest, which a model that
        does not ask for scans does not get; depth: (h, w) floats, m along the optical axis of what the image shows, of
        any size, with NaN, inf or 0 where it is not known, which a model that does not ask for it does not get.
        Raises BlindError where the image shows nothing, PlannerError where an argument or the model's answer
        cannot be used.
        """
        if (
            not isinstance(image, np.ndarray)
            or image.dtype != np.uint8
            or image.ndim != 3
            or image.shape[2] != 3
        ):
            seen = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
            raise PlannerError(f"image is {seen}; a uint8 array (height, width, 3) is wanted")
        if 0 in image.shape:
            raise PlannerError(f"image of shape {image.shape} has no pixels")
        size = self._info.height, self._info.width
        image, kept = middle(image, size[0] / size[1]) if self._measures else (image, 1.0)
        small = resized(image, size, self._min_contrast)
        distance, bearing = odometry.pose.to_body(goal.x, goal.y)
        feed: dict[str, NDArray] = {
            "image": np.ascontiguousarray(small[None]),
            "goal": goal_input(distance, bearing, self._info.goal_cap),
            "velocity": np.array([[odometry.twist.linear_x, odometry.twist.angular_z]], np.float32),
        }
        if self._camera is not None:
            feed[contract.CAMERA.name] = narrowed(self._camera, kept)
        if scan is not None and self.scans:
            feed[contract.SCAN.name] = told(scan, self._lidar)[None]
        if depth is not None and self.depths:
            try:
                feed[contract.DEPTH.name] = depths.told(depth, size)[None]
            except ImageError as error:
                raise PlannerError(str(error)) from None
        for name, value in (optional or {}).items():
            feed[name] = self._checked_optional(name, value)
        answers = contract.infer(self._session, self._info, feed, states)
        begin = None
        if states and self._info.states:
            begin = StateVector(stamp_ns, answers.potentials, self._info.states)
        closed = None if answers.closed is None else ClosedDirections(stamp_ns, answers.closed)
        rates = np.concatenate([answers.heading, answers.speed])
        return Plan(stamp_ns, rates, contract.POPULATIONS, begin, closed)

    def _checked_optional(self, name: str, value: NDArray) -> NDArray:
        spec = self._optional.get(name)
        if spec is None:
            known = ", ".join(self._optional) or "none"
            raise PlannerError(f"the model has no optional input {name!r}; it has: {known}")
        array = np.asarray(value)
        if spec.dtype not in _DTYPES or array.dtype != _DTYPES[spec.dtype]:
            raise PlannerError(f"optional input {name!r} is {array.dtype}; the model wants {spec}")
        if len(array.shape) != len(spec.shape) or any(
            w not in (0, n) for n, w in zip(array.shape, spec.shape, strict=True)
        ):
            raise PlannerError(f"optional input {name!r} has shape {array.shape}; the model wants {spec}")
        if not np.isfinite(array).all():
            raise PlannerError(f"optional input {name!r} is not finite")
        return array


def narrowed(camera: NDArray, share: float) -> NDArray[np.float32]:
    """A camera (1, 3) of which a share of the image's width is looked at."""
    if share == 1.0:
        return camera
    height, pitch, hfov = camera[0].tolist()
    return np.array([[height, pitch, 2.0 * math.atan(share * math.tan(hfov / 2))]], np.float32)


def goal_input(distance: float, bearing: float, cap: float) -> NDArray[np.float32]:
    """The model's goal input, (1, 3): distance in m cut at cap, cosine and sine of the body-frame bearing."""
    return np.array([[min(distance, cap), math.cos(bearing), math.sin(bearing)]], np.float32)

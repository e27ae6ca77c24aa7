"""What an ONNX file must be to serve as a planner, and the check of a file against it.

docs/planner.md says the same in words. A file that keeps this contract runs without a change of code.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from hybrid_control import ann
from hybrid_control.signals import PLANNER_POPULATIONS, Population, layout
from hybrid_control.signals.headings import HEADINGS, SECTORS
from hybrid_control.signals.spikes import Float32Array

VERSION = 2  # the newest; files of contract 1 are valid as they are
POPULATIONS = PLANNER_POPULATIONS
SPEED_NEURONS = POPULATIONS[1].size

#: Preferred speed of each speed neuron, as a fraction of the robot's greatest speed.
PREFERRED_SPEEDS: NDArray[np.float64] = np.linspace(0.0, 1.0, SPEED_NEURONS)
#: Width (standard deviation) of a speed neuron's Gaussian tuning curve, fraction of the greatest speed.
SPEED_SIGMA = 1.0 / (SPEED_NEURONS - 1)

#: An output beside the contract's that a file may have: a feature map (1, features, rows, columns) of its image.
FEATURES = "features"

#: Keys in the file's metadata_props. The first three must be there.
KEY_VERSION = "hybrid_control.planner.contract"
KEY_MAX_RATE = "hybrid_control.planner.max_rate_hz"
KEY_GOAL_CAP = "hybrid_control.planner.goal_cap_m"

MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = MODELS / "planner.onnx"

_SMALLEST, _LARGEST = 8, 1024  # pixels
_RATE_LIMIT = 10_000.0  # Hz
_RATE_TOLERANCE = 1e-3  # of the greatest rate: float32 arithmetic may overshoot by this much

class PlannerError(ValueError):
    """What the planner was given, or what its model answered, cannot be used; nothing was planned."""


class ContractError(PlannerError):
    """An ONNX file breaks the planner's contract."""


@dataclass(frozen=True)
class TensorSpec:
    """One named input or output: dtype as ONNX names it, shape with 0 where any size is accepted."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype} ({', '.join(str(n) if n else 'any' for n in self.shape)})"


INPUTS = (
    TensorSpec("image", "uint8", (1, 0, 0, 3)),
    TensorSpec("goal", "float", (1, 3)),
    TensorSpec("velocity", "float", (1, 2)),
)
OUTPUTS = (
    TensorSpec("heading", "float", (1, SECTORS)),
    TensorSpec("speed", "float", (1, SPEED_NEURONS)),
)
#: Besides them of contract 2: as `closed.ClosedDirections` has its rows.
CLOSED = TensorSpec("closed", "float", (1, 4, SECTORS))
#: Optional input of contract 2: the camera's height in m, its pitch and the width of its view in rad.
CAMERA = TensorSpec("camera", "float", (1, 3))
#: Optional input: a scan, as `scans.told` gives it.
SCAN = TensorSpec("scan", "float", (1, SECTORS))
#: Optional input of contract 2: a depth image, as `depths.told` gives it, of the image's size.
DEPTH = TensorSpec("depth", "float", (1, 0, 0))


@dataclass(frozen=True)
class ModelInfo:
    """What a checked model says about itself.

    version: of its contract; from 2 on it says which directions are closed.

    height, width: pixels of its image; max_rate: Hz; goal_cap: metres at which the goal's distance is cut;
    optional: inputs that have a default in the file and may be left out; metadata: all of metadata_props.
    """

    path: str
    version: int
    height: int
    width: int
    max_rate: float
    goal_cap: float
    optional: tuple[TensorSpec, ...]
    extra_outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, str]

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What its contract wants of it."""
        return outputs_of(self.version)

    @property
    def depths(self) -> bool:
        """Whether it has the optional input DEPTH."""
        return self.version >= 2 and any(spec.name == DEPTH.name for spec in self.optional)

    @property
    def states(self) -> tuple[Population, ...]:
        """The populations whose initial potentials it gives: outputs float (1, n) beside those of the contract."""
        return layout(
            **{
                spec.name: spec.shape[1]
                for spec in self.extra_outputs
                if spec.dtype == "float" and len(spec.shape) == 2 and spec.shape[0] <= 1 <= spec.shape[1]
            }
        )


def named(model: str) -> Path:
    """A planner's file by its path, or by the name alone of one that ships, such as "planner"; "" is the default."""
    shipped = MODELS / f"{model}.onnx"
    if not model:
        return DEFAULT_MODEL
    return shipped if Path(model).name == model and shipped.is_file() else Path(model)


def outputs_of(version: int) -> tuple[TensorSpec, ...]:
    """The outputs that a file of a contract must have."""
    return OUTPUTS if version < 2 else (*OUTPUTS, CLOSED)


def open_session(
    path: str | os.PathLike[str], providers: Sequence[str] | None = None
) -> ort.InferenceSession:
    """As `ann.open_session`: ContractError where it is no ONNX model that can be run, PlannerError for a provider."""
    try:
        return ann.open_session(path, providers)
    except ann.ProviderError as error:
        raise PlannerError(str(error)) from None
    except ann.ModelError as error:
        raise ContractError(str(error)) from None


def check(session: ort.InferenceSession, path: str | os.PathLike[str]) -> ModelInfo:
    """Compare a model with the contract and try it on test images; ContractError names the first breach.

    path is for the messages alone.
    """
    where = str(path)
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    version = _version(metadata, where)
    max_rate = _positive(metadata, KEY_MAX_RATE, _RATE_LIMIT, where)
    goal_cap = _positive(metadata, KEY_GOAL_CAP, 1e6, where)

    inputs = {arg.name: arg for arg in session.get_inputs()}
    for spec in INPUTS:
        _compare("input", spec, inputs.pop(spec.name, None), where)
    if inputs:
        wanted = ", ".join(spec.name for spec in INPUTS)
        raise ContractError(
            f"{where}: input {next(iter(inputs))!r} is required but unknown to contract {version}, which "
            f"has {wanted}; give it a default value (an initializer of the same name) to make it optional"
        )
    outputs = {arg.name: arg for arg in session.get_outputs()}
    for spec in outputs_of(version):
        _compare("output", spec, outputs.pop(spec.name, None), where)

    optional = tuple(_spec(arg) for arg in session.get_overridable_initializers())
    image = next(arg for arg in session.get_inputs() if arg.name == "image")
    height, width = image.shape[1], image.shape[2]
    for known in (CAMERA, SCAN, TensorSpec(DEPTH.name, DEPTH.dtype, (1, height, width))):
        found = next((spec for spec in optional if spec.name == known.name), known)
        if version >= 2 and found != known:
            raise ContractError(f"{where}: optional input {found}; contract {version} wants {known}")
    info = ModelInfo(
        where, version, height, width, max_rate, goal_cap,
        optional,
        tuple(_spec(arg) for arg in outputs.values()),
        metadata,
    )  # fmt: skip
    _try_out(session, info)
    return info


def load(
    path: str | os.PathLike[str], providers: Sequence[str] | None = None
) -> tuple[ort.InferenceSession, ModelInfo]:
    """Open a model and check it: the session and what the model says about itself."""
    session = open_session(path, providers)
    return session, check(session, path)


class Answers(NamedTuple):
    """What a model said once: heading (72,) and speed (8,) rates in Hz, within 0 .. max_rate; closed (4, 72), the rows
    of `closed.ClosedDirections`, None of a model of contract 1; potentials of info.states, finite, one population
    after another, (0,) where none were asked for."""

    heading: Float32Array
    speed: Float32Array
    closed: Float32Array | None
    potentials: Float32Array


def infer(
    session: ort.InferenceSession, info: ModelInfo, feed: Mapping[str, NDArray], states: bool = False
) -> Answers:
    """Run the model once. states: whether the potentials of info.states are asked for.

    Raises PlannerError where the model fails or answers outside its contract.
    """
    more = [TensorSpec(p.name, "float", (1, p.size)) for p in info.states] if states else []
    wanted = [*info.outputs, *more]
    try:
        answers = session.run([spec.name for spec in wanted], dict(feed))
    except ann.ORT_ERRORS as error:
        raise PlannerError(f"{info.path}: the model failed ({_one_line(error)})") from None
    checked: dict[str, Float32Array] = {}
    for spec, answer in zip(wanted, answers, strict=True):
        if answer.shape != spec.shape:
            raise PlannerError(
                f"{info.path}: output {spec.name!r} has shape {answer.shape}, not {spec.shape}"
            )
        if not np.isfinite(answer).all():
            raise PlannerError(f"{info.path}: output {spec.name!r} is not finite")
        checked[spec.name] = answer[0]
    for spec in OUTPUTS:
        checked[spec.name] = _within(checked[spec.name], spec.name, info)
    closed = checked.get(CLOSED.name) if info.version >= 2 else None
    if closed is not None:
        _check_closed(closed, info.path)
    potentials = [np.empty(0, np.float32), *(checked[spec.name] for spec in more)]
    return Answers(checked["heading"], checked["speed"], closed, np.concatenate(potentials))


def _within(rates: Float32Array, name: str, info: ModelInfo) -> Float32Array:
    """Rates within 0 .. max_rate, but for what float32 may overshoot; PlannerError where they are not."""
    slack = _RATE_TOLERANCE * info.max_rate
    if rates.min() < -slack or rates.max() > info.max_rate + slack:
        raise PlannerError(
            f"{info.path}: output {name!r} spans {rates.min():.4g} .. {rates.max():.4g} Hz, "
            f"outside 0 .. {info.max_rate:g} Hz"
        )
    return np.clip(rates, 0.0, info.max_rate)


def _check_closed(closed: Float32Array, path: str) -> None:
    """PlannerError where a confidence is neither -1 nor within 0 .. 1, or a distance is below 0."""
    for row, what in enumerate(("standing", "hidden")):
        confidence, away = closed[2 * row], closed[2 * row + 1]
        odd = (confidence != -1.0) & ~((confidence >= 0.0) & (confidence <= 1.0 + _RATE_TOLERANCE))
        if odd.any():
            raise PlannerError(
                f"{path}: output 'closed' has {float(confidence[odd][0]):.4g} as a confidence of what is {what}; "
                "it must be within 0 .. 1, or -1 where the direction is not seen"
            )
        if (away < 0.0).any():
            raise PlannerError(f"{path}: output 'closed' has a distance of {float(away.min()):.4g} m")


def encode_speed(fraction: float, max_rate: float) -> Float32Array:
    """Rates (8,) in Hz of the speed population for a speed as a fraction 0 .. 1 of the greatest.

    Gaussian tuning curves: rate_j = max_rate * exp(-(fraction - PREFERRED_SPEEDS_j)^2 / (2 * SPEED_SIGMA^2)).
    """
    return (max_rate * np.exp(-((fraction - PREFERRED_SPEEDS) ** 2) / (2 * SPEED_SIGMA**2))).astype(
        np.float32
    )


_SPEED_GRID = np.linspace(0.0, 1.0, 201)
_SPEED_TEMPLATES = np.stack([encode_speed(s, 1.0) for s in _SPEED_GRID]).astype(np.float64)
_SPEED_TEMPLATES /= np.linalg.norm(_SPEED_TEMPLATES, axis=1, keepdims=True)


def decode_speed(rates: NDArray) -> float:
    """The speed that rates (8,) stand for, as a fraction 0 .. 1 in steps of 1/200; 0 where all are silent.

    It is the speed whose tuning curves, times any factor, fit best by least squares. Unlike the rate-weighted
    mean this has no bias at the two ends.
    """
    if not np.any(rates):
        return 0.0
    return float(_SPEED_GRID[np.argmax(_SPEED_TEMPLATES @ np.asarray(rates, np.float64))])


def decode_heading(rates: NDArray) -> float:
    """The direction in rad, -pi .. pi, of the strongest bump of rates (72,); 0 where all are silent.

    The population vector within 6 neurons (30 degrees) of the greatest smoothed rate: of two bumps it takes
    the stronger one instead of the direction between them.
    """
    r = np.asarray(rates, np.float64)
    if not np.any(r):
        return 0.0
    smooth = r + 0.5 * (np.roll(r, 1) + np.roll(r, -1))
    near = (int(np.argmax(smooth)) + np.arange(-6, 7)) % SECTORS
    return math.atan2(float(r[near] @ np.sin(HEADINGS[near])), float(r[near] @ np.cos(HEADINGS[near])))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _version(metadata: Mapping[str, str], where: str) -> int:
    text = metadata.get(KEY_VERSION)
    if text is None:
        raise ContractError(f"{where}: metadata {KEY_VERSION!r} is missing; this is contract {VERSION}")
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ContractError(f"{where}: metadata {KEY_VERSION} = {text!r} is not a whole number of 1 or more")
    if int(text) > VERSION:
        raise ContractError(f"{where}: made for contract {text}; this hybrid_control knows up to {VERSION}")
    return int(text)


def _positive(metadata: Mapping[str, str], key: str, greatest: float, where: str) -> float:
    text = metadata.get(key)
    if text is None:
        raise ContractError(f"{where}: metadata {key!r} is missing; it must be a number above 0")
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= greatest:
        raise ContractError(f"{where}: metadata {key} = {text!r} must be above 0 and at most {greatest:g}")
    return value


def _spec(arg: ort.NodeArg) -> TensorSpec:
    dtype = arg.type.removeprefix("tensor(").removesuffix(")")
    return TensorSpec(arg.name, dtype, tuple(n if isinstance(n, int) else 0 for n in arg.shape))


def _compare(kind: str, wanted: TensorSpec, found: ort.NodeArg | None, where: str) -> None:
    if found is None:
        raise ContractError(f"{where}: {kind} {wanted.name!r} is missing; the contract wants {wanted}")
    if found.type != f"tensor({wanted.dtype})":
        raise ContractError(f"{where}: {kind} {wanted.name!r} is {found.type}; the contract wants {wanted}")
    shape = list(found.shape)
    fits = len(shape) == len(wanted.shape)
    if fits:
        # An exporter may leave the batch open; that one we can fill in.
        fits = all(
            n == w or (i == 0 and not isinstance(n, int)) or (w == 0 and isinstance(n, int))
            for i, (n, w) in enumerate(zip(shape, wanted.shape, strict=True))
        )
    if not fits:
        raise ContractError(f"{where}: {kind} {wanted.name!r} has shape {shape}; the contract wants {wanted}")
    if wanted.name == "image" and not all(_SMALLEST <= n <= _LARGEST for n in shape[1:3]):
        raise ContractError(
            f"{where}: input 'image' wants {shape[1]} x {shape[2]} pixels; "
            f"each side must be {_SMALLEST} .. {_LARGEST}"
        )


def _try_out(session: ort.InferenceSession, info: ModelInfo) -> None:
    """Run the model on images, goals and speeds that are ordinary, and on the ends of their ranges; with a depth image,
    where it takes one, and without."""
    texture = np.random.default_rng(0).integers(0, 256, (1, info.height, info.width, 3), dtype=np.uint8)
    for image, distance, bearing, velocity, depth in (
        (texture, 0.5 * info.goal_cap, 0.3, (0.5, 0.1), 2.0),
        (np.zeros_like(texture), 0.0, 0.0, (0.0, 0.0), None),
        (np.full_like(texture, 255), info.goal_cap, math.pi, (-2.0, -3.0), 1e-3),
    ):
        feed: dict[str, NDArray] = {
            "image": image,
            "goal": np.array([[distance, math.cos(bearing), math.sin(bearing)]], np.float32),
            "velocity": np.array([velocity], np.float32),
        }
        if depth is not None and info.depths:
            feed[DEPTH.name] = np.full((1, info.height, info.width), depth, np.float32)
        try:
            infer(session, info, feed, states=True)
        except PlannerError as error:
            raise ContractError(f"{error} (on a test image)") from None

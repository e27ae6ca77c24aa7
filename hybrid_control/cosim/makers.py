"""What each kind of part in a hybrid file is made of: one function per kind, so a new kind is one line more."""

from __future__ import annotations

import importlib.util
import inspect
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid_control.cosim.part import Part
from hybrid_control.files import read_npy, read_npz


@dataclass
class Described:
    """What the file says of a part: its kind's own value, its options, and what of it is linked or recorded."""

    folder: Path
    value: Any
    options: dict[str, Any]
    period_ns: int
    ports: Sequence[str]

    def take(self, name: str, default: Any = None) -> Any:
        """An option, once."""
        return self.options.pop(name, default)

    def path(self) -> Path:
        """The value as a file beside the hybrid."""
        if not isinstance(self.value, (str, os.PathLike)):
            raise ValueError(f"{self.value!r} is no file's name")
        return self.folder / self.value


def _ann(d: Described) -> Part:
    from hybrid_control.ann import OnnxModel, exported
    from hybrid_control.cosim.parts import AnnPart

    sizes = d.take("sizes")
    if ".py:" in str(d.value):  # a torch module or a Keras model: an object, or what makes one
        model = _named(d)
        return AnnPart(exported(model() if isinstance(model, type) or inspect.isfunction(model) else model, sizes))
    return AnnPart(OnnxModel(d.path(), sizes=sizes))


def _snn(d: Described) -> Part:
    from hybrid_control.cosim.parts import snn
    from hybrid_control.snn.nir.files import read

    known = ("dtype", "scheme", "reset", "if_step", "order", "initial", "recurrent_delay")
    options = {name: d.options.pop(name) for name in known if name in d.options}
    graph = read(d.path())
    inputs = {name for name, node in graph.nodes.items() if type(node).__name__ == "Input"}
    taps = [p for p in dict.fromkeys(d.ports) if p and p not in inputs]
    return snn.load(graph, dt=d.period_ns * 1e-9, taps=taps, **options)


def _encode(d: Described) -> Part:
    from hybrid_control.cosim.parts import EncoderPart, PopulationEncoderPart

    if d.value == "population":
        return PopulationEncoderPart(_tuning(d), **_all(d))
    size = d.take("size")
    return EncoderPart(str(d.value), size, **_all(d))


def _decode(d: Described) -> Part:
    from hybrid_control.cosim.parts import DecoderPart, PopulationVectorPart

    if d.value == "population":
        return PopulationVectorPart(_tuning(d), **_all(d))
    size = d.take("size")
    return DecoderPart(str(d.value), size, **_all(d))


def _tuning(d: Described) -> Any:
    """What a population is tuned to: neurons (size), low, high, peak in Hz, and whether on a circle."""
    from hybrid_control.cosim.parts import gaussian

    low, high = d.take("low", -math.pi), d.take("high", math.pi)
    return gaussian(d.take("size"), low, high, d.take("peak", 100.0), circle=bool(d.take("circle", False)))


def _frames(d: Described) -> Part:
    from hybrid_control.cosim.parts import FramesPart

    if not isinstance(d.value, int) or isinstance(d.value, bool):
        raise ValueError(f"frames: {d.value!r}; expected how many runs a frame holds, such as 4")
    return FramesPart(tuple(d.take("shape")), d.value)


def _source(d: Described) -> Part:
    from hybrid_control.cosim.parts import ArraySource

    if d.value == "sim":
        from hybrid_control.cosim.parts.sim import CarriedCamera

        return CarriedCamera(*scene(d), d.take("path"))
    if not isinstance(d.value, list) and d.path().suffix == ".mcap":
        from hybrid_control.cosim.parts.recorded import RecordedSource
        from hybrid_control.cosim.tracefile import read_port

        return RecordedSource(read_port(d.path(), d.take("topic")), d.take("kind"))
    return ArraySource(_rows(d), d.take("kind", "values"), loop=bool(d.take("loop", False)))


def _rows(d: Described) -> Any:
    """Rows that stand in the hybrid, or in an npy or npz file."""
    if isinstance(d.value, list):
        return d.value
    path = d.path()
    if path.suffix != ".npz":
        return read_npy(path)
    arrays, key = read_npz(path), d.take("key")
    if key is None and len(arrays) == 1:
        key = next(iter(arrays))
    if key not in arrays:
        raise ValueError(f"{path}: key: expected one of {', '.join(sorted(arrays))}")
    return arrays[key]


def _fuse(d: Described) -> Part:
    from hybrid_control.cosim.parts import GatedFusion, WeightedFusion

    shape = d.take("shape")
    if d.value == "weighted":
        return WeightedFusion([float(w) for w in d.take("weights", [0.5, 0.5])], shape)
    if d.value == "gated":
        return GatedFusion(shape)
    raise ValueError(f"fuse: {d.value!r}; there are weighted and gated")


def _plant(d: Described) -> Part:
    from hybrid_control.cosim.parts import GymPlant, PlantPart, plant_part

    if d.value == "sim":
        from hybrid_control.cosim.parts.sim import RobotPlant

        options = {name: d.options.pop(name) for name in ("level", "goal_cap") if name in d.options}
        robot = RobotPlant(*scene(d), camera="camera" in d.ports, **options)
        robot.check(d.period_ns)
        return robot
    if str(d.value).startswith("gymnasium:"):
        return PlantPart(GymPlant(str(d.value).partition(":")[2], **_all(d)))
    return plant_part(_named(d)(**_all(d)))


def scene(d: Described) -> tuple[Any, Any]:
    """A world of the embedded simulator, by name and seed or a file beside the hybrid, and a robot with its camera."""
    from hybrid_control.cosim.parts.sim import with_camera
    from hybrid_control.sim.robots import vehicle
    from hybrid_control.sim.worlds import WORLD_FILES, load_world

    name, seed = str(d.take("world", "default")), d.take("seed", 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed: {seed!r} must be a whole number")
    if name.partition(":")[0].endswith(WORLD_FILES):
        name = str(d.folder / name)
    robot = with_camera(vehicle(str(d.take("robot", "jackal"))), d.take("camera"))
    try:
        return load_world(name, seed, robot.world_scale), robot
    except OSError as error:
        raise ValueError(f"world: {name}: {error.strerror}") from None


def _python(d: Described) -> Part:
    part = _named(d)(**_all(d))
    if not isinstance(part, Part):
        raise ValueError(
            f"{d.value}: has not all of what a part has: inputs, outputs, reset, run, state, set_state"
        )
    return part


def _named(d: Described) -> Any:
    """What FILE.py has under NAME, for FILE.py:NAME."""
    file, _, name = str(d.value).rpartition(":")
    path = d.folder / file
    if not file or not path.is_file():
        raise ValueError(f"{d.value!r}: expected FILE.py:NAME, the file beside the hybrid")
    spec = importlib.util.spec_from_file_location(f"_hybrid_{Path(file).stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path}: {type(error).__name__}: {error}") from None
    if not hasattr(module, name):
        raise ValueError(f"{path}: there is no {name!r} in it")
    return getattr(module, name)


def _all(d: Described) -> dict[str, Any]:
    """Every option that is left."""
    options = dict(d.options)
    d.options.clear()
    return options


Kinds = Mapping[str, Callable[[Described], Part]]
MAKERS: Kinds = {
    "ann": _ann,
    "snn": _snn,
    "encode": _encode,
    "decode": _decode,
    "frames": _frames,
    "fuse": _fuse,
    "source": _source,
    "plant": _plant,
    "python": _python,
}

"""The house: which room may know which, that the picture shows it, and how large a piece may grow."""

import ast
import runpy
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = runpy.run_path(str(ROOT / "scripts" / "rooms.py"))

#: What each room may import; whatever else is an arrow that does not belong in the house.
HOUSE = {
    "cli": "ros nodes, bench, report, bringup, navigation, cosim, learning, colanet, firmware_bridge, sim, snn, "
    "signals, realtime, parameters, backends, files",
    "ros nodes": "report, bringup, navigation, firmware_bridge, sim, snn, signals, geometry, realtime, parameters, "
    "backends, files",
    "bench": "report, bringup, cosim, learning, colanet, ann, navigation, firmware_bridge, sim, snn, signals, "
    "realtime, backends, files",
    "report": "navigation, cosim, signals, geometry, files",
    "bringup": "navigation, sim, parameters, backends, files",
    "navigation": "learning, cosim, colanet, ann, sim, snn, signals, geometry, realtime, parameters, backends, files",
    "cosim": "ann, sim, snn, signals, realtime, files",
    "learning": "snn, ann, sim, signals, files",
    "colanet": "ann, files",
    "firmware_bridge": "snn, signals, backends",
    "sim": "signals, geometry, parameters, files",
    "snn": "signals, backends, files",
    "ann": "",
    # the ground
    "signals": "",
    "geometry": "",
    "realtime": "",
    "parameters": "",
    "backends": "",
    "files": "",
    "machine_code": "",
}
#: The same among the rooms of one folder; the folder's own files go by its name.
INSIDE = {
    "navigation/bench": "navigation, navigation/ground, navigation/planner, navigation/reflex, navigation/route",
    "navigation": "navigation/ground, navigation/planner, navigation/reflex, navigation/route, navigation/sensors",
    "navigation/sensors": "navigation/reflex",
    "navigation/identify": "navigation/reflex",
    "navigation/ground": "navigation/planner, navigation/sensors",
    "navigation/planner": "",
    "navigation/reflex": "",
    "navigation/route": "",
    "firmware_bridge/adapters": "firmware_bridge, firmware_bridge/link",
    "firmware_bridge/mavlink": "firmware_bridge/link",
    "firmware_bridge/firmware": "firmware_bridge/link",
    "firmware_bridge/link": "firmware_bridge",
    "firmware_bridge/boards": "",
    "firmware_bridge": "",
    "snn/backends": "snn",
    "snn": "",
}
#: Packages that belong in few places: whose files may import them.
AT_HOME = {
    # learning, the planner's training, and the tools that `bench snn` is measured against
    "torch": (
        "hybrid_control/learning/",
        "hybrid_control/navigation/planner/training/",
        "hybrid_control/navigation/bench/imitation.py",
        "hybrid_control/bench/peers.py",
        "hybrid_control/bench/closed_loop/tools.py",
        "hybrid_control/bench/colanet/",
        "hybrid_control/bench/conversion/train.py",
        "hybrid_control/bench/conversion/peers.py",
        "hybrid_control/bench/hand_over/",
        "hybrid_control/bench/mackey_glass/",
    ),
    "mujoco": ("hybrid_control/sim/",),
}
PARAMETERS, KERNEL_PARAMETERS, LINES, ATTRIBUTES = 8, 10, 500, 15
#: What may be larger, each with its reason: "file:function" or "file:Class" or "file".
LARGER: dict[str, str] = {}


@cache
def house():
    return ROOMS["modules"]()


@cache
def product():
    """Every Python file of the product that is not a test, with its tree."""
    folders = ("hybrid_control", "firmware_bridge", "ros2_ws/src", "scripts", "launch", "docs")
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {p.relative_to(ROOT).as_posix(): ast.parse(p.read_text(encoding="utf-8")) for p in paths}


def allowed(room, other):
    table, key = (INSIDE, (room, other)) if room.split("/")[0] == other.split("/")[0] else (
        HOUSE, (room.split("/")[0], other.split("/")[0])
    )  # fmt: skip
    return key[1] in table.get(key[0], "").split(", ")


def test_library_arrows_are_those_of_the_house():
    wrong = {f"{a} -> {b}": where for (a, b), where in ROOMS["arrows"](house()).items() if not allowed(a, b)}
    assert not wrong


def test_library_no_arrows_go_round_in_a_circle():
    """CycleError names the circle."""
    rooms = {}
    for room, other in ROOMS["arrows"](house()):
        rooms.setdefault(room, set()).add(other)
    TopologicalSorter(rooms).prepare()
    TopologicalSorter({m.name: {to for _, to in m.imports} for m in house().values()}).prepare()


def test_library_picture_of_the_rooms_is_the_one_that_the_code_makes():
    assert ROOMS["PICTURE"].read_text(encoding="utf-8") == ROOMS["picture"](), (
        "python scripts/rooms.py draws it anew"
    )


@pytest.mark.parametrize("package", AT_HOME)
def test_library_heavy_packages_are_imported_where_they_belong(package):
    wrong = []
    for path, tree in product().items():
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == package for name in names) and not path.startswith(AT_HOME[package]):
                wrong.append(f"{path}:{node.lineno}")
    assert not wrong


def parameters_of(function):
    arguments = function.args
    first = arguments.args[:1]
    count = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs)
    return count - sum(a.arg in ("self", "cls") for a in first)


def is_kernel(function):
    marks = ("njit", "cfunc", "intrinsic")
    return any(mark in ast.unparse(decorator) for decorator in function.decorator_list for mark in marks)


def attributes_of(kind):
    """Names that the methods of a class set on self."""
    return {
        node.attr
        for method in kind.body
        if isinstance(method, ast.FunctionDef)
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and ast.unparse(node.value) == "self"
    }


def too_large():
    """Every piece over its limit, by its name in LARGER, with how large it is."""
    for path, tree in product().items():
        lines = (ROOT / path).read_text(encoding="utf-8").count("\n")
        if lines > LINES:
            yield path, f"{lines} lines"
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                most = KERNEL_PARAMETERS if is_kernel(node) else PARAMETERS
                if parameters_of(node) > most:
                    yield f"{path}:{node.name}", f"{parameters_of(node)} parameters"
            elif isinstance(node, ast.ClassDef) and len(attributes_of(node)) > ATTRIBUTES:
                yield f"{path}:{node.name}", f"{len(attributes_of(node))} attributes"


def test_library_no_piece_is_too_large_to_be_read():
    sizes = dict(too_large())
    assert not {name: size for name, size in sizes.items() if name not in LARGER}
    assert not set(LARGER) - set(sizes), "no longer too large: take it off the list"

"""Draws the rooms of the house and the arrows between them: docs/images/rooms.svg, from the imports of all its code.

`python scripts/rooms.py` writes the picture anew. Code is read, never run. A room is a folder; a room's floor follows
from what it stands on; an arrow that other arrows already imply is left out.
"""

from __future__ import annotations

import ast
import html
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
PACKAGES = {
    "hybrid_control": ROOT,
    "firmware_bridge": ROOT,
    "hybrid_control_ros": ROOT / "ros2_ws/src/hybrid_control_ros",
}
SHOWN_BY_FOLDER = ("navigation", "firmware_bridge")  # each of their folders is a room
SHOWN_BESIDE = ("snn/backends",)  # a folder that is a room of its own, beside the one that it is in


@dataclass(frozen=True)
class Module:
    """One file: its dotted name, its room, and what it imports: line and dotted name."""

    name: str
    path: Path
    room: str
    lines: int
    imports: tuple[tuple[int, str], ...]


def _room(name: str, is_package: bool) -> str:
    """The room of a module; "" for the package hybrid_control itself."""
    package, *parts = name.split(".")
    if package == "hybrid_control_ros":
        return "ros nodes"
    if package == "firmware_bridge":
        parts = [package, *parts]
    elif name == "hybrid_control.__main__":
        return "cli"
    folders = parts if is_package else parts[:-1] or parts  # a module at the top is a room
    apart = "".join(folders[:1]) in SHOWN_BY_FOLDER or "/".join(folders[:2]) in SHOWN_BESIDE
    return "/".join(folders[: 2 if apart else 1])


def _imports(tree: ast.Module, names: set[str]) -> Iterator[tuple[int, str]]:
    """Line and name of each import of a module with one of these names, wherever in the file it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            targets = [name if name in names else node.module for name in whole]
        else:
            continue
        for target in dict.fromkeys(targets):
            if target in names:
                yield node.lineno, target


def modules() -> dict[str, Module]:
    """Every module of the product by its dotted name."""
    paths: dict[str, Path] = {}
    for package, folder in PACKAGES.items():
        for path in sorted((folder / package).rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    result = {}
    for name, path in paths.items():
        text = path.read_text(encoding="utf-8")
        imports = tuple(_imports(ast.parse(text), set(paths)))
        room = _room(name, path.name == "__init__.py")
        result[name] = Module(name, path, room, text.count("\n"), imports)
    return result


def arrows(house: dict[str, Module]) -> dict[tuple[str, str], list[str]]:
    """From room to room: the places, as file:line, where the one imports the other.

    A folder that passes on what its own rooms offer (`snn` the back ends' Engine) is no arrow.
    """
    result: dict[tuple[str, str], list[str]] = {}
    for module in house.values():
        front = f"{module.room}/" if module.path.name == "__init__.py" else None
        for line, target in module.imports:
            room = house[target].room
            passed_on = front is not None and room.startswith(front)
            if room and module.room and room != module.room and not passed_on:
                place = f"{module.path.relative_to(ROOT).as_posix()}:{line}"
                result.setdefault((module.room, room), []).append(place)
    return dict(sorted(result.items()))


# pixels: the widest that the picture may be, a room's height, between rooms, between floors
WIDTH, HEIGHT, GAP, BETWEEN = 640, 60, 10, 40
_NAME, _SIZE = 22, 20  # pixels: a phone shows them at 0.56 of that, 12 and 11
_PER_LINE = 0.06  # pixels of a room's width
_COLOURS = {
    "cli": "#e0f2fe",
    "ros nodes": "#e0f2fe",
    "navigation": "#dcfce7",
    "firmware_bridge": "#fef3c7",
    "snn": "#ede9fe",
}
Graph = dict[str, set[str]]  # what each room stands on


def _floors(below: Graph) -> Iterator[list[str]]:
    """The rooms of each floor, from the ground: each one floor above the highest that it stands on."""
    sorter = TopologicalSorter(below)
    sorter.prepare()
    while sorter.is_active():
        floor = sorted(sorter.get_ready())
        sorter.done(*floor)
        yield floor


def _needed(below: Graph) -> Iterator[tuple[str, str]]:
    """The arrows that no chain of others implies."""

    def reached(room: str) -> set[str]:
        return below[room].union(*(reached(other) for other in below[room]))

    for room, others in sorted(below.items()):
        for other in sorted(others):
            if not any(other in reached(between) for between in others - {other}):
                yield room, other


@dataclass
class Box:
    """A room, or a folder of rooms, in the picture: its words, size and place in pixels, and what is in it."""

    name: str
    lines: int
    width: float
    height: float
    fill: str
    inner: str = ""
    x: float = 0.0
    y: float = 0.0

    def svg(self) -> str:
        """Its drawing, with what is in it."""
        middle = self.x + self.width / 2
        words = f'<text x="{middle:.0f}" y="{self.y + 25:.0f}" class="name">{html.escape(self.name)}</text>'
        if not self.inner:  # lines in hundreds, so that not every change is another picture
            size = f"{max(round(self.lines, -2), 100):,}"
            words += f'<text x="{middle:.0f}" y="{self.y + 49:.0f}">{size}</text>'
        inside = f'<g transform="translate({self.x:.0f} {self.y:.0f})">{self.inner}</g>' if self.inner else ""
        place = f'x="{self.x:.0f}" y="{self.y:.0f}" width="{self.width:.0f}" height="{self.height:.0f}"'
        return f'<rect {place} rx="8" fill="{self.fill}"/>{words}{inside}'


def _box(name: str, lines: int, fill: str) -> Box:
    return Box(name, lines, max(_PER_LINE * round(lines, -2), 20 + 0.58 * _NAME * len(name)), HEIGHT, fill)


def _arrow(source: Box, target: Box) -> str:
    """From the lower edge of one box to the upper edge of another, as upright as they allow."""
    middle = target.x + target.width / 2
    x0 = min(max(middle, source.x + 12), source.x + source.width - 12)
    x1 = min(max(x0, target.x + 12), target.x + target.width - 12)
    y0, y1, bend = source.y + source.height, target.y - 7, 0.6 * BETWEEN
    return (
        f'<path d="M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} {x1:.0f} {y1 - bend:.0f} {x1:.0f} {y1:.0f}"/>'
    )


def _draw(boxes: dict[str, Box], below: Graph, top: float, most: float) -> tuple[str, float, float]:
    """Place boxes on their floors, in rows of at most so many pixels; the SVG, its width and where it ends."""
    rows: list[list[Box]] = []
    for floor in reversed([*_floors(below)]):
        row: list[Box] = []
        for box in (boxes[room] for room in floor):
            if row and sum(b.width + GAP for b in row) + box.width > most:
                rows.append(row)
                row = []
            row.append(box)
        rows.append(row)
    widths = [sum(b.width + GAP for b in row) - GAP for row in rows]
    for row, width in zip(rows, widths, strict=True):
        x = GAP + (max(widths) - width) / 2
        for box in row:
            box.x, box.y, x = x, top, x + box.width + GAP
        top += max(box.height for box in row) + BETWEEN
    drawn = [_arrow(boxes[room], boxes[other]) for room, other in _needed(below)]
    drawn += [box.svg() for row in rows for box in row]
    return "\n".join(drawn), max(widths) + 2 * GAP, top - BETWEEN


def picture() -> str:
    """The picture's SVG text."""
    house = modules()
    lines: dict[str, int] = {}
    for module in house.values():
        if module.room:
            lines[module.room] = lines.get(module.room, 0) + module.lines
    below: Graph = {room: set() for room in lines}
    outer: Graph = {room.split("/")[0]: set() for room in lines}
    for room, other in arrows(house):
        below[room].add(other)
        outer[room.split("/")[0]].add(other.split("/")[0])
    boxes: dict[str, Box] = {}
    for name, others in outer.items():
        others.discard(name)
        fill = _COLOURS.get(name, "#f1f5f9")
        rooms = [room for room in lines if room.split("/")[0] == name]
        boxes[name] = _box(name, lines.get(name, 0), fill)
        if len(rooms) > 1:
            inner = {r: _box(r.partition("/")[2] or "own files", lines[r], "#ffffff") for r in rooms}
            among = {r: below[r] & inner.keys() for r in rooms}
            box = boxes[name]
            box.inner, box.width, end = _draw(inner, among, 36, (WIDTH - 5 * GAP) / 2)
            box.height = end + GAP
    body, width, end = _draw(boxes, outer, GAP, WIDTH - 2 * GAP)
    height = end + GAP
    size = f'width="{width:.0f}" height="{height:.0f}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" {size} role="img">
<title>Rooms of hybrid_control, each with its lines of code; arrows point to what a room imports</title>
<style>
rect {{ stroke: #64748b }} path {{ fill: none; stroke: #64748b; stroke-width: 1.6; marker-end: url(#tip) }}
text {{ font: {_SIZE}px system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; fill: #475569; text-anchor: middle }}
.name {{ font-size: {_NAME}px; font-weight: 600; fill: #0f172a }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="1" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse"
orient="auto"><path d="M0 0L8 4L0 8Z" style="fill: #64748b; stroke: none; marker-end: none"/></marker></defs>
<rect {size} style="fill: #fff; stroke: none"/>
{body}
</svg>
"""


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")

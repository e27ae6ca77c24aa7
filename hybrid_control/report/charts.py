"""Charts as inline SVG, styled by the page's CSS classes so that they follow its light or dark theme."""

from __future__ import annotations

import base64
import html
import io
import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hybrid_control.report.run import FloatArray, Raster


def nice_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within low .. high, roughly `about` of them."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    raw = span / max(1, about)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def thin(t: FloatArray, y: FloatArray, points: int = 700) -> tuple[FloatArray, FloatArray]:
    """At most about 2 * points samples of a signal that keep the lowest and the highest of each stretch."""
    if t.size <= 2 * points:
        return t, y
    edges = np.linspace(0, t.size, points + 1).astype(int)
    keep: list[int] = []
    for a, b in itertools.pairwise(edges):
        part = y[a:b]
        if not np.isfinite(part).any():
            keep.append(int(a))
            continue
        keep += sorted({int(a + np.nanargmin(part)), int(a + np.nanargmax(part))})
    return t[keep], y[keep]


def number(value: float) -> str:
    """A coordinate or a tick's label, without needless zeros."""
    return f"{value:.6g}"


def _points(x: FloatArray, y: FloatArray, digits: int) -> str:
    return " ".join(f"{a:.{digits}f},{b:.1f}" for a, b in zip(x, y, strict=True))


def element(name: str, *content: str, **attributes: float | str) -> str:
    """An SVG or HTML element. class_ and for_ lose their underscore, others turn into hyphens; numbers are shortened.

    Attributes are escaped here; content must be markup already.
    """
    written = []
    for key, value in attributes.items():
        text = value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
        written.append(f' {key.rstrip("_").replace("_", "-")}="{html.escape(text)}"')
    return f"<{name}{''.join(written)}>{''.join(content)}</{name}>"


class Chart:
    """One pair of axes. Data coordinates in; call the drawing methods in order, then `svg()`.

    x, y: (low, high) of the axes. width, height: pixels of the whole; sides: those left and right of the axes. A chart
    over time has `time=True`: the page's script fits it to the page's width, zooms it, and draws its cursor there; its
    places along x have three digits, which show when it is zoomed.
    """

    top, bottom = 10, 24  # pixels above and below the axes

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        width: int = 1000,
        height: int = 170,
        label: str = "",
        time: bool = False,
        sides: tuple[int, int] = (56, 14),
        y_log: bool = False,
    ) -> None:
        self.width, self.height = width, height
        self.left, self.right = sides
        self.x, self.y, self.y_log = (x[0], x[1] if x[1] > x[0] else x[0] + 1.0), y, y_log
        if not self.y[1] > self.y[0]:
            self.y = (self.y[0], self.y[0] + 1.0)
        self.label, self.time = label, time
        self._parts: list[str] = []
        self._words: list[str] = []

    @property
    def _end(self) -> int:
        return self.width - self.right

    @property
    def _floor(self) -> int:
        return self.height - self.bottom

    def px(self, x: FloatArray | float) -> FloatArray:
        """Horizontal place in the drawing."""
        share = (np.asarray(x, dtype=float) - self.x[0]) / (self.x[1] - self.x[0])
        return self.left + share * (self._end - self.left)

    def py(self, y: FloatArray | float) -> FloatArray:
        """Vertical place in the drawing, cut at the axes' ends."""
        low, high = self.y
        value = np.clip(np.asarray(y, dtype=float), low, high)
        if self.y_log:
            low, high, value = math.log10(low), math.log10(high), np.log10(value)
        return self.top + (high - value) / (high - low) * (self._floor - self.top)

    def _line(self, css: str, x1: float, y1: float, x2: float, y2: float) -> None:
        self._parts.append(element("line", class_=css, x1=x1, y1=y1, x2=x2, y2=y2))

    def _text(
        self, css: str, x: float, y: float, text: str, anchor: str = "start", **data: float | str
    ) -> None:
        """Text is drawn over the data, and keeps its size when that is zoomed."""
        word = element("text", html.escape(text), class_=css, x=x, y=y, text_anchor=anchor, **data)
        self._words.append(word)

    def line(self, t: FloatArray, y: FloatArray, css: str) -> None:
        """A polyline, broken where y is not finite."""
        t, y = thin(t, y)
        finite = np.isfinite(y)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], finite.astype(int), [0]])))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            self._parts.append(
                element(
                    "polyline", class_=css, points=_points(self.px(t[a:b]), self.py(y[a:b]), self._digits)
                )
            )

    def area(self, t: FloatArray, y: FloatArray, css: str) -> None:
        """The surface between a signal and the axis's lower end."""
        finite = np.isfinite(y)
        if not finite.any():
            return
        t, y = thin(t[finite], y[finite])
        t = np.concatenate([[t[0]], t, [t[-1]]])
        y = np.concatenate([[self.y[0]], y, [self.y[0]]])
        self._parts.append(
            element("polygon", class_=css, points=_points(self.px(t), self.py(y), self._digits))
        )

    def marks(self, t: FloatArray, low: FloatArray, high: FloatArray, css: str) -> None:
        """A short vertical line at each time from low to high; one path, however many there are."""
        x = np.round(self.px(t), 3)
        ends = zip(x.tolist(), self.py(low).tolist(), self.py(high).tolist(), strict=True)
        way = "".join(f"M{a:.7g} {b:.5g}V{c:.5g}" for a, b, c in ends)
        self._path(css, way)

    def _path(self, css: str, way: str) -> None:
        if way:
            self._parts.append(element("path", class_=css, d=way))

    def bars_over_time(self, begin: FloatArray, end: FloatArray, y: tuple[float, float], css: str) -> None:
        """A bar from each begin to its end, between two heights; one path."""
        a, b = np.round(self.px(begin), 3), np.round(self.px(end), 3)
        low, high = (float(self.py(v)) for v in y)
        way = "".join(
            f"M{p:.7g} {low:.5g}V{high:.5g}H{q:.7g}V{low:.5g}Z"
            for p, q in zip(a.tolist(), b.tolist(), strict=True)
        )
        self._path(css, way)

    def level(self, y: float, css: str, text: str = "") -> None:
        """A horizontal line with a name."""
        if not self.y[0] <= y <= self.y[1]:
            return
        at = float(self.py(y))
        self._line(css, self.left, at, self._end, at)
        if text:
            self._text("note toright", self._end - 4, at - 4, text, "end")

    def moment(self, x: float, css: str, text: str = "") -> None:
        """A vertical line with a name at its head."""
        if not self.x[0] <= x <= self.x[1]:
            return
        at = float(self.px(x))
        self._line(css, at, self.top, at, self._floor)
        if text:
            late = at > self.width * 0.8
            side, anchor = (-4, "end") if late else (4, "start")
            place: dict[str, float | str] = {"data_x": f"{at:.3f}", "data_side": side} if self.time else {}
            self._text("note", at + side, self.top + 10, text, anchor, **place)

    def span(self, x0: float, x1: float, css: str, title: str = "") -> None:
        """A band over the whole height from x0 to x1."""
        a, b = float(self.px(x0)), float(self.px(x1))
        tip = element("title", html.escape(title))
        height = self._floor - self.top
        self._parts.append(
            element("rect", tip, class_=css, x=a, y=self.top, width=max(0.5, b - a), height=height)
        )

    def band(self, y0: float, y1: float, css: str) -> None:
        """A band over the whole width from y0 to y1."""
        a, b = float(self.py(y1)), float(self.py(y0))
        self._parts.append(
            element("rect", class_=css, x=self.left, y=a, width=self._end - self.left, height=b - a)
        )

    def bars(self, edges: FloatArray, counts: NDArray, css: str) -> None:
        """A histogram: counts (n,) between edges (n + 1,)."""
        for (a, b), n in zip(itertools.pairwise(edges), counts, strict=True):
            if n:
                x0, x1, y = float(self.px(a)), float(self.px(b)), float(self.py(n))
                tip = element("title", f"{number(a)} .. {number(b)}: {int(n)}")
                width, height = max(0.6, x1 - x0 - 1), self._floor - y
                self._parts.append(
                    element("rect", tip, class_=css, x=x0 + 0.5, y=y, width=width, height=height)
                )

    def dot(self, x: float, y: float, css: str, title: str = "") -> None:
        """A point."""
        tip = element("title", html.escape(title))
        at = {"cx": float(self.px(x)), "cy": float(self.py(y))}
        self._parts.append(element("circle", tip, class_=css, r=4, **at))

    def image(self, uri: str) -> None:
        """A picture that fills the axes."""
        place = {
            "x": self.left,
            "y": self.top,
            "width": self._end - self.left,
            "height": self._floor - self.top,
        }
        self._parts.append(element("image", class_="raster", href=uri, preserveAspectRatio="none", **place))

    def row_label(self, y: float, text: str) -> None:
        """A name beside the vertical axis at height y."""
        self._text("label", self.left - 8, float(self.py(y)) + 4, text, "end")

    def guide(self, y: float, text: str) -> None:
        """A faint horizontal line with its name to the right of the axes."""
        at = float(self.py(y))
        self._line("grid", self.left, at, self._end, at)
        self._text("tick toright", self._end + 6, at + 4, text)

    def svg(self, *, x_unit: str = "s", x_axis: bool = True, y_ticks: Sequence[float] | None = None) -> str:
        """The finished drawing."""
        data, words, self._parts, self._words = self._parts, self._words, [], []
        for x in nice_ticks(*self.x, about=10 if self.width > 600 else 5) if x_axis else []:
            at = float(self.px(x))
            self._line("grid", at, self.top, at, self._floor)
            self._text("tick", at, self._floor + 15, number(x), "middle")
        axis = element("g", *self._parts, *self._words, class_="xaxis", data_floor=self._floor)
        self._parts, self._words = [], []
        if x_axis and x_unit:
            self._text("tick toright", self.width + 4, self._floor + 15, x_unit, "end")
        for y in nice_ticks(*self.y, about=4) if y_ticks is None else y_ticks:
            at = float(self.py(y))
            self._line("grid", self.left, at, self._end, at)
            self._text("tick", self.left - 6, at + 4, number(y), "end")
        drawn = [*self._parts, *data]
        parts = [axis, *(self._plot(drawn) if self.time else drawn), *self._words, *words]
        self._parts, self._words = data, words
        attributes: dict[str, float | str] = {
            "class_": "chart",
            "viewBox": f"0 0 {self.width} {self.height}",
            "role": "img",
            "aria_label": self.label,
        }
        if self.time:
            parts.append(element("line", class_="cursor", x1=-9, x2=-9, y1=self.top, y2=self._floor))
            attributes |= {"data_t0": f"{self.x[0]:.4f}", "data_t1": f"{self.x[1]:.4f}"}
            attributes |= {"data_left": self.left, "data_right": self._end}
        return element("svg", *parts, **attributes)

    def _plot(self, drawn: Sequence[str]) -> list[str]:
        """What is zoomed: a drawing in the drawing, cut at the axes' ends."""
        width = self._end - self.left
        place: dict[str, float | str] = {"x": self.left, "y": 0, "width": width, "height": self.height}
        view = f"{self.left} 0 {width} {self.height}"
        return [element("svg", *drawn, class_="plot", viewBox=view, preserveAspectRatio="none", **place)]

    @property
    def _digits(self) -> int:
        return 3 if self.time else 1


def png_uri(image: Image.Image) -> str:
    """A picture as a data URI in PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def jpeg_uri(pixels: NDArray[np.uint8], quality: int = 82) -> str:
    """Pixels (h, w, 3) as a data URI in JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def raster_png(
    rasters: Iterable[tuple[Raster, int, tuple[int, int, int]]], duration: float, width: int = 1400
) -> tuple[str, int, list[tuple[str, int, int]]]:
    """Spikes as one picture with a transparent ground: (data URI, height in pixels, [(name, first row, rows)]).

    rasters: (population, pixels for one neuron, RGB colour). Neuron 0 of each is at the bottom of its band.
    A pixel that holds several spikes is drawn stronger.
    """
    items = list(rasters)
    gap = 8
    bands: list[tuple[str, int, int]] = []
    height = 0
    for raster, pixels, _ in items:
        bands.append((raster.name, height, raster.size * pixels))
        height += raster.size * pixels + gap
    height = max(1, height - gap)
    rgba = np.zeros((height, width, 4), dtype=np.uint8)
    for (raster, pixels, colour), (_, first, rows) in zip(items, bands, strict=True):
        counts = np.zeros((raster.size, width))
        inside = (raster.t >= 0) & (raster.t < duration)
        column = (raster.t[inside] / max(duration, 1e-9) * width).astype(int).clip(0, width - 1)
        np.add.at(counts, (raster.neuron[inside].clip(0, raster.size - 1), column), 1)
        top = np.percentile(counts[counts > 0], 90) if (counts > 0).any() else 1.0
        strength = np.where(counts > 0, 0.35 + 0.65 * np.minimum(1.0, counts / max(top, 1.0)), 0.0)
        band = np.repeat(strength[::-1], pixels, axis=0)
        rgba[first : first + rows, :, :3] = colour
        rgba[first : first + rows, :, 3] = (band * 15).round().astype(
            np.uint8
        ) * 17  # 16 steps: a smaller file
    return png_uri(Image.fromarray(rgba)), height, bands


# From slow to fast: readable on a light and on a dark ground, and with the usual kinds of colour blindness.
_STOPS = np.array(
    [[59, 76, 192], [45, 140, 200], [33, 176, 158], [120, 198, 80], [230, 190, 40], [245, 130, 40]]
)


def speed_colour(share: float) -> str:
    """Colour for 0 (still) .. 1 (fastest)."""
    at = min(max(share, 0.0), 1.0) * (len(_STOPS) - 1)
    i = min(int(at), len(_STOPS) - 2)
    r, g, b = (_STOPS[i] + (at - i) * (_STOPS[i + 1] - _STOPS[i])).round().astype(int)
    return f"#{r:02x}{g:02x}{b:02x}"

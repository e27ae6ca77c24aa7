"""Charts as inline SVG, styled by the page's CSS classes so that they follow its light or dark theme."""

from __future__ import annotations

import base64
import html
import io
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
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        part = y[a:b]
        if not np.isfinite(part).any():
            keep.append(int(a))
            continue
        keep += sorted({int(a + np.nanargmin(part)), int(a + np.nanargmax(part))})
    return t[keep], y[keep]


def number(value: float) -> str:
    """A coordinate or a tick's label, without needless zeros."""
    return f"{value:.6g}"


def _points(x: FloatArray, y: FloatArray) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))


class Chart:
    """One pair of axes. Data coordinates in; call the drawing methods in order, then `svg()`.

    x, y: (low, high) of the axes. A chart over time has `time=True`: the page's script draws its cursor there.
    """

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        width: int = 1000,
        height: int = 170,
        label: str = "",
        time: bool = False,
        left: int = 56,
        bottom: int = 24,
        y_log: bool = False,
    ) -> None:
        self.width, self.height, self.left, self.right, self.top, self.bottom = (
            width,
            height,
            left,
            14,
            10,
            bottom,
        )
        self.x, self.y, self.y_log = (x[0], x[1] if x[1] > x[0] else x[0] + 1.0), y, y_log
        if not self.y[1] > self.y[0]:
            self.y = (self.y[0], self.y[0] + 1.0)
        self.label, self.time = label, time
        self._parts: list[str] = []

    def px(self, x: FloatArray | float) -> FloatArray:
        """Horizontal place in the drawing."""
        inner = self.width - self.left - self.right
        return self.left + (np.asarray(x, dtype=float) - self.x[0]) / (self.x[1] - self.x[0]) * inner

    def py(self, y: FloatArray | float) -> FloatArray:
        """Vertical place in the drawing, cut at the axes' ends."""
        low, high = self.y
        value = np.clip(np.asarray(y, dtype=float), low, high)
        if self.y_log:
            low, high, value = math.log10(low), math.log10(high), np.log10(value)
        inner = self.height - self.top - self.bottom
        return self.top + (high - value) / (high - low) * inner

    def line(self, t: FloatArray, y: FloatArray, css: str) -> None:
        """A polyline, broken where y is not finite."""
        t, y = thin(t, y)
        finite = np.isfinite(y)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], finite.astype(int), [0]])))
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            self._parts.append(
                f'<polyline class="{css}" points="{_points(self.px(t[a:b]), self.py(y[a:b]))}"/>'
            )

    def area(self, t: FloatArray, y: FloatArray, css: str) -> None:
        """The surface between a signal and the axis's lower end."""
        finite = np.isfinite(y)
        if not finite.any():
            return
        t, y = thin(t[finite], y[finite])
        x = np.concatenate([[t[0]], t, [t[-1]]])
        self._parts.append(
            f'<polygon class="{css}" points="'
            f'{_points(self.px(x), self.py(np.concatenate([[self.y[0]], y, [self.y[0]]])))}"/>'
        )

    def level(self, y: float, css: str, text: str = "") -> None:
        """A horizontal line with a name."""
        if not self.y[0] <= y <= self.y[1]:
            return
        at = float(self.py(y))
        self._parts.append(
            f'<line class="{css}" x1="{self.left}" x2="{self.width - self.right}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        if text:
            self._parts.append(
                f'<text class="note" x="{self.width - self.right - 4}" y="{at - 4:.1f}" text-anchor="end">{html.escape(text)}</text>'
            )

    def moment(self, x: float, css: str, text: str = "") -> None:
        """A vertical line with a name at its head."""
        if not self.x[0] <= x <= self.x[1]:
            return
        at = float(self.px(x))
        self._parts.append(
            f'<line class="{css}" x1="{at:.1f}" x2="{at:.1f}" y1="{self.top}" y2="{self.height - self.bottom}"/>'
        )
        if text:
            end = at > self.width * 0.8
            self._parts.append(
                f'<text class="note" x="{at + (-4 if end else 4):.1f}" y="{self.top + 10}" '
                f'text-anchor="{"end" if end else "start"}">{html.escape(text)}</text>'
            )

    def span(self, x0: float, x1: float, css: str, title: str = "") -> None:
        """A band over the whole height from x0 to x1."""
        a, b = float(self.px(x0)), float(self.px(x1))
        inner = self.height - self.top - self.bottom
        self._parts.append(
            f'<rect class="{css}" x="{a:.1f}" y="{self.top}" width="{max(0.5, b - a):.1f}" height="{inner}">'
            f"<title>{html.escape(title)}</title></rect>"
        )

    def bars(self, edges: FloatArray, counts: NDArray, css: str) -> None:
        """A histogram: counts (n,) between edges (n + 1,)."""
        for a, b, n in zip(edges[:-1], edges[1:], counts, strict=True):
            if n:
                x0, x1, y = float(self.px(a)), float(self.px(b)), float(self.py(n))
                self._parts.append(
                    f'<rect class="{css}" x="{x0 + 0.5:.1f}" y="{y:.1f}" width="{max(0.6, x1 - x0 - 1):.1f}" '
                    f'height="{self.height - self.bottom - y:.1f}"><title>{number(a)} .. {number(b)}: {int(n)}</title></rect>'
                )

    def band(self, y0: float, y1: float, css: str) -> None:
        """A band over the whole width from y0 to y1."""
        a, b = float(self.py(y1)), float(self.py(y0))
        width = self.width - self.left - self.right
        self._parts.append(
            f'<rect class="{css}" x="{self.left}" y="{a:.1f}" width="{width}" height="{b - a:.1f}"/>'
        )

    def guide(self, y: float, text: str) -> None:
        """A faint horizontal line with its name to the right of the axes."""
        at, end = float(self.py(y)), self.width - self.right
        self._parts.append(f'<line class="grid" x1="{self.left}" x2="{end}" y1="{at:.1f}" y2="{at:.1f}"/>')
        self._parts.append(f'<text class="tick" x="{end + 6}" y="{at + 4:.1f}">{html.escape(text)}</text>')

    def image(self, uri: str) -> None:
        """A picture that fills the axes."""
        self._parts.append(
            f'<image href="{uri}" x="{self.left}" y="{self.top}" width="{self.width - self.left - self.right}" '
            f'height="{self.height - self.top - self.bottom}" preserveAspectRatio="none" class="raster"/>'
        )

    def row_label(self, y: float, text: str, css: str = "label") -> None:
        """A name beside the vertical axis at height y."""
        self._parts.append(
            f'<text class="{css}" x="{self.left - 8}" y="{float(self.py(y)) + 4:.1f}" text-anchor="end">{html.escape(text)}</text>'
        )

    def svg(self, *, x_unit: str = "s", x_axis: bool = True, y_ticks: Sequence[float] | None = None) -> str:
        """The finished drawing."""
        grid: list[str] = []
        bottom = self.height - self.bottom
        for x in nice_ticks(*self.x, about=10 if self.width > 600 else 5) if x_axis else []:
            at = float(self.px(x))
            grid.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{self.top}" y2="{bottom}"/>')
            grid.append(
                f'<text class="tick" x="{at:.1f}" y="{bottom + 15}" text-anchor="middle">{number(x)}</text>'
            )
        if x_axis and x_unit:
            # in place of the last number, which would collide with it
            grid.append(
                f'<text class="tick unit" x="{self.width - 2}" y="{bottom + 15}" text-anchor="end">{x_unit}</text>'
            )
        for y in nice_ticks(*self.y, about=4) if y_ticks is None else y_ticks:
            at = float(self.py(y))
            grid.append(
                f'<line class="grid" x1="{self.left}" x2="{self.width - self.right}" y1="{at:.1f}" y2="{at:.1f}"/>'
            )
            grid.append(
                f'<text class="tick" x="{self.left - 6}" y="{at + 4:.1f}" text-anchor="end">{number(y)}</text>'
            )
        data = (
            f' data-t0="{self.x[0]:.4f}" data-t1="{self.x[1]:.4f}" data-left="{self.left}" '
            f'data-right="{self.width - self.right}"'
            if self.time
            else ""
        )
        cursor = f'<line class="cursor" x1="-9" x2="-9" y1="{self.top}" y2="{bottom}"/>' if self.time else ""
        return (
            f'<svg class="chart" viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{html.escape(self.label)}"{data}>'
            f"{''.join(grid)}{''.join(self._parts)}{cursor}</svg>"
        )


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

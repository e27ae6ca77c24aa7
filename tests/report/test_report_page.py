"""The page: self-contained, well-formed, and drawing what it says."""

import math
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import report_synthetic as synthetic
from hypothesis import given
from hypothesis import strategies as st

from hybrid_control.report import make_report
from hybrid_control.report.camera import Camera, overlay, planned_heading
from hybrid_control.report.charts import Chart, nice_ticks, raster_png, speed_colour, thin
from hybrid_control.report.run import Raster, load
from hybrid_control.report.worldmap import WorldMap
from hybrid_control.signals.headings import HEADINGS


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = synthetic.straight_run(tmp_path_factory.mktemp("page") / "straight")
    make_report(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


class Links(HTMLParser):
    """Collects everything that a browser would load."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [
            value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")
        ]
        if tag in ("link", "iframe", "object", "embed"):
            self.found.append(tag)


def test_page_loads_nothing_from_elsewhere(page):
    links = Links()
    links.feed(page)
    assert links.found
    assert all(link.startswith("data:") for link in links.found)
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|WebSocket", page)


def whole_drawings(page):
    """Every drawing of a page with those that are in it."""
    found, depth, begin = [], 0, 0
    for tag in re.finditer(r"<svg\b|</svg>", page):
        begin = tag.start() if depth == 0 else begin
        depth += 1 if tag[0] == "<svg" else -1
        if depth == 0:
            found.append(page[begin : tag.end()])
    return found


def test_page_drawings_are_well_formed_and_finite(page):
    drawings = whole_drawings(page)
    assert len(drawings) > 15
    for drawing in drawings:
        ElementTree.fromstring(drawing)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', " ".join(drawings))


def test_page_shows_every_part(page):
    for heading in (
        "The way through",
        "Over time",
        "Spikes",
        "What the planner saw",
        "Latency",
        "Parameters used",
    ):
        assert heading in page
    assert "goal reached without a contact" in page
    assert page.count("<figure>") == 10


def test_page_escapes_what_comes_from_outside(tmp_path):
    folder = synthetic.straight_run(tmp_path)
    text = '{"world": "<script>alert(1)</script>", "events": [{"t": 1.0, "text": "<b>&"}]}'
    (folder / "run.json").write_text(text)
    make_report(folder)
    page = (folder / "report.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;&amp;" in page


def test_map_shows_scans_where_the_obstacles_are(tmp_path):
    run = load(synthetic.straight_run(tmp_path))
    world = WorldMap(run)
    # half way between the states at 3.0 and 3.1 s
    place = run.state.pose(3.05)
    assert (place.x, place.y, place.yaw) == pytest.approx((3.05, 0.0, 0.0))
    x, y = np.array(world.lidar(3.051)).reshape(-1, 2).T
    # each beam measured 2 m from where the robot was at the scan's stamp, 3.05 s
    metres = np.hypot(x - world.x(3.05), y - world.y(0.0)) / world.scale
    assert metres == pytest.approx(np.full(metres.size, 2.0), abs=0.01)


def test_planned_heading_is_the_population_vector():
    rates = np.zeros(72)
    rates[[35, 36]] = 10.0  # 2.5 degrees right and left of ahead
    assert planned_heading(rates) == pytest.approx(0.0)
    rates[:] = 0.0
    rates[54] = 3.0
    assert planned_heading(rates) == pytest.approx(HEADINGS[54])
    assert HEADINGS[54] > math.pi / 4  # to the left
    assert math.isnan(planned_heading(np.zeros(72)))


def test_camera_projects_the_ground_as_a_pinhole_does():
    # level, 1 m high, 90 degrees wide, 160 x 120: focal length 80 pixels
    camera = Camera(x=0.0, z=1.0, pitch=0.0, hfov=math.pi / 2)
    assert camera.project(4.0, 0.0, 160, 120) == pytest.approx((80.0, 60.0 + 80.0 / 4))
    # 1 m to the left is to the left in the picture
    assert camera.project(4.0, 1.0, 160, 120) == pytest.approx((80.0 - 20.0, 80.0))
    assert camera.project(-1.0, 0.0, 160, 120) is None
    # looking down by 45 degrees, the point on the axis is as far ahead as the camera is high
    camera = Camera(x=0.0, z=1.0, pitch=math.pi / 4, hfov=math.pi / 2)
    assert camera.project(1.0, 0.0, 160, 120) == pytest.approx((80.0, 60.0))


def test_overlay_leans_to_the_side_of_the_heading_and_points_out_of_view_beyond_it():
    def middle(points):
        return np.mean([float(p.split(",")[0]) for p in points.split()])

    camera, none = Camera(), np.zeros(0)
    assert middle(overlay(camera, 0.3, none, 160, 120).ribbon) < 80
    assert middle(overlay(camera, -0.3, none, 160, 120).ribbon) > 80
    left, right = overlay(camera, 2.0, none, 160, 120), overlay(camera, -2.0, none, 160, 120)
    assert not left.ribbon
    assert middle(left.beyond) < 20
    assert middle(right.beyond) > 140
    silent = overlay(camera, math.nan, none, 160, 120)
    assert (silent.ribbon, silent.beyond) == ("", "")


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6), st.integers(2, 12))
def test_ticks_lie_within_the_axis_at_round_steps(low, span, about):
    high = low + span
    ticks = nice_ticks(low, high, about)
    assert all(
        low - 1e-9 * abs(low) - 1e-9 * span <= t <= high + 1e-9 * abs(high) + 1e-9 * span for t in ticks
    )
    assert len(ticks) <= about + 2


def test_ticks_of_a_plain_axis():
    assert nice_ticks(0.0, 10.0, 5) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert nice_ticks(0.0, 0.0) == [0.0]


def test_thin_keeps_the_extremes():
    t = np.arange(10_000.0)
    y = np.zeros(10_000)
    y[1234], y[7777] = 5.0, -3.0
    _, kept = thin(t, y, 100)
    assert kept.size <= 200
    assert (kept.max(), kept.min()) == (5.0, -3.0)


def test_chart_places_data_between_its_axes():
    chart = Chart((0.0, 10.0), (0.0, 1.0), width=1000, height=104, sides=(50, 14))
    assert float(chart.px(0.0)) == 50.0
    assert float(chart.px(10.0)) == 1000.0 - chart.right
    assert float(chart.py(0.0)) == 80.0
    assert float(chart.py(1.0)) == chart.top
    chart.line(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.0, math.nan, 1.0, 1.0]), "measured")
    assert chart.svg().count("<polyline") == 2  # broken where it is not known


def test_raster_has_a_row_for_each_neuron_and_neuron_0_at_the_bottom():
    import base64
    import io

    from PIL import Image

    raster = Raster("ring", 4, np.array([0.0, 0.99]), np.array([0, 3]))
    uri, height, bands = raster_png([(raster, 1, (255, 0, 0))], 1.0, width=100)
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))
    assert (height, bands) == (4, [("ring", 0, 4)])
    assert picture[3, 0, 3] == 255
    assert picture[0, 99, 3] == 255
    assert np.count_nonzero(picture[:, :, 3]) == 2


def test_speed_colour_goes_from_blue_to_orange():
    assert speed_colour(0.0) == "#3b4cc0"
    assert speed_colour(1.0) == speed_colour(7.0) == "#f58228"

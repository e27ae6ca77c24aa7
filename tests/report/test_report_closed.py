"""What a report shows of closed directions, by a recording that can be worked out by hand."""

import json
import math
import re
from types import SimpleNamespace as Fields

import numpy as np
import pytest
import report_synthetic as synthetic

from hybrid_control.geometry.camera import CameraMount
from hybrid_control.navigation.planner.closed import (
    HIDDEN,
    HIDDEN_AT,
    POPULATIONS,
    STANDING,
    STANDING_AT,
    UNSEEN,
    ClosedDirections,
)
from hybrid_control.report import make_report
from hybrid_control.report.closed import Closed, dots, fence, stays
from hybrid_control.report.recording import RecordingError
from hybrid_control.report.run import load
from hybrid_control.report.worldmap import WorldMap
from hybrid_control.signals.headings import HEADINGS, SECTORS

SECOND = 1_000_000_000
CLOUD, STATES = "sensor_msgs/msg/PointCloud2", "hybrid_control_msgs/msg/StateVector"
LEVEL = CameraMount(0.0, 0.5, 0.0, math.pi / 2, 0.75)  # 160 x 120: a focal length of 80 pixels
ROBOT = {"camera_x": 0.0, "camera_z": 0.5, "camera_pitch": 0.0, "camera_hfov": math.pi / 2}
KERB = np.array([[2.05, 0.55]])  # m in the odometry's frame, the middle of a cell


def only(heading, sure, away):
    """Confidences and distances (72,) of which that heading alone is closed."""
    confidence = np.zeros(SECTORS)
    confidence[heading] = sure
    return confidence, np.full(SECTORS, away)


def answer():
    """A post 1 m ahead, just left; a kerb 2 m ahead, just right; the rear is not seen."""
    rows = np.zeros((4, SECTORS))
    rows[np.ix_([STANDING, HIDDEN], np.abs(HEADINGS) > math.pi / 4)] = UNSEEN
    rows[[STANDING_AT, HIDDEN_AT]] = 4.0
    rows[[STANDING, STANDING_AT], 36] = 1.0
    rows[HIDDEN, 35], rows[HIDDEN_AT, 35] = 0.5, 2.0
    return ClosedDirections(0, rows).states()


def states(now, **changes):
    message = {
        "header": synthetic.header(now), "populations": [p.name for p in POPULATIONS],
        "sizes": [p.size for p in POPULATIONS], "values": answer().values.tolist(),
    }  # fmt: skip
    return Fields(**(message | changes))


def cloud(now, points):
    data = np.column_stack([points, np.zeros(len(points))]).astype(np.float32).tobytes()
    return Fields(
        header=synthetic.header(now, "odom"), height=1, width=len(points), fields=[], point_step=12,
        row_step=len(data), is_bigendian=False, is_dense=True, data=data,
    )  # fmt: skip


def recorded(folder, said=(STATES, states), hidden=(CLOUD, lambda now: cloud(now, KERB))):
    """Three seconds of a robot that stands at (2, 1) and looks to the left, and by its odometry at (1, 0.5) looking
    ahead. From 1 to 1.9 s its planner says what `answer` does, and a hidden cell is remembered right before it."""
    run, kind = synthetic.SyntheticRun(folder), "hybrid_control_msgs/msg/"
    (folder / "run.json").write_text(json.dumps({"robot": ROBOT}))
    pixels = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8).tobytes()
    for i in range(31):
        now = synthetic.START + i * SECOND // 10
        here = Fields(x=2.0, y=1.0, theta=math.pi / 2)
        run.put("/sim/state", kind + "SimState", synthetic.state(now, 2.0, 1.0, pose=here), now)
        odometry = Fields(
            header=synthetic.header(now), child_frame_id="base_link",
            pose=Fields(pose=synthetic.pose(1.0, 0.5), covariance=[0.0] * 36),
            twist=Fields(twist=synthetic.twist(0.0, 0.0), covariance=[0.0] * 36),
        )  # fmt: skip
        run.put("/odom", "nav_msgs/msg/Odometry", odometry, now)
        image = Fields(
            header=synthetic.header(now, "camera"), height=120, width=160, encoding="rgb8", is_bigendian=0, step=480,
            data=pixels,
        )  # fmt: skip
        run.put("/camera/image_raw", "sensor_msgs/msg/Image", image, now)
        for topic, what in (("/planner/directions", said), ("/planner/hidden", hidden)):
            if 10 <= i < 20 and what is not None:
                run.put(topic, what[0], what[1](now), now)
    run.close()
    return folder


def frames(folder):
    """What the page's script gets."""
    make_report(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    return page, json.loads(re.search(r'id="data">(.*?)</script>', page)[1])


def test_report_a_closed_heading_one_metre_ahead_stands_on_the_pixel_row_of_its_ground():
    # heading 36 reaches from straight ahead to 5 degrees left: column 80 - 80 tan 5 = 73.0
    # row 60 + 80 * 0.5 straight ahead, 60 + 40 / cos 5 at its left side; a tenth of 120 pixels high
    assert fence(LEVEL, *only(36, 1.0, 1.0), 160, 120) == "M73.0 100.2L80.0 100.0v-12.0L73.0 88.2Z"
    assert LEVEL.down(np.array(0.0), np.array(1.0)) * 120 == pytest.approx(100.0)
    # half as sure, half as high
    assert fence(LEVEL, *only(36, 0.5, 1.0), 160, 120) == "M73.0 100.2L80.0 100.0v-6.0L73.0 94.2Z"


@pytest.mark.parametrize(
    ("heading", "sure"), [(36, 0.19), (36, UNSEEN), (46, 1.0), (25, 1.0), (0, 1.0)], ids=str
)
def test_report_a_heading_that_is_free_unseen_or_out_of_view_is_not_drawn(heading, sure):
    assert fence(LEVEL, *only(heading, sure, 1.0), 160, 120) == ""


def test_report_what_is_nearer_than_the_picture_shows_stands_on_its_lower_edge():
    # the lower edge sees ground 0.5 / 0.75 m ahead
    assert "L80.0 120.0v-12.0" in fence(LEVEL, *only(36, 1.0, 0.3), 160, 120)


def test_report_remembered_cells_are_a_dot_for_each_pixel_in_view():
    # 80 - 80 * 0.05 / 1.05 = 76.2 across, 60 + 80 * 0.5 / 1.05 = 98.1 down
    points = np.array([[1.05, 0.05], [1.05, 0.05], [-1.0, 0.0], [1.0, 1.5], [0.1, 0.0]])
    assert dots(LEVEL, points, 160, 120) == "M76 98h0"


def test_report_a_cell_stays_until_it_is_forgotten_and_may_come_back():
    here, there, none = np.array([[1, 2]]), np.array([[1, 2], [-3, 4]]), np.empty((0, 2), np.int64)
    assert sorted(stays([here, there, none, here])) == [[-3, 4, 1, 1], [1, 2, 0, 1], [1, 2, 3, 3]]
    assert stays([]) == []


def test_report_shows_what_was_said_at_each_picture_while_it_is_not_too_old(tmp_path):
    page, data = frames(recorded(tmp_path))
    by_time = {round(f["t"], 1): f for f in data["frames"]}
    assert {t for t, f in by_time.items() if f["standing"]} == {t for t in by_time if 1.0 <= t <= 2.4}
    shown = by_time[1.5]
    assert shown["standing"] == "M73.0 100.2L80.0 100.0v-12.0L73.0 88.2Z"
    # the kerb from straight ahead to 5 degrees right, 2 m away: row 60 + 20
    assert shown["hidden"] == "M80.0 80.0L87.0 80.1v-6.0L80.0 74.0Z"
    assert shown["remembered"] == "M76 98h0"
    for text in ("hidden, as remembered", "a scan shows it as well", "no scan shows it"):
        assert text in page
    assert page.count('class="over hidden"') == 11  # the replay's picture, and ten of the film


def test_report_shows_a_remembered_cell_on_the_map_where_the_robot_believes_that_it_is(tmp_path):
    folder = recorded(tmp_path)
    _, data = frames(folder)
    # by odometry at (1, 0.5) + (1.05, 0.05): the cell from (2.0, 0.5) to (2.1, 0.6)
    (i, j, first, last), = data["cells"]
    assert (i, j) == (20, 5)
    times = [f["t"] for f in data["frames"]]
    assert [k for k, t in enumerate(times) if 1.0 <= t <= 2.4] == list(range(first, last + 1))
    # the robot really looks to the left from (2, 1): the cell's middle is 1.05 m further up and 0.05 m to the left
    run = load(folder)
    world = WorldMap(run)
    a, b, c, d, e, f = map(float, data["frames"][first]["cells"][len("matrix(") : -1].split())
    x, y = i + 0.5, j + 0.5
    assert a * x + c * y + e == pytest.approx(world.x(1.95), abs=0.1)
    assert b * x + d * y + f == pytest.approx(world.y(2.05), abs=0.1)
    assert Closed(run).cells(1.5).tolist() == [[20, 5]]


def test_report_of_a_planner_of_contract_1_has_nothing_of_it(tmp_path):
    page, data = frames(recorded(tmp_path, said=None, hidden=None))
    assert "cells" not in data
    keys = {"t", "image", "ribbon", "beyond", "strip", "caption", "ring", "rates", "lidar"}
    assert all(set(frame) == keys for frame in data["frames"])
    body = page[page.index("<body>") : page.index("<script>")]
    for text in ("remembered", "--hidden", "cells", 'class="over', "closed"):
        assert text not in body


def test_report_of_an_older_recording_without_directions_still_has_the_map(tmp_path):
    _, data = frames(recorded(tmp_path, said=None))
    assert [cell[:2] for cell in data["cells"]] == [[20, 5]]
    assert not any(frame["standing"] or frame["hidden"] for frame in data["frames"])


TEXT = "std_msgs/msg/String", lambda now: Fields(data="closed")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"said": TEXT}, "planner/directions: a std_msgs/msg/String, expected hybrid_control_msgs/msg/StateVector"),
        ({"hidden": TEXT}, "planner/hidden: a std_msgs/msg/String, expected sensor_msgs/msg/PointCloud2"),
        (
            {"said": (STATES, lambda now: states(now, populations=["ring"], sizes=[72], values=[0.0] * 72))},
            "planner/directions: message 0: closed: populations ring of 72, expected standing of 72",
        ),
        ({"said": (STATES, lambda now: states(now, sizes=[72] * 3))}, "message 0: 4 populations with 3 sizes"),
        ({"said": (STATES, lambda now: states(now, values=[0.0] * 7))}, "message 0: states: 7 values for"),
        ({"said": (STATES, lambda now: states(now, values=[math.nan] * 288))}, "message 0: states: every value"),
        ({"said": (STATES, lambda now: states(now, values=[2.0] * 288))}, "message 0: closed: a confidence above 1"),
        ({"hidden": (CLOUD, lambda now: cloud(now, np.eye(4, 2)))}, "hidden: points that are no middles of cells"),
        ({"hidden": (CLOUD, lambda now: cloud(now, np.full((4, 2), np.nan)))}, "hidden: points that are no middles"),
        (
            {"hidden": (CLOUD, lambda now: cloud(now, np.zeros((128 * 128 + 1, 2))))},
            "hidden: 16385 cells, expected 16384 at most",
        ),
    ],
)
def test_report_refuses_what_is_no_closed_direction_or_hidden_cell_in_one_line(tmp_path, changes, said):
    with pytest.raises(RecordingError, match=re.escape(said)) as refused:
        make_report(recorded(tmp_path, **changes))
    assert "\n" not in str(refused.value)


def test_report_of_a_camera_that_cannot_be_is_refused_in_one_line(tmp_path):
    recorded(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps({"robot": ROBOT | {"camera_z": 0.0}}))
    with pytest.raises(RecordingError, match=r"run\.json: camera: z 0\.0"):
        make_report(tmp_path)

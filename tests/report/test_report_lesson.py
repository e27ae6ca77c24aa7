"""What a report says of a lesson on the ground, by a recording that can be worked out by hand."""

from types import SimpleNamespace as Fields

import numpy as np
import pytest
import report_synthetic as synthetic

from hybrid_control.navigation.ground.overlay import corners
from hybrid_control.report import make_report
from hybrid_control.report.lesson import lesson
from hybrid_control.report.recording import RecordingError
from hybrid_control.report.run import load

SECOND = 1_000_000_000


def recorded(folder, cut=0):
    """A robot that stands at (2, 1) for ten seconds, looking to the left; told of a mat from 1 to 2.5 s and of a puddle
    from 4 s on, for 3 s at most; half a metre before it lies a cell of a puddle, from 5 s on."""
    run, kind = synthetic.SyntheticRun(folder), "hybrid_control_msgs/msg/"
    cell = corners(np.array([[0.5, 0.0]]), np.pi / 2)
    cloud = np.column_stack([cell, np.zeros(4)]).astype(np.float32).tobytes()
    for i in range(101):
        now = synthetic.START + i * SECOND // 10
        here = Fields(x=2.0, y=1.0, theta=np.pi / 2)
        run.put("/sim/state", kind + "SimState", synthetic.state(now, 2.0, 1.0, pose=here), now)
        rate = 0.0 if i < 50 else 150.0
        rates = Fields(
            header=synthetic.header(now), populations=["puddle"], sizes=[72], rates=[0.0] * 71 + [rate]
        )
        run.put("/learner/rates", kind + "RateVector", rates, now)
        data = b"" if i < 50 else cloud[: len(cloud) - cut]
        ground = Fields(
            header=synthetic.header(now, "base_link"), height=1, width=len(data) // 12, fields=[], point_step=12,
            row_step=len(data), is_bigendian=False, is_dense=True, data=data,
        )  # fmt: skip
        run.put("/learner/ground", "sensor_msgs/msg/PointCloud2", ground, now)
    for label, at in (("mat", 1.0), ("mat", 1.5), ("", 2.5), ("puddle", 4.0)):
        sent = synthetic.START + round(at * SECOND)
        run.put("/learner/label", "std_msgs/msg/String", Fields(data=label), sent)
    run.close()
    return folder


def test_report_lesson_says_when_it_was_told_what_and_where_it_kept_off(tmp_path):
    found = lesson(load(recorded(tmp_path)))
    assert found is not None
    assert {name: np.round(spans, 6).tolist() for name, spans in found.told.items()} == {
        "mat": [[1.0, 2.5]], "puddle": [[4.0, 7.0]]
    }  # fmt: skip
    t, rate = found.seen["puddle"]
    assert rate[t < 4.95].max() == 0.0
    assert rate[t > 5.05].min() == 150.0
    # ahead of a robot at (2, 1) that looks to the left is (2, 1.5)
    assert np.abs(found.avoided - (2.0, 1.5)).max() < 0.1


def test_report_lesson_is_drawn_on_the_page_and_absent_where_nothing_could_be_taught(tmp_path):
    make_report(recorded(tmp_path / "taught"))
    page = (tmp_path / "taught" / "report.html").read_text(encoding="utf-8")
    assert "What it was taught of the ground" in page
    assert "told: puddle, 4.0 .. 7.0 s" in page
    assert 'class="keptoff"' in page
    folder = synthetic.straight_run(tmp_path / "straight")
    make_report(folder)
    assert "What it was taught" not in (folder / "report.html").read_text(encoding="utf-8")


def test_report_lesson_with_half_a_cell_is_refused_in_one_line(tmp_path):
    with pytest.raises(RecordingError, match="learner/ground: 44 bytes, expected 48 for each cell"):
        lesson(load(recorded(tmp_path, cut=4)))

"""report.json against numbers worked out by hand from the made-up run."""

import contextlib
import json
import math
import re

import numpy as np
import pytest
import report_synthetic as synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.report import make_report, summary_line
from hybrid_control.report.measures import path_length, percentiles, rate
from hybrid_control.report.recording import RecordingError, read
from hybrid_control.report.run import Clock, Series, load


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = synthetic.straight_run(tmp_path_factory.mktemp("run") / "straight")
    return folder, make_report(folder)


def test_report_outcome_seed_and_versions_are_those_of_the_run(straight):
    _, report = straight
    assert report["outcome"]["success"] is True
    assert (report["seed"], report["world"]) == (7, "straight")
    assert report["versions"] == {"hybrid_control": "0.1.0"}
    assert report["parameters"]["reflex_node"] == {"stop_distance": 0.15, "avoidance_gain": 1.0}


def test_report_path_time_and_distances_are_those_worked_out(straight):
    _, report = straight
    assert report["path_length_m"] == pytest.approx(10.0)  # 1 m/s for 10 s
    assert report["duration_s"] == pytest.approx(10.0)
    assert report["time_to_goal_s"] == pytest.approx(9.5)  # 0.5 m before the goal at x = 10
    assert report["minimum_distance_m"] == pytest.approx(0.5, abs=1e-6)  # 1 - 0.2 - 0.3 beside the pillar
    assert report["straight_line_m"] == pytest.approx(10.0)
    assert report["contacts"] == 0
    assert report["mean_speed_m_s"] == pytest.approx(1.0)


def test_report_latencies_are_those_that_the_messages_were_sent_with(straight):
    _, report = straight
    images, scans = report["latency_ms"]["image_to_rates"], report["latency_ms"]["scan_to_command"]
    assert images["count"] == 101
    assert (images["p50"], images["max"]) == pytest.approx((30.0, 30.0))
    # stamped on the tick, sent after 1 ms; the command comes after 2 ms
    assert (scans["p50"], scans["p99"]) == pytest.approx((2.0, 2.0))


def test_report_ticks_and_missed_share_are_the_last_counts(straight):
    _, report = straight
    ticks = report["ticks"]
    assert (ticks["ticks"], ticks["missed"]) == (10_000, 100)
    assert ticks["missed_share"] == pytest.approx(100 / 10_100)
    assert ticks["lateness_us"] == {"p50": 10.0, "p99": 20.0, "p99.9": 30.0, "max": 40.0}
    assert ticks["cost_us"] == {"p50": 4.0, "p99": 5.0, "p99.9": 6.0, "max": 7.0}


def test_report_spikes_events_and_energy_are_sums_over_the_run(straight):
    _, report = straight
    network = report["network"]
    # of the three spikes in each of 1001 messages two are of the ring and one, 90 = 72 + 8 + 8 + 2, of forward
    assert {k: network["spikes"][k] for k in ("ring", "left", "right", "forward")} == {
        "ring": 2002, "left": 0, "right": 0, "forward": 1001,
    }  # fmt: skip
    assert network["spikes"]["heading"] + network["spikes"]["speed"] == 12 * 1001
    assert network["synaptic_events"] == 500_000  # 50,000 a second for 10 s
    assert network["energy_estimate_uj"] == pytest.approx(30.0)  # 3 µW for 10 s


def test_report_rates_of_topics_are_from_the_first_to_the_last_message(straight):
    _, report = straight
    assert report["topics"]["/scan"]["messages"] == 201
    assert report["topics"]["/scan"]["rate_hz"] == pytest.approx(20.0)
    assert report["planner_rate_hz"] == pytest.approx(10.0, abs=0.05)
    assert report["topics"]["/goal_pose"]["rate_hz"] is None  # one message has no rate


def test_report_modes_last_until_the_next_status_and_ignore_what_was_before_the_run(tmp_path):
    run = synthetic.SyntheticRun(tmp_path)
    kind = "hybrid_control_msgs/msg/"
    second = 10**9
    for t, mode in ((-2, 0), (0, 3), (1, 1), (4, 2), (6, 4)):
        now = synthetic.START + t * second
        run.put("/reflex/status", kind + "ReflexStatus", synthetic.status(now, mode=mode), now)
    for t in range(9):
        now = synthetic.START + t * second
        run.put("/sim/state", kind + "SimState", synthetic.state(now, 0.0, 0.0), now)
    run.close()
    report = make_report(tmp_path)
    assert report["modes_s"] == pytest.approx(
        {"STOPPED": 1.0, "HYBRID": 3.0, "REFLEX_ONLY": 2.0, "ARRIVED": 2.0}
    )
    assert report["outcome"]["success"] is False  # it stood at x = 0


STATUS = "hybrid_control_msgs/msg/ReflexStatus"


def guarded_run(folder):
    """Ten seconds: stood for two, drove four with the guard at it in half of the ticks, four with none."""
    run = synthetic.SyntheticRun(folder)
    for t in range(11):
        now = synthetic.START + t * 10**9
        share = math.nan if t <= 2 else 0.5 if t <= 6 else 0.0
        guard = {
            "wish": synthetic.twist(1.5, 0.1), "allowed": synthetic.twist(0.5, -0.4), "guard_share": share
        }  # fmt: skip
        run.put("/reflex/status", STATUS, synthetic.status(now, **guard), now)
        run.put("/sim/state", "hybrid_control_msgs/msg/SimState", synthetic.state(now, 0.0, 0.0), now)
    run.close()
    return folder


def test_report_share_of_the_guard_is_of_the_driving_time(tmp_path):
    report = make_report(guarded_run(tmp_path))
    assert report["guard_share"] == pytest.approx(0.25)  # 4 s x 0.5 of 8 s
    status = load(tmp_path).status
    assert status["wish_speed"].tolist() == [1.5] * 11
    assert status["allowed_yaw_rate"] == pytest.approx([-0.4] * 11)


def test_report_of_a_recording_without_the_guards_fields_knows_no_share(tmp_path, monkeypatch):
    old = re.sub(r"(?m)^(geometry_msgs/Twist|float32 guard_share).*\n", "", synthetic._TOP[STATUS])
    assert "wish" not in old
    monkeypatch.setitem(synthetic._TOP, STATUS, old)
    assert make_report(guarded_run(tmp_path))["guard_share"] is None
    assert np.isnan(load(tmp_path).status["wish_speed"]).all()
    assert "let through" not in (tmp_path / "report.html").read_text()


def test_report_page_says_how_often_the_guard_was_at_it_and_draws_the_wish(tmp_path):
    make_report(guarded_run(tmp_path))
    page = (tmp_path / "report.html").read_text()
    assert "The guard changed the network's command in 25 % of the driving time." in page
    for css in ("wish", "allowed"):
        assert page.count(f'<polyline class="{css}"') == 2  # speed and yaw rate


def test_report_of_a_contact_is_no_success_even_at_the_goal(tmp_path):
    run = synthetic.SyntheticRun(tmp_path)
    for t, contacts in ((0, 0), (1, 2)):
        now = synthetic.START + t * 10**9
        state = synthetic.state(now, 10.0, 0.0, contacts=contacts, minimum_distance=0.0)
        run.put("/sim/state", "hybrid_control_msgs/msg/SimState", state, now)
    run.close()
    report = make_report(tmp_path)
    assert report["contacts"] == 2
    assert report["outcome"]["success"] is False
    assert "2 contacts" in summary_line(report)


def test_report_percentiles_are_linear_between_ranks():
    # 0 .. 100 has its p-th percentile at p
    assert percentiles(np.arange(101.0)) == {
        "count": 101,
        "p50": 50.0,
        "p90": 90.0,
        "p99": 99.0,
        "max": 100.0,
    }
    assert percentiles([1.0, 3.0])["p50"] == 2.0
    assert percentiles([math.nan, 5.0, math.inf]) == {
        "count": 1,
        "p50": 5.0,
        "p90": 5.0,
        "p99": 5.0,
        "max": 5.0,
    }
    assert percentiles([]) == {"count": 0}


def test_report_path_length_is_that_of_the_polyline():
    # 3-4-5 triangle, then 2 straight up
    assert path_length(np.array([0.0, 3.0, 3.0]), np.array([0.0, 4.0, 6.0])) == pytest.approx(7.0)
    assert path_length(np.zeros(1), np.zeros(1)) == 0.0


def test_report_rate_needs_two_moments():
    assert rate(np.array([0.0, 0.5, 1.0])) == pytest.approx(2.0)
    assert rate(np.array([3.0])) is None
    assert rate(np.zeros(0)) is None


def test_report_clock_maps_reception_to_simulated_time():
    # /clock at half speed: 1 s of the system clock is 0.5 s of the run
    clock = Clock(0, np.array([10, 12]) * 10**9, np.array([0.0, 1.0]))
    assert clock.at(np.array([11]) * 10**9)[0] == pytest.approx(0.5)
    assert not clock.live
    live = Clock(5 * 10**9, np.zeros(0, np.int64), np.zeros(0))
    assert live.live
    assert live.at(np.array([7]) * 10**9)[0] == pytest.approx(2.0)


def test_report_series_finds_the_newest_value_at_a_time():
    series = Series(np.array([0.0, 1.0, 2.0]), np.zeros(3), {"x": np.array([5.0, 6.0, 7.0])})
    assert [series.at(t) for t in (-1.0, 0.0, 0.99, 1.0, 9.0)] == [0, 0, 0, 1, 2]
    cut, inside = series.cut(1.5)
    assert cut["x"].tolist() == [5.0, 6.0]
    assert inside.tolist() == [True, True, False]


def test_report_says_that_a_recording_was_cut_short_and_shows_the_rest(straight, tmp_path):
    folder, whole = straight
    data = (folder / "run.mcap").read_bytes()
    (tmp_path / "run.mcap").write_bytes(data[: len(data) // 2])
    report = make_report(tmp_path)
    assert report["recording"]["complete"] is False
    assert 0 < report["duration_s"] < whole["duration_s"]
    assert "not complete" in (tmp_path / "report.html").read_text()
    assert whole["recording"]["complete"] is True
    assert report["outcome"]["result"] == "cut short"
    assert report["outcome"]["text"] == f"the recording is cut short after {report['duration_s']:.1f} s"


def test_report_of_a_cut_recording_does_not_say_that_the_goal_was_reached_though_the_run_did(straight, tmp_path):
    folder, _ = straight
    data = (folder / "run.mcap").read_bytes()
    (tmp_path / "run.mcap").write_bytes(data[: len(data) // 2])
    verdict = {"success": True, "result": "reached", "text": "goal reached without a contact"}
    (tmp_path / "run.json").write_text(json.dumps({"outcome": verdict}))
    report = make_report(tmp_path)
    assert report["outcome"]["success"] is False
    assert report["outcome"]["text"].endswith("; the run went on: goal reached without a contact")
    assert "cut short" in summary_line(report)


def test_report_of_a_run_that_could_not_be_recorded_still_says_how_it_went(tmp_path):
    note = "recording stopped: run.mcap: No space left on device"
    outcome = {"success": True, "result": "reached", "text": "goal reached without a contact"}
    (tmp_path / "run.json").write_text(
        json.dumps({"outcome": outcome, "recording": note, "world": "default"})
    )
    (tmp_path / "run.mcap").write_bytes(b"")
    report = make_report(tmp_path)
    assert report["outcome"] == outcome
    assert report["recording"] == {"complete": False, "note": note}
    assert note in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no such file"),
        ({"run.mcap": b"rubbish"}, "not an MCAP file"),
        ({"run.mcap": b"\x89MCAP0\r\n"}, "nothing to report"),
        ({"run.mcap": b"\x89MCAP0\r\n", "run.json": b"{"}, "no JSON"),
        ({"run.mcap": b"\x89MCAP0\r\n", "run.json": b"[1]"}, "expected an object"),
    ],
)
def test_report_refuses_what_is_no_run_in_one_line(tmp_path, files, said):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RecordingError, match=said) as refused:
        make_report(tmp_path)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "report.json").exists()


def test_report_json_is_strict_json(straight):
    folder, report = straight

    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    assert json.loads((folder / "report.json").read_text(), parse_constant=refuse) == report


_CHANGES = st.lists(st.tuples(st.integers(8, 60_000), st.integers(0, 255)), min_size=1, max_size=20)


@settings(deadline=None)
@given(_CHANGES, st.integers(20, 60_000))
def test_recording_with_wrong_bytes_is_read_as_far_as_it_goes_or_refused(broken, changes, length):
    source, file = broken
    data = bytearray(source.read_bytes()[:length])
    for place, value in changes:
        if place < len(data):
            data[place] = value
    file.write_bytes(bytes(data))
    with contextlib.suppress(RecordingError):
        for topic in read(file).topics.values():
            for i in range(min(2, len(topic))):
                topic.decode(i)


@pytest.fixture(scope="module")
def broken(straight, tmp_path_factory):
    return straight[0] / "run.mcap", tmp_path_factory.mktemp("broken") / "run.mcap"

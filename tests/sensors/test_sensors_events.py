"""Event packets bit by bit, flow and time to contact of edges that were moved by hand, and fusion."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.geometry.outline import Outline
from hybrid_control.navigation.reflex.guard import DEAD, KNOWN
from hybrid_control.navigation.sensors import Fusion, read_sources
from hybrid_control.navigation.sensors.events import EventDecoder, Looming
from hybrid_control.navigation.sensors.views import View
from hybrid_control.parameters import ParameterError
from hybrid_control.signals.events import EVENT, pack_mono
from hybrid_control.signals.headings import SECTORS

MS = 1_000_000


def words(*values):
    return np.array(values, "<u2").tobytes()


def test_sensors_mono_packet_is_time_x_y_and_polarity():
    packed = np.array([1 << 63 | 7 << 48 | 5 << 32 | 1000, 3 << 48 | 9 << 32 | 2000], np.uint64).tobytes()
    events = EventDecoder().decode("mono", packed, 10, 10, 500)
    assert events.tolist() == [(1500, 5, 7, 1), (2500, 9, 3, 0)]
    assert EventDecoder().decode("mono", packed, 9, 10, 500).tolist() == [(1500, 5, 7, 1)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 639), st.integers(0, 479), st.integers(0, 1))))
def test_sensors_mono_packet_that_was_packed_here_is_read_back(rows):
    events = np.array(rows, EVENT)
    events["t"] += 7_000_000_000
    assert EventDecoder().decode("mono", pack_mono(events, 7_000_000_000), 640, 480, 7_000_000_000).tolist() == (
        events.tolist()
    )


def test_sensors_events_that_a_mono_packet_cannot_hold_are_refused():
    for time in (-1, 2**32):
        with pytest.raises(ValueError, match=r"within 4\.3 s after the time base, 0 ns"):
            pack_mono(np.array([(time, 1, 1, 1)], EVENT), 0)


def test_sensors_evt3_packet_bit_by_bit_and_on_into_the_next_one():
    decoder = EventDecoder()
    first = words(
        0x2001,  # an event before any time is known: nobody knows when
        0x8001,  # time high 1: 4096 us
        0x6010,  # time low 16
        0x0007,  # y 7
        0x2805,  # x 5, on
        0x3014,  # base 20, off
        0x4801,  # 12 pixels: 20 and 31
        0x5003,  # 8 pixels from 32 on: 32 and 33
        0xA001,  # a trigger
        0xE014, 0x7001, 0xF123,  # the camera's own
    )  # fmt: skip
    us = 1000
    events = decoder.decode("evt3", first, 640, 480, 0)
    assert events["t"].tolist() == [4112 * us] * 5
    assert events["x"].tolist() == [5, 20, 31, 32, 33]
    assert events["y"].tolist() == [7] * 5
    assert events["on"].tolist() == [1, 0, 0, 0, 0]
    assert decoder.decode("evt3", words(0x2006), 640, 480, 0).tolist() == [(4112 * us, 6, 7, 0)]
    # the counter of 24 bits turns over after 16.8 s
    late = decoder.decode("evt3", words(0x8FFF, 0x6000, 0x2006, 0x8000, 0x6000, 0x2006), 640, 480, 0)
    assert late["t"].tolist() == [(0xFFF << 12) * us, (1 << 24) * us]
    # a small step back is none
    back = decoder.decode("evt3", words(0x8005, 0x2006, 0x8004, 0x2006), 640, 480, 0)
    assert back["t"].tolist() == [((1 << 24) + (5 << 12)) * us, ((1 << 24) + (4 << 12)) * us]


@pytest.mark.parametrize(
    ("encoding", "data", "size", "said"),
    [
        ("evt9", b"", (4, 4), "encoding 'evt9', expected mono or evt3"),
        ("mono", b"1234567", (4, 4), "7 bytes of mono, expected a multiple of 8"),
        ("evt3", b"1", (4, 4), "1 bytes of evt3"),
        ("mono", b"", (0, 4), "a picture of 0 x 4"),
    ],
)
def test_sensors_packet_that_cannot_be_is_refused(encoding, data, size, said):
    with pytest.raises(ValueError, match=said):
        EventDecoder().decode(encoding, data, *size, 0)


@settings(max_examples=100, deadline=None)  # the first one compiles
@given(
    st.lists(st.binary(max_size=400), max_size=4),
    st.sampled_from(["mono", "evt3"]),
    st.integers(0, 2**64 - 1),
)
def test_sensors_any_packets_are_events_within_the_picture_and_the_flow_stays_finite(packets, encoding, base):
    decoder, looming = EventDecoder(), Looming(32, 24, 1.0, 0.0)
    for data in packets:
        whole = data[: len(data) // 8 * 8]
        events = decoder.decode(encoding, whole, 32, 24, base)
        assert (events["x"] < 32).all()
        assert (events["y"] < 24).all()
        looming.put(events)
    assert np.isfinite(looming.rates()).all()


def moved(edge, seconds, width=96, height=72, step=0.0005):
    """Events of a closed line of points (n, 2), in pixels from the middle, that `edge` gives for each time."""
    events, last = [], None
    for i in range(round(seconds / step)):
        at = np.round(edge(i * step) + np.array([(width - 1) / 2, (height - 1) / 2])).astype(int)
        now = {(x, y) for x, y in at.tolist() if 0 <= x < width and 0 <= y < height}
        events += [(round(i * step * 1e9), x, y, 1) for x, y in sorted(now - (last or now))]
        last = now
    return np.array(events, EVENT)


def ring(radius, n=1500):
    a = np.linspace(0, 2 * math.pi, n, endpoint=False)
    return radius * np.column_stack((np.cos(a), np.sin(a)))


@pytest.mark.parametrize("contact", [0.4, 0.8])
def test_sensors_ring_that_grows_tells_the_time_to_contact(contact):
    # at constant speed the size is s / (T - t): the inverse of the time to contact is 1 / (T - t)
    seconds = 0.4 * contact
    events = moved(lambda t: ring(12 * contact / (contact - t)), seconds)
    looming = Looming(96, 72, 0.6, 0.0)
    looming.put(events)
    rates = looming.rates()
    truth = 1 / (contact - seconds)
    ahead = rates[[SECTORS // 2 - 1, SECTORS // 2]]
    # the sums reach back over 0.1 s, in which the truth grows
    assert ahead == pytest.approx([truth, truth], rel=0.35)
    assert (rates[:20] == 0).all()
    assert (rates[-20:] == 0).all()


def test_sensors_edges_that_only_pass_by_or_shrink_are_no_approach():
    passing = Looming(96, 72, 0.6, 0.0)
    passing.put(moved(lambda t: ring(14) + np.array([-20 + 150 * t, 0]), 0.25))
    assert passing.rates().max() < 0.8
    shrinking = Looming(96, 72, 0.6, 0.0)
    shrinking.put(moved(lambda t: ring(30 * 0.5 / (0.5 + t)), 0.3))
    assert shrinking.rates().max() == 0.0


def test_sensors_events_of_a_camera_that_looks_left_count_for_the_left():
    looming = Looming(96, 72, 0.6, math.pi / 2)
    looming.put(moved(lambda t: ring(12 * 0.5 / (0.5 - t)), 0.2))
    found = np.flatnonzero(looming.rates())
    directions = -math.pi + (found + 0.5) * 2 * math.pi / SECTORS
    assert directions == pytest.approx(np.full(found.size, math.pi / 2), abs=0.5)


# -- fusion ------------------------------------------------------------------------------------------------------------


def test_sensors_fusion_waits_for_every_source_and_ends_with_the_first_that_is_too_old():
    fusion = Fusion(read_sources("scan laser timeout=0.2; left range x=0 timeout=0.5"))
    now = 10_000 * MS
    fusion.put_points("scan", np.array([[2.0, 0.0]], np.float32), now - 50 * MS, now)
    assert fusion.fuse(now, 1.65) is None
    assert fusion.missing(now) == ["left (nothing yet)"]
    fusion.put_points("left", np.array([[0.0, 1.0], [3.0, 0.0]], np.float32), now - 100 * MS, now)
    fused = fusion.fuse(now, 1.65)
    assert fused is not None
    # of what is ahead, the nearer
    assert sorted(fused.points.tolist()) == [[0.0, 1.0], [2.0, 0.0]]
    assert fused.stamps == (now - 100 * MS, now + 150 * MS)
    assert fusion.fuse(now + 151 * MS, 1.65) is None
    assert fusion.missing(now + 151 * MS) == ["scan (0.20 s old)"]


def test_sensors_fusion_speaks_of_approach_by_each_sources_own_readings():
    fusion = Fusion(read_sources("scan laser; left range x=0"))
    nothing = np.empty((0, 2), np.float32)
    for i in range(40):
        now = (1000 + 50 * i) * MS
        fusion.put_points("scan", np.array([[3.0 - 0.05 * i, 0.01]], np.float32), now, now)
        if i % 2 == 0:
            fusion.put_points("left", nothing, now, now)
    fused = fusion.fuse(now, 1.65)
    assert fused is not None
    assert fused.approach[SECTORS // 2] == pytest.approx(1.0, rel=0.01)  # 0.05 m in 50 ms
    assert np.count_nonzero(fused.approach) == 1


def test_sensors_fusion_turns_times_to_contact_into_speeds_and_forgets_them():
    fusion = Fusion(read_sources("scan laser; ev events timeout=0.1"))
    now = 1000 * MS
    rates = np.zeros(SECTORS, np.float32)
    rates[[30, 36]] = 2.0
    fusion.put_rates("ev", rates, now, now)
    fusion.put_points("scan", np.array([[1.0, 0.01]], np.float32), now, now)
    fused = fusion.fuse(now, 1.65)
    assert fused is not None
    assert fused.approach[36] == pytest.approx(2.0, rel=1e-3)  # 1 m in half a second
    assert fused.approach[30] == pytest.approx(3.3, rel=1e-3)  # nobody sees how far: as far as obstacles push
    assert fused.sectors[[30, 36, 40]] == pytest.approx([1.65, 1.0, np.inf], rel=1e-3)
    late = fusion.fuse(now + 101 * MS, 1.65)
    assert late is not None
    assert not late.approach.any()


def test_sensors_ground_is_an_obstacle_whose_silence_stops_and_which_says_nothing_of_what_is_free():
    fusion = Fusion(read_sources("scan laser timeout=0.2; learner/ground ground timeout=0.5"), Outline(0.25, 0.2))
    now, ahead = 10_000 * MS, SECTORS // 2
    dead = View(np.ones(SECTORS, np.bool_), np.arange(SECTORS) != ahead)
    fusion.put_points("scan", np.array([[0.0, 2.0]], np.float32), now, now, dead)
    assert fusion.missing(now) == ["learner/ground (nothing yet)"]
    # one in the outline is where the robot stands, and hides nothing
    fusion.put_points("learner/ground", np.array([[1.0, 0.01], [0.1, 0.1]], np.float32), now, now)
    fused = fusion.fuse(now, 1.65)
    assert fused is not None
    assert sorted(fused.points.tolist()) == [[0.0, 2.0], [1.0, pytest.approx(0.01)]]
    assert fused.states[ahead] == DEAD
    assert (np.delete(fused.states, ahead) == KNOWN).all()
    # each message is all that is remembered: what it no longer names is gone at once
    fusion.put_points("learner/ground", np.empty((0, 2), np.float32), now + MS, now + MS)
    fused = fusion.fuse(now + MS, 1.65)
    assert fused is not None
    assert fused.points.tolist() == [[0.0, 2.0]]
    assert fusion.fuse(now + 502 * MS, 1.65) is None


def test_sensors_ground_does_not_make_a_covered_lidar_look_alive():
    fusion = Fusion(read_sources("scan laser; learner/ground ground"))
    now = 1000 * MS
    fusion.put_points("scan", np.empty((0, 2), np.float32), now, now)
    fusion.put_points("learner/ground", np.array([[1.0, 0.0]], np.float32), now, now)
    fused = fusion.fuse(now, 1.65)
    assert fused is not None
    assert (fused.states == DEAD).all()
    with pytest.raises(ParameterError, match="none that tells distances"):
        read_sources("learner/ground ground")
    with pytest.raises(ParameterError, match="'x=1' is unknown"):
        read_sources("scan laser; learner/ground ground x=1")


def test_sensors_fusion_refuses_stamps_that_cannot_be_and_goes_on_after_a_clock_was_set_back():
    fusion = Fusion(read_sources("scan laser timeout=0.2"))
    nothing, now = np.empty((0, 2), np.float32), 10_000 * MS
    fusion.put_points("scan", nothing, now, now)
    for stamp, said in (
        (now, "before the one before"),
        (now - 300 * MS, "old, timeout is 0.2 s"),
        (now + 60 * MS, "future"),
    ):
        with pytest.raises(ValueError, match=said):
            fusion.put_points("scan", nothing, stamp, now)
    back = 5_000 * MS
    fusion.put_points("scan", nothing, back, back)
    assert fusion.fuse(back, 1.65) is not None

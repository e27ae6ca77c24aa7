"""The event camera against closed forms, a slow reading of the published model, and its own promises."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_control.sim.events import DARK, LEAST, MOST, EventCamera, EventPixels

MS = 1_000_000
CLEAN = EventPixels(mismatch=0.0, refractory=0.0, leak_rate=0.0, noise_rate=0.0)


def intensity(level):
    """The intensity of a log intensity."""
    return np.exp(np.asarray(level, np.float64)) - DARK


def watched(levels, times_ns, pixels=CLEAN, seed=0):
    """All events of frames of log intensity, (n, height, width), at times in ns."""
    _, height, width = np.shape(levels)
    camera = EventCamera(width, height, pixels, seed)
    frames = zip(levels, times_ns, strict=True)
    return np.concatenate([camera.put(intensity(level), int(time)) for level, time in frames])


# -- closed forms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rise", "count"), [(1.13, 5), (-1.13, 5), (0.199, 0), (0.201, 1), (-3.9, 19)])
def test_events_of_a_ramp_come_at_each_threshold_and_as_many_as_fit_into_it(rise, count):
    events = watched([[[-4.0 if rise > 0 else -0.1]], [[(-4.0 if rise > 0 else -0.1) + rise]]], [0, 10 * MS])
    # the k-th of them at 10 ms · k · 0.2 / 1.13
    assert events["t"] == pytest.approx([10 * MS * 0.2 * (k + 1) / abs(rise) for k in range(count)], abs=1.001)
    assert events["on"].tolist() == [int(rise > 0)] * count


def test_events_of_a_ramp_do_not_depend_on_how_many_frames_show_it():
    whole = watched([[[-3.0]], [[-0.1]]], [0, 100 * MS])
    times = np.unique(np.concatenate(([0, 100 * MS], np.random.default_rng(1).integers(1, 100 * MS, 40))))
    parts = watched([[[-3.0 + 2.9 * t / (100 * MS)]] for t in times], times)
    assert whole.size == 14
    assert parts["t"] == pytest.approx(whole["t"], abs=2)


def test_events_at_a_turn_back_need_a_threshold_from_the_last_one():
    # up by 0.5: ON at 0.2 and 0.4; down by 0.5: OFF at 0.2 and 0.0 from the beginning
    events = watched([[[-2.0]], [[-1.5]], [[-2.0001]]], [0, 5 * MS, 10 * MS])
    assert events["on"].tolist() == [1, 1, 0, 0]
    assert events["t"] == pytest.approx([2 * MS, 4 * MS, 8 * MS, 10 * MS], abs=1000)


def test_events_of_a_moving_edge_pass_over_the_pixels_at_its_speed():
    # a slope of 2 in log intensity over 8 pixels, which moves by 400 pixels/s to the right, at 1 kHz
    width, speed, times = 60, 400.0, np.arange(0, 100) * MS
    x = np.arange(width)
    profile = [np.clip((speed * t * 1e-9 - x) / 8, 0, 1) * 2 - 3 for t in times]
    events = watched(np.array(profile)[:, None, :].repeat(2, 1), times)
    assert events["on"].all()
    for pixel in (5, 20, 30):
        found = events["t"][(events["x"] == pixel) & (events["y"] == 1)]
        # level k · 0.2 is at the pixel when the edge is k · 0.2 / 2 · 8 pixels past it
        truth = [(pixel + 0.8 * k) / speed * 1e9 for k in range(1, 11)]
        # where slope and ground meet within a frame's interval, the straight line cuts the corner
        assert found[:9] == pytest.approx(truth[:9], abs=0.3 * MS)
        assert found[2:8] == pytest.approx(truth[2:8], abs=10)


def test_events_within_the_refractory_time_are_left_out_but_remembered():
    # crossings every 1 ms: with 2.5 ms each third one is seen
    pixels = EventPixels(mismatch=0.0, refractory=0.0025, leak_rate=0.0, noise_rate=0.0)
    events = watched([[[-4.0]], [[-4.0 + 0.2 * 12.5]]], [0, round(12.5 * MS)], pixels)
    assert events["t"] == pytest.approx([1 * MS, 4 * MS, 7 * MS, 10 * MS], abs=2)


def test_events_behind_a_low_pass_follow_its_step_response():
    tau = 0.005
    pixels = EventPixels(mismatch=0.0, refractory=0.0, leak_rate=0.0, noise_rate=0.0, cutoff=1 / (2 * math.pi * tau))
    step, times = 1.1, np.arange(0, 400) * MS // 10
    levels = [[[-3.0 if t == 0 else -3.0 + step]] for t in times]
    events = watched(levels, times, pixels)
    # step (1 - exp(-t / tau)) reaches k · 0.2; the step takes 0.1 ms, and so comes 0.05 ms later
    truth = [-tau * math.log(1 - 0.2 * k / step) * 1e9 + 0.05 * MS for k in range(1, 6)]
    assert events["t"] == pytest.approx(truth, abs=0.02 * MS)


# -- mismatch and noise ------------------------------------------------------------------------------------------------


def test_thresholds_differ_from_pixel_to_pixel_within_their_limits():
    thresholds = EventCamera(200, 100).thresholds
    assert thresholds.mean() == pytest.approx(0.2, abs=0.002)
    assert thresholds.std() == pytest.approx(0.03, abs=0.003)
    assert thresholds.min() >= LEAST
    assert thresholds.max() <= MOST
    assert abs(np.corrcoef(thresholds)[0, 1]) < 0.03


def test_noise_comes_at_its_rate_as_poisson_and_half_of_it_is_on():
    pixels = EventPixels(refractory=0.0, leak_rate=0.0, noise_rate=5.0)
    events = watched(np.full((21, 50, 60), -2.0), np.arange(21) * 100 * MS, pixels)
    # 3,000 pixels · 5 Hz · 2 s = 30,000: within 4 standard deviations
    assert abs(events.size - 30_000) < 4 * math.sqrt(30_000)
    assert abs(int(events["on"].sum()) - events.size / 2) < 4 * math.sqrt(events.size / 4)
    per_pixel = np.bincount(events["y"].astype(int) * 60 + events["x"], minlength=3000)
    assert per_pixel.var() / per_pixel.mean() == pytest.approx(1.0, abs=4 * math.sqrt(2 / 3000))
    by_time = np.histogram(events["t"], 20)[0]
    assert abs(by_time - 1500).max() < 4.5 * math.sqrt(1500)


def test_leak_gives_on_events_at_its_rate_from_the_start():
    pixels = EventPixels(refractory=0.0, leak_rate=2.0, noise_rate=0.0)
    events = watched(np.full((31, 30, 40), -2.0), np.arange(31) * 100 * MS, pixels)
    assert events["on"].all()
    per_pixel = np.bincount(events["y"].astype(int) * 40 + events["x"], minlength=1200)
    assert np.all((per_pixel == 6) | (per_pixel == 5) | (per_pixel == 7))  # 2 Hz for 3 s
    first = np.histogram(events["t"], 6, (0, 3000 * MS))[0]
    assert abs(first - 1200).max() < 5  # as many in each half second


def test_a_noise_event_forgets_what_was_on_the_way_to_a_threshold():
    # up by 0.15 and, long after, by 0.15: an ON event, unless noise in between made the pixel remember
    levels, times = np.full((3, 40, 50), -2.0), [0, MS, 2 * MS]
    levels[1] += 0.15
    levels[2] += 0.3
    assert watched(levels, times).size == 2000
    camera = EventCamera(50, 40, EventPixels(mismatch=0.0, leak_rate=0.0, noise_rate=100.0))
    camera.put(intensity(levels[0]), 0)
    erred = camera.put(intensity(levels[1]), 500 * MS)
    assert erred.size > 40_000
    after = camera.put(intensity(levels[2]), 500 * MS + MS // 1000)
    assert after.size < 1000


# -- the published model -----------------------------------------------------------------------------------------------


def esim(levels, times_ns, on, off, refractory_ns):
    """ESIM's rule for one pixel, written from the paper: (time in ns, 1 or 0) of each event, and no clever step."""
    remembered, newest, events = levels[0], -math.inf, []
    for (before, after), (begin, end) in zip(pairwise(levels), pairwise(times_ns), strict=True):
        sign, threshold = (1, on) if after > before else (-1, off)
        while after != before and sign * (after - remembered) >= threshold:
            remembered += sign * threshold
            time = begin + (remembered - before) / (after - before) * (end - begin)
            if time - newest >= refractory_ns:
                newest = time
                events.append((time, int(sign > 0)))
    return events


@pytest.mark.parametrize("refractory", [0.0, 0.002])
def test_events_are_those_of_the_published_model_pixel_by_pixel(refractory):
    rng = np.random.default_rng(5)
    levels = np.clip(np.cumsum(rng.normal(0, 0.12, (80, 12, 16)), 0) - 2.5, -6.0, 0.0)
    times = np.cumsum(rng.integers(MS // 2, 6 * MS, 80))
    pixels = EventPixels(refractory=refractory, leak_rate=0.0, noise_rate=0.0)
    events, thresholds = watched(levels, times, pixels, seed=3), EventCamera(16, 12, pixels, seed=3).thresholds
    assert events.size > 2000
    for place in range(12 * 16):
        y, x = divmod(place, 16)
        mine = events[(events["y"] == y) & (events["x"] == x)]
        on, off = thresholds[:, place]
        truth = esim(levels[:, y, x].tolist(), times.tolist(), on, off, refractory * 1e9)
        assert mine["on"].tolist() == [sign for _, sign in truth]
        assert mine["t"] == pytest.approx([time for time, _ in truth], abs=2)


@settings(max_examples=60, deadline=None)  # the first one compiles
@given(st.integers(0, 2**31), st.integers(2, 12), st.floats(0.0, 0.08))
def test_events_add_up_to_the_log_intensity_within_a_threshold_in_order_of_time(seed, frames, mismatch):
    rng = np.random.default_rng(seed)
    levels = rng.uniform(-6.0, 0.0, (frames, 4, 5))
    times = np.cumsum(rng.integers(1, 5 * MS, frames)) - 3 * MS
    pixels = EventPixels(mismatch=mismatch, refractory=0.0, leak_rate=0.0, noise_rate=0.0)
    events = watched(levels, times, pixels)
    on, off = EventCamera(5, 4, pixels).thresholds
    place = events["y"].astype(int) * 5 + events["x"]
    change = np.bincount(place, np.where(events["on"], on[place], -off[place]), 20)
    left = (levels[-1] - levels[0]).ravel() - change
    assert np.all((left < on + 1e-9) & (left > -off - 1e-9))
    assert np.all(np.diff(events["t"]) >= 0)
    if events.size:
        assert times[0] < events["t"][0]
        assert events["t"][-1] <= times[-1]


# -- its own promises --------------------------------------------------------------------------------------------------


def noise(n, seed=2):
    return np.random.default_rng(seed).integers(0, 256, (n, 6, 8), np.uint8)


def test_events_follow_from_the_seed_to_the_bit_and_begin_anew_after_a_reset():
    def run(camera):
        return np.concatenate([camera.put(frame, i * MS) for i, frame in enumerate(noise(30))])

    camera = EventCamera(8, 6, EventPixels(noise_rate=50.0, leak_rate=5.0), seed=4)
    first = run(camera)
    camera.reset()
    assert first.size > 100
    assert np.array_equal(run(camera), first)
    assert not np.array_equal(run(EventCamera(8, 6, camera.pixels, seed=5)), first)


def test_camera_goes_on_from_a_state_to_the_bit():
    pixels = EventPixels(noise_rate=50.0, leak_rate=5.0, cutoff=200.0)
    camera, frames = EventCamera(8, 6, pixels, seed=4), noise(30)
    for i in range(10):
        camera.put(frames[i], i * MS)
    state = camera.state()
    rest = [camera.put(frames[i], i * MS) for i in range(10, 30)]
    other = EventCamera(8, 6, pixels, seed=4)
    for one in (other, camera):  # a state may be taken up more than once
        one.set_state(state)
        again = [one.put(frames[i], i * MS) for i in range(10, 30)]
        assert all(np.array_equal(a, b) for a, b in zip(again, rest, strict=True))


def test_a_frame_of_bytes_is_one_of_intensities_up_to_white():
    frames = noise(5)
    bytes_, floats = EventCamera(8, 6), EventCamera(8, 6)
    for i, frame in enumerate(frames):
        assert np.array_equal(bytes_.put(frame, i * MS), floats.put(frame / 255, i * MS))


def test_what_cannot_be_is_refused_in_a_line():
    for wrong in ({"threshold": 0.1}, {"mismatch": -1.0}, {"refractory": math.nan}, {"cutoff": math.inf}):
        with pytest.raises(ValueError, match=f"event camera: {next(iter(wrong))}"):
            EventPixels(**wrong)
    with pytest.raises(ValueError, match="0 x 4 pixels"):
        EventCamera(0, 4)
    camera = EventCamera(8, 6)
    with pytest.raises(ValueError, match=r"shape \(8, 6\), expected \(6, 8\)"):
        camera.put(np.zeros((8, 6)), 0)
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="intensities must be >= 0 and finite"):
            camera.put(np.full((6, 8), wrong), 0)
    camera.put(np.zeros((6, 8)), 5)
    with pytest.raises(ValueError, match="a frame at 5 ns, not after the one before"):
        camera.put(np.zeros((6, 8)), 5)

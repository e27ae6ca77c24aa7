"""The wheel controller's decisions, on this computer: when it moves, and everything that must keep it from moving."""

from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.link import (
    Capabilities,
    Clear,
    Fault,
    Frame,
    Gains,
    Hello,
    Limits,
    Stop,
    Telemetry,
    Velocity,
)
from firmware_bridge.link.messages import Ack, Counters, Log

STILL = (0, 0)


@pytest.fixture
def ready(chip):
    """A chip with an open session."""
    chip.hello()
    return chip


def test_it_says_what_it_is(chip) -> None:
    chip.send(Hello(1, 4711), session=0)
    told = chip.last(Capabilities)
    assert told == Capabilities(1, 4711, 2, 2, 200, 125, 0.1, 1320, 18.0, "00000001", "hc-wheels")


def test_a_host_of_another_version_learns_ours_and_gets_no_session(chip) -> None:
    chip.send(Hello(2, 5), session=0)
    ((frame, told),) = chip.answers()
    assert (frame.session, told.version) == (0, 1)
    chip.send(Velocity((5.0, 5.0)), session=0)
    assert chip.duty() == STILL


def test_nothing_moves_before_hello(chip) -> None:
    for session in range(256):
        chip.send(Velocity((5.0, 5.0)), session=session)
    chip.run(0.01)
    assert chip.duty() == STILL


def test_a_command_moves_each_wheel_its_way(ready) -> None:
    ready.drive(5.0, -5.0)
    left, right = ready.duty()
    assert left > 0 > right


def test_motors_are_off_100_ms_after_the_last_command(ready) -> None:
    ready.send(Velocity((5.0, 5.0)))  # read at the end of its millisecond
    ready.run(0.099)
    assert ready.duty() != STILL
    ready.run(0.001)
    assert ready.duty() == STILL
    ready.run(0.02)
    assert Fault.TIMEOUT in ready.last(Telemetry).faults


def test_a_fresh_command_ends_a_timeout(ready) -> None:
    ready.drive(5.0, 5.0)
    ready.run(0.2)
    ready.drive(5.0, 5.0)
    assert ready.duty() != STILL
    assert ready.last(Telemetry).faults == 0


@pytest.mark.parametrize("late", [0, 1, 2, 100, 0x7FFF])
def test_a_replayed_or_reordered_command_is_refused(ready, late: int) -> None:
    ready.send(Velocity((5.0, 5.0)), sequence=1000)
    ready.run(0.05)
    ready.send(Velocity((5.0, 5.0)), sequence=(1000 - late) & 0xFFFF)
    ready.run(0.055)
    assert ready.duty() == STILL  # the old command did not renew the 100 ms


def test_the_sequence_may_wrap(ready) -> None:
    ready.send(Velocity((5.0, 5.0)), sequence=0xFFFF)
    ready.run(0.09)
    ready.send(Velocity((5.0, 5.0)), sequence=0)
    ready.run(0.05)
    assert ready.duty() != STILL


def test_commands_of_an_earlier_session_are_refused(ready) -> None:
    wire = ready.send(Velocity((5.0, 5.0)))
    ready.hello()
    ready.receive(wire)
    ready.run(0.01)
    assert ready.duty() == STILL


def test_a_new_session_halts_what_moves(ready) -> None:
    ready.drive(5.0, 5.0)
    ready.hello()
    assert ready.duty() == STILL


@pytest.mark.parametrize("session", [0, 1, 200])
def test_stop_is_obeyed_in_any_session_and_stays(ready, session: int) -> None:
    ready.drive(5.0, 5.0)
    ready.send(Stop(), session=session)
    assert ready.duty() == STILL
    ready.drive(5.0, 5.0)
    assert ready.duty() == STILL
    assert Fault.STOP in ready.last(Telemetry).faults


def test_after_clear_nothing_moves_before_a_fresh_command(ready) -> None:
    ready.drive(5.0, 5.0)
    ready.send(Stop())
    ready.send(Clear())
    ready.run(0.05)
    assert ready.duty() == STILL
    ready.drive(5.0, 5.0)
    assert ready.duty() != STILL


def test_a_stop_outlives_a_new_session(ready) -> None:
    ready.send(Stop())
    ready.hello()
    ready.drive(5.0, 5.0)
    assert ready.duty() == STILL


@pytest.mark.parametrize(("cause", "fault"), [(1, Fault.WATCHDOG), (2, Fault.BROWNOUT)])
def test_after_a_watchdog_or_brownout_reset_it_waits_for_clear(chip, cause: int, fault: Fault) -> None:
    chip.reset(cause)
    chip.hello()
    chip.drive(5.0, 5.0)
    assert chip.duty() == STILL
    assert fault in chip.last(Telemetry).faults
    chip.send(Clear())
    chip.drive(5.0, 5.0)
    assert chip.duty() != STILL


def drive_for(chip, seconds: float, *speeds: float, ticks: int = 0) -> None:
    for _ in range(round(seconds / 0.02)):
        chip.send(Velocity(speeds))
        for wheel in range(2):
            chip.turn(wheel, ticks)
        chip.run(0.019)


def test_a_low_battery_stops_after_half_a_second_and_not_before(ready) -> None:
    ready.inputs(battery=9.0)
    drive_for(ready, 0.4, 2.0, 2.0, ticks=8)
    assert ready.duty() != STILL
    drive_for(ready, 0.2, 2.0, 2.0, ticks=8)
    assert ready.duty() == STILL
    ready.send(Clear())
    drive_for(ready, 0.6, 2.0, 2.0, ticks=8)
    assert ready.duty() == STILL  # still low


def test_a_wheel_that_does_not_turn_is_a_stall(ready) -> None:
    ready.send(Gains(1.0, 0.0, 0.0, 0.0))
    drive_for(ready, 0.4, 5.0, 0.0)
    assert ready.duty() != STILL
    drive_for(ready, 0.2, 5.0, 0.0)
    assert ready.duty() == STILL
    assert Fault.STALL in ready.last(Telemetry).faults


def test_impossible_encoder_transitions_stop(ready) -> None:
    ready.drive(5.0, 5.0)
    ready.inputs(encoder_errors=30)
    drive_for(ready, 0.2, 5.0, 5.0, ticks=8)
    assert ready.duty() == STILL
    assert any(isinstance(message, Log) and message.text == "encoder" for _, message in ready.answers())


def test_a_bumper_stops_and_still_lets_it_back_off(ready) -> None:
    ready.drive(5.0, 5.0)
    ready.inputs(bumper=1)
    ready.run(0.006)
    assert ready.duty() == STILL
    ready.send(Clear())
    ready.drive(5.0, 5.0)
    assert ready.duty() == STILL
    ready.send(Clear())
    ready.drive(-5.0, -5.0)
    assert ready.duty() < STILL
    ready.send(Clear())
    ready.drive(3.0, -3.0)  # turning on the spot
    assert ready.duty()[0] > 0 > ready.duty()[1]


@pytest.mark.parametrize("speeds", [(18.001, 0.0), (0.0, -18.001), (-(2**31) / 1000, 0.0)])
def test_a_speed_above_the_limit_is_refused(ready, speeds: tuple[float, float]) -> None:
    payload = struct.pack("<2i", *(round(v * 1000) for v in speeds))
    ready.receive(Frame(0x10, ready.session, 1, payload).encode())
    ready.run(0.01)
    assert ready.duty() == STILL


@pytest.mark.parametrize("wheels", [1, 3, 4])
def test_a_command_for_another_number_of_wheels_is_refused(ready, wheels: int) -> None:
    ready.drive(*[5.0] * wheels)
    assert ready.duty() == STILL


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, 1001.0])
def test_gains_that_are_no_gains_are_refused_and_said_so(ready, bad: float) -> None:
    payload = struct.pack("<B4f", 255, 0.1, bad, 0.0, 0.0)
    ready.receive(Frame(Gains.TYPE, ready.session, 50, payload).encode())
    assert ready.last(Ack) == Ack(Gains.TYPE, 50, 1)


def test_limits_are_acknowledged_and_hold(ready) -> None:
    ready.send(Limits(3.0, 50.0, 9.0))
    assert ready.last(Ack).status == 0
    ready.drive(4.0, 0.0)
    assert ready.duty() == STILL
    ready.drive(3.0, 0.0)
    assert ready.duty() != STILL
    ready.send(Limits(99.0, 50.0, 9.0))
    assert ready.last(Ack).status == 1


def test_a_setting_sent_twice_is_taken_once(ready) -> None:
    wire = ready.send(Gains(0.1, 0.0, 0.0, 0.0))
    ready.receive(wire)
    ready.run(1.0)
    assert ready.last(Counters).replayed == 1


def test_telemetry_comes_125_times_a_second_as_the_answer_to_a_command_where_there_is_one(ready) -> None:
    ready.answers()
    for _ in range(200):
        ready.send(Velocity((1.0, 1.0)))
        ready.run(0.004)
    answers = [message for _, message in ready.answers() if isinstance(message, Telemetry)]
    assert len(answers) == pytest.approx(125, abs=1)
    assert all(a.answers for a in answers)
    # the first of each 8 ms: after 5, 10, 20, 25, 35, 40, 50 ms ... one or two commands later than the one before
    assert {(b.obeyed - a.obeyed) & 0xFFFF for a, b in itertools.pairwise(answers)} == {1, 2}


def test_without_commands_telemetry_comes_as_often(ready) -> None:
    ready.answers()
    ready.run(10.0)
    told = [message for _, message in ready.answers() if isinstance(message, Telemetry)]
    assert len(told) == pytest.approx(1250, abs=1)
    assert not any(t.answers for t in told)


def test_a_late_command_does_not_make_up_for_telemetry_of_the_time_before(ready) -> None:
    ready.run(3.003)
    ready.hello()
    ready.run(1.0)
    told = [message for _, message in ready.answers()]
    assert sum(isinstance(message, Telemetry) for message in told) == pytest.approx(125, abs=1)
    assert sum(isinstance(message, Counters) for message in told) == 1


def test_speed_is_ticks_over_the_time_between_their_edges(ready) -> None:
    for _ in range(10):
        ready.turn(0, 4)
        ready.turn(1, -2)
        ready.run(0.005)
    # 4 ticks in 5 ms are 800 / 1320 turns a second: 3.808 rad/s
    assert ready.last(Telemetry).speeds == pytest.approx((3.808, -1.904), abs=0.01)
    ready.run(0.15)
    assert ready.last(Telemetry).speeds == (0.0, 0.0)


def test_it_kicks_the_watchdog_in_every_control_step_only(ready) -> None:
    for _ in range(100):
        ready.run(0.001)
        assert ready.c.host_watchdog_age_us() <= 5000


def test_the_integral_does_not_wind_up_while_the_output_is_clamped(chip) -> None:
    state, gains = np.zeros(2, np.float32), np.array([0.1, 1.0, 0.0, 0.0], np.float32)
    for _ in range(1000):
        assert chip.pid(state, gains, 100.0, 0.0, 0.005) == 1.0
    assert state[0] == 0.0  # proportional alone is 10: never a step in which integrating was allowed
    assert chip.pid(state, gains, 0.0, 0.0, 0.005) == 0.0


def test_pid_follows_its_equation(chip) -> None:
    state, gains = np.array([0.1, 1.5], np.float32), np.array([0.02, 0.5, 0.001, 0.03], np.float32)
    # e = 1: 0.03*3 + 0.02*1 + 0.1 - 0.001*(2 - 1.5)/0.005 = 0.11, then the integral becomes 0.1 + 0.5*1*0.005
    assert chip.pid(state, gains, 3.0, 2.0, 0.005) == pytest.approx(0.11, abs=1e-6)
    assert state == pytest.approx([0.1025, 2.0], abs=1e-6)


shared_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@shared_fixture
@given(data=st.binary(max_size=2000))
def test_no_bytes_at_all_make_it_move(chip, data: bytes) -> None:
    chip.reset()
    chip.hello()
    chip.receive(data)
    chip.run(0.02)
    assert chip.duty() == STILL


@shared_fixture
@given(data=st.data())
def test_no_spliced_flipped_replayed_or_reordered_frame_is_taken_for_a_command(
    chip, data: st.DataObject
) -> None:
    """The device may obey only frames that were sent, each once, in the order in which they were sent."""
    chip.reset()
    chip.hello()
    sent = [
        Frame(0x10, chip.session, 10 + i, Velocity((i / 8, -i / 8)).pack()).encode()
        for i in range(1, data.draw(st.integers(2, 12)))
    ]
    obeyed = []
    for _ in range(20):
        wire = bytearray(data.draw(st.sampled_from(sent)))
        what = data.draw(st.sampled_from(["whole", "flip", "cut", "splice"]))
        if what == "flip":
            for _ in range(data.draw(st.integers(1, 4))):
                wire[data.draw(st.integers(0, len(wire) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        elif what == "cut":
            del wire[data.draw(st.integers(0, len(wire) - 1)) :]
        elif what == "splice":
            other = data.draw(st.sampled_from(sent))
            at = data.draw(st.integers(0, len(wire)))
            wire = wire[:at] + other[at:]
        chip.receive(bytes(wire))
        chip.run(0.01)
        obeyed += [message.obeyed for _, message in chip.answers() if isinstance(message, Telemetry)]
    assert set(obeyed) <= {0, *range(11, 11 + len(sent))}
    assert obeyed == sorted(obeyed)


def test_a_hundred_thousand_random_bytes_move_nothing_and_the_next_command_is_obeyed(ready) -> None:
    rng = np.random.default_rng(6)
    for _ in range(100):
        ready.receive(rng.integers(0, 256, 1000, np.uint8).tobytes())
        assert ready.duty() == STILL
    ready.receive(b"\0")
    ready.drive(5.0, 5.0)
    assert ready.duty() != STILL
    ready.run(1.0)
    counted = ready.last(Counters)
    assert counted.crc_errors + counted.framing_errors > 300

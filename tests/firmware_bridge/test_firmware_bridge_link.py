"""The host's end against devices that are absent, busy, wrong, late or odd, and the command line."""

from __future__ import annotations

import argparse
import os
import socket
import time
from collections.abc import Callable, Iterator

import pytest
from firmware_bridge_wait import wait_for
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo
from wheel_devices import FakeDevice

from firmware_bridge.firmware.build import BuildError, build_firmware, flash
from firmware_bridge.link import (
    FirmwareLink,
    Frame,
    Hello,
    Limits,
    LinkConfig,
    LinkError,
    open_transport,
)
from firmware_bridge.link.messages import Ack, Message
from firmware_bridge.link.transport import find_port
from hybrid_control.cli.firmware import add_commands


@pytest.fixture
def fake() -> Iterator[Callable[..., FakeDevice]]:
    made: list[FakeDevice] = []

    def make(react: Callable[[FakeDevice, Frame, Message], None]) -> FakeDevice:
        made.append(FakeDevice(react))
        return made[-1]

    yield make
    for device in made:
        device.close()


def answer(device: FakeDevice, frame: Frame, message: Message) -> None:
    if isinstance(message, Hello):
        device.welcome(message)
    elif frame.type < 0x10:
        device.send(Ack(frame.type, frame.sequence, 0))


def quick(address: str, **more: object) -> FirmwareLink:
    return FirmwareLink(LinkConfig(address, **{"answer": 0.3, "retry": 0.05, "silence": 1.0, **more}))


def error_of(link: FirmwareLink) -> str:
    wait_for(lambda: link.status().error != "connecting")
    assert "\n" not in link.status().error
    assert not link.send((1.0, 1.0))
    return link.status().error


def test_a_port_that_is_not_there(tmp_path) -> None:
    with quick(str(tmp_path / "none")) as link:
        assert "there is no such port" in error_of(link)


def test_a_port_that_appears_later_is_taken(tmp_path, fake) -> None:
    path = tmp_path / "port"
    with quick(str(path)) as link:
        error_of(link)
        path.symlink_to(fake(answer).address)
        assert link.wait_connected(5.0)
        assert link.status().error == ""


def test_a_file_is_no_serial_port(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with quick(str(tmp_path / "file")) as link:
        assert "is no serial port" in error_of(link)


def test_a_busy_port_is_taken_when_it_is_free(fake) -> None:
    device = fake(answer)
    with quick(device.address) as first:
        assert first.wait_connected(5.0)
        with quick(device.address) as second:
            assert "busy" in error_of(second)
            first.close()
            assert second.wait_connected(5.0)


def test_silence_at_the_other_end(fake) -> None:
    with quick(fake(lambda *_: None).address) as link:
        assert "no answer within 0.3 s" in error_of(link)


def test_another_protocol_at_the_other_end(fake) -> None:
    def react(device: FakeDevice, frame: Frame, message: Message) -> None:
        os.write(device.master, b"$GPGGA,123519,4807.038,N\r\n")

    with quick(fake(react).address) as link:
        assert "no frame of this protocol" in error_of(link)


def test_another_version_at_the_other_end(fake) -> None:
    with quick(fake(lambda d, f, m: d.welcome(m, version=2)).address) as link:
        assert "version 2 of the protocol, this side version 1" in error_of(link)


def test_a_late_answer_counts_and_the_last_session_is_the_one(fake) -> None:
    def react(device: FakeDevice, frame: Frame, message: Message) -> None:
        if isinstance(message, Hello):
            time.sleep(0.15)  # the host has asked again by now
            device.session += 1
            device.welcome(message)

    device = fake(react)
    with quick(device.address, answer=2.0) as link:
        assert link.wait_connected(5.0)
        wait_for(lambda: link.port[1] == device.session and device.session > 2)


def test_an_answer_to_somebody_elses_hello_is_none(fake) -> None:
    with quick(fake(lambda d, f, m: d.welcome(Hello(1, m.nonce ^ 1))).address) as link:
        assert "no answer to hello" in error_of(link)


def test_telemetry_of_another_session_is_stale(fake) -> None:
    device = fake(answer)
    with quick(device.address) as link:
        assert link.wait_connected(5.0)
        device.session += 1
        device.telemetry()
        wait_for(lambda: link.status().counts["stale"] == 1)
        assert link.state() is None


def test_lost_frames_are_counted_by_their_sequence_numbers(fake) -> None:
    device = fake(answer)
    with quick(device.address) as link:
        assert link.wait_connected(5.0)
        device.telemetry()
        device.sequence = (device.sequence + 3) & 0xFFFF
        device.telemetry()
        wait_for(lambda: link.status().counts["lost"] == 3)


def test_positions_go_on_over_the_wrap_of_the_ticks_and_over_a_reset_of_the_device(fake) -> None:
    device = fake(answer)
    with quick(device.address) as link:
        assert link.wait_connected(5.0)
        device.telemetry((2**31 - 100, 0), 10_000_000)
        wait_for(link.state)
        device.telemetry((-(2**31) + 1220, -1320), 10_000_000)
        turn = pytest.approx((6.2832, -6.2832), abs=1e-3)
        wait_for(lambda: link.state().positions == turn)
        device.telemetry((0, 0), 1000)  # its clock began anew
        device.telemetry((0, 1320), 2000)
        wait_for(lambda: link.state().positions == pytest.approx((6.2832, 0.0), abs=1e-3))


def test_settings_are_sent_until_they_are_acknowledged(fake) -> None:
    def react(device: FakeDevice, frame: Frame, message: Message) -> None:
        if isinstance(message, Limits) and sum(isinstance(m, Limits) for m in device.got) < 3:
            return
        answer(device, frame, message)

    device = fake(react)
    with quick(device.address, limits=Limits(5.0, 10.0, 9.0), silence=5.0) as link:
        wait_for(lambda: sum(isinstance(m, Limits) for m in device.got) == 3)
        time.sleep(0.3)
        assert sum(isinstance(m, Limits) for m in device.got) == 3
        assert link.port[4] == 5000


def test_a_refused_setting_is_said(fake) -> None:
    def react(device: FakeDevice, frame: Frame, message: Message) -> None:
        if isinstance(message, Limits):
            device.send(Ack(frame.type, frame.sequence, 1))
        else:
            answer(device, frame, message)

    with quick(fake(react).address, limits=Limits(5.0, 10.0, 9.0)) as link:
        wait_for(lambda: "refused" in link.status().error)


def test_loopback_hears_itself_and_takes_that_for_no_device() -> None:
    with quick("loop://") as link:
        assert "no answer to hello" in error_of(link)


def test_loopback_transport_gives_back_what_was_written() -> None:
    loop = open_transport("loop://")
    assert loop.write(b"abc") == 3
    assert loop.read(0.1) == b"abc"
    assert loop.read(0.0) == b""
    loop.close()


def test_tcp_that_closes_is_reported_and_retried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with quick(address) as link:
            server.accept()[0].close()
            wait_for(lambda: "connection lost" in link.status().error)
            server.accept()[0].close()


@pytest.mark.parametrize("address", ["tcp://nowhere", "tcp://host:99999", "ftp://x"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(LinkError, match="expected"):
        open_transport(address)


def test_a_port_is_found_by_its_serial_number(monkeypatch: pytest.MonkeyPatch) -> None:
    info = ListPortInfo("/dev/ttyACM7")
    info.serial_number = "55731"
    monkeypatch.setattr(list_ports, "comports", lambda: [ListPortInfo("/dev/ttyS0"), info])
    assert find_port("55731") == "/dev/ttyACM7"
    with pytest.raises(LinkError, match=r"those with one: /dev/ttyACM7 \(55731\)"):
        find_port("1")


@pytest.mark.parametrize(
    "bad", [{"silence": 0.0}, {"retry": float("nan")}, {"baud": 0}, {"limits": Limits(-1, 1, 1)}]
)
def test_a_configuration_that_is_none(bad: dict) -> None:
    with pytest.raises(LinkError):
        FirmwareLink(LinkConfig("loop://", **bad))


def test_wrong_speeds_are_refused(fake) -> None:
    with quick(fake(answer).address) as link:
        assert link.wait_connected(5.0)
        for bad in ((1.0,), (1.0, float("nan"))):
            with pytest.raises(LinkError):
                link.send(bad)


def test_a_closed_link_sends_nothing_and_its_command_descriptor_is_gone(fake) -> None:
    link = quick(fake(answer).address)
    link.start()
    assert link.wait_connected(5.0)
    link.close()
    link.close()
    assert not link.send((1.0, 1.0))
    assert link.port[0] == -1


def test_while_unconnected_a_compiled_writer_reaches_only_the_null_device(tmp_path) -> None:
    with quick(str(tmp_path / "none")) as link:
        assert os.fstat(int(link.port[0])).st_rdev == os.stat(os.devnull).st_rdev


def test_building_without_a_compiler_says_which_package(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"avr-gcc is not installed; .* gcc-avr"):
        build_firmware(tmp_path)


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    return parser.parse_args(["firmware", *words])


def test_the_command_line_builds_and_states_flash_and_ram(image, tmp_path, capsys) -> None:
    arguments = parse("build", "--out", str(tmp_path))
    assert arguments.run(arguments) == 0
    assert f"flash {image.flash} of 32768 bytes" in capsys.readouterr().out


def test_the_command_line_monitors(emulator, capsys) -> None:
    arguments = parse("monitor", emulator.address, "--seconds", "1.5")
    assert arguments.run(arguments) == 0
    out = capsys.readouterr().out
    assert "connected to hc-wheels 00000001: 2 wheels of at most 18 rad/s" in out
    assert "battery 1" in out


def test_flashing_says_in_one_line_what_is_missing(image, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="avrdude is not installed"):
        flash(image, "/dev/ttyACM0")
    tool = tmp_path / "avrdude"
    tool.write_text("#!/bin/sh\necho 'programmer is not responding' >&2\nexit 1\n")
    tool.chmod(0o755)
    with pytest.raises(BuildError, match="/none: there is no such port"):
        flash(image, str(tmp_path / "none"))
    with pytest.raises(BuildError, match="programmer is not responding; is it an Uno or Nano"):
        flash(image, str(tool))
    tool.write_text("#!/bin/sh\nexec /bin/sleep 30\n")
    with pytest.raises(BuildError, match=r"not done within 0\.2 s"):
        flash(image, str(tool), timeout=0.2)


def test_monitoring_a_port_that_is_not_there_says_so(tmp_path, capsys) -> None:
    arguments = parse("monitor", str(tmp_path / "none"), "--seconds", "0.3")
    assert arguments.run(arguments) == 1
    assert "there is no such port" in capsys.readouterr().out

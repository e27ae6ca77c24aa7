"""The frame and its two codecs: vectors, agreement of C, Python and compiled Python, and what noise does to them."""

from __future__ import annotations

import ctypes
import itertools
import os

import numpy as np
import pytest
from cobs import cobs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firmware_bridge.link import Frame, FrameDecoder, LinkError, Velocity, command, crc16
from firmware_bridge.link import messages as m

shared_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
frames = st.builds(
    Frame, st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535), st.binary(max_size=64)
)
i32_mrad = st.integers(-(2**31) + 1, 2**31 - 1)
speeds = i32_mrad.map(lambda v: v / 1000)
u16 = st.integers(0, 65535)
milli16 = u16.map(lambda v: v / 1000)
f32 = st.floats(0, 1000, width=32)
text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)

MESSAGES = st.one_of(
    st.builds(m.Hello, st.integers(0, 255), u16),
    st.just(m.Stop()),
    st.builds(m.Clear, st.integers(0, 65535).map(m.Fault)),
    st.builds(
        m.Limits,
        *[st.integers(0, 2**31 - 1).map(lambda v: v / 1000)] * 2,
        st.integers(0, 65535).map(lambda v: v / 1000),
    ),
    st.builds(m.Gains, f32, f32, f32, f32, st.integers(0, 255)),
    st.builds(m.Velocity, st.lists(speeds, min_size=1, max_size=16).map(tuple)),
    st.builds(
        m.Capabilities,
        st.just(1),
        u16,
        st.integers(1, 16),
        st.integers(0, 8),
        u16,
        u16,
        milli16,
        st.integers(1, 2**32 - 1),
        st.integers(1, 2**31 - 1).map(lambda v: v / 1000),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=8),
        text,
    ),
    st.builds(m.Ack, st.integers(0, 255), u16, st.integers(0, 2)),
    st.integers(1, 4).flatmap(
        lambda n: st.builds(
            m.Telemetry,
            st.integers(0, 2**32 - 1),
            u16,
            st.booleans(),
            st.booleans(),
            u16.map(m.Fault),
            milli16,
            st.integers(0, 255),
            st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * n),
            st.tuples(*[speeds] * n),
            st.lists(milli16, max_size=4).map(tuple),
        )
    ),
    st.builds(m.Log, st.integers(0, 255), text),
    st.builds(m.Counters, st.integers(0, 2**32 - 1), *[u16] * 7),
)


def test_crc_is_that_of_the_catalogue() -> None:
    assert crc16(b"123456789") == 0x29B1  # CRC-16/IBM-3740's check value


def test_a_frame_worked_out_by_hand() -> None:
    # stop, session 0, sequence 2: 02 00 02 00 and CRC 0x0FCA, low byte first: 02 00 | 02 00 | CA 0F
    # the COBS blocks end where the zeros are: 02 02, 02 02, 03 CA 0F
    assert Frame(2, 0, 2, b"").encode() == bytes.fromhex("0202 0202 03CA0F 00")


def test_python_encodes_and_decodes_every_vector(vectors: dict) -> None:
    for v in vectors["good"]:
        frame = Frame(v["type"], v["session"], v["sequence"], bytes.fromhex(v["payload"]))
        assert frame.encode().hex() == v["wire"], v["name"]
        assert FrameDecoder().feed(bytes.fromhex(v["wire"])) == [frame], v["name"]
        if v["type"] != 0x55:
            assert m.unpack(frame.type, frame.payload).pack() == frame.payload, v["name"]


def test_c_encodes_and_decodes_every_vector(vectors: dict, chip) -> None:
    for v in vectors["good"]:
        wire = bytes.fromhex(v["wire"])
        assert chip.transcode(wire) == (wire, 0, 0), v["name"]


def test_both_sides_drop_every_bad_vector_for_the_same_reason(vectors: dict, chip) -> None:
    for v in vectors["bad"]:
        wire = bytes.fromhex(v["wire"])
        want = (1, 0) if v["why"] == "framing" else (0, 1)
        decoder = FrameDecoder()
        assert decoder.feed(wire) == [], v["name"]
        assert (decoder.framing_errors, decoder.crc_errors) == want, v["name"]
        assert chip.transcode(wire) == (b"", *want), v["name"]


@given(frames)
def test_a_frame_comes_back_as_it_went(frame: Frame) -> None:
    wire = frame.encode()
    assert wire.count(0) == 1
    assert wire[-1] == 0
    assert FrameDecoder().feed(wire) == [frame]


@given(MESSAGES)
def test_a_message_comes_back_as_it_went(message: m.Message) -> None:
    assert m.unpack(message.TYPE, message.pack()) == message


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 400), max_size=8))
def test_frames_do_not_depend_on_how_the_stream_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    wire = b"".join(f.encode() for f in sent)
    edges = [0, *sorted(min(c, len(wire)) for c in cuts), len(wire)]
    decoder = FrameDecoder()
    received = [f for a, b in itertools.pairwise(edges) for f in decoder.feed(wire[a:b])]
    assert received == sent


@given(st.binary(max_size=300), frames)
def test_after_any_garbage_and_a_delimiter_the_next_frame_is_found(garbage: bytes, frame: Frame) -> None:
    assert FrameDecoder().feed(garbage + b"\0" + frame.encode())[-1] == frame


@given(st.binary(max_size=120), st.integers(0, 255))
def test_any_payload_is_a_message_or_refused_in_one_line(payload: bytes, kind: int) -> None:
    try:
        message: m.Message | None = m.unpack(kind, payload)
    except LinkError:
        message = None
    if message is not None:
        assert kind == message.TYPE


@shared_fixture
@given(data=st.data())
def test_c_and_python_decode_any_bytes_alike(chip, data: st.DataObject) -> None:
    """Whole, flipped, cut, spliced and random frames in one stream."""
    stream = bytearray()
    for _ in range(data.draw(st.integers(1, 6))):
        wire = bytearray(data.draw(frames).encode())
        what = data.draw(st.sampled_from(["whole", "flip", "cut", "random", "fixed crc"]))
        if what == "flip":
            wire[data.draw(st.integers(0, len(wire) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        elif what == "cut":
            del wire[data.draw(st.integers(0, len(wire) - 1)) :]
        elif what == "random":
            wire = bytearray(data.draw(st.binary(max_size=100)))
        elif what == "fixed crc":  # a good CRC around too little, too much, anything
            raw = data.draw(st.binary(max_size=70))
            wire = bytearray(cobs.encode(raw + crc16(raw).to_bytes(2, "little")) + b"\0")
        stream += wire
    decoder = FrameDecoder()
    found = decoder.feed(bytes(stream))
    again, framing, crc = chip.transcode(bytes(stream))
    assert again == b"".join(f.encode() for f in found)
    assert (framing, crc) == (decoder.framing_errors, decoder.crc_errors)


def test_no_flip_of_one_or_two_bits_makes_another_frame(chip) -> None:
    """Exhaustive on the wire of a velocity frame, where a flipped COBS code shifts zeros about."""
    wire = Frame(0x10, 7, 300, Velocity((1.0, -2.0)).pack()).encode()
    whole = int.from_bytes(wire, "big")
    bits = 8 * len(wire)
    flipped = [1 << i for i in range(bits)] + [
        1 << i | 1 << j for i, j in itertools.combinations(range(bits), 2)
    ]
    out, _, _ = chip.transcode(b"".join((whole ^ f).to_bytes(len(wire), "big") + b"\0" for f in flipped))
    assert out == b""


@given(st.lists(i32_mrad, min_size=1, max_size=16), st.integers(0, 255), st.integers(0, 65535))
def test_the_compiled_encoder_writes_what_the_python_codec_writes(
    mrad: list[int], session: int, seq: int
) -> None:
    out = np.empty(128, np.uint8)
    size = command.encode_velocity(np.array(mrad, np.int64), session, seq, out)
    payload = b"".join(v.to_bytes(4, "little", signed=True) for v in mrad)
    assert out[:size].tobytes() == Frame(0x10, session, seq, payload).encode()


@pytest.fixture
def pipe_port():
    read, write = os.pipe2(os.O_NONBLOCK)
    port = command.new_port()
    port[command.FD], port[command.SESSION], port[command.WHEELS], port[command.MAX_MRAD] = (
        write,
        9,
        2,
        10_000,
    )
    yield port, read
    os.close(read)
    os.close(write)


def test_a_compiled_command_reaches_the_file_descriptor(pipe_port) -> None:
    port, read = pipe_port
    assert command.send_velocity(port, np.array([1.5, -2.5])) == 1 + 1
    (frame,) = FrameDecoder().feed(os.read(read, 100))
    assert frame == Frame(0x10, 9, 1, Velocity((1.5, -2.5)).pack())
    assert command.sent_ns(port, 1) > 0


def test_a_compiled_command_can_be_called_by_its_c_address(pipe_port) -> None:
    port, read = pipe_port
    wanted = np.array([0.25, 0.5])
    pointers = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, *pointers)(command.send_velocity_c.address)
    assert call(port.ctypes.data, wanted.ctypes.data, 2) == 2
    assert FrameDecoder().feed(os.read(read, 100))[0].payload == Velocity((0.25, 0.5)).pack()


def test_a_speed_above_the_limit_scales_all_so_that_the_curve_stays(pipe_port) -> None:
    port, read = pipe_port
    command.send_velocity(port, np.array([20.0, -5.0]))
    assert m.Velocity.unpack(FrameDecoder().feed(os.read(read, 100))[0].payload).speeds == (10.0, -2.5)


@pytest.mark.parametrize(
    ("wanted", "result"),
    [([np.nan, 0.0], command.NOT_FINITE), ([np.inf, 0.0], command.NOT_FINITE), ([1.0], command.WRONG_WHEELS)],
)
def test_a_bad_compiled_command_is_not_sent(pipe_port, wanted: list[float], result: int) -> None:
    port, read = pipe_port
    assert command.send_velocity(port, np.array(wanted)) == result
    with pytest.raises(BlockingIOError):
        os.read(read, 1)


def test_after_a_failed_write_the_next_frame_begins_with_a_delimiter(pipe_port) -> None:
    port, read = pipe_port
    filler = os.write(port[command.FD], bytes(65536 - 5))
    assert command.send_velocity(port, np.array([1.0, 1.0])) == command.NOT_WRITTEN
    assert len(os.read(read, 65536)) >= filler
    assert command.send_velocity(port, np.array([2.0, 2.0])) == 3
    rest = os.read(read, 100)
    assert rest[0] == 0
    assert FrameDecoder().feed(b"\x05\x10" + rest)[-1].payload == Velocity((2.0, 2.0)).pack()

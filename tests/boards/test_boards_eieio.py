"""The SpiNNaker codec: bytes worked out by hand, committed vectors that SpiNNMan agreed with, properties, bad bytes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.boards.eieio import (
    MAX_BYTES,
    CommandCode,
    DataPacket,
    EieioCommand,
    EieioError,
    IpTagSet,
    Kind,
    ScpCode,
    SdpHeader,
    data_packet,
    decode,
    decode_iptag,
    decode_scp_answer,
    decode_sdp,
    encode_sdp,
    most_elements,
    scp_answer,
)

VECTORS = Path(__file__).parent / "data" / "eieio_vectors.json"


@st.composite
def packets(draw: st.DrawFn) -> DataPacket:
    kind = draw(st.sampled_from(Kind))
    most = 2**32 - 1 if kind.wide else 2**16 - 1
    prefix = draw(st.none() | st.integers(0, 2**16 - 1))
    base = draw(st.none() | st.integers(0, most))
    room = most_elements(kind, prefix is not None, base is not None)
    keys = draw(st.lists(st.integers(0, most), max_size=room))
    payloads = draw(st.lists(st.integers(0, most), min_size=len(keys), max_size=len(keys)))
    return data_packet(
        kind, keys, payloads if kind.has_payload else None, prefix=prefix,
        upper=prefix is not None and draw(st.booleans()), payload_base=base, is_time=draw(st.booleans()),
        tag=draw(st.integers(0, 3)),
    )  # fmt: skip


def same(a: DataPacket, b: DataPacket) -> bool:
    fields = ("kind", "prefix", "upper", "payload_base", "is_time", "tag")
    return (
        all(getattr(a, f) == getattr(b, f) for f in fields)
        and np.array_equal(a.keys, b.keys)
        and (a.payloads is None) == (b.payloads is None)
        and (a.payloads is None or b.payloads is None or np.array_equal(a.payloads, b.payloads))
    )


class TestDataPackets:
    def test_bytes_of_a_live_output_packet_are_those_worked_out_by_hand(self) -> None:
        # sPyNNaker's default: 32-bit keys, the time step as payload base; count 2, D|T|type 2 = 0x20 | 0x10 | 2 << 2
        packet = data_packet(Kind.KEY_32, [0x800, 0x810], payload_base=1000, is_time=True)
        assert packet.encode() == bytes.fromhex("02 38 e8030000 00080000 10080000")

    def test_bytes_of_a_prefixed_packet_are_those_worked_out_by_hand(self) -> None:
        # P, F: prefix into the upper half; type 1; tag 2
        packet = data_packet(Kind.KEY_PAYLOAD_16, [1], [5], prefix=0x7FFF, upper=True, tag=2)
        assert packet.encode() == bytes.fromhex("01 c6 ff7f 0100 0500")
        assert packet.full_keys.tolist() == [0x7FFF0001]

    def test_prefix_and_base_are_ored_in(self) -> None:
        low = data_packet(Kind.KEY_32, [0xF0000001], prefix=0x10, payload_base=7)
        assert low.full_keys.tolist() == [0xF0000011]
        assert low.full_payloads is not None
        assert low.full_payloads.tolist() == [7]
        both = data_packet(Kind.KEY_PAYLOAD_32, [1, 2], [8, 1], payload_base=6)
        assert both.full_payloads is not None
        assert both.full_payloads.tolist() == [14, 7]

    @given(packets())
    def test_what_was_encoded_is_what_is_decoded(self, packet: DataPacket) -> None:
        data = packet.encode()
        assert len(data) <= MAX_BYTES
        back = decode(data)
        assert isinstance(back, DataPacket)
        assert same(packet, back)

    @given(packets(), st.binary(min_size=1, max_size=8))
    def test_a_packet_of_another_length_is_refused(self, packet: DataPacket, more: bytes) -> None:
        data = packet.encode()
        with pytest.raises(EieioError):
            decode(data + more)
        with pytest.raises(EieioError):
            decode(data[:-1])

    @given(st.binary(max_size=300))
    def test_any_bytes_are_decoded_to_what_encodes_to_them_or_refused(self, data: bytes) -> None:
        try:
            packet = decode(data)
        except EieioError:
            return
        if isinstance(packet, EieioCommand) or len(data) <= MAX_BYTES:
            assert packet.encode() == data

    def test_vectors_that_spinnman_agreed_with(self) -> None:
        vectors = json.loads(VECTORS.read_text())
        assert len(vectors) >= 200
        for v in vectors:
            packet = data_packet(
                Kind(v["kind"]), v["keys"], v["payloads"], prefix=v["prefix"], upper=v["upper"],
                payload_base=v["payload_base"], is_time=v["is_time"], tag=v["tag"],
            )  # fmt: skip
            assert packet.encode().hex() == v["bytes"]
            back = decode(bytes.fromhex(v["bytes"]))
            assert isinstance(back, DataPacket)
            assert same(packet, back)

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (lambda: data_packet(Kind.KEY_16, [65536]), "65536"),
            (lambda: data_packet(Kind.KEY_32, [-1]), "out of 0"),
            (lambda: data_packet(Kind.KEY_PAYLOAD_16, [1], [65536]), "65536"),
            (lambda: data_packet(Kind.KEY_PAYLOAD_32, [1, 2], [1]), "2 keys and 1 payloads"),
            (lambda: data_packet(Kind.KEY_32, [1], [1]), "payloads"),
            (lambda: data_packet(Kind.KEY_32, range(64)), "256 bytes"),
            (lambda: data_packet(Kind.KEY_16, [1], tag=4), "tag 4"),
            (lambda: data_packet(Kind.KEY_16, [1], prefix=70000), "prefix 70000"),
            (lambda: data_packet(Kind.KEY_16, [1], payload_base=70000), "payload base 70000"),
        ],
    )
    def test_what_does_not_fit_is_refused_by_name(self, wrong, words: str) -> None:
        with pytest.raises(EieioError, match=words):
            wrong().encode()


class TestCommands:
    def test_commands_of_the_handshake_have_the_bytes_worked_out_by_hand(self) -> None:
        assert EieioCommand(CommandCode.DATABASE, b"/tmp/x").encode() == b"\x01\x40/tmp/x"
        assert EieioCommand(CommandCode.START_RESUME).encode() == b"\x0b\x40"
        assert EieioCommand(CommandCode.STOP_PAUSE).encode() == b"\x0a\x40"

    @given(st.integers(0, 0x3FFF), st.binary(max_size=300))
    def test_what_was_encoded_is_what_is_decoded(self, code: int, data: bytes) -> None:
        assert decode(EieioCommand(code, data).encode()) == EieioCommand(code, data)

    def test_a_number_that_does_not_fit_is_refused(self) -> None:
        with pytest.raises(EieioError, match="16384"):
            EieioCommand(0x4000).encode()


places = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 31), st.integers(0, 7))


class TestSdpAndScp:
    def test_header_has_the_bytes_worked_out_by_hand(self) -> None:
        # flags, tag, port 1 << 5 | core 5, source port and core, then y before x
        header = SdpHeader((3, 4, 5, 1), (0, 0, 31, 7), 0xFF, 0x87)
        assert header.encode() == bytes([0x87, 0xFF, 0x25, 0xFF, 4, 3, 0, 0])

    @given(places, places, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=256))
    def test_what_was_encoded_is_what_is_decoded(self, to, of, tag: int, flags: int, content: bytes) -> None:
        header = SdpHeader(to, of, tag, flags)
        assert decode_sdp(encode_sdp(header, content)) == (header, content)

    @given(st.integers(0, 7), st.integers(0, 255), st.integers(0, 2**16 - 1), st.integers(0, 2**16 - 1), st.booleans())
    def test_a_tag_that_is_asked_for_is_read_back(self, tag: int, x: int, port: int, number: int, ours: bool) -> None:
        request = IpTagSet(tag, (x, 255 - x), (10, 0, 0, 1), port, True, ours, number)
        header, content = decode_sdp(request.encode())
        assert decode_iptag(header, content) == request

    def test_the_answer_goes_back_to_who_asked(self) -> None:
        header, _ = decode_sdp(IpTagSet(1, sequence=77).encode())
        answer = scp_answer(header, 77)
        assert len(answer) == 18
        assert decode_scp_answer(answer) == (ScpCode.OK, 77)

    @given(st.binary(max_size=64))
    def test_any_bytes_are_an_answer_or_refused(self, data: bytes) -> None:
        for read in (decode_scp_answer, lambda d: decode_iptag(*decode_sdp(d))):
            try:
                read(data)
            except EieioError:
                continue

    @pytest.mark.parametrize("place", [(256, 0, 0, 0), (0, 0, 32, 0), (0, 0, 0, 8), (0, -1, 0, 0)])
    def test_a_place_that_no_machine_has_is_refused(self, place) -> None:
        with pytest.raises(EieioError, match="no place"):
            SdpHeader(place).encode()

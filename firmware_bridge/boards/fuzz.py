"""A fuzzer of SpiNNaker's wire: mutated packets into the codec and into the emulated machine.

    python -m firmware_bridge.boards.fuzz --seconds 60

Bytes are decoded to what encodes to the same bytes, or refused by EieioError; anything else ends it with the bytes that
did it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter

import nir

from firmware_bridge.boards import eieio
from firmware_bridge.boards.eieio import (
    DataPacket,
    EieioCommand,
    EieioError,
    IpTagSet,
    Kind,
    SdpHeader,
    data_packet,
)
from firmware_bridge.boards.spinnaker_emulator import CORE, SpinnakerEmulator
from hybrid_control.snn import Network, one_to_one


def a_packet(r: random.Random) -> bytes:
    """The bytes of a packet that is right."""
    kind = r.choice(tuple(Kind))
    most = 2**32 - 1 if kind.wide else 2**16 - 1
    count = r.randint(0, 8)
    payloads = [r.randint(0, most) for _ in range(count)] if kind.has_payload else None
    prefix = r.choice((None, r.randrange(2**16)))
    packets = (
        data_packet(
            kind, [r.randint(0, most) for _ in range(count)], payloads, prefix=prefix, payload_base=r.choice((None, 7)),
            is_time=r.random() < 0.5,
        ).encode(),
        EieioCommand(r.randrange(2**14), r.randbytes(r.randint(0, 20))).encode(),
        IpTagSet(r.randrange(8), sequence=r.randrange(2**16)).encode(),
        eieio.scp_answer(SdpHeader(source=(0, 0, 31, 7)), r.randrange(2**16)),
    )  # fmt: skip
    return r.choice(packets)


def mutated(r: random.Random, data: bytes) -> bytes:
    """The bytes with a few bits, bytes or pieces changed."""
    out = bytearray(data)
    for _ in range(r.randint(0, 4)):
        at = r.randrange(len(out) + 1)
        how = r.randrange(4)
        if how == 0 and at < len(out):
            out[at] ^= 1 << r.randrange(8)
        elif how == 1:
            out[at:at] = r.randbytes(r.randint(1, 4))
        elif how == 2:
            del out[at : at + r.randint(1, 8)]
        elif at < len(out):
            out[at] = r.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(out)


def check(data: bytes) -> str:
    """What the codec makes of the bytes; AssertionError where that does not encode to them again."""
    for read in (eieio.decode_scp_answer, lambda d: eieio.decode_iptag(*eieio.decode_sdp(d))):
        try:
            read(data)
        except EieioError:
            continue
    try:
        packet = eieio.decode(data)
    except EieioError:
        return "refused"
    if isinstance(packet, DataPacket) and len(data) > eieio.MAX_BYTES:
        return "long"
    if packet.encode() != data:
        raise AssertionError("it is decoded to what encodes otherwise")
    return type(packet).__name__


def _network() -> Network:
    """A few neurons that spike at whatever comes."""
    network = Network()
    network.add_input("in", 8)
    network.add_population("cells", nir.LIF, 8, tau=1e-2)
    network.connect("in", "cells", one_to_one(2.0))
    network.add_output("out", "cells")
    return network


def main() -> int:
    """The program; exit status 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    r = random.Random(arguments.seed)
    outcomes: Counter[str] = Counter()
    end = time.monotonic() + arguments.seconds
    with SpinnakerEmulator(_network(), ("127.0.0.2", 0)) as machine:
        while time.monotonic() < end:
            data = mutated(r, a_packet(r))
            try:
                outcomes[check(data)] += 1
                for datagram in (data, eieio.encode_sdp(SdpHeader((*CORE, 1)), data)):
                    machine.handle(datagram, ("127.0.0.1", 9))
                machine.tick()
            except Exception as error:
                print(
                    f"seed {arguments.seed}: {data.hex()}: {type(error).__name__}: {error}", file=sys.stderr
                )
                return 1
        print(
            f"{sum(outcomes.values())} packets, {dict(outcomes)}; the machine refused {dict(machine.traffic.refused)}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

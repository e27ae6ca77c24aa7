"""The one interface of all boards, and the values that it hands out."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from hybrid_control.signals import SpikeTrain
from hybrid_control.snn import Network
from hybrid_control.snn.backends.capabilities import BoardCapabilities, Layout

_LONGEST_NS = 1_000_000_000  # of a window that `receive` returns


@dataclass(frozen=True)
class BoardConfig:
    """What every board needs to know.

    dt: s of a tick on the board. silence_limit: s without anything heard from it after which it counts as silent.
    probe_period: s between two probes, by whose echo latency, loss and time offset are measured. stepped: the board
    (an emulator) takes one tick for every `send` and `receive` waits for its answer, for lock step in simulated time.
    start_timeout: s that `start` waits.
    """

    dt: float = 1e-3
    silence_limit: float = 0.05
    probe_period: float = 0.005
    stepped: bool = False
    start_timeout: float = 60.0

    def __post_init__(self) -> None:
        for name in ("dt", "silence_limit", "probe_period"):
            if not 0 < getattr(self, name) < 10:
                raise ValueError(
                    f"board: {name} {getattr(self, name)} s, expected more than 0 and less than 10"
                )


@dataclass(frozen=True)
class Health:
    """How a board does. Times are s, NaN where nothing was measured yet.

    running: between `start` and `stop`. silent_for: since anything was heard from it, inf before anything was.
    round_trip, round_trip_p99: median and 99th percentile of the newest probes' way to the board and back.
    time_offset: the board's clock minus the host's monotonic one, by the probe of the newest ones that was fastest.
    loss: share of the newest probes that never came back. sent, received: spikes. refused: packets that were ignored,
    by reason.
    """

    running: bool
    silent_for: float
    round_trip: float
    round_trip_p99: float
    time_offset: float
    loss: float
    sent: int
    received: int
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Traffic:
    """What went over a wire. sent, received: spikes. refused: packets that were ignored, by reason."""

    sent: int = 0
    received: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Board(ABC):
    """A board or its emulator. Use it as a context manager: `with new_board("spinnaker") as board:` connects it.

    After `connect` comes `load`, then `start`; `send` and `receive` are for the time between `start` and `stop` and
    never wait (but see BoardConfig.stepped). One thread may send and another one receive. Every method raises OSError
    where the wire fails, ValueError where it is used wrongly.
    """

    config_class: ClassVar[type[BoardConfig]] = BoardConfig
    capabilities: ClassVar[BoardCapabilities]

    def __init__(self, config: BoardConfig) -> None:
        self.config = config
        self.inputs: Layout = ()  # set by load: the network's inputs in the order in which `send` numbers them
        self.outputs: Layout = ()  # set by load: its outputs in the order in which `receive` numbers them
        self.heard_ns = -1  # set by receive: monotonic time at which the board last gave a sign of life
        self.traffic = Traffic()
        self._window_begin = 0  # monotonic time at which the next train of `receive` begins

    @classmethod
    @abstractmethod
    def reachable(cls, config: BoardConfig | None = None) -> tuple[bool, str]:
        """Whether a board or its emulator can be used here and now, and one line that says what was found."""

    @abstractmethod
    def connect(self) -> None:
        """Open the wire."""

    @abstractmethod
    def load(self, network: Network) -> None:
        """Put a network on the board; sets `inputs` and `outputs`.

        network: one whose inputs are all spikes, as the part `board` of `split`. BoardRefusal where the board can't run
        it.
        """

    @abstractmethod
    def start(self) -> None:
        """Let its time begin."""

    @abstractmethod
    def send(self, train: SpikeTrain) -> None:
        """Send spikes, at once. train: populations as in `inputs`."""

    @abstractmethod
    def receive(self) -> SpikeTrain:
        """The spikes that arrived since the last call, which may be none; populations as in `outputs`.

        The window begins at the last call and ends now, on the host's monotonic clock; offsets tell the arrival.
        """

    @abstractmethod
    def stop(self) -> None:
        """Let its time stand still; may be called at any time."""

    @abstractmethod
    def health(self) -> Health:
        """How it does."""

    @abstractmethod
    def close(self) -> None:
        """Stop, and close the wire; may be called at any time."""

    def _arrived(self, neurons: list[int], times: list[int]) -> SpikeTrain:
        """What `receive` returns: spikes with the times of their arrival, ns, in a window that ends now."""
        now = max(time.monotonic_ns(), self._window_begin + 1)
        begin = max(self._window_begin, now - _LONGEST_NS)
        self._window_begin = now
        self.traffic.received += len(neurons)
        offsets = np.clip(np.array(times, np.int64) - begin, 0, now - begin - 1).astype(np.uint32)
        return SpikeTrain(begin, now - begin, self.outputs, np.array(neurons, np.uint32), offsets)

    @property
    def silent_for(self) -> float:
        """s since anything was heard from it, inf before anything was."""
        return (time.monotonic_ns() - self.heard_ns) * 1e-9 if self.heard_ns >= 0 else math.inf

    @property
    def silent(self) -> bool:
        """Whether it has said nothing for longer than its limit."""
        return self.silent_for > self.config.silence_limit

    def wait_running(self, timeout: float = 10.0) -> None:
        """Wait after `start` until it is heard; TimeoutError (an OSError) where it is not."""
        end = time.monotonic() + timeout
        while self.silent:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.capabilities.board}: nothing heard for {timeout:g} s")
            self.receive()
            time.sleep(0.002)

    def __enter__(self) -> Board:
        self.connect()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

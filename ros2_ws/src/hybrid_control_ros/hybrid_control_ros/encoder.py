"""The encoder node: planner/rates in, planner/spikes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from diagnostic_msgs.msg import DiagnosticStatus

from hybrid_control.navigation.planner.rates import HeldRates
from hybrid_control.parameters import Value
from hybrid_control.signals import RateVector, SpikeTrain
from hybrid_control.signals.coding import Encoder, encoder
from hybrid_control_ros import convert, qos
from hybrid_control_ros.convert import RateVectorMessage, SpikeTrainMessage
from hybrid_control_ros.node import ManagedNode

_AHEAD_NS = 1_000_000_000  # a clock that is set back by more than this was reset, and windows begin anew


class RateToSpikeNode(ManagedNode):
    """Sends the spikes of one window after another, each as it begins, for as long as rates are fresh.

    hand_over: gets each SpikeTrain in memory. listens: whether rates come over the topic; without, by put_rates.
    """

    kind = "rate_to_spike_node"

    def __init__(
        self,
        values: Mapping[str, Value] | None = None,
        hand_over: Callable[[SpikeTrain], None] | None = None,
        listens: bool = True,
        **options: object,
    ) -> None:
        super().__init__(values, **options)
        self._hand_over = hand_over
        self._listens = listens
        self._encoder: Encoder | None = None
        self._rates = HeldRates()
        self._windows = 0
        self._next_ns = 0
        self._stale = True

    def configure(self) -> None:
        self._window_ns = round(self.value("window") * 1e9)
        self._encoder = None
        # compiles before anything flows: later it would hold up the first windows for seconds
        self._new_encoder(1).encode([1.0], self._window_ns)
        self._spikes = self.talk(SpikeTrainMessage, "planner/spikes", qos.STREAM)
        if self._listens:
            self.listen(RateVectorMessage, "planner/rates", self._on_rates, qos.SENSOR)
        self.every(self.value("window"), self._send)

    def activate(self) -> None:
        self._rates = HeldRates(lasts_ns=round(self.value("rates_timeout") * 1e9))
        self._windows, self._next_ns, self._stale = 0, 0, True

    def _new_encoder(self, size: int) -> Encoder:
        code = self.value("code")
        if code == "latency":
            return encoder(code, size, max_rate=self.value("max_rate"), period=self.value("window"))
        return encoder(code, size, seed=self.value("seed"))

    def _on_rates(self, message: RateVectorMessage) -> None:
        try:
            self.put_rates(convert.rate_vector(message))
        except ValueError as error:
            self.refuse("planner/rates", error)

    def put_rates(self, rates: RateVector) -> None:
        """Rates that hold from the next window on; from any thread."""
        self._rates.put(rates, self.now_ns())

    def _send(self) -> None:
        if not self.active:
            return
        now_ns = self.now_ns()
        rates = self._rates.at(now_ns)
        self._stale = rates is None
        if rates is None:
            self._next_ns = 0
            return
        if self._window_ns < self._next_ns - now_ns < _AHEAD_NS:
            return  # a timer that catches up, as it does where simulated time jumps, is not to send windows of later
        # one window follows on the other; after a pause, or where time was lost, they begin anew
        begin_ns = self._next_ns if abs(now_ns - self._next_ns) <= self._window_ns else now_ns
        self._next_ns = begin_ns + self._window_ns
        if self._encoder is None or self._encoder.size != rates.rates.size:
            self._encoder = self._new_encoder(rates.rates.size)
        try:
            neuron, offset = self._encoder.encode(rates.rates, self._window_ns)
        except ValueError as error:
            self.refuse("planner/rates", error)
            return
        train = SpikeTrain(begin_ns, self._window_ns, rates.populations, neuron, offset)
        self._windows += 1
        if self._hand_over is not None:
            self._hand_over(train)
        self._spikes.publish(convert.spike_train_message(train))

    def report(self) -> tuple[bytes, str, dict[str, object]]:
        values: dict[str, object] = {"windows": self._windows}
        if self.active and self._stale:
            return DiagnosticStatus.WARN, "no fresh rates: sending no spikes", values
        return DiagnosticStatus.OK, "", values

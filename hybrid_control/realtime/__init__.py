"""The periodic loop, the mailboxes that feed it, clocks and a watchdog: real time without the interpreter.

A tick is a compiled function ``int64 tick(void* context, int64 now_ns)`` that returns `TICK_OK`.
`PeriodicLoop` calls it in real time, `SteppedLoop` in simulated time. Nothing here knows ROS or what the tick
does.
"""

from hybrid_control.realtime.clock import monotonic_ns, realtime_ns, sleep_until
from hybrid_control.realtime.compiled import address_of, as_pointer
from hybrid_control.realtime.histogram import Histogram
from hybrid_control.realtime.loop import TICK_OK, LoopStatus, PeriodicLoop, State
from hybrid_control.realtime.mailbox import Mailbox, read_mailbox, write_mailbox
from hybrid_control.realtime.scheduling import Scheduling
from hybrid_control.realtime.stepped import SteppedLoop
from hybrid_control.realtime.watchdog import Watchdog

__all__ = [
    "TICK_OK",
    "Histogram",
    "LoopStatus",
    "Mailbox",
    "PeriodicLoop",
    "Scheduling",
    "State",
    "SteppedLoop",
    "Watchdog",
    "address_of",
    "as_pointer",
    "monotonic_ns",
    "read_mailbox",
    "realtime_ns",
    "sleep_until",
    "write_mailbox",
]

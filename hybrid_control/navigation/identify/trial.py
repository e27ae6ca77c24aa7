"""A trial drive: straight ahead and half a turn, again and again, faster each time, while odometry is recorded.

It knows nothing of ROS or of a simulator: odometry and scans are put in with the time, and `command` says what to send.
Whatever is not as it must be ends it: from then on every command is zero, and `fault` says why.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hybrid_control.navigation.identify.floor import Floor, Motion
from hybrid_control.navigation.identify.response import Identified, Step, identify, respond
from hybrid_control.parameters import Value
from hybrid_control.signals import Odometry, Pose, RangeScan, Twist

SILENCE = 0.5  # s without odometry or a scan
OTHER_CLOCK = 1.0  # s by which a stamp may be off
LISTENS = 1.0  # s before the first motion, in which the rates are seen
PATIENCE = 10.0  # s for the first messages
RESTS = 0.5  # s of rest before and after a step
AT_REST = 0.05  # share of the commanded speed, below which it rests
HOLDS = 0.5  # s at the speed reached
STARTS_WITHIN = 2.0  # s
TOO_FAST = 1.3  # times the commanded speed
NOSE = 0.15  # m that are kept ahead where it stops
LONGEST = 20.0  # m of a single way


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be tried. speed: m/s; yaw_rate: rad/s; braking: m/s², rather too little, and delay: s, rather too
    much: what is counted on until it is measured; turning_radius: m of a car's tightest circle, 0 for a turn on the
    spot; least_way: m of a straight drive; shares: of the speeds, of a straight drive and a turn each, rising to 1."""

    speed: float
    yaw_rate: float
    braking: float
    delay: float = 0.3
    turning_radius: float = 0.0
    least_way: float = 1.0
    shares: tuple[float, ...] = (1 / 3, 2 / 3, 1.0, 1.0, 1.0)

    def way(self, speed: float) -> float:
        """m of a straight drive: up to the speed, HOLDS at it, and to a stop."""
        return max(self.least_way, speed * speed / self.braking + speed * (2 * self.delay + HOLDS))

    def stop_way(self, speed: float) -> float:
        """m from the stop's command to rest."""
        return speed * self.delay + 0.5 * speed * speed / self.braking

    def turn(self, share: float) -> Motion:
        """The turn's motion."""
        if not self.turning_radius:
            return 0.0, share * self.yaw_rate
        speed = share * min(self.speed, self.yaw_rate * self.turning_radius)
        return speed, speed / self.turning_radius


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of the drive: motion in m/s and rad/s, and its length in m, or in rad where it turns."""

    motion: Motion
    length: float

    @property
    def turns(self) -> bool:
        """Whether its yaw rate is what is looked at."""
        return self.motion[1] != 0.0

    @property
    def speed(self) -> float:
        """What is commanded: m/s, or rad/s where it turns."""
        return self.motion[1] if self.turns else self.motion[0]

    def __str__(self) -> str:
        if self.turns:
            return f"{self.length:.1f} rad at {self.motion[1]:.2f} rad/s"
        return f"{self.length:.2f} m at {self.motion[0]:.2f} m/s"


class Trial:
    """One trial. settings: the reflex's, of outline and lidar. Times are ns of one clock, that of the stamps.

    done: all was driven; fault: why it ended before; result: what was found, once it is done.
    """

    def __init__(self, wish: Wish, settings: Mapping[str, Value]) -> None:
        if wish.way(wish.speed) > LONGEST:
            raise ValueError(
                f"a trial at {wish.speed:g} m/s with braking of {wish.braking:g} m/s² would need "
                f"{wish.way(wish.speed):.0f} m, expected {LONGEST:g} m at most: say a lower max_speed, or more braking"
            )
        self.wish = wish
        self.fault, self.done = "", False
        self._floor = Floor(settings)
        self._legs = [share for share in wish.shares for _ in range(2)]  # ahead and turn by turn
        self._leg: Leg | None = None  # the one that is driven or has just been
        self._begun = (
            self._since
        ) = -1.0  # s: when the leg's command was first sent; since when it rests, or waits
        self._ended = -1.0  # s: when its stop was first sent, below 0 while it drives
        self._odometry: list[Odometry] = []
        self._stamps: dict[str, list[float]] = {"odometry": [], "scan": []}
        self._arrived: dict[str, float] = {}
        self._origin = Pose()
        self._turned = 0.0
        self._steps: dict[bool, list[Step]] = {False: [], True: []}  # of turns and of straight drives

    @property
    def over(self) -> bool:
        """Whether nothing moves any more."""
        return self.done or bool(self.fault)

    @property
    def beside(self) -> float:
        """m of free floor that it needs on either side of its middle: for its turns, and as they end a little askew."""
        return self._floor.radius + 2.0 * self.wish.turning_radius + 0.1 * self.space

    @property
    def space(self) -> float:
        """m of free floor that a straight drive needs ahead of the robot's nose, at most."""
        return self.wish.way(self.wish.speed) + NOSE

    @property
    def result(self) -> Identified:
        """What was found, of the last steps, at the wished speed. ValueError where it did not come to its end."""
        if not self.done:
            raise ValueError(self.fault or "the trial has not come to its end")
        full = [self._steps[turns][self.wish.shares.index(1.0) :] for turns in (False, True)]
        return identify(full[0], full[1], self._stamps["odometry"], self._stamps["scan"])

    def status(self) -> str:
        """What it does, in a line."""
        of = 2 * len(self.wish.shares)
        return (
            f"{of - len(self._legs)} of {of}: {self._leg}"
            if self._leg is not None
            else "listens to odometry and scan"
        )

    def put_odometry(self, odometry: Odometry, now_ns: int) -> None:
        """The newest odometry."""
        self._note("odometry", odometry.stamp_ns, now_ns)
        if self._odometry:
            before = self._odometry[-1].pose.yaw
            self._turned += math.remainder(odometry.pose.yaw - before, math.tau)
        self._odometry.append(odometry)

    def put_scan(self, scan: RangeScan, now_ns: int) -> None:
        """The newest scan."""
        self._note("scan", scan.stamp_ns, now_ns)
        self._fail(self._floor.put(scan))

    def command(self, now_ns: int) -> Twist:
        """What to send now."""
        now = now_ns * 1e-9
        if self._since < 0.0:
            self._since = now
        if not self.over:
            self._check_heard(now)
        if not self.over and len(self._arrived) == 2:
            self._advance(now)
        self._look(now)
        if self.over or self._leg is None or self._ended >= 0.0:
            return Twist(now_ns)
        return Twist(now_ns, self._leg.motion[0], 0.0, 0.0, self._leg.motion[1])

    def stop(self, why: str) -> None:
        """End it."""
        self._fail(why)

    # -- what happens ------------------------------------------------------------------------------------------------

    def _fail(self, why: str) -> None:
        if why and not self.over:
            self.fault = why

    def _note(self, what: str, stamp_ns: int, now_ns: int) -> None:
        if abs(now_ns - stamp_ns) > OTHER_CLOCK * 1e9:
            self._fail(
                f"{what}: its stamp is {(now_ns - stamp_ns) * 1e-9:.3g} s old; expected {OTHER_CLOCK:g} s at most: "
                "set the clocks of its computers alike"
            )
        self._stamps[what].append(stamp_ns * 1e-9)
        self._arrived[what] = now_ns * 1e-9

    def _check_heard(self, now: float) -> None:
        for what in self._stamps:
            if what not in self._arrived and now - self._since > PATIENCE and self._leg is None:
                self._fail(f"{what}: nothing came in {PATIENCE:g} s")
            elif what in self._arrived and not -SILENCE <= now - self._arrived[what] <= SILENCE:
                self._fail(f"{what}: silent for {now - self._arrived[what]:.2f} s; it stopped")

    def _advance(self, now: float) -> None:
        """From rest to the next leg, from driving to the stop, from the stop to rest."""
        if self._leg is None:
            if now - self._since >= LISTENS:
                self._begin(now)
        elif self._ended < 0.0:
            self._drive(self._leg, now)
        else:
            self._come_to_rest(self._leg, now)

    def _begin(self, now: float) -> None:
        if not self._legs:
            self.done = True
            return
        turns = len(self._legs) % 2 == 1
        share = self._legs.pop(0)
        wish = self.wish
        motion = wish.turn(share) if turns else (share * wish.speed, 0.0)
        leg = Leg(motion, math.pi if turns else wish.way(motion[0]))
        self._leg, self._begun, self._ended = leg, now, -1.0
        self._origin, self._turned = self._odometry[-1].pose, 0.0
        sight, stop_way = self._floor.sight, wish.stop_way(motion[0])
        if motion[0] and sight - self._floor.radius < stop_way + NOSE:
            self._fail(
                f"{leg}: the lidar sees {sight:.1f} m, and it may need {stop_way:.1f} m to stop: say a lower max_speed"
            )
        elif not self._floor.is_seen(motion):
            self._fail(
                f"{leg}: the lidar does not see all of the way: expected a beam every 5 degrees that is valid"
            )
        elif not self._floor.is_free(motion, leg.length / abs(leg.speed), NOSE if motion[0] else 0.0):
            free = "" if turns else f", only {self._floor.ahead():.2f} m are"
            self._fail(f"{leg}: its way is not free{free}; make room, or say a lower max_speed")

    def _speed(self, odometry: Odometry) -> float:
        assert self._leg is not None
        return odometry.twist.angular_z if self._leg.turns else odometry.twist.linear_x

    def _drive(self, leg: Leg, now: float) -> None:
        newest, origin = self._odometry[-1], self._origin
        gone = (
            abs(self._turned) if leg.turns else math.hypot(newest.pose.x - origin.x, newest.pose.y - origin.y)
        )
        speed = self._speed(newest)
        share, since = speed / leg.speed, now - self._begun
        stop_way = abs(speed) * self.wish.delay if leg.turns else self.wish.stop_way(max(speed, 0.0))
        if gone + stop_way >= leg.length:
            self._ended = self._since = now
        elif share < -AT_REST and since > self.wish.delay:
            self._fail(
                f"{leg}: odometry says {speed:.2f}, the other way round: motors, encoders or wheels are swapped"
            )
        elif share > TOO_FAST + 0.1 / abs(leg.speed):
            self._fail(f"{leg}: odometry says {speed:.2f}, faster than was commanded")
        elif share < AT_REST and since > STARTS_WITHIN:
            self._fail(
                f"{leg}: nothing moved in {STARTS_WITHIN:g} s; is its emergency stop in, does it hear cmd_vel?"
            )
        elif since > STARTS_WITHIN + 3.0 * leg.length / abs(leg.speed):
            self._fail(f"{leg}: only {gone:.2f} in {since:.1f} s")

    def _come_to_rest(self, leg: Leg, now: float) -> None:
        if abs(self._speed(self._odometry[-1])) > AT_REST * abs(leg.speed):
            self._since = now
        if now - self._ended > STARTS_WITHIN + 3.0 * abs(leg.motion[0]) / self.wish.braking:
            self._fail(f"{leg}: it did not come to rest after the stop")
        elif now - self._since >= RESTS:
            self._keep(leg)
            self._begin(now)

    def _keep(self, leg: Leg) -> None:
        """The step that was driven; what it shows of braking and delay is counted on from now on, where it is worse."""
        samples = [o for o in self._odometry if o.stamp_ns * 1e-9 >= self._begun - RESTS]
        times = np.array([o.stamp_ns * 1e-9 for o in samples])
        step = Step(leg.speed, self._begun, self._ended, times, np.array([self._speed(o) for o in samples]))
        self._odometry = samples[-1:]
        try:
            found = respond(step)
        except ValueError as error:
            self._fail(f"{leg}: {error}")
            return
        self._steps[leg.turns].append(step)
        if not leg.turns:
            worse = min(found.braking, self.wish.braking)
            self.wish = replace(self.wish, braking=worse, delay=max(found.stop_delay, self.wish.delay))

    def _look(self, now: float) -> None:
        """Stop where something is nearer than the robot could stop."""
        leg = self._leg
        if self.over or leg is None or not self._odometry or "scan" not in self._arrived:
            return
        v, w = leg.motion if self._ended < 0.0 else (0.0, 0.0)
        moving = self._odometry[-1].twist
        if self._ended >= 0.0:
            return
        speed, turn = max(v, moving.linear_x), w if not v else w / v * max(v, moving.linear_x)
        age = max(now - self._stamps["scan"][-1], 0.0) + self.wish.delay
        braking = 0.5 * (speed / self.wish.braking if speed else age)
        if not self._floor.is_free((speed, turn), age + braking, NOSE if speed else 0.0):
            self._fail(
                f"{leg}: something came into its way, {self._floor.ahead():.2f} m before its nose; it stopped"
            )

"""`hybrid-control bench settle --nodes`: the first right command in real time, of nodes in processes of their own.

planner_node, rate_to_spike_node and reflex_node run as on a robot. The planner's model is made for this: the picture's
colour and the goal's distance say how far off the goal its plan leads, so that either can change its mind, and the
initial states are the map of the planner that is measured. The ring's heading is put together again from the spikes on
reflex/spikes, each of which has its tick's time.
"""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_control.bench.machine import machine
from hybrid_control.bringup.dds import without_shared_memory
from hybrid_control.navigation import states
from hybrid_control.navigation.bench.map_planner import MAX_RATE
from hybrid_control.navigation.bench.settle import (
    AFTER,
    BEFORE,
    CASES,
    ODOMETRY,
    PLAN,
    SCAN,
    Wish,
    first_plan,
    measured,
    right_after,
    wishes,
)
from hybrid_control.navigation.planner import contract
from hybrid_control.navigation.reflex.decode import MOTOR_TIME_CONSTANT, time_constant
from hybrid_control.navigation.states import BUMP, Settled
from hybrid_control.signals.headings import HEADINGS, SECTORS

NAMESPACE = "bench_settle"  # so that no robot on this machine hears of any of it
HEIGHT, WIDTH = 24, 32  # pixels of the picture
NEUTRAL = 10.0  # m to a goal that the planner heads for
PATIENCE = 60.0  # s for which nodes may compile
MS = 1_000_000  # ns
TAIL = 150  # ms to wait for the last spikes
ACTIVATE, DEACTIVATE = 3, 4  # lifecycle_msgs/Transition


def write_planner(out: Path, settled: Settled) -> None:
    """A planner whose plan lies off the goal's bearing by what the picture's red says, 0 .. 255 for -pi .. pi, and by
    as many rad as the goal is m farther away than NEUTRAL; the picture's green says the bump's width, 255ths of a rad.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    full = float(np.exp((np.cos(HEADINGS) - 1.0) / BUMP**2).sum() * MAX_RATE)
    values = {
        "axes": np.array([1, 2]), "all": np.array([1]), "zero": np.array([0]), "first": np.array([1]),
        "second": np.array([2]), "scale": np.float32(math.tau / 255.0), "neutral": np.float32(math.pi + NEUTRAL),
        "byte": np.float32(255.0), "least": np.float32(1.0 / 255.0), "one": np.float32(1.0),
        "full": np.float32(full), "none": np.float32(0.0), "most": np.float32(MAX_RATE),
        "cosines": np.cos(HEADINGS)[None].astype(np.float32), "sines": np.sin(HEADINGS)[None].astype(np.float32),
        "speed_rates": contract.encode_speed(1.0, MAX_RATE)[None],
    }  # fmt: skip
    steps = (
        ("Cast", "image", "floats"), ("ReduceMean", "floats axes", "means"),
        ("Gather", "means zero", "red"), ("Gather", "means first", "green"), ("Gather", "goal zero", "distance"),
        ("Gather", "goal first", "ahead"), ("Gather", "goal second", "aside"),
        ("Mul", "red scale", "turn"), ("Add", "turn distance", "sum"), ("Sub", "sum neutral", "off"),
        ("Cos", "off", "c"), ("Sin", "off", "s"),
        ("Mul", "ahead c", "xc"), ("Mul", "aside s", "ys"), ("Sub", "xc ys", "x"),
        ("Mul", "ahead s", "xs"), ("Mul", "aside c", "yc"), ("Add", "xs yc", "y"),
        ("Mul", "cosines x", "along"), ("Mul", "sines y", "across"), ("Add", "along across", "cosine"),
        ("Div", "green byte", "shade"), ("Max", "shade least", "width"), ("Mul", "width width", "square"),
        ("Sub", "cosine one", "less"), ("Div", "less square", "power"), ("Exp", "power", "bump"),
        ("ReduceSum", "bump all", "whole"), ("Div", "bump whole", "share"), ("Mul", "share full", "rates"),
        ("Clip", "rates none most", "heading"), ("Identity", "speed_rates", "speed"),
    )  # fmt: skip
    more: dict[str, dict[str, Any]] = {
        "Cast": {"to": TensorProto.FLOAT}, "ReduceMean": {"keepdims": 0}, "Gather": {"axis": 1},
    }  # fmt: skip
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(kind, names.split(), [to], **more.get(kind, {})) for kind, names, to in steps],
        "colours",
        [
            tensor("image", TensorProto.UINT8, (1, HEIGHT, WIDTH, 3)),
            tensor("goal", TensorProto.FLOAT, (1, 3)),
            tensor("velocity", TensorProto.FLOAT, (1, 2)),
        ],
        [tensor("heading", TensorProto.FLOAT, (1, SECTORS)), tensor("speed", TensorProto.FLOAT, (1, 8))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    keys = (contract.KEY_VERSION, contract.KEY_MAX_RATE, contract.KEY_GOAL_CAP)
    properties = (str(contract.VERSION), f"{MAX_RATE:g}", f"{2 * NEUTRAL:g}")
    helper.set_model_props(model, dict(zip(keys, properties, strict=True)))
    onnx.save(model, out)
    states.write(out, settled, out)


def picture(off: float, width: float) -> bytes:
    """What the planner sees, (HEIGHT, WIDTH, 3) uint8: a pattern in blue, so that it is not blind."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0] = round((math.remainder(off, math.tau) + math.pi) * 255.0 / math.tau)
    image[..., 1] = round(width * 255.0)
    image[:, ::2, 2] = 255
    return image.tobytes()


def headings_of(
    times: NDArray[np.int64], neurons: NDArray[np.int64], begin_ns: int, count: int, set_ns: Sequence[int] = ()
) -> NDArray[np.float64]:
    """The ring's heading in rad after each of `count` ms from begin_ns on, as `reflex.decode` has it; NaN: silent.

    times: ns, of spikes of the neurons 0 .. 71 of the ring, any order, some of them of before; set_ns: when the
    network's states were set.
    """
    before = BEFORE
    at = (times - begin_ns) // MS + before
    known = (at >= 0) & (at < before + count) & (neurons < SECTORS)
    spikes = np.zeros((before + count, SECTORS))
    np.add.at(spikes, (at[known], neurons[known]), 1.0)
    were_set = {(ns - begin_ns) // MS + before for ns in set_ns}
    rates, vectors = np.zeros(SECTORS), np.empty(before + count, complex)
    directions, set_for = np.exp(1j * HEADINGS), MOTOR_TIME_CONSTANT
    for k, row in enumerate(spikes):
        set_for = 0.0 if k in were_set else set_for
        keep = 1.0 - 1e-3 / time_constant(set_for)
        set_for += 1e-3
        rates = rates * keep + row * (1.0 - keep) * 1e3
        vectors[k] = rates @ directions
    found: NDArray[np.float64] = np.where(np.abs(vectors) > 1.0, np.angle(vectors), math.nan)[before:]
    return found


class Robot:
    """Stands still on blocks in open space, in the process that measures: sensors, goal, and what it hears."""

    def __init__(self, takes_states: bool) -> None:
        import rclpy
        from geometry_msgs.msg import PoseStamped
        from hybrid_control_msgs.msg import RateVector, SpikeTrain, StateVector
        from lifecycle_msgs.srv import ChangeState
        from nav_msgs.msg import Odometry
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import Image, LaserScan

        self._context = rclpy.context.Context()
        rclpy.init(context=self._context)
        node = self._node = rclpy.create_node("robot", context=self._context, namespace=NAMESPACE)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(node)
        scan = LaserScan(
            angle_min=-math.pi, angle_max=math.pi, angle_increment=math.tau / 360, range_min=0.05, range_max=20.0
        )
        scan.ranges = [8.0] * 360
        image = Image(height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH)
        odometry, self._goal = Odometry(), PoseStamped()
        odometry.pose.pose.orientation.w = self._goal.pose.orientation.w = 1.0
        kinds = {"scan": scan, "odom": odometry, "camera/image_raw": image}
        for message, frame in ((scan, "base_link"), (odometry, "odom"), (self._goal, "odom"), (image, "camera")):
            message.header.frame_id = frame
        periods = {"scan": SCAN, "odom": ODOMETRY, "camera/image_raw": PLAN}
        #: per topic: publisher, message, period in s, time of the next one
        self._senses = [
            [node.create_publisher(type(m), topic, qos_profile_sensor_data), m, periods[topic] * 1e-3, 0.0]
            for topic, m in kinds.items()
        ]
        self._image = image
        self._goals = node.create_publisher(PoseStamped, "goal_pose", 1)
        self._change, self._request = node.create_client(ChangeState, "reflex_node/change_state"), ChangeState.Request
        self.plans: list[tuple[int, float]] = []  # when it came, ns; direction, rad
        #: times in ns, and neurons
        self.spikes: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self.set_ns: list[int] = []  # when the planner said states
        node.create_subscription(RateVector, "planner/rates", self._hear_plan, 10)
        node.create_subscription(SpikeTrain, "reflex/spikes", self._hear_spikes, 10)
        if takes_states:
            node.create_subscription(StateVector, "planner/state", self._hear_states, 10)

    def _hear_plan(self, message: Any) -> None:
        self.plans.append((time.time_ns(), contract.decode_heading(np.array(message.rates[:SECTORS]))))

    def _hear_states(self, _: Any) -> None:
        self.set_ns.append(time.time_ns())

    def _hear_spikes(self, message: Any) -> None:
        stamp = message.header.stamp
        times = stamp.sec * 1_000_000_000 + stamp.nanosec + np.array(message.offset_ns, np.int64)
        self.spikes.append((times, np.array(message.neuron, np.int64)))

    def show(self, off: float, width: float) -> None:
        """A `picture` from the camera's next image on."""
        self._image.data = picture(off, width)

    def tell(self, bearing: float, off: float) -> None:
        """Send it to a goal, round which the plan leads by so much, rad."""
        self._goal.header.stamp = self._node.get_clock().now().to_msg()
        place, away = self._goal.pose.position, NEUTRAL + off
        place.x, place.y = away * math.cos(bearing), away * math.sin(bearing)
        self._goals.publish(self._goal)

    def live(self, until: Callable[[], bool], patience: float = PATIENCE) -> bool:
        """Sense and hear until a condition holds; whether it came to hold within `patience` s."""
        end = time.monotonic() + patience
        while not until():
            now = time.monotonic()
            if now > end:
                return False
            for sense in self._senses:
                publisher, message, period, due = sense
                if now >= due:
                    message.header.stamp = self._node.get_clock().now().to_msg()
                    publisher.publish(message)
                    sense[3] = max(due + period, now)
            self._executor.spin_once(timeout_sec=0.002)
        return True

    def wait(self, ms: float) -> None:
        """Sense and hear for so long."""
        end = time.monotonic() + 1e-3 * ms
        self.live(lambda: time.monotonic() >= end)

    def turn(self, transition: int) -> None:
        """Take the reflex through a lifecycle transition; ValueError where it doesn't go."""
        request = self._request()
        request.transition.id = transition
        asked = self._change.call_async(request)
        if not self.live(asked.done, 10.0) or not asked.result().success:
            raise ValueError(f"reflex_node did not go through lifecycle transition {transition}")

    def headings(self, begin_ns: int) -> NDArray[np.float64]:
        """The ring's heading in rad after each of AFTER ms from then on."""
        if not self.spikes:
            return np.full(AFTER, math.nan)
        times, neurons = (np.concatenate(values) for values in zip(*self.spikes, strict=True))
        return headings_of(times, neurons, begin_ns, AFTER, self.set_ns)

    def close(self) -> None:
        """Leave the graph."""
        import rclpy

        self._node.destroy_node()
        rclpy.shutdown(context=self._context)


def trial(robot: Robot, case: str, seed: int) -> dict[str, float]:
    """One time that it happens, as `navigation.bench.settle.trial` has it."""
    rng = np.random.default_rng([seed, CASES.index(case)])
    before, after = wishes(case, rng)
    sees = case == "new plan"  # it changes its mind by what it sees, not by where it is to go

    def wish(new: Wish, tell: bool = True) -> None:
        off = new.plan - new.goal
        robot.show(off if sees else 0.0, after.width)
        if tell:
            robot.tell(new.goal, 0.0 if sees else off)

    robot.turn(DEACTIVATE)
    robot.spikes, robot.set_ns = [], []
    robot.wait(float(rng.uniform(0.0, PLAN)))
    robot.turn(ACTIVATE)
    wish(before or after, before is not None)
    if before is not None:
        robot.wait(BEFORE)
    robot.plans = []
    begin_ns = time.time_ns()
    wish(after, not sees)
    robot.wait(AFTER + TAIL)
    plan_ns = first_plan(robot.plans, after)
    ms, end = right_after(robot.headings(begin_ns))
    return {"event_ms": ms, "plan_ms": ms - (plan_ns - begin_ns) / MS, "settles": end}


@contextlib.contextmanager
def graph(model: Path, takes_states: bool) -> Iterator[Robot]:
    """The three nodes and the robot, until the end; ValueError where a node does not come up."""
    settings: dict[str, dict[str, str]] = {
        "reflex_node": {"planner_states": str(takes_states).lower(), "spikes_rate": "100.0"},
        "rate_to_spike_node": {},
        "planner_node": {"model_file": str(model), "route_memory": "false"},
    }
    robot = Robot(takes_states)
    nodes: list[tuple[subprocess.Popen[bytes], Path]] = []
    try:
        for name, values in settings.items():
            words = (w for item in {"autostart": "true", **values}.items() for w in ("-p", f"{item[0]}:={item[1]}"))
            start = [sys.executable, "-m", "hybrid_control_ros", name, "--ros-args", "-r", f"__ns:=/{NAMESPACE}"]
            log = model.parent / f"{name}.log"
            with log.open("wb") as file:
                nodes.append((subprocess.Popen([*start, *words], stdout=file, stderr=file), log))
        robot.show(0.0, BUMP)

        def up() -> bool:
            for node, log in nodes:
                if node.poll() is not None:
                    said = log.read_text(errors="replace").strip().splitlines() or [""]
                    raise ValueError(f"a node ended by itself with status {node.returncode}: {said[-1]}")
            return bool(robot.plans) and bool(robot.spikes)

        until = time.monotonic() + PATIENCE
        while not up():
            if time.monotonic() > until:
                raise ValueError(f"no plans and spikes within {PATIENCE:g} s")
            robot.tell(0.0, 0.0)
            robot.live(up, 0.5)
        yield robot
    finally:
        robot.close()
        for node, _ in nodes:
            node.terminate()
        for node, _ in nodes:
            try:
                node.wait(5.0)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()


def measure(settled: Settled, trials: int, seed: int) -> dict[str, Any]:
    """Every case with and without states, in real time; each trial's numbers; with a bar on stderr.

    ValueError where ROS 2 or the workspace is missing, or a node does not do its part.
    """
    for package in ("rclpy", "hybrid_control_ros"):
        if find_spec(package) is None:
            raise ValueError(
                f"bench settle --nodes needs {package}: source ROS 2 and the workspace, or scripts/env.sh"
            )
    without_shared_memory(os.environ)  # as the project's nodes do
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "colours.onnx"
        write_planner(model, settled)

        @contextlib.contextmanager
        def with_states(on: bool) -> Iterator[Callable[[str, int], dict[str, float]]]:
            with graph(model, on) as robot:
                yield lambda case, k: trial(robot, case, k)

        return {**measured(with_states, trials, seed), "machine": machine()}

"""`hybrid-control new-robot`: asks what is needed of a robot, measures what it can, and writes its parameter file."""

from __future__ import annotations

import argparse
import contextlib
import select
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybrid_control.bringup.questions import Question
    from hybrid_control.navigation.identify.response import Identified
    from hybrid_control.navigation.identify.trial import Trial
    from hybrid_control.parameters import Value
    from hybrid_control.sim.robots.vehicle import Vehicle

MEASURES = ("sim", "floor", "no")
CONSENT = "drive"


def add_commands(subparsers: argparse._SubParsersAction) -> None:
    """Add `new-robot` to the command line."""
    new = subparsers.add_parser(
        "new-robot",
        help="ask what is needed of a robot of yours, measure what can be measured, and write its parameter file",
        description="Asks for a robot's outline, drive, sensors and names, measures speed, braking and delay by "
        "driving a metre, and writes a parameter file whose reaction follows from these. An answer is checked at once; "
        "Enter takes the default; Ctrl-C leaves nothing behind.",
        epilog="Without a terminal nothing is asked: --set gives the answers, --yes takes the defaults for the others. "
        "--measure floor moves the real robot; it always wants a person at a terminal who types "
        f"'{CONSENT}'. It never met a real robot so far.",
    )
    new.add_argument(
        "out", nargs="?", type=Path, default=Path("my_robot.yaml"), metavar="OUT.yaml",
        help="the file to write (my_robot.yaml)",
    )  # fmt: skip
    new.add_argument(
        "--robot", metavar="NAME|FILE", help="take its numbers from a robot's description, such as jackal"
    )
    new.add_argument(
        "--measure",
        choices=MEASURES,
        help="sim: drive the --robot in the simulator; floor: drive the real one, over ROS; no: ask for the numbers "
        "(default: sim with --robot, else no)",
    )
    new.add_argument(
        "--yes", action="store_true", help="take the default of what --set does not say, and ask nothing"
    )
    new.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an answer in advance, such as max_speed=0.5",
    )
    new.add_argument("--force", action="store_true", help="write over a file that is there")
    new.set_defaults(run=_new_robot)


def _new_robot(arguments: argparse.Namespace) -> int:
    from hybrid_control.bringup import new_robot as files
    from hybrid_control.navigation.derive import reasoned

    _check_place(arguments.out, arguments.force)
    robot = _described(arguments.robot)
    measure = arguments.measure or ("sim" if robot is not None else "no")
    if measure == "sim" and robot is None:
        raise ValueError("--measure sim: needs --robot, the robot that the simulator is to drive")
    if measure == "floor" and not sys.stdin.isatty():
        raise ValueError(
            "--measure floor: moves the robot, and wants a person at a terminal who says so; there is none"
        )
    answers = _answers(arguments, measure, robot)
    found, how = None, "no drive was measured"
    if measure == "sim":
        assert robot is not None
        found, how = (
            _measured_in_simulator(answers, robot),
            f"measured with {arguments.robot} in the simulator",
        )
    elif measure == "floor":
        _say_how_again(arguments, answers)
        found, how = _measured_on_floor(answers), "measured on the floor"
    if found is not None:
        print("measured, median (lowest .. highest):", *(f"  {line}" for line in files.told(found)), sep="\n")
    known = files.measures(answers, found)
    reasons = reasoned(known)
    values = files.sections(answers, known, reasons)
    what = files.write(arguments.out, values, files.head(answers, found, how, reasons))
    print(f"{arguments.out}: {what}; why each value is what it is stands at its top")
    words = files.launch_arguments(arguments.out, values, answers)
    _say_what_next(arguments, words)
    return 0


def _check_place(out: Path, force: bool) -> None:
    if out.suffix not in (".yaml", ".yml"):
        raise ValueError(f"{out}: expected the name of a YAML file, such as my_robot.yaml")
    if not out.resolve().parent.is_dir():
        raise ValueError(f"{out}: its folder does not exist")
    if out.exists() and not force:
        raise ValueError(f"{out}: is there already; another name, or --force to write over it")


def _described(name: str | None) -> Vehicle | None:
    if name is None:
        return None
    from hybrid_control.sim.robots import vehicle

    return vehicle(name)


def _say_how_again(arguments: argparse.Namespace, answers: Mapping[str, Value]) -> None:
    """Where the drive fails, nobody wants to be asked everything anew."""
    words = [
        word
        for name, value in answers.items()
        if name != "measure"
        for word in ("--set", f"{name}={_shown(value)}")
    ]
    command = ["hybrid-control", "new-robot", str(arguments.out), "--measure", "floor", "--yes", *words]
    command += ["--force"] if arguments.force else []
    print(f"\nthe same again, without questions:\n  {shlex.join(command)}")


def _say_what_next(arguments: argparse.Namespace, words: Mapping[str, str]) -> None:
    options = [part for name, word in words.items() for part in (f"--{name.replace('_', '-')}", word)]
    mine = shlex.quote(str(arguments.out))
    print("next:")
    print(
        f"  hybrid-control mask --save {mine}    # the robot standing free: where its lidar sees the robot itself"
    )
    if arguments.measure == "no" or (arguments.measure is None and arguments.robot is None):
        print(f"  hybrid-control new-robot {mine} --force --measure floor    # no number was measured yet")
    if arguments.robot is not None:
        print(f"  hybrid-control sim --robot {shlex.quote(arguments.robot)} --params {mine}")
    print(f"  hybrid-control up robot {shlex.join(options)}    # wheels in the air: docs/bringup.md, step 4")
    print(
        "  ros2 param set /reflex_node max_speed 0.2    # before the wheels touch the ground for the first time"
    )


# -- questions -------------------------------------------------------------------------------------------------------


def _answers(arguments: argparse.Namespace, measure: str, robot: Vehicle | None) -> dict[str, Value]:
    """What is known: by --set, by the description, by asking."""
    from hybrid_control.bringup.new_robot import described
    from hybrid_control.bringup.questions import QUESTIONS, given

    told = given(arguments.set)
    by_robot = described(robot) if robot is not None else {}
    ask = sys.stdin.isatty() and not arguments.yes
    known: dict[str, Value] = {"measure": measure, **told}
    if by_robot and (_confirmed(by_robot) if ask else arguments.yes):
        known = {**by_robot, **known}
    missing = []
    for question in QUESTIONS:
        if question.name in known or not question.asked(known):
            continue
        default = by_robot.get(question.name, question.default)
        if ask:
            known[question.name] = _asked(question, default)
        elif arguments.yes and default is not None:
            known[question.name] = default
        else:
            missing.append(question.name)
            if default is not None:
                known[question.name] = default  # what others are asked by
    if missing:
        how = "" if arguments.yes else ", or --yes for the defaults of those that have one"
        raise ValueError(f"not said: {', '.join(missing)}; say each by --set NAME=VALUE{how}")
    return known


def _confirmed(numbers: Mapping[str, Value]) -> bool:
    print("its description says:")
    for name, value in numbers.items():
        print(f"  {name}: {value:g}" if isinstance(value, float) else f"  {name}: {value}")
    return input("are these right? no: each is asked [yes] ").strip().lower() in ("", "y", "yes")


def _asked(question: Question, default: Value | None) -> Value:
    """One question, until there is an answer that can be."""
    known = question.parameter
    span = " ".join(filter(None, (known.range_text, known.unit)))
    print(f"\n{known.name}: {known.description}{f' ({span})' if span else ''}\n  {question.why}")
    shown = "" if default is None else f" [{_shown(default)}]"
    while True:
        try:
            text = input(f"{known.name}{shown}: ").strip()
        except EOFError:
            raise ValueError(f"{known.name}: the answers ended here; nothing was written") from None
        if not text and default is not None:
            return default
        try:
            return question.read(text)
        except ValueError as error:
            print(f"  {error}")


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


# -- measuring -------------------------------------------------------------------------------------------------------


def _measured_in_simulator(answers: Mapping[str, Value], robot: Vehicle) -> Identified:
    from hybrid_control.bringup.new_robot import trial_settings, wish
    from hybrid_control.navigation.identify.simulated import drive
    from hybrid_control.navigation.identify.trial import Trial

    trial = Trial(wish(answers), trial_settings(robot.reflex_settings))
    drive(trial, robot, each=_Progress(trial).show)
    return trial.result


def _measured_on_floor(answers: Mapping[str, Value]) -> Identified:
    from hybrid_control.bringup.new_robot import trial_settings, wish
    from hybrid_control.navigation.identify.trial import Trial

    try:
        from hybrid_control_ros.trial import Names, TrialFloor
    except ImportError as error:
        raise ValueError(
            f"--measure floor needs ROS 2 and the workspace ({error}): source them, or scripts/env.sh"
        ) from None
    names = Names(**{name: answers[name] for name in Names.__annotations__})  # type: ignore[arg-type]
    trial = Trial(wish(answers), trial_settings(answers))
    with TrialFloor(names) as floor:
        print("\nlooking for odometry, scan and who listens to the commands ...")
        floor.check()
        _ask_consent(trial)
        with _key_pressed() as pressed:
            floor.drive(trial, pressed, _Progress(trial).show)
    return trial.result


def _ask_consent(trial: Trial) -> None:
    """ValueError where the person does not say so."""
    wish = trial.wish
    radius = wish.turning_radius
    turn = f"half circles of {radius:.2f} m radius" if radius else "half turns on the spot"
    print(
        f"\nTHE ROBOT WILL MOVE: {len(wish.shares)} times straight ahead, up to {wish.way(wish.speed):.1f} m at up to "
        f"{wish.speed:g} m/s, slowly first, and between these {turn} at up to {wish.yaw_rate:.2g} rad/s.\n"
        f"The floor must be level and free for {trial.space:.1f} m ahead of it, for {trial.beside:.1f} m on either "
        "side, and behind it as far as it swings.\n"
        "Have a hand on a switch that cuts the motors' power: nothing here was ever tried on a real robot.\n"
        "The base must stop by itself when commands stay away.\n"
        "Any key or Ctrl-C stops it; so does anything in its way, and odometry or a scan that falls silent."
    )
    try:
        said = input(f"type {CONSENT} to let it drive: ").strip()
    except EOFError:
        said = ""
    if said != CONSENT:
        raise ValueError(
            f"--measure floor: {said!r} is not '{CONSENT}'; nothing was sent, nothing was written"
        )


class _Progress:
    """Says once what the trial does now."""

    def __init__(self, trial: Trial) -> None:
        self._trial, self._said = trial, ""

    def show(self) -> None:
        """A line, where there is news."""
        status = self._trial.status()
        if status != self._said:
            print(f"  {status}", flush=True)
            self._said = status


@contextlib.contextmanager
def _key_pressed() -> Iterator[_Keys]:
    """A function that says whether a key was hit since; the terminal gives each key at once meanwhile."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    termios.tcflush(terminal, termios.TCIFLUSH)  # what was typed before is no stop
    try:
        yield _Keys(terminal)
    finally:
        termios.tcflush(terminal, termios.TCIFLUSH)
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


class _Keys:
    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def __call__(self) -> bool:
        return bool(select.select([self._terminal], [], [], 0.0)[0])

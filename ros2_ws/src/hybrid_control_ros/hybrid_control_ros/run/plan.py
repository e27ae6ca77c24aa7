"""What a run starts: the programs of the graph `sim`, their parameters, and what is started beside them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from hybrid_control.bringup.commands import command
from hybrid_control.bringup.graph import Graph, Program
from hybrid_control.bringup.kinds import build
from hybrid_control.bringup.node_parameters import NODES
from hybrid_control.bringup.options import RunOptions
from hybrid_control.bringup.parameter_files import read_yaml, to_yaml
from hybrid_control.parameters import Value, check_all
from hybrid_control.sim.robots import vehicle
from hybrid_control.sim.worlds import load_world

SIM, REFLEX, PLANNER = "sim_node", "reflex_node", "planner_node"


def graph_of(options: RunOptions, seed: int, file: Path) -> Graph:
    """The graph `sim`, which `hybrid-control up` and the launch files start as well, as the options have it.

    file: is written, a parameter file with what the options say of the nodes.
    """
    values = {name: dict(options.parameters.get(name, {})) for name in NODES}
    if options.backend != "numba":
        values[REFLEX]["backend"] = options.backend
    if options.without_board:
        values[REFLEX]["without_board"] = options.without_board
    sections = {f"/**/{name}": {"ros__parameters": stated} for name, stated in values.items() if stated}
    file.write_text(yaml.safe_dump(sections), encoding="utf-8")
    words = {
        "params_file": str(file),
        "world": options.world,
        "robot": options.robot,
        "seed": str(seed),
        "real_time_factor": repr(options.real_time_factor),
        "use_sim_time": str(options.real_time_factor != 1.0).lower(),
        "viewer": str(options.viewer).lower(),
        "composed": str(options.composed).lower(),
        "model_file": str(options.model or ""),
        "network_file": str(options.network or ""),
        "learner": options.learner,
    }
    return build("sim", words)


@dataclass
class Plan:
    """What is started. beside: commands of processes that are started before the programs, by name; attachments put
    theirs here. needed: the processes without which the run ends, by what a person calls them."""

    options: RunOptions
    seed: int
    folder: Path
    graph: Graph = field(init=False)
    programs: list[Program] = field(init=False)
    parameters: dict[str, dict[str, Value]] = field(init=False)
    beside: dict[str, list[str]] = field(default_factory=dict)
    needed: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.robot = vehicle(self.options.robot)
        self.world = load_world(self.options.world, self.seed, self.robot.world_scale)
        self._file = (self.folder / "params.yaml").resolve()
        self.graph = graph_of(self.options, self.seed, self._file)
        self.programs = list(self.graph.programs)
        stated = read_yaml(self._file)
        self.parameters = {name: dict(check_all(known, stated.get(name, {}))) for name, known in NODES.items()}
        self.parameters |= {name: dict(self.graph.values(name)) for name in self.graph.managed}
        self.needed = {"reflex": self.program_of(REFLEX)}

    def program_of(self, node: str) -> str:
        """The name of the program that a lifecycle node is in."""
        return next(p.name for p in self.programs if node in p.managed)

    def commands(self) -> dict[str, list[str]]:
        """The command of every process, in the order in which they are started. All parameters are written into one
        file, which is kept with the run."""
        self._file.write_text(to_yaml(self.parameters, "What every node of the run had."), encoding="utf-8")
        commands = dict(self.beside)
        for program in self.programs:
            bare = dataclasses.replace(program, nodes={}, files=(str(self._file),))
            commands[program.name] = [*command(bare, self.graph, self.folder), "--disable-external-lib-logs"]
        return commands

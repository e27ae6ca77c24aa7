"""Where a network lies on a SpiNNaker machine: keys, the core of the live input, the tag of the live output.

sPyNNaker writes it to an SQLite database and tells programs where that is (`read_database`). The exported script also
leaves it as a JSON file (`Wiring.load`), which needs no sPyNNaker to be running on this host.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from firmware_bridge.boards.echo import INPUT, OUTPUT
from hybrid_control.snn.backends.capabilities import Layout
from hybrid_control.snn.backends.spinnaker import SpinnakerForm

LIVE_INPUT = "live_input"  # the one population of live input; its atoms are the inputs one after another
GATHERER = "LiveSpikeReceiver"  # sPyNNaker's own name of the live packet gatherer


class WiringError(ValueError):
    """A database or table that does not say what is needed."""


@dataclass(frozen=True)
class Wiring:
    """Keys and places.

    board: host of the board; core: (x, y, p) of the live input; tag, chip: the live output's tag and the chip that
    it is set on; host, port: where the tag leads until it is set anew. input_keys: of each atom of LIVE_INPUT;
    output_keys: by population, of each atom. time_step: s.
    """

    board: str
    core: tuple[int, int, int]
    tag: int
    chip: tuple[int, int]
    host: str
    port: int
    input_keys: tuple[int, ...]
    output_keys: dict[str, tuple[int, ...]]
    time_step: float = 1e-3

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Wiring:
        """Read a file of `save` or of an exported script; WiringError for another file, OSError as usual."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            x, y, p = (int(v) for v in content["core"])
            chip_x, chip_y = (int(v) for v in content["chip"])
            return cls(
                str(content["board"]), (x, y, p), int(content["tag"]), (chip_x, chip_y), str(content["host"]),
                int(content["port"]), _keys(content["input_keys"]),
                {str(k): _keys(v) for k, v in content["output_keys"].items()}, float(content["time_step"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise WiringError(f"{path}: no table of keys: {type(error).__name__} {error}") from None


def _keys(values: Sequence[int]) -> tuple[int, ...]:
    keys = tuple(int(v) for v in values)
    if len(set(keys)) != len(keys) or any(not 0 <= k < 2**32 for k in keys):
        raise WiringError("keys must differ, and be 0 .. 2^32 - 1")
    return keys


def read_database(path: str | Path, outputs: Sequence[str]) -> Wiring:
    """The wiring in a database of sPyNNaker. outputs: names of the populations with live output.

    WiringError where it is no such database or lacks something.
    """
    try:
        with closing(sqlite3.connect(f"file:{Path(path).resolve()}?mode=ro", uri=True)) as database:
            return _read(database, outputs)
    except sqlite3.Error as error:
        raise WiringError(f"{path}: no database of sPyNNaker: {error}") from None


def _read(database: sqlite3.Connection, outputs: Sequence[str]) -> Wiring:
    def keys(label: str) -> tuple[int, ...]:
        rows = database.execute(
            "SELECT atom, event FROM label_event_atom_view WHERE label = ? ORDER BY atom", (label,)
        ).fetchall()
        if not rows or [a for a, _ in rows] != list(range(len(rows))):
            raise WiringError(f"the database has no keys for every atom of {label!r}")
        return tuple(int(key) for _, key in rows)

    places = database.execute(
        "SELECT x, y, p FROM application_vertex_placements WHERE vertex_label = ?", (LIVE_INPUT,)
    ).fetchall()
    if len(places) != 1:
        raise WiringError(f"{LIVE_INPUT!r} lies on {len(places)} cores, expected one")
    x, y, p = (int(v) for v in places[0])
    address = database.execute(
        "SELECT eth_ip_address FROM chip_eth_info WHERE x = ? AND y = ? OR x = 0 AND y = 0 ORDER BY x DESC LIMIT 1",
        (x, y),
    ).fetchone()
    tag = database.execute(
        "SELECT ip_address, port, tag, chip_x, chip_y, strip_sdp, board_address FROM app_output_tag_view "
        "WHERE pre_vertex_label = ? AND post_vertex_label LIKE ? LIMIT 1",
        (outputs[0], GATHERER + "%"),
    ).fetchone()
    if address is None or tag is None:
        raise WiringError("the database has no address of the board, or no tag of the live output")
    if not tag[5]:
        raise WiringError("the live output's tag keeps the SDP header; sPyNNaker's default strips it")
    step = database.execute(
        "SELECT value FROM configuration_parameters WHERE parameter_id = 'machine_time_step'"
    ).fetchone()
    return Wiring(
        str(address[0]), (x, y, p), int(tag[2]), (int(tag[3]), int(tag[4])), str(tag[0]), int(tag[1]), keys(LIVE_INPUT),
        {label: keys(label) for label in outputs}, float(step[0]) * 1e-6 if step else 1e-3,
    )  # fmt: skip


def write_database(path: Path, wiring: Wiring) -> None:
    """Write a database with what clients of sPyNNaker ask of one, under the names of its views."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(
            "CREATE TABLE configuration_parameters(parameter_id TEXT PRIMARY KEY, value REAL);"
            "CREATE TABLE proxy_configuration(kind TEXT, name TEXT, value TEXT);"
            "CREATE TABLE label_event_atom_view(atom INTEGER, event INTEGER, label TEXT);"
            "CREATE TABLE application_vertex_placements(x INTEGER, y INTEGER, p INTEGER, vertex_label TEXT);"
            "CREATE TABLE chip_eth_info(x INTEGER, y INTEGER, eth_x INTEGER, eth_y INTEGER, eth_ip_address TEXT);"
            "CREATE TABLE app_output_tag_view(ip_address TEXT, port INTEGER, strip_sdp BOOLEAN, board_address TEXT,"
            " tag INTEGER, pre_vertex_label TEXT, post_vertex_label TEXT, chip_x INTEGER, chip_y INTEGER);"
        )
        fill = database.executemany
        fill(
            "INSERT INTO configuration_parameters VALUES (?, ?)",
            [("runtime", -1.0), ("machine_time_step", wiring.time_step * 1e6)],
        )
        for label, keys in ((LIVE_INPUT, wiring.input_keys), *wiring.output_keys.items()):
            fill(
                "INSERT INTO label_event_atom_view VALUES (?, ?, ?)",
                [(atom, key, label) for atom, key in enumerate(keys)],
            )
        fill("INSERT INTO application_vertex_placements VALUES (?, ?, ?, ?)", [(*wiring.core, LIVE_INPUT)])
        fill("INSERT INTO chip_eth_info VALUES (?, ?, 0, 0, ?)", [(*wiring.core[:2], wiring.board)])
        fill(
            "INSERT INTO app_output_tag_view VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?)",
            [
                (wiring.host, wiring.port, wiring.board, wiring.tag, label, GATHERER, *wiring.chip)
                for label in wiring.output_keys
            ],
        )


class KeyMap:
    """Which key of a machine is which neuron of a network with an echo.

    form: of the network with its echo; inputs, outputs: without. atoms: how many have live output, one population
    after another. WiringError where the machine has another network.
    """

    def __init__(self, form: SpinnakerForm, wiring: Wiring, inputs: Layout, outputs: Layout) -> None:
        sizes = {p.name: p.size for p in form.populations}
        live = sum(p.size for p in form.inputs)
        if len(wiring.input_keys) != live:
            raise WiringError(f"the machine has {len(wiring.input_keys)} live inputs, the network {live}")
        labels = [form.output_of[p.name] for p in form.outputs]
        for label in labels:
            keys = wiring.output_keys.get(label, ())
            if len(keys) != sizes[label]:
                raise WiringError(f"the machine has {len(keys)} keys for {label!r} of {sizes[label]}")
        self.wiring = wiring
        self._input_keys = np.array(wiring.input_keys, np.uint32)
        first = {p.name: p.first for p in form.inputs}
        self._input_atoms = np.concatenate([np.arange(p.size) + first[p.name] for p in inputs])
        self._probe_atom = first[INPUT]
        every = [key for label in labels for key in wiring.output_keys[label]]
        self.atoms = len(every)
        self._output_atom = {key: atom for atom, key in enumerate(every)}
        place = {p.name: p.first for p in outputs}
        self._neuron = [
            place[p.name] + i if p.name in place else -1 for p in form.outputs for i in range(p.size)
        ]
        self._echo_atom = next(p.first for p in form.outputs if p.name == OUTPUT)

    def keys(self, neurons: np.ndarray) -> np.ndarray:
        """The keys of input neurons, (k,)."""
        return self._input_keys[self._input_atoms[neurons]]

    def probe_key(self, channel: int) -> np.ndarray:
        """The key of a channel of the echo, (1,)."""
        return self._input_keys[self._probe_atom + channel][None]

    def output_atoms(self, keys: np.ndarray) -> list[int]:
        """The atom of each key of live output, -1 for none."""
        return [self._output_atom.get(key, -1) for key in keys.tolist()]

    def neuron(self, atom: int) -> int:
        """The output neuron of an atom, -1 for the echo's."""
        return self._neuron[atom]

    def channel(self, atom: int) -> int:
        """The channel of the echo of an atom."""
        return atom - self._echo_atom

"""Writes a network as a PyNN script for sPyNNaker, with its numbers in an npz file beside it.

The script maps on sPyNNaker's virtual board (checked in `tests/peers`), which runs nothing. It was never run on a real
one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from firmware_bridge.boards.echo import with_echo
from firmware_bridge.boards.spinnaker_wiring import GATHERER, LIVE_INPUT
from hybrid_control.snn import Network
from hybrid_control.snn.backends.spinnaker import SpinnakerForm, spinnaker_form

_SCRIPT = '''\
"""The network of {name} for sPyNNaker 7.4.1, made by `hybrid-control boards export --target spinnaker`.

Mapped on sPyNNaker's virtual board; never run on a SpiNNaker machine.

    python {script}                  run until Enter is pressed, with live input and output
    python {script} --virtual        only map it, on a virtual board of 48 chips, and write the table of keys

The bridge is told of the database on UDP port {notify_port} of this host. A bridge on another host gets the table of
keys, which is written to {table}, and its address is given as --bridge.
"""

import argparse
import json
import os
import sqlite3
from pathlib import Path

import numpy
import pyNN.spiNNaker as sim

HERE = Path(__file__).resolve().parent
LIVE_INPUT = "{live_input}"
# name, model, neurons, largest sums of weights that a time step brings (excitatory, inhibitory)
POPULATIONS = (
{populations})
# name, source, target, receptor, delay in ms; a source LIVE_INPUT has its neurons numbered through all inputs
PROJECTIONS = (
{projections})
# inputs: name, first atom of LIVE_INPUT, size
INPUTS = (
{inputs})
# populations with live output
OUTPUTS = {outputs}


def build(arrays, bridge, notify_port):
    injector = sim.external_devices.SpikeInjector(
        database_notify_host=bridge, database_notify_port_num=notify_port)
    size = sum(n for _, _, n in INPUTS)
    live_input = sim.Population(size, injector, label=LIVE_INPUT)
    populations = {{LIVE_INPUT: live_input}}
    for name, model, neurons, largest in POPULATIONS:
        prefix = name + "."
        parameters = {{key[len(prefix):]: list(arrays[key]) for key in arrays if key.startswith(prefix)}}
        kind = sim.IF_curr_exp if model == "IF_curr_exp" else sim.extra_models.IFCurDelta
        population = sim.Population(
            neurons, kind(**parameters), label=name,
            additional_parameters={{"max_expected_summed_weight": list(largest)}})
        population.initialize(v=parameters["v_rest"])
        populations[name] = population
    for number, (name, source, target, receptor, delay) in enumerate(PROJECTIONS):
        pre, post, weight = (arrays["projection%d/%s" % (number, part)] for part in ("pre", "post", "weight"))
        rows = numpy.column_stack((pre, post, weight, numpy.full(pre.size, delay)))
        sim.Projection(
            populations[source], populations[target],
            sim.FromListConnector(rows, column_names=("weight", "delay")),
            receptor_type=receptor, label=name)
    for name in OUTPUTS:
        sim.external_devices.activate_live_output_for(
            populations[name], database_notify_host=bridge, database_notify_port_num=notify_port)


def table_of_keys(database, time_step_ms):
    """What the bridge needs to know, from the database that sPyNNaker wrote."""
    connection = sqlite3.connect(database)
    keys = {{}}
    for label in (LIVE_INPUT,) + tuple(OUTPUTS):
        rows = connection.execute(
            "SELECT event FROM label_event_atom_view WHERE label = ? ORDER BY atom", (label,))
        keys[label] = [key for key, in rows]
    core = connection.execute(
        "SELECT x, y, p FROM application_vertex_placements WHERE vertex_label = ?", (LIVE_INPUT,)).fetchone()
    board = connection.execute(
        "SELECT eth_ip_address FROM chip_eth_info WHERE x = ? AND y = ?", core[:2]).fetchone()[0]
    host, port, tag, x, y = connection.execute(
        "SELECT ip_address, port, tag, chip_x, chip_y FROM app_output_tag_view "
        "WHERE pre_vertex_label = ? AND post_vertex_label LIKE '{gatherer}%'", (OUTPUTS[0],)).fetchone()
    connection.close()
    return {{
        "board": board, "core": core, "tag": tag, "chip": (x, y), "host": host, "port": port,
        "input_keys": keys.pop(LIVE_INPUT), "output_keys": keys, "time_step": time_step_ms * 1e-3}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--virtual", action="store_true", help="map on a virtual board, run nothing")
    parser.add_argument("--machine", default="", help="host name or address of the board; default as in .spynnaker.cfg")
    parser.add_argument("--bridge", default="localhost", help="host of the bridge")
    parser.add_argument("--notify-port", type=int, default={notify_port}, help="its UDP port for the database")
    parser.add_argument("--ms", type=float, default=0.0, help="run for so long; 0 until Enter is pressed")
    arguments = parser.parse_args()
    with numpy.load(HERE / "{arrays}") as file:
        arrays = dict(file)
    if arguments.virtual:
        folder = HERE / "virtual"
        folder.mkdir(exist_ok=True)
        os.chdir(folder)  # for its reports
        os.environ["HOME"] = str(folder)  # where sPyNNaker looks for its configuration; the user's stays as it is
        (folder / ".spynnaker.cfg").write_text("[Machine]\\nversion = 5\\nvirtual_board = True\\n")
    sim.setup(timestep=1.0)
    from spinn_utilities.config_holder import set_config
    if not arguments.virtual and arguments.machine:
        set_config("Machine", "machine_name", arguments.machine)
        set_config("Machine", "version", "5")
    set_config("Database", "create_database", "True")
    build(arrays, arguments.bridge, arguments.notify_port)
    if arguments.virtual:
        set_config("Database", "wait_on_confirmation", "False")
        set_config("Reports", "keep_input_output_database", "True")
        sim.run(1.0)
        write_table()
    elif arguments.ms > 0:
        sim.run(arguments.ms)
        write_table()
    else:
        sim.external_devices.run_forever()
        write_table()
        input("running; Enter stops ")
        sim.external_devices.request_stop()
    sim.end()


def write_table():
    from spinn_front_end_common.data import FecDataView
    database = FecDataView.get_database_file_path()
    table = table_of_keys(database, 1.0)
    (HERE / "{table}").write_text(json.dumps(table) + "\\n")
    print("keys of %d live inputs and %d outputs: %s" % (
        len(table["input_keys"]), sum(map(len, table["output_keys"].values())), HERE / "{table}"))


if __name__ == "__main__":
    main()
'''


def export(network: Network, out: Path, notify_port: int = 19999) -> list[Path]:
    """Write OUT (a .py file) and the numbers beside it; returns both files. BoardRefusal where SpiNNaker can't run it.

    network: one whose inputs are all spikes, as `split.split` makes it.
    """
    form = spinnaker_form(with_echo(network))
    arrays_file = out.with_suffix(".npz")
    out.write_text(
        script(form, out.stem, out.name, arrays_file.name, out.with_suffix(".keys.json").name, notify_port),
        encoding="utf-8",
    )
    np.savez(arrays_file, **_arrays(form))  # type: ignore[arg-type]
    return [out, arrays_file]


def script(
    form: SpinnakerForm, name: str, script_name: str, arrays: str, table: str, notify_port: int
) -> str:
    """The script's text."""
    outputs = tuple(form.output_of[p.name] for p in form.outputs)
    inputs = {p.name for p in form.inputs}
    return _SCRIPT.format(
        name=name, script=script_name, arrays=arrays, table=table, notify_port=notify_port, live_input=LIVE_INPUT,
        gatherer=GATHERER, outputs=repr(outputs),
        populations=_rows((p.name, p.model, p.size, tuple(float(v) for v in p.largest)) for p in form.populations),
        projections=_rows(
            (j.name, LIVE_INPUT if j.source in inputs else j.source, j.target, j.receptor, j.delay)
            for j in form.projections
        ),
        inputs=_rows((p.name, p.first, p.size) for p in form.inputs),
    )  # fmt: skip


def _rows(rows: object) -> str:
    return "".join(f"    {row!r},\n" for row in rows)  # type: ignore[attr-defined]


def _arrays(form: SpinnakerForm) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {
        f"{p.name}.{key}": values for p in form.populations for key, values in p.parameters.items()
    }
    first = {p.name: p.first for p in form.inputs}
    for number, j in enumerate(form.projections):
        arrays[f"projection{number}/pre"] = j.pre + first.get(j.source, 0)
        arrays[f"projection{number}/post"] = j.post
        arrays[f"projection{number}/weight"] = j.weight
    return arrays

"""What a person types is checked, in one line, before anything is started."""

import argparse
import json
import shutil

import pytest

from hybrid_control.bringup.options import Fault, When, parse_fault, parse_when
from hybrid_control.bringup.parameter_files import config_folder, read_parameters
from hybrid_control.cli import doctor, main
from hybrid_control.cli import sim as commands


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    commands.add_commands(parser.add_subparsers())
    return commands.options_of(parser.parse_args(["sim", *arguments]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--world", "nowhere"], "unknown world 'nowhere'; there are default"),
        (["--robot", "husky"], "unknown robot 'husky'; there are burger, car, jackal"),
        (["--model", "missing.onnx"], "--model: missing.onnx: no such file"),
        (["--network", "missing.nir"], "--network: missing.nir: no such file"),
        (["--params", "missing.yaml"], "params_file: missing.yaml: no such file"),
        (["--params", "turtlebot"], "params_file: no 'turtlebot' in config/, there are board,"),
        (["--duration", "0"], "--duration 0: expected more than 0 s, at most 3600"),
        (["--duration", "nan"], "--duration nan: expected"),
        (["--real-time-factor", "-1"], "--real-time-factor -1: expected more than 0"),
        (["--seed", "-1"], "--seed -1: expected 0 .."),
        (["--seeds", "0"], "--seeds 0: expected 1 .. 1000"),
        (["--domain", "102"], "--domain 102: expected 0 .. 101"),
        (["--kill-planner-at", "soon"], "--kill-planner-at: 'soon' is no moment"),
        (["--kill-planner-at", "120%"], "--kill-planner-at: '120%' is no moment"),
        (["--composed", "--kill-planner-at", "5"], "with --composed the planner is no process of its own"),
        (["--camera-fault", "purple@3"], "--camera-fault: 'purple@3'; expected KIND@WHEN"),
        (["--scan-fault", "silent"], "--scan-fault: 'silent'; expected KIND@WHEN"),
        (["--scan-fault", "silent@3:-1"], "'-1' is no length of time"),
    ],
)
def test_sim_refuses_a_mistake_in_one_line_with_status_2(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["sim", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())  # nothing half-done


def test_sim_takes_a_parameter_file_of_config_by_its_name():
    named, by_path = (parsed("--params", p) for p in ("quad", str(config_folder() / "quad.yaml")))
    assert named.parameters == by_path.parameters
    assert named.parameters["reflex_node"]


def test_no_command_prints_what_there_is(capsys):
    assert main([]) == 0
    said = capsys.readouterr()
    assert not said.err
    assert all(name in said.out for name in ("sim", "up", "doctor", "bench"))


def test_sim_refuses_the_viewer_without_a_display(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ValueError, match="there is no display"):
        parsed("--viewer")


def test_sim_refuses_a_model_that_breaks_the_contract(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"no model at all")
    with pytest.raises(ValueError, match=r"model\.onnx: not an ONNX model"):
        parsed("--model", str(file))


def test_moments_and_faults_are_read_as_typed():
    assert parse_when("12.5", "--x") == When(seconds=12.5)
    assert parse_when("50%", "--x") == When(share=0.5)
    assert parse_fault("silent@5:0.5", "scan") == Fault("scan", "silent", When(seconds=5.0), 0.5)
    assert parse_fault("black@25%", "camera") == Fault("camera", "black", When(share=0.25), None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "reflex_node: {ros__parameters: {avoidance_gian: 1.0}}",
            "unknown parameter 'avoidance_gian'; did you mean",
        ),
        ("reflex_node: {ros__parameters: {avoidance_gain: 99.0}}", "avoidance_gain: 99.0 is out of range"),
        (
            "reflex_node: {ros__parameters: {avoidance_gain: fast}}",
            "avoidance_gain: 'fast' is a str, expected float",
        ),
        ("reflx_node: {ros__parameters: {}}", "unknown node 'reflx_node'"),
        ("reflex_node: {parameters: {}}", "expected ros__parameters"),
        ("/**: {ros__parameters: {colour: red}}", "unknown parameter 'colour': no node has it"),
        ("[1, 2]", "expected node names"),
        ("{", "not YAML"),
    ],
)
def test_parameter_file_with_a_mistake_is_refused_in_one_line(tmp_path, text, said):
    file = tmp_path / "params.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match="params") as refused:
        read_parameters(file)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_parameter_file_lies_over_the_defaults(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text(
        "/**/reflex_node: {ros__parameters: {use_sim_time: false, avoidance_gain: 2}}\n"
        "/**: {ros__parameters: {odom_frame: o}}\n"
    )
    values = read_parameters(file)
    assert values["reflex_node"]["avoidance_gain"] == 2.0
    assert values["reflex_node"]["goal_gain"] == read_parameters(None)["reflex_node"]["goal_gain"]
    assert {values[n]["odom_frame"] for n in ("reflex_node", "planner_node", "sim_node")} == {"o"}


def test_doctor_tells_ok_from_missing_and_how_to_get_it():
    good = doctor.Trial("good", "print('all is well')", True, "")
    bad = doctor.Trial("bad", "raise RuntimeError('no luck')", True, "try again")
    optional = doctor.Trial("optional", "raise SystemExit('not permitted: ask for it')", False, "")
    absent = doctor.Trial("absent", "import no_such_package", True, "apt-get install it")
    findings = [t.finish(t.start()) for t in (good, bad, optional, absent)]
    assert [(f.status, f.detail, f.help) for f in findings] == [
        ("ok", "all is well", ""),
        ("missing", "RuntimeError: no luck", "try again"),
        ("note", "not permitted", "ask for it"),
        ("missing", "ModuleNotFoundError: No module named 'no_such_package'", doctor._SETUP),
    ]


def test_doctor_names_the_package_that_the_firmware_lacks(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "avr-gcc" else f"/usr/bin/{name}")
    found = doctor.toolchain()
    assert found.status == "note"
    assert "avr-gcc" in found.detail
    assert "apt install gcc-avr avr-libc" in found.help


def test_doctor_reads_the_governor(tmp_path):
    for i, name in enumerate(("performance", "powersave")):
        folder = tmp_path / f"cpu{i}" / "cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(f"{name}\n")
    assert doctor.governor(tmp_path).status == "note"
    (tmp_path / "cpu1" / "cpufreq" / "scaling_governor").write_text("performance\n")
    assert doctor.governor(tmp_path).status == "ok"
    assert "not to be seen" in doctor.governor(tmp_path / "nothing").detail


def test_doctor_is_ready_where_everything_needed_is_there(capsys):
    here = doctor.Trial("ROS 2", "print('here')", True, "")
    assert doctor.run(as_json=True, trials=[here]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["ready"] is True
    assert {"Python", "libraries", "ROS 2", "disk"} <= {f["name"] for f in content["findings"]}
    gone = doctor.Trial("ROS 2", "raise SystemExit('gone')", True, "install it")
    assert doctor.run(trials=[gone]) == 1
    said = capsys.readouterr().out
    assert "✗ ROS 2" in said
    assert "→ install it" in said
    assert "not ready" in said

"""One parameter is set in a file, and whatever else a person wrote into it stays to the letter."""

from __future__ import annotations

import pytest

from hybrid_control.bringup.parameter_edit import set_parameter
from hybrid_control.bringup.parameter_files import config_folder, read_yaml
from hybrid_control.parameters import ParameterError

MASK = "2.650..2.850:0.50, -2.850..-2.650:0.50"
FILE = """# my rover
/**/lidar:  # not one of ours
  ros__parameters: {port: /dev/rplidar, angle_compensate: true}

/**/reflex_node:
  ros__parameters:
    max_speed: 0.3  # a hall with people
    body_mask: ''  # learnt by hybrid-control mask
    goal_gain: 1.5

/robot2/planner_node:
  ros__parameters:
    rate: 7.0
"""


def edited(tmp_path, text, namespace=None, value=MASK):
    file = tmp_path / "rover.yaml"
    file.write_text(text)
    set_parameter(file, "reflex_node", "body_mask", value, namespace)
    assert [f.name for f in tmp_path.iterdir()] == ["rover.yaml"]
    return file


def test_parameter_that_stands_in_a_file_changes_there_and_nothing_else_does(tmp_path):
    file = edited(tmp_path, FILE)
    assert file.read_text() == FILE.replace("body_mask: ''", f"body_mask: '{MASK}'")
    assert read_yaml(file)["reflex_node"] == {"max_speed": 0.3, "body_mask": MASK, "goal_gain": 1.5}
    set_parameter(file, "reflex_node", "body_mask", "")
    assert file.read_text() == FILE


def test_parameter_that_a_file_lacks_comes_into_its_section_first(tmp_path):
    text = FILE.replace("    body_mask: ''  # learnt by hybrid-control mask\n", "")
    file = edited(tmp_path, text)
    assert file.read_text() == text.replace("    max_speed", f"    body_mask: '{MASK}'\n    max_speed")


def test_section_and_file_are_made_where_there_is_none(tmp_path):
    file = edited(tmp_path, "lidar: {ros__parameters: {port: /dev/x}}")
    assert file.read_text().startswith("lidar: {ros__parameters: {port: /dev/x}}\n\n/**/reflex_node:\n")
    set_parameter(tmp_path / "new.yaml", "reflex_node", "body_mask", MASK, "/robot1")
    assert (tmp_path / "new.yaml").read_text().startswith("/robot1/reflex_node:\n")
    for name in ("rover", "new"):
        assert read_yaml(tmp_path / f"{name}.yaml")["reflex_node"] == {"body_mask": MASK}


@pytest.mark.parametrize("name", ["custom_rover", "turtlebot3_waffle", "sim"])
def test_parameter_files_that_are_shipped_take_it(name, tmp_path):
    text = (config_folder() / f"{name}.yaml").read_text()
    file = edited(tmp_path, text)
    assert file.read_text() == text.replace("body_mask: ''", f"body_mask: '{MASK}'")


def test_section_of_the_robot_named_is_changed_and_without_a_name_two_are_refused(tmp_path):
    text = "".join(f"/{r}/reflex_node:\n  ros__parameters:\n    body_mask: ''\n" for r in ("robot1", "robot2"))
    file = edited(tmp_path, text, "/robot2")
    assert file.read_text() == text[:-3] + f"'{MASK}'\n"
    with pytest.raises(ParameterError, match=r"has 2 sections of reflex_node .*; say which with --namespace"):
        set_parameter(file, "reflex_node", "body_mask", "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("reflex_node: {ros__parameters: {goal_gain: 1.0}}\n", "write its parameters on lines of their own"),
        ("a: {ros__parameters: &x {body_mask: ''}}\nreflex_node: {ros__parameters: *x}\n", "can't be changed in place"),
        ("- 1\n", "not a parameter file"),
        ("a: [1\n", "not YAML"),
        ("a: {ros__parameters: &a {b: 1}}\nreflex_node:\n  ros__parameters:\n    <<: *a\n", "merge keys"),
    ],
)  # fmt: skip
def test_file_that_can_t_be_changed_alone_there_is_refused_in_one_line_and_stays(text, why, tmp_path):
    with pytest.raises(ParameterError, match=why) as refused:
        edited(tmp_path, text)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "rover.yaml").read_text() == text
    assert [f.name for f in tmp_path.iterdir()] == ["rover.yaml"]


def test_value_that_can_t_be_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="body_mask: 3 is a int, expected str"):
        edited(tmp_path, FILE, value=3)

"""Installs the nodes where ros2 run finds them."""

from setuptools import find_packages, setup

NODES = (
    "planner_node",
    "rate_to_spike_node",
    "learner_node",
    "reflex_node",
    "sim_node",
    "replay_node",
    "composed_node",
    "firmware_bridge_node",
    "mavlink_bridge_node",
    "reflex_wheels_node",
    "board_bridge_node",
    "reflex_board_node",
    "frames_node",
)

setup(
    name="hybrid_control_ros",
    version="0.1.0",
    packages=find_packages(),
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/hybrid_control_ros"]),
        ("share/hybrid_control_ros", ["package.xml"]),
    ],
    install_requires=["setuptools"],
    license="Apache-2.0",
    entry_points={"console_scripts": [f"{node} = hybrid_control_ros.main:main" for node in NODES]},
)

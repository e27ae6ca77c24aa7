"""The parameters of each ROS node, beside those of the libraries that they stand on.

They stand here and not beside the nodes so that the command line can check YAML files and print tables without ROS.
"""

from __future__ import annotations

from hybrid_control.parameters import Parameter
from hybrid_control.reflex.gains import GAINS, SETTINGS

AUTOSTART = Parameter(
    "autostart", False, "", "configure and activate at once, where no launch file or supervisor does it"
)
ODOM_FRAME = Parameter("odom_frame", "odom", "", "frame of odometry and goal; what comes in another is refused")
STAMPED_CMD_VEL = Parameter("stamped_cmd_vel", True, "", "cmd_vel is a TwistStamped; a Twist where false")

SIM: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter("world", "default", "", "name of a world, or a world file"),
    Parameter("robot", "jackal", "", "name of a robot"),
    Parameter("seed", 0, "", "seed of everything random: noise, drift, light, textures", 0, 2**31 - 1),
    Parameter("real_time_factor", 1.0, "", "simulated seconds in a second; 0 for as fast as it goes", 0.0, 100.0),
    Parameter(
        "stamps", "ros", "",
        "ros: as on a robot, from the ROS clock, which needs a real_time_factor of 1; "
        "simulated: simulated seconds, for nodes with use_sim_time",
        choices=("ros", "simulated"),
    ),
    Parameter("clock_rate", 100.0, "Hz", "messages a simulated second on /clock", 10.0, 1000.0),
    Parameter("camera", True, "", "whether the camera is drawn"),
    Parameter("viewer", False, "", "whether MuJoCo's window opens"),
    STAMPED_CMD_VEL,
    ODOM_FRAME,
    Parameter(
        "camera_fault", "", "", "for tests: what the camera shows instead",
        choices=("", "black", "white", "nan", "size", "freeze", "silent"), live=True,
    ),
    Parameter(
        "scan_fault", "", "", "for tests: what the lidar says instead", choices=("", "nan", "silent"), live=True
    ),
)  # fmt: skip

PLANNER: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter("model_file", "", "", "ONNX file of the planner; empty for the one that comes with hybrid_control"),
    Parameter("compressed", False, "", "camera/image_raw is a CompressedImage (JPEG or PNG)"),
    Parameter("rate", 15.0, "Hz", "most images planned on in a second", 1.0, 100.0),
    Parameter("min_contrast", 2.0, "", "least contrast, in grey levels, of an image that shows something", 0.0, 127.0),
    Parameter("image_timeout", 0.5, "s", "age of an image beyond which it is refused", 0.05, 5.0),
    Parameter("odometry_timeout", 0.5, "s", "age of the newest odometry beyond which nothing is planned", 0.05, 5.0),
    ODOM_FRAME,
)

RATE_TO_SPIKE: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter("window", 0.010, "s", "length of the windows of planner/spikes", 0.001, 0.1),
    Parameter("code", "poisson", "", "how rates become spikes", choices=("poisson", "regular", "latency")),
    Parameter("seed", 0, "", "seed of the Poisson code", 0, 2**31 - 1),
    Parameter("rates_timeout", 0.4, "s", "age of the newest rates beyond which no spikes are sent", 0.02, 5.0),
)

REFLEX: tuple[Parameter, ...] = (
    AUTOSTART,
    STAMPED_CMD_VEL,
    ODOM_FRAME,
    Parameter("base_frame", "base_link", "", "frame_id of a stamped cmd_vel"),
    Parameter("scan_frame", "", "", "frame of the scan, others are refused; empty for that of the first one"),
    Parameter("seed", 0, "", "seed of the network's noise", 0, 2**31 - 1),
    Parameter("command_rate", 100.0, "Hz", "commands a second, beside one for every new scan", 10.0, 1000.0),
    Parameter("spikes_rate", 50.0, "Hz", "messages a second on reflex/spikes; 0 for none", 0.0, 100.0),
    Parameter("watchdog_timeout", 0.02, "s", "a loop that stood still for so long is stopped for good", 0.005, 1.0),
    *SETTINGS,
    *GAINS,
)

#: Parameters by the name under which each node runs.
NODES: dict[str, tuple[Parameter, ...]] = {
    "sim_node": SIM,
    "planner_node": PLANNER,
    "rate_to_spike_node": RATE_TO_SPIKE,
    "reflex_node": REFLEX,
}

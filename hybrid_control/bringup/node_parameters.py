"""The parameters of each ROS node, beside those of the libraries that they stand on.

They stand here and not beside the nodes so that the command line can check files and print tables without ROS.
"""

from __future__ import annotations

import dataclasses

from hybrid_control.backends import BOARDS
from hybrid_control.bringup.options import CAMERA_FAULTS, SCAN_FAULTS
from hybrid_control.navigation.ground.hidden import REACH, SURE
from hybrid_control.navigation.ground.trust import ADAPTIVE
from hybrid_control.navigation.planner.depths import AGE
from hybrid_control.navigation.planner.rates import RATES_TIMEOUT
from hybrid_control.navigation.reflex.gains import GAINS, ON_BOARD, SETTINGS
from hybrid_control.parameters import Parameter

AUTOSTART = Parameter(
    "autostart", False, "", "configure and activate at once, where no launch file or supervisor does it"
)
ODOM_FRAME = Parameter(
    "odom_frame", "odom", "", "frame of odometry and goal; what comes in another is refused"
)
STAMPED_CMD_VEL = Parameter("stamped_cmd_vel", True, "", "cmd_vel is a TwistStamped; a Twist where false")

CAMERA_MOUNT: tuple[Parameter, ...] = (
    Parameter("camera_x", 0.25, "m", "the camera's place ahead of the robot's centre", -2.0, 2.0),
    Parameter("camera_z", 0.25, "m", "the camera's height above the ground", 0.02, 3.0),
    Parameter("camera_pitch", 0.08, "rad", "the camera's tilt, positive where it looks down", -1.5, 1.5),
    Parameter("camera_hfov", 1.5, "rad", "width of the camera's view", 0.1, 3.0),
    Parameter("camera_aspect", 0.75, "", "the image's height by its width", 0.1, 4.0),
)
CAMERA_INPUT = ("camera_z", "camera_pitch", "camera_hfov")
"""What of it a model may take."""
MOUNTS = tuple(
    p
    for p in SETTINGS
    if p.name in ("lidar_x", "lidar_y", "lidar_yaw", "robot_length", "robot_width", "outline_x")
)
"""Where the lidar is, and the robot's outline."""

SIM: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter("world", "default", "", "name of a world, or a world file"),
    Parameter("robot", "jackal", "", "name of a robot"),
    Parameter("seed", 0, "", "seed of everything random: noise, drift, light, textures", 0, 2**31 - 1),
    Parameter(
        "real_time_factor", 1.0, "",
        "simulated seconds in a second; 0 for as fast as it goes", 0.0, 100.0,
    ),
    Parameter(
        "stamps", "ros", "",
        "ros: stamps from the ROS clock as on a robot, which needs a real_time_factor of 1; "
        "simulated: simulated seconds, for nodes with use_sim_time",
        choices=("ros", "simulated"),
    ),
    Parameter("clock_rate", 100.0, "Hz", "messages a simulated second on /clock", 10.0, 1000.0),
    Parameter("camera", True, "", "whether the camera is drawn"),
    Parameter("depth", False, "", "whether a depth camera in its place is, too, on camera/depth/image_raw"),
    Parameter(
        "event_camera", False, "",
        "whether the robot has an event camera too, on the topic events; needs event_camera_msgs",
    ),
    Parameter("viewer", False, "", "whether MuJoCo's window opens"),
    Parameter(
        "wheel_port", 0, "", "UDP port of this machine at which an emulated firmware tells how fast its wheels turn, "
        "in place of cmd_vel, and then no odom is published; 0 for none", 0, 65535,
    ),
    STAMPED_CMD_VEL,
    ODOM_FRAME,
    Parameter(
        "camera_fault", "", "", "for tests: what the camera shows instead",
        choices=("", *CAMERA_FAULTS), live=True,
    ),
    Parameter(
        "scan_fault", "", "", "for tests: what the lidar says instead", choices=("", *SCAN_FAULTS), live=True
    ),
)  # fmt: skip

PLANNER: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter(
        "model_file", "", "",
        "ONNX file of the planner, or the name of one that ships, such as planner; empty for the default"
    ),
    Parameter("compressed", False, "", "camera/image_raw is a CompressedImage (JPEG or PNG)"),
    Parameter("rate", 15.0, "Hz", "most images planned on in a second", 1.0, 100.0),
    Parameter(
        "hold",
        0.0,
        "s",
        "most time that a plan holds while next to nothing changes; 0: each image is planned on",
        0.0,
        0.4,
    ),
    Parameter(
        "min_contrast",
        2.0,
        "",
        "least contrast, in grey levels, of an image that shows something",
        0.0,
        127.0,
    ),
    Parameter("image_timeout", 0.5, "s", "age of an image beyond which it is refused", 0.05, 5.0),
    Parameter(
        "depth_timeout", AGE, "s",
        "time between an image and a depth image beyond which it is planned on without", 0.0, 1.0,
    ),
    Parameter(
        "odometry_timeout", 0.5, "s", "age of the newest odometry beyond which nothing is planned", 0.05, 5.0
    ),
    Parameter(
        "route_memory",
        True,
        "",
        "a memory of the scans leads planner and reflex to the goal, by planner/waypoint",
    ),
    Parameter(
        "no_way",
        "stop",
        "",
        "what the robot does where its memory shows no way to the goal: stop, or forget what it saw and look again",
        choices=("stop", "explore"),
    ),
    Parameter(
        "route_scan",
        "scan",
        "",
        "topic of the scans that the route memory takes: learner/scan where ground is taught",
    ),
    *(p for p in CAMERA_MOUNT if p.name in CAMERA_INPUT),
    *MOUNTS,
    ODOM_FRAME,
)

RATE_TO_SPIKE: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter("window", 0.010, "s", "length of the windows of planner/spikes", 0.001, 0.1),
    Parameter("code", "poisson", "", "how rates become spikes", choices=("poisson", "regular", "latency")),
    Parameter("seed", 0, "", "seed of the Poisson code", 0, 2**31 - 1),
    Parameter(
        "max_rate",
        200.0,
        "Hz",
        "rate at which the latency code spikes at once: the peak of the planner's rates",
        1.0,
        1000.0,
    ),
    Parameter(
        "rates_timeout",
        RATES_TIMEOUT,
        "s",
        "age of the newest rates beyond which no spikes are sent",
        0.02,
        5.0,
    ),
)

REFLEX: tuple[Parameter, ...] = (
    AUTOSTART,
    STAMPED_CMD_VEL,
    ODOM_FRAME,
    Parameter("base_frame", "base_link", "", "frame_id of a stamped cmd_vel"),
    Parameter("scan_frame", "", "", "frame of the scan, others are refused; empty for that of the first one"),
    Parameter(
        "sensors",
        "scan laser",
        "",
        "topics that obstacles are seen by, parted by ';': TOPIC KIND KEY=NUMBER..., kinds laser, points, depth, range "
        "and events (docs/sensors.md); 'scan laser' alone is mounted by lidar_x, lidar_y and lidar_yaw",
    ),
    Parameter("command_rate", 100.0, "Hz", "commands a second, beside one for every new scan", 10.0, 1000.0),
    Parameter("spikes_rate", 50.0, "Hz", "messages a second on reflex/spikes; 0 for none", 0.0, 100.0),
    Parameter(
        "watchdog_timeout", 0.02, "s", "time without a tick for which the robot is stopped", 0.005, 1.0
    ),
    Parameter(
        "max_command_age", 0.1, "s", "age of the newest tick's command beyond which zero is sent", 0.02, 1.0
    ),
    Parameter(
        "directions_trust", ADAPTIVE, "",
        "how much a planner of contract 2 counts: adaptive, as its planner/directions prove right by the scan, or a "
        "number within 0 .. 1 in words, such as '0.8'", live=True,
    ),
    Parameter(
        "directions_reach", REACH, "m",
        "distance from the camera up to which it is judged, and what it sees that no scan shows is remembered and kept "
        "off; 0: it is not listened to", 0.0, 10.0,
    ),
    Parameter(
        "directions_threshold", SURE, "", "least confidence of such a planner that closes ground for the robot",
        0.05, 1.0,
    ),
    Parameter("hidden_rate", 15.0, "Hz", "messages a second on planner/hidden", 1.0, 100.0),
    *CAMERA_MOUNT,
    *SETTINGS,
    *GAINS,
)  # fmt: skip

LEARNER: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter(
        "effects", "", "",
        "what each class of ground does, such as 'puddle=avoid; dock=approach; gravel=slow'; one that is not named "
        "is ignored",
    ),
    Parameter(
        "memory_file", "", "",
        "file in which it keeps what it learnt, read where it is there; empty: it is lost at the node's end",
    ),
    Parameter(
        "model_file", "", "",
        "ONNX file with the features that are told apart; empty for the planner that comes with hybrid_control",
    ),
    Parameter(
        "output", "", "", "output of that file with the features, (features, rows, columns); empty: 'features'"
    ),
    Parameter("label_lasts", 3.0, "s", "time for which a label on learner/label is learnt", 0.1, 60.0),
    Parameter(
        "lesson_pause", 6.0, "s",
        "time without a label after which the lesson is over, and what was new in it takes effect", 0.1, 600.0,
    ),
    Parameter("reach", 2.0, "m", "distance from the camera up to which ground is looked at", 0.5, 10.0),
    Parameter("slow_speed", 0.3, "m/s", "speed on slow ground, and while something is taught", 0.05, 5.0),
    Parameter("copies", 15, "", "copies of the classifier that decide together", 1, 30),
    Parameter("seed", 0, "", "seed of the classifier's noise", 0, 2**31 - 1),
    Parameter("rate", 15.0, "Hz", "most images looked at in a second", 1.0, 100.0),
    Parameter("ground_rate", 30.0, "Hz", "messages a second on learner/ground", 5.0, 100.0),
    Parameter("compressed", False, "", "camera/image_raw is a CompressedImage (JPEG or PNG)"),
    *CAMERA_MOUNT,
    Parameter(
        "image_timeout", 0.5, "s",
        "age of the newest image that showed something, beyond which nothing is said of the ground", 0.05, 5.0,
    ),
    Parameter(
        "odometry_timeout", 0.25, "s",
        "age of the newest odometry beyond which nothing is said of the ground", 0.05, 5.0,
    ),
    *MOUNTS,
    ODOM_FRAME,
    Parameter("base_frame", "base_link", "", "frame of the robot, in which learner/ground is"),
)  # fmt: skip

BOARD_BRIDGE: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter("backend", "spinnaker", "", "the board; as the reflex's", choices=BOARDS),
    Parameter(
        "connection", "", "",
        "how the board is met where it differs from the usual, such as 'listen=10.0.0.1, table=reflex.keys.json'",
    ),
    *(p for p in SETTINGS if p.name == "network_file"),
    *(dataclasses.replace(p, live=False) for p in GAINS if p.name in ON_BOARD),
)  # fmt: skip

FIRMWARE_BRIDGE: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter(
        "driver", "link", "", "what turns the wheels: this project's firmware, or another's",
        choices=("link", "ros_arduino_bridge", "odrive", "vesc", "dynamixel"),
    ),
    Parameter(
        "port", "/dev/ttyACM0", "",
        "serial port, serial:NUMBER for a USB port by its serial number, or tcp://HOST:PORT",
    ),
    Parameter("baud", 0, "", "baud rate; 0 for the driver's usual one", 0, 4_000_000),
    Parameter(
        "motors", "", "",
        "motors in the order of the wheels, such as '1, 2': ODrive axes, Dynamixel ids, CAN ids of "
        "VESCs ('local' for the one connected); empty for the driver's usual ones",
    ),
    Parameter(
        "directions", "", "",
        "1 or -1 for each motor (all drivers but link), such as '1, -1'; empty for the driver's usual ones",
    ),
    Parameter("gear", 1.0, "", "turns of the motor in one of the wheel (odrive, vesc)", 0.001, 1000.0),
    Parameter("pole_pairs", 7, "", "pole pairs of the motor (vesc)", 1, 100),
    Parameter(
        "ticks_per_rev", 1320, "",
        "encoder ticks in a turn of the wheel (ros_arduino_bridge)", 1, 10_000_000,
    ),
    Parameter(
        "full_speed", 0.0, "rad/s",
        "wheel speed at full duty, where a ros_arduino_bridge has no tuned speed loop; 0 where it has", 0.0, 1000.0,
    ),
    Parameter(
        "kinematics", "differential", "", "how wheels and body move together",
        choices=("differential", "skid", "mecanum", "ackermann"),
    ),
    Parameter("wheel_radius", 0.098, "m", "radius of the wheels", 0.001, 2.0),
    Parameter("track", 0.377, "m", "between left and right wheels", 0.01, 5.0),
    Parameter("wheelbase", 0.262, "m", "between front and rear wheels (mecanum, ackermann)", 0.01, 5.0),
    Parameter("wheels_per_side", 1, "", "wheels with a speed of their own on each side (skid)", 1, 4),
    Parameter("slip", 1.5, "", "track that turning behaves like over the real one (skid)", 1.0, 5.0),
    Parameter("max_steering", 0.5, "rad", "largest angle of the middle front wheel (ackermann)", 0.05, 1.4),
    Parameter("max_speed", 2.0, "m/s", "largest speed", 0.01, 20.0),
    Parameter("max_yaw_rate", 4.0, "rad/s", "largest yaw rate", 0.01, 50.0),
    Parameter("acceleration", 4.0, "m/s^2", "largest change of speed", 0.05, 100.0),
    Parameter("yaw_acceleration", 12.0, "rad/s^2", "largest change of yaw rate", 0.05, 500.0),
    Parameter(
        "grip", 0.0, "m/s^2",
        "acceleration, sideways and lengthways together, that the tyres hold; 0 for no limit", 0.0, 100.0,
    ),
    Parameter("max_wheel_speed", 18.0, "rad/s", "largest speed of a wheel", 0.1, 1000.0),
    Parameter(
        "max_slip", 0.0, "rad/s",
        "difference between a wheel and the rigid body above which diagnostics warn; 0 for never", 0.0, 100.0,
    ),
    Parameter(
        "command_timeout", 0.25, "s",
        "age of the newest cmd_vel beyond which the wheels are stopped", 0.02, 2.0,
    ),
    Parameter(
        "command_rate", 100.0, "Hz",
        "commands a second to the wheels, beside one for each cmd_vel", 20.0, 1000.0,
    ),
    Parameter(
        "direct",
        False,
        "",
        "the reflex's compiled tick writes to the firmware's line itself, at command_rate, and cmd_vel does not count; "
        "needs driver 'link' and the program reflex_wheels_node",
    ),
    Parameter(
        "set_limits", False, "",
        "the firmware gets max_wheel_speed, wheel_acceleration and min_battery at every connection (link); where false "
        "it keeps those that it was built with",
    ),
    Parameter(
        "wheel_acceleration", 120.0, "rad/s^2", "largest change of a wheel's speed by the firmware", 0.1, 10_000.0
    ),
    Parameter(
        "min_battery", 9.6, "V", "battery voltage below which the firmware turns the motors off; 0 for never", 0.0, 15.0
    ),
    Parameter(
        "set_gains", False, "",
        "the firmware gets the gains of its wheel speed control at every connection, and whenever they change (link); "
        "where false it keeps those that it was built with",
    ),
    Parameter("wheel_kp", 0.1, "s/rad", "duty for a wheel that is too slow by 1 rad/s", 0.0, 1000.0, live=True),
    Parameter("wheel_ki", 1.0, "1/rad", "duty for a wheel that is behind by 1 rad", 0.0, 1000.0, live=True),
    Parameter("wheel_kd", 0.0, "s^2/rad", "duty against a speed that grows by 1 rad/s^2", 0.0, 1000.0, live=True),
    Parameter("wheel_kff", 0.037, "s/rad", "duty for a wished speed of 1 rad/s", 0.0, 1000.0, live=True),
    Parameter("publish_rate", 50.0, "Hz", "most messages a second of odometry and joint states", 1.0, 200.0),
    STAMPED_CMD_VEL,
    ODOM_FRAME,
    Parameter("base_frame", "base_link", "", "frame of the robot"),
    Parameter("initial_x", 0.0, "m", "where the odometry begins", -1e6, 1e6),
    Parameter("initial_y", 0.0, "m", "where the odometry begins", -1e6, 1e6),
    Parameter("initial_yaw", 0.0, "rad", "where the odometry begins", -6.3, 6.3),
    Parameter("range_min", 0.15, "m", "least distance that the range sensors tell", 0.0, 10.0),
    Parameter("range_max", 6.0, "m", "largest distance that the range sensors tell", 0.1, 100.0),
    Parameter("range_field_of_view", 0.5, "rad", "width of the range sensors' cone", 0.001, 6.3),
)  # fmt: skip

REPLAY: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter("file", "", "", "the recording, an MCAP file"),
    Parameter("rate", 1.0, "", "recorded seconds in a second", 0.01, 100.0),
    Parameter("loop", False, "", "begin anew at the end"),
    Parameter(
        "topics", "", "", "topics to play, such as 'scan, odom'; empty for all that no node of ours publishes itself"
    ),
)  # fmt: skip

MAVLINK_BRIDGE: tuple[Parameter, ...] = (
    AUTOSTART,
    Parameter(
        "address", "udpin:127.0.0.1:14540", "",
        "udpin:HOST:PORT to listen (0.0.0.0 for every network), udpout:HOST:PORT, a serial port, serial:NUMBER or tcp://HOST:PORT",
    ),
    Parameter("baud", 921_600, "", "baud rate of a serial port", 1200, 4_000_000),
    Parameter(
        "autopilot", "px4", "", "whose flight modes it has; a vehicle that says otherwise is refused",
        choices=("px4", "ardupilot"),
    ),
    Parameter("system_id", 1, "", "MAVLink system of the vehicle we are on; others are not heard", 1, 255),
    Parameter("component_id", 191, "", "our MAVLink component; 191 is an onboard computer", 1, 255),
    Parameter("setpoint_rate", 50.0, "Hz", "velocity setpoints a second", 20.0, 1000.0),
    Parameter(
        "command_timeout", 0.25, "s", "age of the newest cmd_vel beyond which zero velocity is sent", 0.02, 2.0,
    ),
    Parameter(
        "hold", 1.0, "s",
        "how long zero velocity is sent until nothing is, and the autopilot's failsafe holds or lands", 0.0, 60.0,
    ),
    Parameter(
        "heartbeat_timeout", 2.5, "s", "time without a heartbeat after which the link counts as lost", 1.0, 60.0
    ),
    Parameter("publish_rate", 50.0, "Hz", "messages a second of odometry, asked for and sent", 1.0, 200.0),
    Parameter("ranges", True, "", "whether the autopilot's range sensors up and down go out on range/up, range/down"),
    Parameter("max_speed", 2.0, "m/s", "largest speed; a faster command is refused", 0.05, 30.0),
    Parameter("max_climb", 1.0, "m/s", "largest speed up and down; a faster command is refused", 0.05, 10.0),
    Parameter("max_yaw_rate", 2.5, "rad/s", "largest yaw rate; a faster command is refused", 0.05, 10.0),
    STAMPED_CMD_VEL,
    ODOM_FRAME,
    Parameter("base_frame", "base_link", "", "frame of the vehicle"),
)  # fmt: skip

FRAMES: tuple[Parameter, ...] = (
    AUTOSTART,
    ODOM_FRAME,
    Parameter("base_frame", "base_link", "", "frame of the robot"),
    Parameter("lidar_frame", "lidar", "", "frame of the scan"),
    *(p for p in SETTINGS if p.name in ("lidar_x", "lidar_y", "lidar_yaw")),
    Parameter("map_frame", "", "", "frame that is told to lie where the odometry begins; empty for none"),
)

#: Parameters by the name under which each node runs.
NODES: dict[str, tuple[Parameter, ...]] = {
    "sim_node": SIM,
    "planner_node": PLANNER,
    "rate_to_spike_node": RATE_TO_SPIKE,
    "learner_node": LEARNER,
    "reflex_node": REFLEX,
    "firmware_bridge_node": FIRMWARE_BRIDGE,
    "mavlink_bridge_node": MAVLINK_BRIDGE,
    "board_bridge_node": BOARD_BRIDGE,
    "replay_node": REPLAY,
    "frames_node": FRAMES,
}

#: A parameter of rclpy's own, in every node.
USE_SIM_TIME = Parameter("use_sim_time", False, "", "go by /clock")

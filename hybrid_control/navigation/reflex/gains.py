"""The reflex's parameters: gains that may change while it drives, and settings that may not."""

from __future__ import annotations

from hybrid_control.backends import BACKENDS
from hybrid_control.parameters import Parameter

# fmt: off
# What a tick reads. The whole set reaches the loop at once, so no tick sees half of a change.
GAINS: tuple[Parameter, ...] = (
    Parameter("planner_gain", 1.0, "", "pull of the planner's heading on the ring", 0.0, 5.0, live=True),
    Parameter("goal_gain", 1.0, "", "pull of the goal's bearing on the ring", 0.0, 5.0, live=True),
    Parameter("avoidance_gain", 1.0, "", "push of obstacles, by their range", 0.0, 5.0, live=True),
    Parameter("approach_gain", 1.0, "",
              "push of obstacles, by the speed at which they come nearer", 0.0, 5.0, live=True),
    Parameter("avoidance_distance", 1.65, "m", "range at which an obstacle begins to push", 0.3, 5.0, live=True),
    Parameter("clearance", 0.08, "m",
              "gap to keep between the outline and an obstacle that is driven past", 0.0, 1.0, live=True),
    Parameter("excitation_gain", 1.0, "", "local excitation within the ring", 0.0, 3.0, live=True),
    Parameter("inhibition_gain", 1.0, "", "global inhibition within the ring", 0.0, 3.0, live=True),
    Parameter("speed_gain", 1.0, "",
              "forward speed for a firing rate of the forward population", 0.0, 3.0, live=True),
    Parameter("turn_gain", 1.0, "", "yaw rate for a difference in rate of the turn populations", 0.0, 3.0, live=True),
    Parameter("lateral_gain", 0.6, "",
              "sideways speed of a holonomic vehicle for a difference in rate of the turn populations",
              0.0, 3.0, live=True),
    Parameter("stop_distance", 0.15, "m",
              "free way ahead of the outline below which forward speed is zero", 0.0, 2.0, live=True),
    Parameter("time_constant", 0.010, "s", "membrane time constant of the ring's neurons", 0.002, 0.1, live=True),
    Parameter("threshold", 1.0, "", "firing threshold of the ring's neurons", 0.2, 5.0, live=True),
    Parameter("max_speed", 1.0, "m/s", "fastest forward speed commanded", 0.0, 5.0, live=True),
    Parameter("max_yaw_rate", 2.2, "rad/s", "fastest yaw rate commanded", 0.0, 6.0, live=True),
    Parameter("max_acceleration", 2.0, "m/s²",
              "steepest change of speed commanded, and the braking counted on", 0.1, 20.0, live=True),
    Parameter("creep", 0.1, "m/s",
              "fastest speed towards where the sensors look and nothing valid comes from", 0.0, 1.0, live=True),
    Parameter("max_unknown", 0.5, "",
              "share of the directions that the sensors look at from which nothing valid may come; beyond it: stop",
              0.0, 1.0, live=True),
    Parameter("hidden_speed", 0.0, "m/s",
              "speed of somebody who may step out from behind what hides them: past such corners the robot is so slow "
              "that it stands before they are in its way; 0: nobody does", 0.0, 3.0, live=True),
    Parameter("unseen_speed", 0.3, "m/s",
              "speed onto ground that was not seen free, by a planner that sees what no scan shows; 0: as fast as onto "
              "any", 0.0, 5.0, live=True),
    Parameter("scan_timeout", 0.5, "s",
              "age of the newest scan, or of a part of it, beyond which it does not count", 0.02, 2.0, live=True),
    Parameter("planner_timeout", 0.5, "s",
              "age of the newest planner spikes beyond which the planner counts as dead", 0.05, 5.0, live=True),
    Parameter("odometry_timeout", 0.5, "s",
              "age of the newest odometry beyond which the goal's bearing is not used", 0.05, 5.0, live=True),
    Parameter("directions_timeout", 0.0, "s",
              "age of the newest planner/directions beyond which the robot stands, as it may drive onto what no scan "
              "shows; 0: it drives on by its scans and by what it remembers", 0.0, 10.0, live=True),
)

# Those that are weights and parameters of the network: a board has them from when it was loaded.
ON_BOARD = ("planner_gain", "goal_gain", "avoidance_gain", "approach_gain", "excitation_gain", "inhibition_gain",
            "time_constant", "threshold")

# What is fixed when the node is configured.
SETTINGS: tuple[Parameter, ...] = (
    Parameter("rate", 1000.0, "Hz", "ticks a second", 100.0, 10000.0),
    Parameter("without_planner", "goal", "",
              "what the reflex does while the planner is dead: steer by the goal's bearing at half speed, or stop",
              choices=("goal", "stop")),
    Parameter("planner_states", False, "",
              "the planner's states (planner/state) become the network's membrane potentials, between two ticks"),
    Parameter("network_file", "", "", "NIR file of the network; empty for the one that comes with hybrid_control"),
    Parameter("backend", "numba", "",
              "what runs the network: this processor, or a board behind the board bridge (never on hardware so far)",
              choices=BACKENDS),
    Parameter("board_timeout", 0.05, "s", "time without a sign of the board after which it counts as silent",
              0.005, 2.0),
    Parameter("without_board", "numba", "",
              "what the reflex does while the board is silent: run the network itself, or stop",
              choices=("numba", "stop")),
    Parameter("robot_length", 0.508, "m", "outline of the robot along x", 0.05, 5.0),
    Parameter("robot_width", 0.43, "m", "outline of the robot along y", 0.05, 5.0),
    Parameter("outline_x", 0.0, "m",
              "the outline's middle ahead of base_link, as of a car whose base_link is on its rear axle", -2.0, 2.0),
    Parameter("max_yaw_acceleration", 8.0, "rad/s²",
              "steepest change of yaw rate commanded, which the base is counted on to follow", 0.1, 50.0),
    Parameter("min_turning_radius", 0.0, "m",
              "radius of the tightest circle that base_link drives on, for a base that can't turn on the spot, such as "
              "wheelbase / tan(max_steering) of a car with base_link in the middle of its rear axle; 0: it can",
              0.0, 20.0),
    Parameter("lidar_x", 0.0, "m", "the range sensor's place ahead of the robot's centre", -2.0, 2.0),
    Parameter("lidar_y", 0.0, "m", "the range sensor's place to the left of the robot's centre", -2.0, 2.0),
    Parameter("lidar_yaw", 0.0, "rad", "the range sensor's turn against the robot", -3.1416, 3.1416),
    Parameter("no_echo", "infinite", "",
              "what the lidar's driver gives where nothing came back: +inf, as REP 117 has it, or NaN, or 0",
              choices=("infinite", "invalid", "zero", "invalid or zero")),
    Parameter("open_space", False, "",
              "a scan with nothing in range anywhere is free space; otherwise it is a sensor that is covered or dead"),
    Parameter("body_mask", "", "",
              "bearings of the lidar at which it sees the robot itself nearer than a range, such as "
              "'-2.9..-2.6:0.35, 2.6..2.9:0.35' in rad and m"),
    Parameter("goal_tolerance", 0.15, "m",
              "distance to the goal, by odometry, at which the robot has arrived", 0.05, 5.0),
    Parameter("holonomic", False, "", "the vehicle moves in any direction, as a drone does: cmd_vel has a linear.y"),
    Parameter("response_time", 0.5, "s", "time constant with which a holonomic vehicle follows a command", 0.0, 2.0),
    Parameter("hover_height", 0.0, "m",
              "height above the ground to keep with the range sensors up and down; 0 leaves it to the autopilot",
              0.0, 20.0),
    Parameter("vertical_clearance", 0.35, "m",
              "range up and down that a vehicle with a hover_height does not fall short of", 0.1, 5.0),
    Parameter("max_climb", 0.5, "m/s", "fastest speed up and down commanded", 0.05, 5.0),
    Parameter("priority", 80, "", "real-time priority (SCHED_FIFO) of the loop's thread; 0 asks for none", 0, 99),
    Parameter("core", -1, "", "processor core to keep the loop on; -1 for any", -1, 1023),
    Parameter("standby", True, "",
              "a second thread on another core runs the ticks that the loop's own is late for"),
    Parameter("lock_memory", True, "", "keep the process in memory, so that no page fault delays a tick"),
)

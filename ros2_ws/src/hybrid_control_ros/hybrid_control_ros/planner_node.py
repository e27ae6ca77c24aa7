"""The executable planner_node."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["planner_node"], "hybrid_control_ros.planner")


if __name__ == "__main__":
    sys.exit(main())

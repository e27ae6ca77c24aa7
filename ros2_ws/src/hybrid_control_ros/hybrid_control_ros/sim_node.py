"""The executable sim_node."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["sim_node"], "hybrid_control_ros.simulator")


if __name__ == "__main__":
    sys.exit(main())

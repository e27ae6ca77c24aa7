"""The executable mavlink_bridge_node."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["mavlink_bridge_node"], "hybrid_control_ros.mavlink_bridge")


if __name__ == "__main__":
    sys.exit(main())

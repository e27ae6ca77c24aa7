"""The executable board_bridge_node."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["board_bridge_node"], "hybrid_control_ros.board_bridge")


if __name__ == "__main__":
    sys.exit(main())

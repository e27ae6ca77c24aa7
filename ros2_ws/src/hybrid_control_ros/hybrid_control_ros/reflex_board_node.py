"""The executable reflex_board_node: reflex and board bridge in one process."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["reflex_node", "board_bridge_node"], "hybrid_control_ros.reflex_board")


if __name__ == "__main__":
    sys.exit(main())

"""The executable reflex_wheels_node: reflex and firmware bridge in one process, for the direct path."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["reflex_node", "firmware_bridge_node"], "hybrid_control_ros.reflex_wheels")


if __name__ == "__main__":
    sys.exit(main())

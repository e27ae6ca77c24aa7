"""The executable replay_node."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["replay_node"], "hybrid_control_ros.replay")


if __name__ == "__main__":
    sys.exit(main())

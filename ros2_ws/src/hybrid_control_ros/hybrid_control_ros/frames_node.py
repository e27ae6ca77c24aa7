"""The executable frames_node."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["frames_node"], "hybrid_control_ros.frames")


if __name__ == "__main__":
    sys.exit(main())

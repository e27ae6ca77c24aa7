"""The executable reflex_node."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["reflex_node"], "hybrid_control_ros.reflex")


if __name__ == "__main__":
    sys.exit(main())

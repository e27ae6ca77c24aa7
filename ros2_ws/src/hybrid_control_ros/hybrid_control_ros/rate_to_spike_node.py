"""The executable rate_to_spike_node."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["rate_to_spike_node"], "hybrid_control_ros.encoder")


if __name__ == "__main__":
    sys.exit(main())

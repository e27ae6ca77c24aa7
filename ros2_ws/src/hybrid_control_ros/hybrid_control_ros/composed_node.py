"""The executable composed_node: planner, encoder and reflex in one process, for small boards."""

import sys

from hybrid_control_ros.main import run


def main() -> int:
    return run(["planner_node", "rate_to_spike_node", "reflex_node"], "hybrid_control_ros.composed")


if __name__ == "__main__":
    sys.exit(main())

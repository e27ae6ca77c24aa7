"""`python -m hybrid_control_ros PROGRAM --ros-args ...` runs what `ros2 run hybrid_control_ros PROGRAM` does."""

import sys

from hybrid_control_ros.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

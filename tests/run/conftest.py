"""The run's own modules come from the tree, not from what was installed last."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = str(ROOT / "ros2_ws" / "src" / "hybrid_control_ros")
sys.path.insert(0, SOURCE)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH", "")]))

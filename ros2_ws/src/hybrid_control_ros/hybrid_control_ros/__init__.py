"""ROS 2 nodes of hybrid_control: each translates messages to library calls and back."""

import os

from hybrid_control.bringup.dds import without_shared_memory

without_shared_memory(os.environ)  # a peer that is killed must not hold up a node

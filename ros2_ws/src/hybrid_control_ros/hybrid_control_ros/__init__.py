"""ROS 2 nodes of hybrid_control: each translates messages to library calls and back."""

"""What the camera sees of the ground: places of an image on it, their classes as they are taught, and what was seen."""

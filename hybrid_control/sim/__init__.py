"""The embedded simulator on MuJoCo: worlds, robots and sensors in simulated time. Only this room imports
MuJoCo."""

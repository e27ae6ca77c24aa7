"""Plane geometry with no robot in it: distances between shapes, rays, and ways across a grid."""

"""Measurements behind the project's figures, each as a subcommand of `hybrid-control bench`."""

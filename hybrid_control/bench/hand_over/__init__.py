"""An ANN that sets an SNN's states, on tasks that are made here: an event camera before a moving arm."""

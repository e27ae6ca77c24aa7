"""A closed loop of an ANN, a spiking network and a plant, here and in what users would write today."""

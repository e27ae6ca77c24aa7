"""What runs a spiking network: each back end in a folder of its own, all behind one interface."""

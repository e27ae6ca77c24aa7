"""From ANN to SNN: a ReLU network in an ONNX file becomes a spiking network in a NIR file, by its own data.

`convert` does it; `compare` says how near the result is after 1, 2, 4, ... ticks and what both cost.
"""

"""The names of what can run a spiking network, as parameters, options and files spell them.

`numba` is this processor. Each board has its form in `hybrid_control.snn.backends.NAME` and its wire in
`firmware_bridge.boards.NAME`.
"""

BOARDS = ("spinnaker", "loihi")
BACKENDS = ("numba", *BOARDS)

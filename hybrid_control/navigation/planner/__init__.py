"""The ANN planner: the contract of its ONNX files, its session, its image decoding and its training.

`planner.Planner` is what a node holds; `contract` and `images` are what it stands on; `training` needs torch.
"""

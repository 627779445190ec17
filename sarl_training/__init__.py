"""Train a sense of touch for camera-in-gel fingertips: simulate, pretrain, probe, export. Start at `cli.py`."""

__version__ = "0.1.0"

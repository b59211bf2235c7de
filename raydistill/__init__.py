"""raydistill: pretraining, cross-modal distillation and sweeps for neural recordings, on Ray."""

__version__ = "0.1.0"

"""raydistill: pretraining, cross-modal distillation and sweeps for neural recordings, on Ray."""

__version__ = "0.1.0"


def __getattr__(name: str):
    """`raydistill.load_model`, imported when it is asked for: torch takes seconds that `raydistill --help` has not."""
    if name == "load_model":
        from raydistill.models.loaded import load_model

        return load_model
    raise AttributeError(f"module 'raydistill' has no attribute {name!r}")

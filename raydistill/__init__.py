"""raydistill: pretraining, cross-modal distillation and sweeps for neural recordings, on Ray."""

__version__ = "0.1.0"


def __getattr__(name: str):
    """Import `load_model` on first use, because importing torch takes seconds, also for `raydistill --help`."""
    if name == "load_model":
        from raydistill.models.loaded import load_model

        return load_model
    raise AttributeError(f"module 'raydistill' has no attribute {name!r}")

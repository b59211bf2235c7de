"""raydistill: pretraining, cross-modal distillation and sweeps for neural recordings, on Ray."""

import os

__version__ = "0.1.0"

# pynwb writes a cache when it is first imported. Another process may read it half written, and after a process that was
# killed while writing, no import of pynwb works any more. Without the cache, the import takes 0.4 s longer.
os.environ.setdefault("PYNWB_NO_CACHE_DIR", "1")


def __getattr__(name: str):
    """Import `load_model` on first use, because importing torch takes seconds, also for `raydistill --help`."""
    if name == "load_model":
        from raydistill.models.loaded import load_model

        return load_model
    raise AttributeError(f"module 'raydistill' has no attribute {name!r}")

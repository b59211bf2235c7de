"""Signals that are a function of time, and a clock of bins to take them on."""

import numpy as np

from raydistill.recordings.preprocessing.bins import Bins
from raydistill.recordings.raw import Signal, Trace


def signal(function, rate_hz, seconds, start_s=0.0):
    """Channels given as a function of time: (n,) seconds -> (n, C)."""

    def read(start, stop):
        return np.asarray(function(start_s + np.arange(start, stop) / rate_hz), dtype=np.float32)

    channels = np.asarray(function(np.zeros(1))).shape[1]
    return Signal(read=read, n_samples=int(seconds * rate_hz), n_channels=channels, rate_hz=rate_hz, start_s=start_s)


def bins(n, width_s=0.01, start_s=0.0):
    return Bins(origin_s=start_s, width_s=width_s, first=0, n=n)


def trace(times, values, names=None, units="cm"):
    """Behavior of one column per column of `values`, position_x to position_z unless it is named."""
    values = np.asarray(values, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    names = names or tuple(f"position_{a}" for a in "xyz"[: values.shape[1]])
    times = np.asarray(times, dtype=np.float64)
    return Trace(times=times, values=values, names=tuple(names), units=(units,) * values.shape[1])

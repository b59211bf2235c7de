"""From raw LFP samples to the z-scored bins that a model reads, as they arrive."""

import numpy as np

from raydistill.config.plain import from_plain
from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.causal import CausalLfp
from raydistill.store.catalogue import Entry


class Preprocess:
    """Turns raw samples of a session's electrodes into what its store holds of them.

    Args:
        entry: a session that was stored with causal filters (`filters: {causal: true}`), or without any.
        rate_hz: of the samples.
        first_bin_s: start of the first bin in seconds after the first sample.
        adapt_s: follow slow changes: mean and SD of each channel are averaged over about this time, from those of the
            store. None: those of the store.
    Raises:
        DataError: the session was stored with filters that read later samples, or the rate is below that of the bins.
    """

    def __init__(self, entry: Entry, rate_hz: float, *, first_bin_s: float = 0.0, adapt_s: float | None = None):
        config = from_plain(IngestConfig, entry.config)
        if config.filters is not None and not config.filters.causal:
            raise DataError(
                f"session {entry.session} was stored with zero-phase filters, which read later samples; ingest it with "
                "`filters: {causal: true}` and train on that"
            )
        n_raw = entry.n_channels + len(config.drop_channels)
        self.n_channels = n_raw
        """Channels that arrive, those of `drop_channels` included."""
        self._channels = np.setdiff1d(np.arange(n_raw), config.drop_channels)
        table = entry.lfp_channels
        self._chain = CausalLfp(
            config.filters,
            rate_hz,
            entry.bin_width_ms / 1000,
            self._channels,
            first_bin_s=first_bin_s,
            arrays=None if table is None else np.repeat(table.array, entry.lfp_bands).tolist(),
            lfp_nan=config.lfp_nan,
        )
        norm = entry.normalisation["lfp"]
        self._mean, self._variance = np.array(norm.mean), np.square(norm.std)
        self._share = 0.0 if adapt_s is None else min(1.0, entry.bin_width_ms / 1000 / adapt_s)

    def coefficients(self) -> dict:
        """What another program needs to do the same, see `CausalLfp.coefficients`."""
        chain = self._chain.coefficients()
        return chain | {"channels": self._channels.tolist(), "n_raw_channels": self.n_channels}

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The bins that end with these samples.

        Args:
            samples: (m, channels) of the recording, in its physical units (volts for NWB), dropped channels included.
        Returns:
            (T, channels) float32, z-scored, often with T = 0.
        Raises:
            DataError: the samples have other channels, or are not finite.
        """
        samples = np.atleast_2d(samples)
        if samples.shape[1] != self.n_channels:
            raise DataError(f"samples have {samples.shape[1]} channels, but the recording has {self.n_channels}")
        values = self._chain.push(samples[:, self._channels])
        return np.array([self._z_scored(row) for row in values], dtype=np.float32).reshape(values.shape)

    def _z_scored(self, values: np.ndarray) -> np.ndarray:
        z_scored = (values - self._mean) / np.sqrt(self._variance)
        if self._share:
            difference = values - self._mean
            self._mean = self._mean + self._share * difference
            self._variance = (1 - self._share) * (self._variance + self._share * difference**2)
        return z_scored

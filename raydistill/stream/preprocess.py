"""From raw LFP samples to the z-scored bins that a model reads, as they arrive."""

import numpy as np

from raydistill.config.plain import from_plain
from raydistill.config.recordings import IngestConfig
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.causal import CausalLfp
from raydistill.store.catalogue import Entry
from raydistill.store.zscores import FollowingZScores, share_of_bin


class Preprocess:
    """Turns raw samples of a session's electrodes into what its store holds of them.

    Args:
        entry: a session that was stored with causal filters (`filters: {causal: true}`), or without any.
        rate_hz: of the samples.
        first_bin_s: start of the first bin in seconds after the first sample.
    Raises:
        DataError: the session was stored with filters that read later samples, or the rate is below that of the bins.
    """

    def __init__(self, entry: Entry, rate_hz: float, *, first_bin_s: float = 0.0):
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
        self._z_scores = FollowingZScores(entry.normalisation["lfp"], share_of_bin(config, entry.bin_width_ms))

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
        return self._z_scores(values).astype(np.float32)

"""Z-scores that follow slow changes of a signal, as it arrives (docs/methods.md, Data and preprocessing)."""

import dataclasses

import numpy as np

from raydistill.config.recordings import IngestConfig
from raydistill.store.catalogue import Normalisation
from raydistill.store.session import Session

_BINS_AT_ONCE = 4096


class FollowingZScores:
    """Mean and SD of each channel, averaged over about the last `adapt_s` seconds.

    A bin is z-scored by the bins before it, so nothing is read that has not arrived.

    Args:
        normalisation: of C channels: where mean and SD begin.
        share: how much a bin counts in both, its width over `adapt_s`; 0: they stay.
    """

    def __init__(self, normalisation: Normalisation, share: float):
        self._mean, self._variance = np.array(normalisation.mean), np.square(normalisation.std)
        self._share = share

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """The z-scores of the next bins. Shape: (T, C) -> (T, C), float64."""
        return np.array([self._next(row) for row in values.astype(np.float64)]).reshape(values.shape)

    def _next(self, values: np.ndarray) -> np.ndarray:
        difference = values - self._mean
        z_scored = difference / np.sqrt(self._variance)
        if self._share:
            self._mean = self._mean + self._share * difference
            self._variance = (1 - self._share) * (self._variance + self._share * difference**2)
        return z_scored


def share_of_bin(config: IngestConfig, bin_width_ms: float) -> float:
    """How much a bin counts in mean and SD that follow; 0: they do not."""
    return 0.0 if config.adapt_s is None else min(1.0, bin_width_ms / 1000 / config.adapt_s)


def followed(session: Session, config: IngestConfig, normalisation: dict[str, Normalisation]) -> Session:
    """The session with LFP whose z-scores by `normalisation` are those that follow slow changes.

    After a gap in the recording, mean and SD begin again, as those of a decoder do that has lost its sender.
    """
    share = share_of_bin(config, session.bin_width_ms)
    if not share or session.lfp is None or session.exported is not None:  # what was exported has followed already
        return session
    norm, lfp = normalisation["lfp"], session.lfp.copy()
    pieces = np.zeros(session.n_bins) if session.piece is None else session.piece
    borders = np.flatnonzero(np.diff(pieces)) + 1
    for start, stop in zip([0, *borders], [*borders, session.n_bins], strict=True):
        follow = FollowingZScores(norm, share)
        for a in range(start, stop, _BINS_AT_ONCE):
            part = slice(a, min(a + _BINS_AT_ONCE, stop))
            lfp[part] = follow(session.lfp[part]) * norm.std + norm.mean
    return dataclasses.replace(session, lfp=lfp)

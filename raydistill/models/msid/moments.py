"""Covariances of past and future bins, and what they say of log firing rates (docs/methods.md, MSID).

Axes: T bins of a segment, n signals (units first, then LFP channels), h horizon, W windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raydistill.errors import DataError

FANO = 1.01
"""Smallest variance of a count, as a multiple of its mean: a Poisson count with a variable rate has more than 1."""
LEAST_EIGENVALUE = 1e-5
"""Of the covariance of log-rates and LFP."""


@dataclass(frozen=True, eq=False)
class HankelMoments:
    """Means, and the covariance of the bins of all windows. Rows are ordered by signal (all rows of spikes, then all of
    LFP), within it by offset (0..h-1, then -1..-h), and within it by unit or channel."""

    mean: Tensor
    """(n,)"""
    covariance: Tensor
    """(2hn, 2hn)"""
    n_units: int
    horizon: int
    n_windows: int

    @property
    def n_spike_rows(self) -> int:
        """Rows of spikes."""
        return 2 * self.horizon * self.n_units


@dataclass(frozen=True, eq=False)
class LogRateMoments:
    """Covariances of log-rates z and LFP y."""

    mean: Tensor
    """(n,) of log-rates, then of LFP."""
    present: Tensor
    """(n, n) covariance of one bin."""
    future_past: Tensor
    """(hn, hn) covariance of future rows with past rows; the rows of z come first on both sides."""
    n_floored: int
    """Pairs of different rows of spikes that had next to no coincidence, whose covariance was limited."""


def hankel_moments(segments: Sequence[Tensor], n_units: int, horizon: int) -> HankelMoments:
    """The moments of all windows of 2h bins that lie within a segment.

    A sum over windows of the products of two bins depends on their distance, but for the first and last bins of each
    segment. So there is one product of matrices for each distance, and not for each pair.

    Args:
        segments: (T, n) float64 each; a window never reaches from one to the next.
    Raises:
        DataError: no segment has 2h bins.
    """
    mean = torch.cat(list(segments)).mean(0)
    span = 2 * horizon
    centred = [segment - mean for segment in segments if len(segment) >= span]
    if not centred:
        raise DataError(
            f"no segment of the train fold has {span} bins, twice the `horizon`; set a smaller `horizon`, or ingest "
            "the session with longer segments (`splits.segment_s`)"
        )
    n = len(mean)
    counts = [len(segment) - span + 1 for segment in centred]
    n_windows = sum(counts)
    first = [torch.stack([segment[k] for segment in centred]) for k in range(span)]
    after = [torch.stack([s[w + k] for s, w in zip(centred, counts, strict=True)]) for k in range(span - 1)]
    heads = torch.cat([s[:w] for s, w in zip(centred, counts, strict=True)])  # (W, n)
    blocks = heads.new_empty(span, n, span, n)
    for lag in range(span):
        shifted = torch.cat([s[lag : lag + w] for s, w in zip(centred, counts, strict=True)])
        product = heads.T @ shifted
        for k in range(span - lag):
            blocks[k, :, k + lag] = product / n_windows
            blocks[k + lag, :, k] = product.T / n_windows
            if k + lag < span - 1:
                product = product + after[k].T @ after[k + lag] - first[k].T @ first[k + lag]
    order = _order(n, n_units, horizon)
    covariance = blocks.view(span * n, span * n)[order[:, None], order]
    return HankelMoments(mean, covariance, n_units, horizon, n_windows)


def _order(n: int, n_units: int, horizon: int) -> Tensor:
    """(2hn,) rows of `HankelMoments` in a matrix whose rows are ordered by bin from -h to h-1, then by signal."""
    bins = torch.cat([torch.arange(horizon, 2 * horizon), torch.arange(horizon).flip(0)])
    rows = torch.arange(2 * horizon * n).view(2 * horizon, n)[bins]
    return torch.cat([rows[:, :n_units].flatten(), rows[:, n_units:].flatten()])


def log_rate_moments(moments: HankelMoments) -> LogRateMoments:
    """The moments of log-rates whose Poisson counts, and of the LFP that, have these moments."""
    horizon, n_units, spikes = moments.horizon, moments.n_units, slice(0, moments.n_spike_rows)
    rates = moments.mean[:n_units].repeat(2 * horizon)
    covariance = moments.covariance.clone()
    scale = (FANO * rates / covariance.diagonal()[spikes]).sqrt().clamp(min=1)
    covariance[spikes] *= scale[:, None]
    covariance[:, spikes] *= scale
    counts = covariance[spikes, spikes]
    log_means = 2 * rates.log() - 0.5 * (counts.diagonal() + rates**2 - rates).log()
    # The mean product of two counts, without the Poisson noise that a count shares with itself.
    products = counts + torch.outer(rates, rates) - torch.diag(rates)
    least = 0.5 / moments.n_windows  # half a coincidence
    n_floored = int((products < least).triu(1).sum())
    covariance[spikes, spikes] = products.clamp(min=least).log() - torch.outer(rates, rates).log()
    covariance[spikes, moments.n_spike_rows :] /= rates[:, None]
    covariance[moments.n_spike_rows :, spikes] /= rates
    covariance = _positive(covariance)
    future, past, present = _rows(moments)
    return LogRateMoments(
        mean=torch.cat([log_means[:n_units], moments.mean[n_units:]]),
        present=covariance[present[:, None], present],
        future_past=covariance[future[:, None], past],
        n_floored=n_floored,
    )


def _positive(covariance: Tensor) -> Tensor:
    """The symmetric matrix with eigenvalues of at least LEAST_EIGENVALUE."""
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    return (vectors * values.clamp(min=LEAST_EIGENVALUE)) @ vectors.T


def _rows(moments: HankelMoments) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the future rows, of the past rows, and of the rows of the present bin."""
    horizon, n_units, n_channels = moments.horizon, moments.n_units, len(moments.mean) - moments.n_units
    units = torch.arange(2 * horizon * n_units).view(2, horizon, n_units)
    channels = moments.n_spike_rows + torch.arange(2 * horizon * n_channels).view(2, horizon, n_channels)
    future, past = (torch.cat([units[i].flatten(), channels[i].flatten()]) for i in (0, 1))
    return future, past, torch.cat([units[0, 0], channels[0, 0]])

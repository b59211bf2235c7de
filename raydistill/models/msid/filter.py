"""A point-process Kalman filter of spikes and LFP, for several streams at the same time (docs/methods.md, MSID).

Axes: n streams, L bins, D states, U units, C channels.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

LARGEST_LOG_RATE = math.log(255)
"""Of the logarithm of a count per bin; the store has no larger counts."""


class Observation(NamedTuple):
    """How signals depend on the states."""

    log_rates: Tensor
    """(U, D) C_z; a row of zeros for a unit that is not observed."""
    log_rate: Tensor
    """(U,) d_z."""
    lfp: Tensor
    """(C, D) C_y."""
    offset: Tensor
    """(C,) d_y."""
    gain: Tensor
    """(C, D) R_y^-1 C_y; a row of zeros for a channel that is not observed."""

    def products(self) -> Tensor:
        """(U, D * D) c c' of each unit."""
        return torch.einsum("ud,ue->ude", self.log_rates, self.log_rates).flatten(1)


class Belief(NamedTuple):
    """Mean and covariance of the states."""

    mean: Tensor
    """(n, D)"""
    covariance: Tensor
    """(n, D, D)"""


def predicted(belief: Belief, dynamics: Tensor, noise: Tensor) -> Belief:
    """The states one bin later."""
    return Belief(belief.mean @ dynamics.T, dynamics @ belief.covariance @ dynamics.T + noise)


def updated(prior: Belief, observation: Observation, products: Tensor, counts: Tensor, lfp: Tensor) -> Belief:
    """The states after a bin is observed, with rates as the prior mean has them, and no further iteration.

    The precision is P^-1 + J, with J that of the observation. As (P^-1 + J)^-1 = (I + P J)^-1 P, and no eigenvalue of
    I + P J is below 1, this holds for a singular P, too.

    Args:
        products: `observation.products()`.
        counts: (n, U), lfp: (n, C).
    """
    rates = torch.exp((prior.mean @ observation.log_rates.T + observation.log_rate).clamp(max=LARGEST_LOG_RATE))
    n_states = prior.mean.shape[1]
    precision = (rates @ products).unflatten(1, (n_states, n_states)) + observation.lfp.T @ observation.gain
    identity = torch.eye(n_states, dtype=prior.mean.dtype, device=prior.mean.device)
    covariance = torch.linalg.solve(identity + prior.covariance @ precision, prior.covariance)
    covariance = (covariance + covariance.mT) / 2
    surprise = (counts - rates) @ observation.log_rates
    surprise = surprise + (lfp - prior.mean @ observation.lfp.T - observation.offset) @ observation.gain
    mean = prior.mean + (covariance @ surprise[..., None])[..., 0]
    return Belief(mean, covariance)


def expected_counts(belief: Belief, log_rates: Tensor, log_rate: Tensor) -> Tensor:
    """Mean counts (n, U): those at the mean state, times what the uncertainty of the states adds to them."""
    variance = torch.einsum("ud,nde,ue->nu", log_rates, belief.covariance, log_rates)
    log_counts = belief.mean @ log_rates.T + log_rate + variance / 2
    return torch.exp(log_counts.clamp(max=LARGEST_LOG_RATE))

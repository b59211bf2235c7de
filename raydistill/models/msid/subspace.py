"""Dynamics and loadings from the covariance of future and past (docs/methods.md, MSID).

Axes: D states, n signals (units first, then LFP channels), h horizon.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from raydistill.models.msid.moments import LogRateMoments

LARGEST_EIGENVALUE = 0.999
"""Modulus to which eigenvalues of the dynamics that do not decay are set."""


@dataclass(frozen=True, eq=False)
class Decomposition:
    """The singular values and vectors of the covariance of future and past."""

    left: Tensor
    """(hn, r)"""
    singular_values: Tensor
    """(r,)"""
    right: Tensor
    """(r, hn)"""
    n_units: int
    horizon: int

    @property
    def rank(self) -> int:
        """Number of singular values above rounding errors."""
        return int((self.singular_values > 1e-10 * self.singular_values[0]).sum())


@dataclass(frozen=True, eq=False)
class Dynamics:
    """The system without its noise."""

    dynamics: Tensor
    """(D, D) A."""
    loadings: Tensor
    """(n, D) C."""
    to_past: Tensor
    """(D, n) G, the covariance of the state with the signals one bin before."""
    n_unstable: int
    """Eigenvalues of A that were made smaller, because they did not decay."""


def decompose(moments: LogRateMoments, n_units: int) -> Decomposition:
    """The singular value decomposition of the covariance of future and past."""
    left, values, right = torch.linalg.svd(moments.future_past, full_matrices=False)
    horizon = len(moments.future_past) // len(moments.mean)
    return Decomposition(left, values, right, n_units, horizon)


def dynamics_of(decomposition: Decomposition, n_states: int) -> Dynamics:
    """The system with the `n_states` largest singular values."""
    root = decomposition.singular_values[:n_states].sqrt()
    horizon, n_units = decomposition.horizon, decomposition.n_units
    n_spike_rows = horizon * n_units
    observability = decomposition.left[:, :n_states] * root  # (hn, D)
    control = root[:, None] * decomposition.right[:n_states]  # (D, hn)
    n_channels = len(observability) // horizon - n_units
    of_units = observability[:n_spike_rows].view(horizon, n_units, n_states)
    of_channels = observability[n_spike_rows:].view(horizon, n_channels, n_states)
    now = torch.cat([of_units[:-1].flatten(0, 1), of_channels[:-1].flatten(0, 1)])
    later = torch.cat([of_units[1:].flatten(0, 1), of_channels[1:].flatten(0, 1)])
    dynamics, n_unstable = stable(torch.linalg.lstsq(now, later, driver="gelsd").solution)
    return Dynamics(
        dynamics=dynamics,
        loadings=torch.cat([of_units[0], of_channels[0]]),
        to_past=torch.cat([control[:, :n_units], control[:, n_spike_rows : n_spike_rows + n_channels]], dim=1),
        n_unstable=n_unstable,
    )


def stable(dynamics: Tensor) -> tuple[Tensor, int]:
    """The dynamics with eigenvalues of modulus below 1, and the number of those that were changed."""
    values, vectors = torch.linalg.eig(dynamics)
    modulus = values.abs()
    n_unstable = int((modulus >= 1).sum())
    if not n_unstable:
        return dynamics, 0
    values = torch.where(modulus >= 1, values / modulus * LARGEST_EIGENVALUE, values)
    return torch.linalg.solve(vectors, vectors * values, left=False).real, n_unstable

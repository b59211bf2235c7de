"""The covariance of the states: a small semidefinite program, or an approximation of its solution.

The covariance P of the states is to explain the covariances of signals and states,

    minimise |G - A P C'| + |R_z| + 2 |R_zy|   (Frobenius norms)
    such that P, Q = P - A P A' and R_y are positive semidefinite, with R = present - C P C',

where R_z, R_zy and R_y are the blocks of R for log-rates z and LFP y. Every norm is |target - left P right'|. It does
not change if the columns of `left` and `right` are replaced by the triangular factors of their QR decompositions, and
the part of the target outside of them is a constant; so nothing here grows with the number of signals.

Axes: D states, n signals (units first, then LFP channels), E = D(D + 1) / 2 entries of a symmetric matrix.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_discrete_lyapunov, solve_triangular

from raydistill.models.msid.moments import LEAST_EIGENVALUE, LogRateMoments
from raydistill.models.msid.subspace import Dynamics

LARGEST_SHARE = 0.99
"""Of the variance of the LFP in any direction that the states may explain in the approximation."""


@dataclass(frozen=True, eq=False)
class NormTerm:
    """weight * |target - matrix @ entries|, with the entries of the upper triangle of P, row by row."""

    weight: float
    target: np.ndarray
    """(at most E + 1,)"""
    matrix: np.ndarray
    """(at most E + 1, E)"""


@dataclass(frozen=True, eq=False)
class CovarianceProblem:
    """The program above."""

    terms: tuple[NormTerm, ...]
    dynamics: np.ndarray
    """(D, D) A."""
    whitened: np.ndarray | None
    """(r, D) T, such that R_y is positive semidefinite if I - T P T' is; None without LFP."""


@dataclass(frozen=True, eq=False)
class NoiseModel:
    """The covariances of the system."""

    states: np.ndarray
    """(D, D) P, of the states."""
    dynamics: np.ndarray
    """(D, D) Q, of the noise that drives the states."""
    lfp: np.ndarray
    """(channels, channels) R_y."""


def covariance_problem(system: Dynamics, moments: LogRateMoments, n_units: int) -> CovarianceProblem:
    """The program for a system."""
    a, c, g, present = (x.numpy() for x in (system.dynamics, system.loadings, system.to_past, moments.present))
    z, y = slice(0, n_units), slice(n_units, len(c))
    terms = [_term(1.0, g, a, c)]
    whitened = None
    if n_units:
        terms.append(_term(1.0, present[z, z], c[z], c[z]))
    if n_units < len(c):
        factor = np.linalg.cholesky(present[y, y])
        whitened = _triangle(solve_triangular(factor, c[y], lower=True))
        if n_units:
            terms.append(_term(2.0, present[z, y], c[z], c[y]))
    return CovarianceProblem(tuple(terms), a, whitened)


def _term(weight: float, target: np.ndarray, left: np.ndarray, right: np.ndarray) -> NormTerm:
    (left_basis, left), (right_basis, right) = np.linalg.qr(left), np.linalg.qr(right)
    core = left_basis.T @ target @ right_basis
    rest = np.sqrt(max(0.0, (target**2).sum() - (core**2).sum()))
    matrix = np.kron(left, right) @ full_from_entries(left.shape[1])
    triangle = _triangle(np.column_stack([matrix, core.ravel()]))
    matrix, reduced = triangle[:, :-1], triangle[:, -1]
    return NormTerm(weight, np.append(reduced, rest), np.vstack([matrix, np.zeros((1, matrix.shape[1]))]))


def _triangle(matrix: np.ndarray) -> np.ndarray:
    """The triangular factor of a QR decomposition."""
    return np.asarray(np.linalg.qr(matrix, mode="r"))


def full_from_entries(n_states: int) -> np.ndarray:
    """(D * D, E) from the upper triangle of a symmetric matrix, row by row, to the whole matrix, row by row."""
    rows, columns = np.triu_indices(n_states)
    matrix = np.zeros((n_states, n_states, len(rows)))
    matrix[rows, columns, np.arange(len(rows))] = matrix[columns, rows, np.arange(len(rows))] = 1
    return matrix.reshape(n_states**2, -1)


def objective(problem: CovarianceProblem, covariance: np.ndarray) -> float:
    """What the program minimises, for a covariance (D, D) of the states."""
    entries = covariance[np.triu_indices(len(covariance))]
    return float(sum(t.weight * np.linalg.norm(t.target - t.matrix @ entries) for t in problem.terms))


def approximate(problem: CovarianceProblem) -> np.ndarray:
    """A covariance (D, D) that obeys the constraints, close to the optimum if they hardly matter there.

    The norms are replaced by their squares, which least squares minimise. Negative eigenvalues of Q are set to zero, P
    is the covariance that the states then have, and it is multiplied by the number for which the objective is smallest
    and R_y is positive definite.
    """
    weights = [np.sqrt(t.weight) for t in problem.terms]
    matrix = np.vstack([w * t.matrix for w, t in zip(weights, problem.terms, strict=True)])
    target = np.concatenate([w * t.target for w, t in zip(weights, problem.terms, strict=True)])
    n_states = len(problem.dynamics)
    entries = np.linalg.lstsq(matrix, target, rcond=None)[0]
    covariance = (full_from_entries(n_states) @ entries).reshape(n_states, n_states)
    noise = positive(covariance - problem.dynamics @ covariance @ problem.dynamics.T)
    covariance = positive(solve_discrete_lyapunov(problem.dynamics, noise))
    entries = covariance[np.triu_indices(n_states)]
    explained = matrix @ entries
    best = float(explained @ target) / max(float(explained @ explained), 1e-300)
    if problem.whitened is not None:
        largest = np.linalg.eigvalsh(problem.whitened @ covariance @ problem.whitened.T).max()
        best = min(best, LARGEST_SHARE / max(largest, 1e-300))
    return max(best, 0.0) * covariance


def noise_of(covariance: np.ndarray, system: Dynamics, moments: LogRateMoments, n_units: int) -> NoiseModel:
    """The covariances that follow from that of the states, without what the solver leaves of negative eigenvalues.

    The noise of the LFP has eigenvalues of at least LEAST_EIGENVALUE: where the states explain a direction completely,
    that left by the solver would decide whether the filter ignores it or follows it exactly.
    """
    a, c, present = system.dynamics.numpy(), system.loadings.numpy()[n_units:], moments.present.numpy()
    noise = positive(covariance - a @ covariance @ a.T)
    lfp = present[n_units:, n_units:] - c @ covariance @ c.T
    return NoiseModel(states=positive(covariance), dynamics=noise, lfp=positive(lfp, LEAST_EIGENVALUE))


def positive(matrix: np.ndarray, least: float = 0.0) -> np.ndarray:
    """The nearest symmetric matrix without eigenvalues below `least`."""
    if not len(matrix):
        return matrix
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * values.clip(min=least)) @ vectors.T

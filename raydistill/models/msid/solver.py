"""Solving the semidefinite program with cvxpy and Clarabel; the only file that imports them.

D states, E = D(D + 1) / 2 entries of a symmetric matrix.
"""

import warnings

import cvxpy as cp
import numpy as np

from raydistill.models.msid.noise import CovarianceProblem, full_from_entries


def solve(problem: CovarianceProblem) -> tuple[np.ndarray | None, bool]:
    """The covariance (D, D) of the states at the optimum, None if the solver found none; and whether it is as accurate
    as the solver promises."""
    n_states = len(problem.dynamics)
    full = full_from_entries(n_states)
    entries = cp.Variable(full.shape[1])
    covariance = _square(full @ entries)
    transition = _square((full - np.kron(problem.dynamics, problem.dynamics) @ full) @ entries)
    constraints = [covariance >> 0, transition >> 0]
    if problem.whitened is not None:
        explained = _square((np.kron(problem.whitened, problem.whitened) @ full) @ entries)
        constraints.append(np.eye(len(problem.whitened)) - explained >> 0)
    loss = sum(term.weight * cp.norm2(term.target - term.matrix @ entries) for term in problem.terms)
    program = cp.Problem(cp.Minimize(loss), constraints)
    try:
        with warnings.catch_warnings():  # what it says of accuracy is returned
            warnings.filterwarnings("ignore", message="Solution may be inaccurate")
            program.solve(solver=cp.CLARABEL)
    except cp.error.SolverError:
        return None, False
    if program.status not in (cp.OPTIMAL, cp.OPTIMAL_INACCURATE) or entries.value is None:
        return None, False
    return (full @ entries.value).reshape(n_states, n_states), program.status == cp.OPTIMAL


def _square(vector: cp.Expression) -> cp.Expression:
    """(m * m,) as (m, m), row by row."""
    size = int(np.sqrt(vector.shape[0]) + 0.5)
    return cp.reshape(vector, (size, size), order="C")

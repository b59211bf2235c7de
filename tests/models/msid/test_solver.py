"""The semidefinite program, solved in its reduced form and as it is written."""

import warnings
from functools import partialmethod

import numpy as np
import pytest
import torch

from raydistill.models.msid.moments import LogRateMoments
from raydistill.models.msid.noise import approximate, covariance_problem, noise_of, objective
from raydistill.models.msid.subspace import decompose, dynamics_of
from tests.models.msid.test_subspace import N_UNITS, exact_moments

cp = pytest.importorskip("cvxpy")


@pytest.fixture(scope="module")
def case():
    """Covariances that no system of three states has, so that the constraints hold the optimum back."""
    moments, random = exact_moments(), np.random.default_rng(2)
    disturbed = moments.future_past + 0.3 * torch.from_numpy(random.normal(size=moments.future_past.shape))
    moments = LogRateMoments(moments.mean, moments.present, disturbed, 0)
    system = dynamics_of(decompose(moments, N_UNITS), 3)
    return moments, system, covariance_problem(system, moments, N_UNITS)


def solve_as_written(moments, system):
    """The optimum of the program with a cone for every entry of every matrix."""
    a, c, g, present = (x.numpy() for x in (system.dynamics, system.loadings, system.to_past, moments.present))
    p = cp.Variable((len(a), len(a)), symmetric=True)
    rest = present - c @ p @ c.T
    loss = cp.norm(g - a @ p @ c.T, "fro") + cp.norm(rest[:N_UNITS, :N_UNITS], "fro")
    loss += 2 * cp.norm(rest[:N_UNITS, N_UNITS:], "fro")
    program = cp.Problem(cp.Minimize(loss), [p >> 0, p - a @ p @ a.T >> 0, rest[N_UNITS:, N_UNITS:] >> 0])
    program.solve(solver=cp.CLARABEL)
    return program.value, p.value


def test_reduced_program_has_the_optimum_of_the_program_as_written(case):
    from raydistill.models.msid.solver import solve

    moments, system, problem = case
    value, covariance = solve_as_written(moments, system)
    ours, is_accurate = solve(problem)
    assert is_accurate
    assert value > 0.1
    assert objective(problem, ours) == pytest.approx(value, rel=1e-5)
    loadings = system.loadings.numpy()
    np.testing.assert_allclose(loadings @ ours @ loadings.T, loadings @ covariance @ loadings.T, atol=1e-3)


def test_approximation_obeys_the_constraints_and_is_no_better_than_the_optimum(case):
    from raydistill.models.msid.solver import solve

    moments, system, problem = case
    best, near = objective(problem, solve(problem)[0]), approximate(problem)
    assert best * (1 - 1e-6) <= objective(problem, near) < 1.5 * best
    a, c = system.dynamics.numpy(), system.loadings.numpy()[N_UNITS:]
    rest = moments.present.numpy()[N_UNITS:, N_UNITS:] - c @ near @ c.T
    for matrix in (near, near - a @ near @ a.T, rest):
        assert np.linalg.eigvalsh(matrix).min() > -1e-9 * np.linalg.eigvalsh(matrix).max()
    noise = noise_of(near, system, moments, N_UNITS)
    np.testing.assert_allclose(noise.lfp, rest, atol=1e-9)


def test_solution_short_of_the_tolerance_is_returned_and_named_inaccurate(case, monkeypatch):
    from raydistill.models.msid.fit import _solved
    from raydistill.models.msid.solver import solve

    *_, problem = case
    best, _ = solve(problem)
    unreachable = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-30)
    monkeypatch.setattr(cp.Problem, "solve", partialmethod(cp.Problem.solve, **unreachable))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        covariance, note = _solved(problem)
    np.testing.assert_allclose(covariance, best, atol=1e-3)
    assert note == "fitted with a solution that may be inaccurate: the solver stopped short of its tolerance"

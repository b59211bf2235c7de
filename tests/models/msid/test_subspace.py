"""Dynamics from covariances: of a system whose covariances are known exactly, in any basis of its states."""

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_lyapunov

from raydistill.models.msid.moments import LogRateMoments
from raydistill.models.msid.noise import approximate, covariance_problem, noise_of, objective
from raydistill.models.msid.subspace import decompose, dynamics_of, stable

HORIZON, N_UNITS, N_CHANNELS, N_STATES = 5, 6, 4, 4


def exact_system(seed=0):
    """A, C, Q, the covariance P of the states, G = A P C', and the noise of the LFP."""
    random = np.random.default_rng(seed)
    basis = random.normal(size=(N_STATES, N_STATES))
    a = basis @ np.diag([0.97, 0.9, 0.8, -0.5]) @ np.linalg.inv(basis)
    c = random.normal(size=(N_UNITS + N_CHANNELS, N_STATES))
    q = 0.1 * np.eye(N_STATES)
    p = solve_discrete_lyapunov(a, q)
    noise = random.normal(size=(N_CHANNELS, N_CHANNELS))
    return a, c, q, p, a @ p @ c.T, 0.1 * np.eye(N_CHANNELS) + noise @ noise.T


def exact_moments(seed=0):
    """The covariances of log-rates and LFP of this system: future row i and past row j are C A^(i + j) G."""
    a, c, _, p, g, noise = exact_system(seed)
    lags = [c @ np.linalg.matrix_power(a, k) @ g for k in range(2 * HORIZON)]
    of = {"z": slice(0, N_UNITS), "y": slice(N_UNITS, None)}
    blocks = [[np.block([[lags[i + j][of[r], of[s]] for j in range(HORIZON)] for i in range(HORIZON)])
               for s in of] for r in of]  # fmt: skip
    present = c @ p @ c.T
    present[N_UNITS:, N_UNITS:] += noise
    mean = torch.zeros(N_UNITS + N_CHANNELS, dtype=torch.float64)
    return LogRateMoments(mean, torch.from_numpy(present), torch.from_numpy(np.block(blocks)), 0)


@pytest.fixture(scope="module")
def found():
    moments = exact_moments()
    return moments, decompose(moments, N_UNITS), dynamics_of(decompose(moments, N_UNITS), N_STATES)


def test_rank_of_exact_covariances_is_the_number_of_states(found):
    _, decomposition, _ = found
    assert decomposition.rank == N_STATES


def test_eigenvalues_and_covariances_over_time_are_those_of_the_system(found):
    _, _, system = found
    a, c, _, _, g, _ = exact_system()
    eigenvalues = np.sort_complex(np.linalg.eigvals(system.dynamics.numpy()))
    np.testing.assert_allclose(eigenvalues, np.sort_complex(np.linalg.eigvals(a)), atol=1e-9)
    for k in range(8):
        ours = system.loadings @ torch.linalg.matrix_power(system.dynamics, k) @ system.to_past
        np.testing.assert_allclose(ours, c @ np.linalg.matrix_power(a, k) @ g, atol=1e-8)


def test_covariances_of_an_exact_system_satisfy_every_term_of_the_program(found):
    moments, _, system = found
    _, c, _, p, _, noise = exact_system()
    problem = covariance_problem(system, moments, N_UNITS)
    ours = approximate(problem)  # the optimum is 0, so that least squares find it, too
    assert objective(problem, ours) < 1e-8
    result = noise_of(ours, system, moments, N_UNITS)
    loadings = system.loadings.numpy()
    np.testing.assert_allclose(loadings @ result.states @ loadings.T, c @ p @ c.T, atol=1e-8)
    np.testing.assert_allclose(result.lfp, noise, atol=1e-8)


def test_reduced_program_has_the_norms_and_constraints_of_the_whole_one():
    random = np.random.default_rng(1)
    moments = exact_moments()
    present = moments.present + 0.1 * torch.from_numpy(np.diag(random.random(N_UNITS + N_CHANNELS)))
    moments = LogRateMoments(moments.mean, present, moments.future_past, 0)
    system = dynamics_of(decompose(moments, N_UNITS), 3)  # fewer states than there are, so that no term is 0
    half = random.normal(size=(3, 3))
    covariance = half @ half.T
    problem = covariance_problem(system, moments, N_UNITS)
    a, c, g = system.dynamics.numpy(), system.loadings.numpy(), system.to_past.numpy()
    rest = present.numpy() - c @ covariance @ c.T
    norms = np.linalg.norm(g - a @ covariance @ c.T) + np.linalg.norm(rest[:N_UNITS, :N_UNITS])
    norms += 2 * np.linalg.norm(rest[:N_UNITS, N_UNITS:])
    assert objective(problem, covariance) == pytest.approx(norms, rel=1e-10)
    # R_y = L (I - L^-1 C P C' L^-T) L': both have the same number of negative eigenvalues, and reach 0 together.
    largest = np.linalg.eigvalsh(problem.whitened @ covariance @ problem.whitened.T).max()
    edge = present.numpy()[N_UNITS:, N_UNITS:] - c[N_UNITS:] @ (covariance / largest) @ c[N_UNITS:].T
    assert abs(np.linalg.eigvalsh(edge).min()) < 1e-9


def test_eigenvalues_that_do_not_decay_are_made_smaller_and_others_kept():
    basis = torch.tensor([[1.0, 0.3, 0.1], [0.2, 1.0, 0.4], [0.0, 0.5, 1.0]], dtype=torch.float64)
    system = basis @ torch.diag(torch.tensor([1.2, 0.5, -0.9], dtype=torch.float64)) @ torch.linalg.inv(basis)
    result, changed = stable(system)
    assert changed == 1
    np.testing.assert_allclose(np.sort(np.linalg.eigvals(result.numpy())), [-0.9, 0.5, 0.999], atol=1e-12)

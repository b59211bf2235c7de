"""The filter, compared with the information form of its equations, one bin and one stream at a time."""

import numpy as np
import pytest
import torch

from raydistill.models.families import build_model
from raydistill.models.msid.filter import Belief, expected_counts
from raydistill.models.msid.model import gain_of
from tests.models.msid.systems import batch_of, inputs_of, simulated, spec_of

N_UNITS, N_CHANNELS, N_BINS = 5, 3, 40


@pytest.fixture(scope="module")
def case():
    """(model with drawn weights and a full matrix of noise, counts, LFP, batch of two segments)."""
    _, states, counts, lfp = simulated(N_BINS, N_UNITS, N_CHANNELS, rate=0.5)
    torch.manual_seed(1)
    model = build_model(spec_of("multimodal", counts, lfp, states=(4,))).eval()
    half = torch.randn(N_CHANNELS, N_CHANNELS, dtype=torch.float64)
    model.lfp[N_CHANNELS:] = 0
    model.log_rates[N_UNITS:] = 0
    model.lfp_noise.zero_()
    model.lfp_noise[:N_CHANNELS, :N_CHANNELS] = half @ half.T + 0.1 * torch.eye(N_CHANNELS, dtype=torch.float64)
    model.lfp_offset[:N_CHANNELS] = 0.3
    model.log_rate[:N_UNITS] = -0.5
    model.lfp_gain.copy_(gain_of(model.lfp_noise, model.lfp, torch.ones(len(model.lfp), dtype=torch.bool)))
    batch = batch_of(inputs_of("multimodal", counts), counts, lfp, states[:, :2], segment_bins=N_BINS // 2)
    return model, counts, lfp, batch


def filtered(model, counts, lfp, units, channels):
    """States (T, D) before and after each bin, and their covariances before it, by the information form.

    Args:
        units, channels: which are observed.
    """
    a, q, p = (x.numpy() for x in (model.dynamics, model.noise, model.states))
    cz, dz = model.log_rates.numpy()[units], model.log_rate.numpy()[units]
    cy, dy = model.lfp.numpy()[channels], model.lfp_offset.numpy()[channels]
    precision_y = np.linalg.inv(model.lfp_noise.numpy()[np.ix_(channels, channels)])
    x, priors, posteriors, covariances = np.zeros(len(a)), [], [], []
    for n, y in zip(counts[:, units], lfp[:, channels].astype(np.float32), strict=True):
        x, p = a @ x, a @ p @ a.T + q
        priors.append(x)
        covariances.append(p)
        rates = np.exp(cz @ x + dz)
        p = np.linalg.inv(np.linalg.inv(p) + cz.T @ np.diag(rates) @ cz + cy.T @ precision_y @ cy)
        x = x + p @ (cz.T @ (n - rates) + cy.T @ precision_y @ (y - cy @ x - dy))
        posteriors.append(x)
    return np.array(priors), np.array(posteriors), np.array(covariances)


def by_segment(model, counts, lfp, units, channels):
    """As `filtered`, on both segments."""
    half = N_BINS // 2
    parts = [filtered(model, counts[a : a + half], lfp[a : a + half], units, channels) for a in (0, half)]
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def test_latents_equal_the_filtered_states_of_the_equations(case):
    model, counts, lfp, batch = case
    _, posteriors, _ = by_segment(model, counts, lfp, [*range(N_UNITS)], [*range(N_CHANNELS)])
    np.testing.assert_allclose(model.latents(batch), posteriors, atol=1e-5)  # z-scored counts are float32


def test_one_step_predictions_are_those_of_the_states_before_each_bin(case):
    model, counts, lfp, batch = case
    priors, _, covariances = by_segment(model, counts, lfp, [*range(N_UNITS)], [*range(N_CHANNELS)])
    cz, cy = model.log_rates.numpy()[:N_UNITS], model.lfp.numpy()[:N_CHANNELS]
    variance = np.einsum("ud,tde,ue->tu", cz, covariances, cz)
    signals = model.expected_signals(batch, ahead=True)
    np.testing.assert_allclose(signals["spikes"][:, :N_UNITS], np.exp(priors @ cz.T - 0.5 + variance / 2), atol=1e-5)
    np.testing.assert_allclose(signals["lfp"][:, :N_CHANNELS], priors @ cy.T + 0.3, atol=1e-5)


def test_hidden_columns_are_predicted_from_the_others_alone(case):
    model, counts, lfp, batch = case
    hidden = {"spikes": torch.arange(8) == 1, "lfp": torch.arange(8) == 2}
    _, posteriors, _ = by_segment(model, counts, lfp, [0, 2, 3, 4], [0, 1])
    signals = model.expected_signals(batch, ahead=False, hidden=hidden)
    expected = posteriors @ model.lfp.numpy()[:N_CHANNELS].T + 0.3
    np.testing.assert_allclose(signals["lfp"][:, :N_CHANNELS], expected, atol=1e-5)


def test_bins_that_are_not_seen_change_nothing_and_are_predicted_by_the_dynamics(case):
    model, counts, lfp, _ = case
    inputs = inputs_of("multimodal", counts)
    batch = batch_of(inputs, counts, lfp, np.zeros((N_BINS, 2)), segment_bins=N_BINS)
    changed = batch_of(
        inputs, np.concatenate([counts[:-3], counts[:3] + 9]), lfp, np.zeros((N_BINS, 2)), segment_bins=N_BINS
    )
    signals = model.expected_signals(batch, ahead=False, unseen=3)["lfp"]
    assert torch.equal(signals, model.expected_signals(changed, ahead=False, unseen=3)["lfp"])
    _, posteriors, _ = filtered(model, counts, lfp, [*range(N_UNITS)], [*range(N_CHANNELS)])
    ahead = posteriors[-4] @ np.linalg.matrix_power(model.dynamics.numpy(), 3).T
    np.testing.assert_allclose(signals[-1, :N_CHANNELS], ahead @ model.lfp.numpy()[:N_CHANNELS].T + 0.3, atol=1e-5)


def test_expected_counts_are_the_mean_over_uncertain_states():
    random = np.random.default_rng(0)
    mean, half, loadings = random.normal(size=2) * 0.3, random.normal(size=(2, 2)) * 0.4, random.normal(size=(1, 2))
    draws = np.exp((mean + random.normal(size=(400_000, 2)) @ half.T) @ loadings.T - 1)
    belief = Belief(torch.from_numpy(mean)[None], torch.from_numpy(half @ half.T)[None])
    result = expected_counts(belief, torch.from_numpy(loadings), torch.full((1,), -1.0, dtype=torch.float64))
    assert float(result) == pytest.approx(draws.mean(), rel=0.01)


def test_counts_of_z_scored_input_are_the_recorded_ones(case):
    model, counts, _, batch = case
    tokens = batch.values.unflatten(0, (N_BINS, -1))[None]
    np.testing.assert_allclose(model.signals(tokens, "s")[0][0, :, :N_UNITS], counts, atol=1e-5)


def test_one_long_stream_stays_finite_and_its_covariance_settles(case):
    model, counts, lfp, _ = case
    inputs, state = inputs_of("multimodal", counts), model.initial_state(1, 1, 0)
    covariances = []
    for t in range(3000):
        one = batch_of(inputs, counts[[t % N_BINS]], lfp[[t % N_BINS]], np.zeros((1, 2)))
        state, latents = model.step(state, one)
        covariances.append(state["covariance"].diagonal(dim1=1, dim2=2).sum())
    assert latents.isfinite().all() and int(state["time"]) == 3000
    assert covariances[-1] == pytest.approx(float(covariances[-1 - N_BINS]), rel=1e-9)  # the signals repeat

"""Fitting a system that was simulated, from spikes, LFP, or both."""

import builtins
import dataclasses

import numpy as np
import pytest
import torch
from sklearn.linear_model import PoissonRegressor

from raydistill.errors import DataError
from raydistill.models.families import FAMILIES
from raydistill.models.files import load_model, save_model
from tests.models.msid.systems import BIN_WIDTH_MS, batch_of, inputs_of, simulated, spec_of, true_dynamics

N_TRAIN = 24_000
fit = FAMILIES["msid"].fit


@pytest.fixture(scope="module")
def recording():
    return simulated()


def fitted(recording, modality, change=lambda train, valid: (train, valid), **settings):
    _, states, counts, lfp = recording
    inputs, behavior = inputs_of(modality, counts), states[:, :2]
    folds = (slice(0, N_TRAIN), slice(N_TRAIN, None))
    train, valid = change(*(batch_of(inputs, counts[f], lfp[f], behavior[f]) for f in folds))
    return fit(spec_of(modality, counts, lfp, **settings), train, valid, BIN_WIDTH_MS).eval(), valid


def largest_error(found, true):
    return max(min(abs(f - t) for f in found) for t in true)


@pytest.mark.parametrize(("modality", "tolerance"), [("multimodal", 0.003), ("lfp", 0.003), ("spikes", 0.015)])
def test_eigenvalues_of_a_simulated_system_are_found(recording, modality, tolerance):
    model, _ = fitted(recording, modality, states=(4,))
    assert largest_error(torch.linalg.eigvals(model.dynamics).numpy(), recording[0]) < tolerance


@pytest.mark.parametrize(("modality", "tolerance"), [("multimodal", 0.07), ("lfp", 0.04), ("spikes", 0.15)])
def test_covariances_over_time_are_those_of_a_simulated_system(recording, modality, tolerance):
    """C A^k P C' of log-rates and LFP, which no change of basis alters; the true loadings come from the true states."""
    model, _ = fitted(recording, modality, states=(4,))
    _, states, counts, lfp = recording
    true = {
        "spikes": np.array([PoissonRegressor(alpha=0).fit(states, of_unit).coef_ for of_unit in counts.T]),
        "lfp": np.linalg.lstsq(np.column_stack([states, np.ones(len(states))]), lfp, rcond=None)[0][:4].T,
    }
    ours = {"spikes": model.log_rates[: counts.shape[1]].numpy(), "lfp": model.lfp[: lfp.shape[1]].numpy()}
    signals = ("spikes", "lfp") if modality == "multimodal" else (modality,)
    c, c_true = (np.concatenate([of[name] for name in signals]) for of in (ours, true))
    present = np.linalg.norm(c_true @ c_true.T)  # each state has a variance of 1
    for k in (0, 1, 5, 10, 20):
        found = c @ np.linalg.matrix_power(model.dynamics.numpy(), k) @ model.states.numpy() @ c.T
        expected = c_true @ np.linalg.matrix_power(true_dynamics(), k) @ c_true.T
        assert np.linalg.norm(found - expected) < tolerance * present


def test_both_signals_together_explain_the_true_states(recording):
    model, valid = fitted(recording, "multimodal", states=(4,))
    latents, true = model.latents(valid).numpy(), recording[1][N_TRAIN:]
    design = np.column_stack([latents, np.ones(len(latents))])
    residual = true - design @ np.linalg.lstsq(design, true, rcond=None)[0]
    assert (1 - residual.var(0) / true.var(0)).min() > 0.8  # the noise of the signals leaves no more
    about = model.spec.provenance["fit"]
    output = model.behavior(model.latents(valid)).detach().numpy()
    r2 = 1 - ((output - true[:, :2]) ** 2).sum(0) / ((true[:, :2] - true[:, :2].mean(0)) ** 2).sum(0)
    assert about["valid_r2"] == {"4": pytest.approx(r2.mean(), abs=1e-4)}
    assert about["unused_units"] == [] and about["unstable_eigenvalues"] == 0


def test_number_of_states_is_the_best_on_the_valid_fold_and_is_in_the_saved_model(recording, tmp_path):
    model, valid = fitted(recording, "lfp", states=(1, 4))
    about = model.spec.provenance["fit"]
    assert about["valid_r2"]["4"] > about["valid_r2"]["1"] + 0.2
    assert model.spec.config.states == (4,) and model.latents(valid).shape[1] == 4
    save_model(model, tmp_path)
    loaded = load_model(tmp_path)
    assert loaded.spec == model.spec and torch.equal(loaded.latents(valid), model.latents(valid))


def test_slow_units_are_not_used_and_are_named(recording):
    eigenvalues, states, counts, lfp = recording
    counts = counts.copy()
    counts[:, 3] = 0
    counts[::1000, 3] = 1  # 0.1 Hz
    model, _ = fitted((eigenvalues, states, counts, lfp), "spikes", states=(4,))
    assert model.spec.provenance["fit"]["unused_units"] == [3]
    assert not model.log_rates[3].any() and float(model.log_rate[3].exp()) == pytest.approx(0.001)
    with pytest.raises(DataError, match=r"no unit has 500\.0 Hz on the train fold"):
        fitted(recording, "spikes", states=(4,), min_rate_hz=500.0)


def test_more_states_than_the_rank_are_refused_or_passed_over(recording):
    with pytest.raises(DataError, match=r"`states: \[300\]` are more than the 24 directions"):
        fitted(recording, "spikes", states=(300,), horizon=2)
    model, _ = fitted(recording, "spikes", states=(2, 300), horizon=2)
    assert model.spec.provenance["fit"]["states_above_rank"] == [300] and model.spec.config.states == (2,)


def test_bins_without_behavior_are_not_fitted_or_scored(recording):
    def lose(train, valid):
        lost = [dataclasses.replace(batch, behavior=batch.behavior.clone()) for batch in (train, valid)]
        for batch in lost:
            batch.behavior[::7, 0] = torch.nan
        return lost

    model, valid = fitted(recording, "lfp", lose, states=(4,))
    assert model.behavior(model.latents(valid)).isfinite().all()
    assert model.spec.provenance["fit"]["valid_r2"]["4"] > 0.8


def test_fit_without_a_solver_is_approximate_and_says_so(recording, monkeypatch):
    exact, _ = fitted(recording, "multimodal", states=(4,))
    real = builtins.__import__

    def without_cvxpy(name, *args, **kwargs):
        if name in ("cvxpy", "raydistill.models.msid.solver"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_cvxpy)
    model, _ = fitted(recording, "multimodal", states=(4,))
    about = model.spec.provenance["fit"]
    assert exact.spec.provenance["fit"]["note"] is None
    assert about["note"].startswith("fitted approximately, because cvxpy is missing: `pip install 'raydistill[msid]'`")
    assert about["valid_r2"]["4"] == pytest.approx(exact.spec.provenance["fit"]["valid_r2"]["4"], abs=0.02)


def test_segments_are_not_joined_by_a_window(recording):
    """The segments in another order have the same windows, so the fit is the same."""
    _, states, counts, lfp = recording

    def fit_in(order):
        rows = np.concatenate([np.arange(1000 * i, 1000 * (i + 1)) for i in order])
        inputs = inputs_of("lfp", counts)
        train = batch_of(inputs, counts[rows], lfp[rows], states[rows, :2])
        return fit(spec_of("lfp", counts, lfp, states=(4,)), train, train, BIN_WIDTH_MS)

    one, other = fit_in(range(6)), fit_in([4, 2, 0, 5, 1, 3])
    eigenvalues = [np.sort_complex(torch.linalg.eigvals(m.dynamics).numpy()) for m in (one, other)]
    np.testing.assert_allclose(*eigenvalues, atol=1e-9)


def test_valid_fold_chooses_the_states_and_is_no_part_of_the_system(recording):
    """Windows of the train fold alone enter the moments: other values in the valid fold change no weight."""

    def with_other_values(train, valid):
        return train, dataclasses.replace(valid, values=valid.values.flip(0) + 1)

    one, _ = fitted(recording, "lfp", states=(4,))
    other, _ = fitted(recording, "lfp", with_other_values, states=(4,))
    assert one.spec.provenance["fit"]["valid_r2"] != other.spec.provenance["fit"]["valid_r2"]
    assert all(torch.equal(weight, other.state_dict()[name]) for name, weight in one.state_dict().items())

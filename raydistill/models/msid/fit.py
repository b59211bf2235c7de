"""Fitting the model to one session (docs/methods.md, MSID).

Axes: T bins of a segment, N bins, n signals (units that are used first, then LFP channels), D states, K behavior
columns.
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raydistill.errors import DataError
from raydistill.feed.tokens import Batch
from raydistill.models.msid.config import MsidConfig
from raydistill.models.msid.model import MsidModel, gain_of
from raydistill.models.msid.moments import LogRateMoments, hankel_moments, log_rate_moments
from raydistill.models.msid.noise import CovarianceProblem, NoiseModel, approximate, covariance_problem, noise_of
from raydistill.models.msid.subspace import Decomposition, Dynamics, decompose, dynamics_of
from raydistill.models.spec import ModelSpec


@torch.no_grad()
def fit(spec: ModelSpec, train: Batch, valid: Batch, bin_width_ms: float) -> MsidModel:
    """The system of one session, with the number of states of the highest R² of behavior on the valid fold.

    `provenance.fit` of the model's specification says what was chosen and how: the R² of each number of states, the
    units that were too slow, how often a covariance or an eigenvalue had to be limited, and a `note` if the fit is
    approximate or may be inaccurate.

    Raises:
        DataError: no signal is left, the segments are too short, or no number of states is possible.
    """
    config, (session,) = spec.config, spec.sessions
    columns = _FittedColumns(MsidModel(spec), train, config, bin_width_ms)
    moments = hankel_moments(columns.segments(train), columns.n_units, config.horizon)
    log_rates = log_rate_moments(moments)
    decomposition = decompose(log_rates, columns.n_units)
    candidates = [n for n in sorted(config.states) if n <= decomposition.rank]
    if not candidates:
        raise DataError(
            f"session {session}: `states: {list(config.states)}` are more than the {decomposition.rank} directions in "
            "which the past predicts the future; set fewer `states`"
        )
    best: MsidModel | None = None
    valid_r2: dict[str, float] = {}
    for n_states in candidates:
        model, about = _system(spec, n_states, decomposition, log_rates, columns)
        _fit_behavior(model, train)
        valid_r2[str(n_states)] = _mean_r2(model, valid)
        if best is None or valid_r2[str(n_states)] > best.spec.provenance["fit"]["valid_r2"]:
            about |= {"valid_r2": valid_r2[str(n_states)]}
            best = model
            best.spec = dataclasses.replace(model.spec, provenance=spec.provenance | {"fit": about})
    assert best is not None
    best.spec.provenance["fit"] |= {
        "chosen": {"states": best.spec.config.width},
        "valid_r2": valid_r2,
        "states_above_rank": [n for n in config.states if n > decomposition.rank],
        "unused_units": columns.unused_units,
        "limited_covariances": log_rates.n_floored,
    }
    return best


class _FittedColumns:
    """The slots of a session that the system describes: units that are fast enough, and all channels."""

    def __init__(self, model: MsidModel, train: Batch, config: MsidConfig, bin_width_ms: float):
        self._model = model
        per_bin = train.slots[: train.lengths[0] // train.bins[0]]  # (P, G) of the first bin
        used = {name: torch.zeros(len(per_bin), width, dtype=torch.bool) for name, width in model.slots.items()}
        signals = [name for name, width in model.slots.items() if width]
        for g, name in enumerate(signals):
            used[name] = torch.arange(model.slots[name]) < per_bin[:, g, None]
        counts, _ = self._signals(train)
        self.mean_counts = counts.mean(0)
        is_fast = self.mean_counts * 1000 / bin_width_ms >= max(config.min_rate_hz, 1e-9)
        recorded = used["spikes"].flatten()
        self.units = (recorded & is_fast).nonzero()[:, 0]
        self.channels = used["lfp"].flatten().nonzero()[:, 0]
        place = recorded.long().cumsum(0) - 1  # slot -> number of the unit
        self.unused_units = place[recorded & ~is_fast].tolist()
        if not len(self.units) + len(self.channels):
            raise DataError(
                f"session {train.sessions[0]}: no unit has {config.min_rate_hz} Hz on the train fold; "
                "set a smaller `min_rate_hz`"
            )

    @property
    def n_units(self) -> int:
        """Units that are used."""
        return len(self.units)

    def segments(self, batch: Batch) -> list[Tensor]:
        """(T, n) float64 of each segment."""
        counts, lfp = self._signals(batch)
        return list(torch.cat([counts[:, self.units], lfp[:, self.channels]], dim=1).split(list(batch.bins)))

    def _signals(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Counts (N, slots of units) and LFP (N, slots of channels)."""
        tokens = batch.values.unflatten(0, (sum(batch.bins), -1))[None]  # (N * P, S) -> (1, N, P, S)
        counts, lfp = self._model.signals(tokens, batch.sessions[0])
        return counts[0], lfp[0]


def _system(
    spec: ModelSpec, n_states: int, decomposition: Decomposition, moments: LogRateMoments, columns: _FittedColumns
) -> tuple[MsidModel, dict[str, Any]]:
    """The model with this number of states, without its read-out of behavior, and how it was found."""
    system = dynamics_of(decomposition, n_states)
    problem = covariance_problem(system, moments, columns.n_units)
    covariance, note = _solved(problem)
    noise = noise_of(approximate(problem) if covariance is None else covariance, system, moments, columns.n_units)
    model = MsidModel(dataclasses.replace(spec, config=dataclasses.replace(spec.config, states=(n_states,))))
    _set(model, system, noise, moments, columns)
    return model.eval(), {"note": note, "unstable_eigenvalues": system.n_unstable}


def _solved(problem: CovarianceProblem) -> tuple[np.ndarray | None, str | None]:
    """The covariance of the states at the optimum, or None; and why the fit is approximate or may be inaccurate."""
    try:
        from raydistill.models.msid.solver import solve
    except ImportError:
        return None, (
            "fitted approximately, because cvxpy is missing: `pip install 'raydistill[msid]'`, delete the folders of "
            "these jobs, and run the sweep again"
        )
    covariance, is_accurate = solve(problem)
    if covariance is None:
        return None, "fitted approximately, because the solver found no optimum"
    inaccurate = "fitted with a solution that may be inaccurate: the solver stopped short of its tolerance"
    return covariance, None if is_accurate else inaccurate


def _set(
    model: MsidModel, system: Dynamics, noise: NoiseModel, moments: LogRateMoments, columns: _FittedColumns
) -> None:
    """Put a system into a model; slots that it does not describe have no weight and their mean count."""
    units, channels, n_units = columns.units, columns.channels, columns.n_units
    for name, values in (("dynamics", noise.dynamics), ("states", noise.states), ("lfp", noise.lfp)):
        if not torch.from_numpy(values).isfinite().all():
            raise DataError(f"session {next(iter(model.spec.sessions))}: the covariance of {name} is not finite")
    model.dynamics.copy_(system.dynamics)
    model.noise.copy_(torch.from_numpy(noise.dynamics))
    model.states.copy_(torch.from_numpy(noise.states))
    for weights in (model.log_rates, model.lfp, model.lfp_offset, model.lfp_noise, model.lfp_gain):
        weights.zero_()
    model.log_rates[units] = system.loadings[:n_units]
    model.log_rate.copy_(columns.mean_counts.clamp(min=1e-9).log())
    model.log_rate[units] = moments.mean[:n_units]
    model.lfp[channels] = system.loadings[n_units:]
    model.lfp_offset[channels] = moments.mean[n_units:]
    model.lfp_noise[channels[:, None], channels] = torch.from_numpy(noise.lfp)
    model.lfp_gain.copy_(gain_of(model.lfp_noise, model.lfp, torch.ones(len(model.lfp), dtype=torch.bool)))


def _fit_behavior(model: MsidModel, train: Batch) -> None:
    """Least squares from the states to behavior, over the bins whose behavior is known."""
    assert train.behavior is not None
    latents = model.latents(train).double()
    known = train.behavior.isfinite().all(1)
    design = torch.cat([latents, torch.ones(len(latents), 1, dtype=latents.dtype)], dim=1)[known]
    weights = torch.linalg.lstsq(design, train.behavior[known].double(), driver="gelsd").solution  # (D + 1, K)
    model.behavior.weight.copy_(weights[:-1].T)
    model.behavior.bias.copy_(weights[-1])


def _mean_r2(model: MsidModel, batch: Batch) -> float:
    """R² of behavior, pooled over the bins of all segments, as a mean over columns."""
    assert batch.behavior is not None
    known = batch.behavior.isfinite().all(1)
    target, output = batch.behavior[known].double(), model.behavior(model.latents(batch))[known].double()
    residual = ((target - output) ** 2).sum(0)
    return float((1 - residual / ((target - target.mean(0)) ** 2).sum(0)).mean())

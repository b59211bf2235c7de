"""The model of multiscale subspace identification: its latents are the states of a point-process Kalman filter.

Axes: n streams, L bins of a segment, T bins, D states, P patches per bin, S slots of a patch, U slots of units and C
slots of channels of all sessions together, u and c of one session. Slots without unit or channel have zero weights.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from raydistill.feed.tokens import Batch
from raydistill.models.columns import normalisation_of
from raydistill.models.layers.state import State
from raydistill.models.model import Model, check_one_bin
from raydistill.models.msid.config import signals_of
from raydistill.models.msid.filter import Belief, Observation, expected_counts, predicted, updated
from raydistill.models.spec import ModelSpec


class MsidModel(Model):
    """x_t = A x_{t-1} + q, log-rates C_z x_t + d_z, and LFP C_y x_t + d_y + r; all in float64.

    The latents of a bin are the mean of x_t given this and earlier bins of its segment. Before a segment, the states
    have the mean 0 and the covariance that they have without any observation.
    """

    predicts_signals = True
    lfp_gain: Tensor
    count_mean: Tensor
    count_sd: Tensor

    def __init__(self, spec: ModelSpec):
        super().__init__(spec)
        n_states, slots = spec.config.width, dict(zip(signals_of(spec.modality), spec.widths, strict=True))
        self.slots = {name: slots.get(name, 0) for name in ("spikes", "lfp")}
        n_patches = sum(spec.sessions.values())
        n_units, n_channels = (n_patches * self.slots[name] for name in ("spikes", "lfp"))
        exact = torch.float64
        rotation = torch.linalg.qr(torch.randn(n_states, n_states, dtype=exact)).Q
        identity = torch.eye(n_states, dtype=exact)
        self.dynamics = _fixed(0.9 * rotation)
        """(D, D) A."""
        self.noise = _fixed((1 - 0.9**2) * identity)
        """(D, D) covariance of q."""
        self.states = _fixed(identity)
        """(D, D) covariance of x without observations."""
        self.log_rates = _fixed(torch.randn(n_units, n_states, dtype=exact) / (4 * n_states**0.5))
        """(U, D) C_z."""
        self.log_rate = _fixed(torch.zeros(n_units, dtype=exact))
        """(U,) d_z."""
        self.lfp = _fixed(torch.randn(n_channels, n_states, dtype=exact) / n_states**0.5)
        """(C, D) C_y."""
        self.lfp_offset = _fixed(torch.zeros(n_channels, dtype=exact))
        """(C,) d_y."""
        self.lfp_noise = _fixed(torch.eye(n_channels, dtype=exact))
        """(C, C) covariance of r."""
        if spec.behavior:
            self.behavior = nn.Linear(n_states, len(spec.behavior))
        self.register_buffer("lfp_gain", self.lfp.detach().clone())  # (C, D) pseudo-inverse of the noise, times C_y
        mean, sd = _count_scale(spec, self.slots["spikes"])
        self.register_buffer("count_mean", mean)
        self.register_buffer("count_sd", sd)

    def latents(self, batch: Batch) -> Tensor:
        """The filtered states of every bin. Shape: (sum of T, D) float32."""
        return self._each_bin(batch, lambda prior, posterior, observation: posterior.mean).float()

    def expected_signals(
        self, batch: Batch, *, ahead: bool, hidden: Mapping[str, Tensor] | None = None, unseen: int = 0
    ) -> dict[str, Tensor]:
        """As `Model.expected_signals`."""
        u = self._span(batch.sessions[0], "spikes")
        n_units = u.stop - u.start

        def read(prior: Belief, posterior: Belief, observation: Observation) -> Tensor:
            belief = prior if ahead else posterior
            counts = expected_counts(belief, observation.log_rates, observation.log_rate)
            return torch.cat([counts, belief.mean @ observation.lfp.T + observation.offset], dim=1)

        both = self._each_bin(batch, read, hidden or {}, unseen)
        values = {"spikes": both[:, :n_units], "lfp": both[:, n_units:]}
        return {name: values[name] for name in signals_of(self.spec.modality)}

    def initial_state(self, streams: int, patches: int, window: int) -> State:
        """As `Model.initial_state`."""
        n_states, like = len(self.states), self.dynamics
        return {
            "mean": like.new_zeros(streams, n_states),
            "covariance": self.states.detach().expand(streams, -1, -1).clone(),
            "time": torch.zeros(streams, dtype=torch.int64, device=like.device),
        }

    def step(self, state: State, batch: Batch) -> tuple[State, Tensor]:
        """As `Model.step`."""
        check_one_bin(batch)
        counts, lfp = self.signals(batch.values.unflatten(0, (len(batch.bins), 1, -1)), batch.sessions[0])
        observation = self.observation(batch.sessions[0])
        prior = predicted(Belief(state["mean"], state["covariance"]), self.dynamics, self.noise)
        posterior = updated(prior, observation, observation.products(), counts[:, 0], lfp[:, 0])
        new = {"mean": posterior.mean, "covariance": posterior.covariance, "time": state["time"] + 1}
        return new, posterior.mean.float()

    def observation(self, session: str, hidden: Mapping[str, Tensor] | None = None) -> Observation:
        """How the signals of a session depend on the states.

        Args:
            hidden: signal -> (u,) or (c,) bool, the units or channels that are not observed: the states are inferred
                without them.
        """
        units, channels = self._span(session, "spikes"), self._span(session, "lfp")
        log_rates, gain = self.log_rates[units], self.lfp_gain[channels]
        if hidden and "spikes" in hidden:
            log_rates = log_rates.masked_fill(hidden["spikes"][:, None], 0)
        if hidden and "lfp" in hidden:
            noise = self.lfp_noise[channels, channels]
            gain = gain_of(noise, self.lfp[channels].masked_fill(hidden["lfp"][:, None], 0), ~hidden["lfp"])
        return Observation(log_rates, self.log_rate[units], self.lfp[channels], self.lfp_offset[channels], gain)

    def _each_bin(
        self,
        batch: Batch,
        read: Callable[[Belief, Belief, Observation], Tensor],
        hidden: Mapping[str, Tensor] | None = None,
        unseen: int = 0,
    ) -> Tensor:
        """What `read` makes of the states of every bin: before and after it is observed. Shape: (sum of T, k).

        Args:
            hidden: as of `observation`; what is read are all units and channels.
            unseen: last bins of each segment that are not observed.
        """
        groups: dict[tuple[str, int], list[int]] = defaultdict(list)
        for i, key in enumerate(zip(batch.sessions, batch.bins, strict=True)):
            groups[key].append(i)
        pieces = batch.values.split(list(batch.lengths))
        outputs: dict[int, Tensor] = {}
        for (session, n_bins), members in groups.items():
            tokens = torch.stack([pieces[i] for i in members]).unflatten(1, (n_bins, -1))  # (n, L, P, S)
            counts, lfp = self.signals(tokens, session)
            whole, observed = self.observation(session), self.observation(session, hidden)
            products = observed.products()
            state = self.initial_state(len(members), 0, 0)
            posterior, values = Belief(state["mean"], state["covariance"]), []
            for t in range(n_bins):
                prior = posterior = predicted(posterior, self.dynamics, self.noise)
                if t < n_bins - unseen:
                    posterior = updated(prior, observed, products, counts[:, t], lfp[:, t])
                values.append(read(prior, posterior, whole))
            outputs |= dict(zip(members, torch.stack(values, dim=1), strict=True))  # of (L, k)
        return torch.cat([outputs[i] for i in range(len(pieces))])

    def signals(self, tokens: Tensor, session: str) -> tuple[Tensor, Tensor]:
        """Counts and LFP of (n, L, P, S) or (n, L, P * S) tokens. Shape: (n, L, u) and (n, L, c) float64."""
        values = tokens.flatten(2).unflatten(2, (-1, sum(self.slots.values()))).to(self.dynamics.dtype)
        counts, lfp = (part.flatten(2) for part in values.split(list(self.slots.values()), dim=3))
        units = self._span(session, "spikes")
        return counts * self.count_sd[units] + self.count_mean[units], lfp

    def _span(self, session: str, signal: str) -> slice:
        """The slots of a session among those of all sessions."""
        names = tuple(self.spec.sessions)
        before = sum(self.spec.sessions[name] for name in names[: names.index(session)])
        return slice(*(self.slots[signal] * n for n in (before, before + self.spec.sessions[session])))


def gain_of(noise: Tensor, loadings: Tensor, is_observed: Tensor) -> Tensor:
    """(c, D) pseudo-inverse of the noise (c, c) of the observed channels, times their loadings; otherwise zeros."""
    noise = noise * is_observed[:, None] * is_observed
    return torch.linalg.pinv(noise, rtol=1e-12, hermitian=True) @ loadings


def _fixed(values: Tensor) -> nn.Parameter:
    """A parameter that is fitted without gradients."""
    return nn.Parameter(values, requires_grad=False)


def _count_scale(spec: ModelSpec, slots: int) -> tuple[Tensor, Tensor]:
    """(U,) mean and SD by which multimodal input z-scores the counts of each unit; 0 and 1 for counts as they are."""
    mean = torch.zeros(sum(spec.sessions.values()) * slots, dtype=torch.float64)
    sd, start = torch.ones_like(mean), 0
    for session, patches in spec.sessions.items():
        norm = normalisation_of(spec, session).get("spikes") if spec.modality == "multimodal" else None
        if norm:
            mean[start : start + len(norm.mean)] = torch.tensor(norm.mean)
            sd[start : start + len(norm.std)] = torch.tensor(norm.std)
        start += patches * slots
    return mean, sd

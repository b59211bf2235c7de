"""Multiscale subspace identification: settings, presets, configuration and number of parameters."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from raydistill.config.numbers import Limits, NotNegative, Size, check_limits
from raydistill.errors import ConfigError
from raydistill.models.layers.parameters import linear_parameters

Horizon = Annotated[int, Limits(least=2, most=200)]
States = Annotated[int, Limits(least=1, most=512)]


@dataclass(frozen=True, kw_only=True, slots=True)
class MsidSettings:
    """What `model:` of a sweep may set."""

    states: tuple[States, ...] = (8, 16, 32)
    """Candidate numbers of latent states; that with the highest R² on the validation fold is kept."""
    horizon: Horizon = 10
    """Bins before, and bins from the present on, whose covariance is used. Together with the bin width it should be at
    least 100 ms, because a bin has too few spikes."""
    min_rate_hz: NotNegative = 0.5
    """Units that are slower on the training fold are not used."""
    patch: Size = 32
    """Units or electrodes of a token. It changes no result."""

    def __post_init__(self):
        check_limits(self)
        if not self.states or len(set(self.states)) < len(self.states):
            raise ConfigError(f"`states` must be one or more different numbers, but got {list(self.states)}")


PRESETS = dict.fromkeys(("paper", "small", "tiny"), MsidSettings())


@dataclass(frozen=True, kw_only=True, slots=True)
class SignalTokens:
    """Tokens of units, of electrodes with all their bands, or of both."""

    modality: str
    patch: Size

    def widths(self, bands: int) -> tuple[int, ...]:
        """Slots of each signal in a patch."""
        slots = {"spikes": (self.patch,), "lfp": (self.patch * bands,)}
        return slots.get(self.modality, (self.patch, self.patch * bands))


@dataclass(frozen=True, kw_only=True, slots=True)
class MsidConfig:
    """What one model uses."""

    causal: ClassVar[bool] = True
    inputs: SignalTokens
    states: tuple[States, ...]
    """Candidate numbers of states; of a fitted model, the number that was chosen."""
    horizon: Horizon
    min_rate_hz: NotNegative

    @property
    def modality(self) -> str:
        """spikes, lfp or multimodal."""
        return self.inputs.modality

    @property
    def width(self) -> int:
        """D, the number of states; the largest one before it is chosen."""
        return max(self.states)


def configure(
    settings: MsidSettings, modality: str, embedding: str, predictor: bool = False, readout: bool = False
) -> MsidConfig:
    """The configuration of a model that reads this signal. Raises ConfigError if it is to be trained by the loop."""
    if predictor or readout:
        raise ConfigError("`family: msid` is fitted and reconstructs no masked patches: set `supervision: full`")
    if embedding not in ("count", "linear"):
        raise ConfigError(f"`family: msid` reads signals as they are, without embedding, but got `{embedding}`")
    return MsidConfig(
        inputs=SignalTokens(modality=modality, patch=settings.patch),
        states=settings.states,
        horizon=settings.horizon,
        min_rate_hz=settings.min_rate_hz,
    )


def parameters(config: MsidConfig, *, patches: int, bands: int = 1, n_behavior: int = 0) -> int:
    """Number of parameters: dynamics, its noise and the first covariance; loadings and offsets; noise of the LFP."""
    states, widths = config.width, dict(zip(signals_of(config.modality), config.inputs.widths(bands), strict=True))
    units, channels = (patches * widths.get(name, 0) for name in ("spikes", "lfp"))
    head = linear_parameters(states, n_behavior) if n_behavior else 0
    return 3 * states**2 + (units + channels) * (states + 1) + channels**2 + head


def signals_of(modality: str) -> tuple[str, ...]:
    """The signals of a modality, spikes first."""
    return ("spikes", "lfp") if modality == "multimodal" else (modality,)

"""REALM: its sizes, presets and recipes (arXiv 2605.14867, second version; docs/methods.md, REALM).

The model has the parts of a cross-modal model: a gated value embedding that reads all channels of a bin, and
state-space layers over bins. No weight belongs to a session.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from raydistill.config.numbers import Limits, Size, check_limits
from raydistill.config.training import Recipes, TrainingConfig
from raydistill.errors import ConfigError
from raydistill.models.crossmodal.backbones import MambaBackbone
from raydistill.models.crossmodal.config import (
    BinsPredictorConfig,
    CrossModalConfig,
    GatedEmbedding,
    LfpInput,
    Lookahead,
    bins_predictor,
    lookahead,
)

Probability = Annotated[float, Limits(least=0, below=1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class RealmSettings:
    """What `model:` of a job with `family: realm` may set. The defaults are those of REALM."""

    width: Size = 256
    layers: Size = 10
    expand: Size = 2
    """Inner width of a layer, in widths."""
    states: Size = 64
    """State dimensions of each inner column; an even number."""
    head: Size = 64
    """Inner columns that share a decay; they must divide the inner width."""
    dropout: Probability = 0.1
    drop_path: Probability = 0.0
    """Probability with which the last layer is left out of a training pass; it falls linearly to 0 at the first."""
    lfp_patch: Size = 96
    """LFP electrodes in one token. With more electrodes than this, a bin has several tokens, which are averaged."""
    gate: Literal["all", "visible"] = "all"
    """Of masked pretraining: whether the gates of the channels read masked bins, too, as the published ones do."""
    session_embedding: bool = False
    """Of masked pretraining: whether a learned vector of its session is added to every bin, as in the first version of
    REALM. Nothing else reads it: latents, and students, belong to no session."""
    causal: bool = False
    """Whether the latents of a bin depend on this and earlier bins only."""
    lookahead_bins: Lookahead = 0
    """Of a causal model: later bins that the latents of a bin may depend on. A stream answers so many bins late."""

    def __post_init__(self):
        check_limits(self)
        if self.expand * self.width % self.head:
            raise ConfigError(
                "`head` must divide `expand` times `width`, but got "
                f"(head={self.head}, expand={self.expand}, width={self.width})",
                at=("head",),
            )
        if self.states % 2:
            raise ConfigError(f"`states` must be even, but got {self.states}", at=("states",))


PRESETS = {
    "paper": RealmSettings(),
    "small": RealmSettings(width=128, layers=4, states=32),
    "tiny": RealmSettings(width=64, layers=2, expand=1, states=16, head=32, dropout=0.0, lfp_patch=32),
}


def configure(
    settings: RealmSettings, modality: str, embedding: str, predictor: bool = False, readout: bool = False
) -> CrossModalConfig:
    """The configuration of a model, see `raydistill.models.crossmodal.config.configure`.

    Raises:
        ConfigError: the model would read spikes, or have another embedding.
    """
    s = settings
    if modality != "lfp":
        raise ConfigError(f"`family: realm` reads LFP alone, but the job's model reads {modality}")
    if embedding != "gated":
        raise ConfigError(f"`family: realm` has `embedding: gated`, but got {embedding}; leave it out")
    return CrossModalConfig(
        inputs=LfpInput(patch=s.lfp_patch),
        embedding=GatedEmbedding(causal=s.causal),
        backbone=MambaBackbone(
            layers=s.layers,
            expand=s.expand,
            states=s.states,
            head=s.head,
            causal=s.causal,
            drop_path=s.drop_path or None,
        ),
        width=s.width,
        dropout=s.dropout,
        space_std=1.0,  # of no use without space embeddings
        bins_predictor=_predictor(s) if predictor else None,
        readout=readout,
        readout_of="hidden" if readout else None,
        space="none",
        lookahead_bins=lookahead(s.lookahead_bins, s.causal, predictor),
    )


def _predictor(s: RealmSettings) -> BinsPredictorConfig:
    return bins_predictor(s.width, "visible" if s.gate == "visible" else None, s.session_embedding or None)


def session_parameters(config: CrossModalConfig, n_sessions: int) -> int:
    """Number of parameters of the vectors of sessions."""
    return n_sessions * config.width if config.bins_predictor and config.bins_predictor.session else 0


def settings_of(config: CrossModalConfig) -> dict[str, Any]:
    """The settings from which `configure` makes a model of this form."""
    backbone = config.backbone
    assert isinstance(backbone, MambaBackbone) and isinstance(config.inputs, LfpInput)
    names = ("layers", "expand", "states", "head", "causal")
    settings: dict[str, Any] = {name: getattr(backbone, name) for name in names}
    settings |= {"width": config.width, "dropout": config.dropout, "drop_path": backbone.drop_path or 0.0}
    if predictor := config.bins_predictor:
        settings |= {"gate": predictor.gate or "all", "session_embedding": bool(predictor.session)}
    return settings | {"lfp_patch": config.inputs.patch, "lookahead_bins": config.lookahead_bins or 0}


_PRETRAINING = TrainingConfig(
    epochs=300,
    batch=384,
    learning_rate=1.53e-3,
    weight_decay=1e-5,
    weight_decay_end=1e-5,
    patience=30,
    precision="fp32",
    mask="bins",
    channel_dropout=0.15,
    gain_jitter=0.15,
    noise=0.05,
)
_STUDENT = TrainingConfig(
    epochs=300,
    learning_rate=5e-4,
    warmup_epochs=0,
    cosine_to=0.01,
    weight_decay=1e-5,
    weight_decay_end=1e-5,
    patience=30,
    precision="fp32",
    mask="bins",
    alignment=1.0,
    align="residual",
    readout_share=0.3,
)
_SESSION = replace(_STUDENT, epochs=100, patience=20)


def _recipes(pretraining: dict[str, Any], student: dict[str, Any], session: dict[str, Any]) -> Recipes:
    """REALM's recipes with changes."""
    of_session = replace(_SESSION, **session)
    return Recipes(
        pretraining=replace(_PRETRAINING, **pretraining),
        training=of_session,
        continued=of_session,
        shared_student=replace(_STUDENT, **student),
    )


RECIPES = {
    "paper": _recipes({}, {}, {}),
    "small": _recipes(
        {"epochs": 200, "batch": 64, "warmup_epochs": 10, "learning_rate": 1e-3},
        {"epochs": 150, "learning_rate": 1e-3},
        {"learning_rate": 1e-3},
    ),
    "tiny": _recipes(
        {"epochs": 36, "batch": 16, "warmup_epochs": 3, "learning_rate": 3e-3},
        {"epochs": 36, "batch": 16, "learning_rate": 3e-3},
        {"epochs": 60, "batch": 8, "learning_rate": 3e-3},
    ),
}
"""Preset -> recipes: masked pretraining, one student over many sessions, and jobs on one session."""

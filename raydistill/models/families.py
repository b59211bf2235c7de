"""The families of models: how each is configured, counted and built.

The table is closed: to add a family, write its folder under models/ and its row in `FAMILIES` (docs/extending.md).
Planning reads the table, so nothing here imports torch before a model is built.

Built models of all families have the interface of raydistill.models.model.Model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

from raydistill.config.training import RECIPES, Recipes
from raydistill.models.barista import config as barista
from raydistill.models.brant import config as brant
from raydistill.models.crossmodal import config as crossmodal
from raydistill.models.crossmodal.parameters import parameters as crossmodal_parameters
from raydistill.models.crossmodal.parameters import tokens as crossmodal_tokens
from raydistill.models.msid import config as msid
from raydistill.models.ndt2 import config as ndt2
from raydistill.models.realm import config as realm
from raydistill.models.spec import ModelSpec

if TYPE_CHECKING:
    from raydistill.feed.tokens import Batch
    from raydistill.models.layers.parameters import TokenCount
    from raydistill.models.model import Model
    from raydistill.store.catalogue import Entry


@dataclass(frozen=True, kw_only=True)
class Family:
    """How models of one family are configured, counted and built."""

    settings: type
    """Dataclass of everything that `model:` of a sweep may set."""
    presets: Mapping[str, Any]
    """Preset -> settings."""
    config: type
    """Dataclass of what one model uses, which is part of a job's key and of model.json. It has `modality`, `width` (D),
    `causal`, and `inputs.widths(bands)` (slots of each signal in a patch)."""
    configure: Callable[..., Any]
    """(settings, modality, embedding, predictor, readout) -> config; ConfigError if they contradict each other."""
    parameters: Callable[..., int]
    """(config, patches=, bands=, n_behavior=) -> number of parameters."""
    build: "Callable[[ModelSpec], Model]"
    """An untrained model, with weights drawn from torch's random state."""
    settings_of: Callable[[Any], dict[str, Any]] = lambda config: {}
    """config -> the settings from which `configure` makes it. Jobs that start from an imported model take them over; by
    default there are none."""
    recipes: Mapping[str, Recipes] = field(default_factory=lambda: RECIPES)
    """Preset -> recipes."""
    embedding: str | None = None
    """The value embedding of jobs that name none; None: see `JobConfig.embedding`."""
    objective: str = "masked_autoencoding"
    """The objective of jobs without behavior and without a teacher that name none."""
    predicts_labels: bool = False
    """Whether its models have `classes` if the specification names a `label`, for `objective: label_classification`."""
    context_parameters: Callable[[ModelSpec], int] = lambda spec: 0
    """Number of further parameters, those that belong to a session or subject as a whole, or to an array or region."""
    fit: "Callable[[ModelSpec, Batch, Batch, float], Model] | None" = None
    """(spec, train, valid, width of a bin in ms) -> a model fitted to the packed segments of the train fold of one
    session, whose settings may be chosen on the valid fold; its specification may say so. It predicts behavior. None:
    the loop trains models of this family."""
    why_not: "Callable[[Any, Entry], str]" = lambda config, entry: ""
    """(config, session) -> why a model cannot read the session, and the way out; "" if it can."""
    tokens: "Callable[[Any, int, int], TokenCount | None]" = lambda config, patches, bins: None
    """(config, patches per bin, bins of an input) -> the tokens of a transformer, for estimates of time; None: each
    weight is used once per bin."""
    remark: Callable[[Any], str] = lambda config: ""
    """config -> what readers of its scores must know; results and model cards say it."""


def _build_brant(spec: ModelSpec) -> "Model":
    from raydistill.models.brant.model import BrantModel

    return BrantModel(spec)


def _build_barista(spec: ModelSpec) -> "Model":
    from raydistill.models.barista.model import BaristaModel

    return BaristaModel(spec)


def _build_crossmodal(spec: ModelSpec) -> "Model":
    from raydistill.models.crossmodal.model import CrossModalModel

    return CrossModalModel(spec)


def _build_msid(spec: ModelSpec) -> "Model":
    from raydistill.models.msid.model import MsidModel

    return MsidModel(spec)


def _fit_msid(spec: ModelSpec, train: "Batch", valid: "Batch", bin_width_ms: float) -> "Model":
    from raydistill.models.msid.fit import fit

    return fit(spec, train, valid, bin_width_ms)


def _build_ndt2(spec: ModelSpec) -> "Model":
    from raydistill.models.ndt2.model import Ndt2Model

    return Ndt2Model(spec)


FAMILIES = {
    "crossmodal": Family(
        settings=crossmodal.CrossModalSettings,
        presets=crossmodal.PRESETS,
        config=crossmodal.CrossModalConfig,
        configure=crossmodal.configure,
        settings_of=crossmodal.settings_of,
        parameters=crossmodal_parameters,
        build=_build_crossmodal,
        predicts_labels=True,
        tokens=crossmodal_tokens,
    ),
    "realm": Family(
        settings=realm.RealmSettings,
        presets=realm.PRESETS,
        config=crossmodal.CrossModalConfig,
        configure=realm.configure,
        settings_of=realm.settings_of,
        parameters=crossmodal_parameters,
        context_parameters=lambda spec: realm.session_parameters(spec.config, len(spec.sessions)),
        build=_build_crossmodal,  # the same parts, arranged otherwise
        recipes=realm.RECIPES,
        embedding="gated",
        predicts_labels=True,
    ),
    "msid": Family(
        settings=msid.MsidSettings,
        presets=msid.PRESETS,
        config=msid.MsidConfig,
        configure=msid.configure,
        parameters=msid.parameters,
        build=_build_msid,
        fit=_fit_msid,
    ),
    "ndt2": Family(
        settings=ndt2.Ndt2Settings,
        presets=ndt2.PRESETS,
        config=ndt2.Ndt2Config,
        configure=ndt2.configure,
        settings_of=ndt2.settings_of,
        parameters=ndt2.parameters,
        tokens=ndt2.tokens,
        context_parameters=lambda spec: ndt2.context_parameters(
            spec.config, len(spec.sessions), len(set(spec.subject_of_sessions.values()))
        ),
        build=_build_ndt2,
        recipes=ndt2.RECIPES,
        embedding="count",
        predicts_labels=True,
    ),
    "barista": Family(
        settings=barista.BaristaSettings,
        presets=barista.PRESETS,
        config=barista.BaristaConfig,
        configure=barista.configure,
        settings_of=barista.settings_of,
        parameters=barista.parameters,
        tokens=barista.tokens,
        context_parameters=lambda spec: barista.name_parameters(spec.config, len(spec.place_names)),
        build=_build_barista,
        recipes=barista.RECIPES,
        embedding="dilated",
        objective="masked_groups",
        predicts_labels=True,
    ),
    "brant": Family(
        settings=brant.BrantSettings,
        presets=brant.PRESETS,
        config=brant.BrantConfig,
        configure=brant.configure,
        settings_of=brant.settings_of,
        parameters=brant.parameters,
        tokens=brant.tokens,
        build=_build_brant,
        recipes=brant.RECIPES,
        embedding="linear",
        why_not=brant.why_not,
        remark=brant.remark,
    ),
}
"""Name in `family:` of a job -> the family."""
DEFAULT_FAMILY = "crossmodal"
Settings: Any = Union[tuple(family.settings for family in FAMILIES.values())]  # noqa: UP007 - of any number
"""Union of the settings of all families. A key of `model:` is checked against the family of its job."""


def build_model(spec: ModelSpec) -> "Model":
    """An untrained model of the family that `spec` names."""
    return FAMILIES[spec.family].build(spec)


def count_parameters(spec: ModelSpec) -> int:
    """Number of parameters of the model that `spec` names, without building it."""
    family = FAMILIES[spec.family]
    n_outputs = len(spec.behavior) + (len(spec.label.classes) if spec.label else 0)
    shared = family.parameters(spec.config, patches=sum(spec.sessions.values()), bands=spec.bands, n_behavior=n_outputs)
    return shared + family.context_parameters(spec)

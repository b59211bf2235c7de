"""Parts of a model that come from another one, or that are not trained."""

from typing import Any

from raydistill.models.crossmodal.gated import GatedPatch
from raydistill.models.model import Model


def inherit_tokenizer(model: Model, teacher: Model, delayed: bool = False) -> None:
    """Give a model the value embedding of its teacher, with which its training starts.

    Args:
        delayed: whether features over the bins before and after are moved one bin into the past (`GatedPatch`).
    """
    ours, theirs = _value(model), _value(teacher)
    ours.load_state_dict(theirs.state_dict())
    if delayed:
        assert isinstance(ours, GatedPatch), "only features of a gated embedding can be delayed"
        ours.delay_features()


def freeze_tokenizer(model: Model) -> None:
    """Train everything but the value embedding. Space embeddings are trained, as those of a new session are drawn."""
    _value(model).requires_grad_(False)


def _value(model: Any) -> Any:
    return model.tokenizer.value

"""Parts of a model that come from another one, or that are not trained."""

from typing import Any

from torch import nn

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


def freeze_encoder(model: Model) -> None:
    """Train only what reads behavior out of the outputs, and weights of single sessions, as those of a new session are
    drawn."""
    of_sessions = model.weights_of_sessions(model.spec)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name in of_sessions or name.partition(".")[0] in model.read_outs)


def read_out_weights(module: nn.Module) -> list[nn.Parameter]:
    """The weights of all models in a module that read behavior out of the outputs of their encoders."""
    models = [part for part in module.modules() if isinstance(part, Model)]
    parts = [getattr(model, name) for model in models for name in model.read_outs if hasattr(model, name)]
    return [weight for part in parts for weight in part.parameters()]


def _value(model: Any) -> Any:
    return model.tokenizer.value

"""Fitting a model of a family that does without the training loop."""

import torch

from raydistill.feed.tokens import Batch, pack
from raydistill.models.families import FAMILIES
from raydistill.models.inputs import inputs_of
from raydistill.models.model import Model
from raydistill.models.spec import ModelSpec
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store


def fit_model(spec: ModelSpec, store: Store, entry: Entry, seed: int) -> Model:
    """A model of one session, fitted by its family to the train fold, in evaluation mode.

    The family may choose its settings on the valid fold. torch's random state starts from `seed`.
    """
    fit, inputs = FAMILIES[spec.family].fit, inputs_of(spec, [entry])
    assert fit is not None, f"models of the family {spec.family} are trained by the loop"

    def fold(name: str) -> Batch:
        return pack([inputs.tokenize(s) for s in store.stream(entry, name, signals=inputs.signals)])

    torch.manual_seed(seed)
    return fit(spec, fold("train"), fold("valid"), entry.bin_width_ms).eval()

"""A model's latents, and how well behavior is read from them, over the segments of a stored session.

Axes: T bins, D width, K behavior dimensions.
"""

from collections.abc import Iterator

import numpy as np
import torch

from raydistill.evaluation.decoders.scoring import Decoding, decode, evaluate
from raydistill.evaluation.sequences import Keeper
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment
from raydistill.store.store import Store

BATCH = 32  # segments encoded at once; does not change the latents


@torch.no_grad()
def latents_of(model: CrossModalModel, segments: list[Segment], inputs: Inputs) -> Iterator[torch.Tensor]:
    """(T, D) latents of each segment, nothing masked, a batch at a time."""
    model.eval()
    tokens = [inputs.tokenize(s) for s in segments]
    for i in range(0, len(tokens), BATCH):
        batch = pack(tokens[i : i + BATCH])
        yield from model.latents(batch).float().split(list(batch.bins))


def score_by_least_squares(
    model: CrossModalModel, inputs: Inputs, store: Store, entry: Entry, columns, keeper: Keeper | None = None
) -> Decoding:
    """Behavior by ordinary least squares from the latents (spec D1), under the session's protocol.

    Args:
        keeper: sees the segments that are scored; here and below.
    """
    pairs = lambda folds, keeper=None: _pairs(  # noqa: E731
        model, inputs, store, entry, columns, folds, lambda latents: latents, keeper
    )
    return decode(pairs(("train",)), pairs(("valid",)), pairs(scored_folds(entry), keeper), columns)


def score_by_head(
    model: CrossModalModel, inputs: Inputs, store: Store, entry: Entry, keeper: Keeper | None = None
) -> Decoding:
    """Behavior as the model's own head gives it."""
    columns = model.spec.behavior
    pairs = lambda folds, keeper=None: _pairs(  # noqa: E731
        model, inputs, store, entry, columns, folds, model.behavior, keeper
    )
    with torch.no_grad():
        return evaluate(lambda x: x, pairs(("valid",)), pairs(scored_folds(entry), keeper), columns, n_train=0)


def _pairs(model, inputs, store, entry, columns, folds, features, keeper):
    """(features (T, .), behavior (T, K)) of every segment of the folds."""
    segments = [s for fold in folds for s in store.read(entry, fold)]
    for segment, latents in zip(segments, latents_of(model, segments, inputs), strict=True):
        made, behavior = features(latents).numpy(), behavior_of(segment, entry, columns)
        if keeper:
            keeper.see(segment.number, latents.numpy(), made, behavior)
        yield made, behavior


def behavior_of(segment: Segment, entry: Entry, columns) -> np.ndarray:
    return segment.behavior[:, [entry.behavior.index(c) for c in columns]]  # (T, K) -> (T, columns)


def scored_folds(entry: Entry) -> tuple[str, ...]:
    """The folds a score is reported on: the published protocols include the early-stopping fold (spec A6, 3)."""
    return ("test",) if entry.protocol == "corrected" else ("valid", "test")

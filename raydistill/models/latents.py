"""Latents of segments, computed in batches: for scoring, and by a frozen teacher for distillation.

Axes: T bins of a segment, D width of the model.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import torch
from torch import Tensor

from raydistill.feed.placement import TeacherEncoder
from raydistill.feed.tokens import Inputs, pack
from raydistill.models.columns import check_columns
from raydistill.models.inputs import inputs_of
from raydistill.models.layers.precision import compute_exactly
from raydistill.models.model import Model
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment

BATCH = 32  # segments per batch; packing has no padding, so the number does not change the latents


@torch.no_grad()
def encode(
    model: Model, segments: Iterable[Segment], inputs: Inputs, device: str = "cpu", layers: int = 0
) -> Iterator[Tensor]:
    """The latents (T, D) of each segment, with nothing masked: float32 in host memory, computed on `device`.

    A model that was trained on pieces of segments reads each piece by itself.

    The model is moved to `device` and set to evaluation mode. At most BATCH segments are taken ahead of their latents.

    Args:
        layers: above 0, the outputs of so many last layers before the final norm in place of the latents, (T,
            layers * D), see `Model.residual`.
    Raises:
        DataError: a segment has other units or channels than its session when the model was trained.
    """
    compute_exactly(device)
    model.to(device).eval()
    remaining = iter(segments)
    while together := list(islice(remaining, BATCH)):
        for segment in together:
            check_columns(model.spec, segment.session, _columns(segment), f"segment {segment.number}")
        bins = [segment.n_bins for segment in together]
        tokens = [inputs.tokenize(piece) for segment in together for piece in inputs.cut(segment)]
        del together  # so that the part that it views can be freed
        # A segment in pieces may give more rows than fit into one batch.
        batches = (pack(tokens[i : i + BATCH]).to(device) for i in range(0, len(tokens), BATCH))
        latents = [(model.residual(b, layers) if layers else model.latents(b)).float().cpu() for b in batches]
        yield from torch.cat(latents).split(bins)  # (sum of T, D) -> (T, D) of each segment


def _columns(segment: Segment) -> dict[str, int]:
    """Signal -> number of its columns, 0 for a signal that the segment lacks."""
    signals = {"spikes": segment.spikes, "lfp": segment.lfp}
    return {name: 0 if values is None else values.shape[1] for name, values in signals.items()}


def frozen(teachers: Mapping[str, Model], entries: list[Entry], device: str = "cpu", layers: int = 0) -> TeacherEncoder:
    """A function from segments of one session to the latents by the teacher of this session.

    Args:
        teachers: session -> its teacher. All teachers have the same inputs.
        entries: the sessions.
        device: where the teachers run; they are moved to host memory afterwards.
        layers: as of `encode`.
    """
    inputs = inputs_of(next(iter(teachers.values())).spec, entries)

    def teacher_latents(segments: list[Segment]) -> list[Tensor]:
        teacher = teachers[segments[0].session]
        # The latents of a batch are views of one tensor; copies let that tensor be freed.
        latents = [values.clone() for values in encode(teacher, segments, inputs, device, layers)]
        teacher.cpu()
        return latents

    return teacher_latents

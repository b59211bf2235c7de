"""Which signals and behavior columns of a session a model reads."""

from collections.abc import Iterable

from raydistill.feed.pieces import Pieces
from raydistill.feed.tokens import Inputs, LabelColumn, SpikesAs
from raydistill.models.spec import ModelSpec
from raydistill.store.catalogue import Entry


def inputs_of(spec: ModelSpec, entries: Iterable[Entry], spikes_as: SpikesAs = "recorded") -> Inputs:
    """How segments of these sessions become tokens of a model, with the behavior or the label that it predicts.

    Args:
        spikes_as: what multimodal input has as spikes: recorded, mean or silence.
    """
    entries = list(entries)
    multimodal = spec.modality == "multimodal"
    return Inputs(
        modality=spec.modality,
        widths=spec.widths,
        spikes_norm={e.session: e.normalisation["spikes"] for e in entries} if multimodal else {},
        behavior={e.session: tuple(e.behavior.index(c) for c in spec.behavior) for e in entries},
        label={
            e.session: LabelColumn(column=e.labels[spec.label.name].column, of=e.labels[spec.label.name].of)
            for e in entries
            if spec.label and spec.label.name in e.labels
        },
        spikes_as=spikes_as,
        pieces={e.session: Pieces(seconds=spec.piece_s, bin_width_ms=e.bin_width_ms) for e in entries}
        if spec.piece_s
        else {},
    )

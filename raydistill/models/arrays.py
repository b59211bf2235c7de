"""Arrays of one session as the inputs of a model: their checks, and how they are cut into tokens."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from raydistill.errors import DataError, one_line, suggest
from raydistill.feed.pieces import Pieces
from raydistill.feed.tokens import Inputs, Tokens
from raydistill.models.columns import check_columns, normalisation_of, signals_of
from raydistill.models.spec import ModelSpec
from raydistill.store.session import Segment


class ArrayInputs:
    """Cuts arrays of one session into tokens.

    Args:
        session: whose space embeddings are used; None: the only session of the model.
    Raises:
        DataError: the model does not know the session, or reads no arrays.
    """

    def __init__(self, spec: ModelSpec, session: str | None):
        self.spec, self.session = spec, _known(spec, session)
        norms = normalisation_of(spec, self.session)
        if len(signals_of(spec)) == 2 and "spikes" not in norms:
            raise DataError("model.json has no normalisation of spikes, so that this model cannot read arrays")
        spikes_norm = {self.session: norms["spikes"]} if "spikes" in norms else {}
        bins = spec.segment_bins(self.session) if spec.piece_s else None
        pieces = {self.session: Pieces(seconds=bins, bin_width_ms=1000)} if bins else {}
        self._inputs = Inputs(modality=spec.modality, widths=spec.widths, spikes_norm=spikes_norm, pieces=pieces)
        self.patches = spec.sessions.get(self.session, 1)  # a model that reads any session has one patch, or few

    def tokenize(self, arrays: Mapping[str, Any]) -> Tokens:
        """The tokens of (T, columns) arrays by signal, read as a whole; see `tokenize_pieces`."""
        return self._inputs.tokenize(self._segment(arrays))

    def tokenize_pieces(self, arrays: Mapping[str, Any]) -> list[Tokens]:
        """The tokens of (T, columns) arrays by signal, in pieces if the model was trained on pieces of segments."""
        return [self._inputs.tokenize(piece) for piece in self._inputs.cut(self._segment(arrays))]

    def _segment(self, arrays: Mapping[str, Any]) -> Segment:
        """The arrays, checked.

        Raises:
            DataError: an array is missing, is not read by the model, or has a wrong shape, other units or channels than
                the session of the training, or invalid values.
        """
        read = checked_arrays(self.spec, arrays)
        if len({len(values) for values in read.values()}) > 1:
            raise DataError(f"spikes have {len(read['spikes'])} bins and lfp {len(read['lfp'])}; give the same bins")
        check_columns(self.spec, self.session, {name: x.shape[1] for name, x in read.items()}, "the array")
        return Segment(self.session, 0, "test", 0.0, read.get("spikes"), read.get("lfp"), None)


def checked_arrays(spec: ModelSpec, arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Signal -> (T, columns) of the signals that a model reads, in the type of the store.

    Raises:
        DataError: an array is missing, is not read by the model, or has a wrong shape or invalid values.
    """
    read: dict[str, np.ndarray] = {}
    for name, values in arrays.items():
        if name in signals_of(spec):
            read[name] = _matrix(name, values)
        elif values is not None:
            raise DataError(f"this model reads {spec.modality} and not {name}; leave `{name}` out")
    return read


def _known(spec: ModelSpec, session: str | None) -> str:
    if session is None and len(spec.sessions) == 1:
        return next(iter(spec.sessions))
    if spec.reads_any_session and isinstance(session, str) and session:
        return session
    if session is None or session not in tuple(spec.sessions):  # a list is not hashable
        value = f'"{session}"' if session else "none"
        hint = suggest(str(session or ""), spec.sessions)
        raise DataError(f"the model has {len(spec.sessions)} sessions; give one as `session`, but got {value}{hint}")
    return session


def _matrix(name, values):
    """(T, columns) in the type of the store: uint8 counts, float32 LFP."""
    if values is None:
        raise DataError(f"this model reads {name}: give `{name}` as an array of shape (bins, columns)")
    try:
        values = np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as err:  # rows of several lengths, a tensor with a gradient
        raise DataError(f"`{name}` is not an array of shape (bins, columns): {one_line(err)}") from None
    if values.dtype.kind not in "biuf":
        raise DataError(f"`{name}` has the type {values.dtype}, but must be of whole or real numbers")
    if values.ndim != 2 or not values.size:
        raise DataError(f"`{name}` has the shape {values.shape}, but must have the shape (bins, columns)")
    if not np.isfinite(values).all():
        raise DataError(f"`{name}` contains values that are not finite; fill or remove these bins")
    if name == "lfp":
        if np.abs(values).max() > np.finfo(np.float32).max:
            raise DataError("`lfp` contains values that are too large for float32; it must be z-scored per channel")
        return values.astype(np.float32)
    if values.min() < 0 or values.max() > 255 or np.any(values != np.round(values)):
        raise DataError("`spikes` must contain whole numbers from 0 to 255")
    return values.astype(np.uint8)

"""Labels: the class of each bin of a session, such as the direction of a reach, or whether the hand moves.

A session can have several labels, each with a name and two or more classes. Whether a label belongs to whole segments
or to single bins follows from its values, and is stored, because decoders need it before they read any.

Axes: T bins, L labels of a session.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from raydistill.config.names import check_label
from raydistill.errors import DataError

UNKNOWN = -1
"""Code of a bin that has no class."""
MOST_CLASSES = 64
"""A label with more is more likely a number, such as a position, than a class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredLabel:
    """One label of a stored session."""

    column: int
    """Its column in the labels of the session; JSON keeps no order of names, from which it could follow."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of their codes."""
    of: Literal["segments", "bins"]
    """segments: every segment has one class throughout, or none. bins: the class changes within segments."""


def check_codes(session: str, codes: np.ndarray | None, classes: Mapping[str, Sequence[str]]) -> None:
    """Raise DataError unless the labels of a session are (T, L) codes of their classes, or there are none."""
    if codes is None and not classes:
        return
    if codes is None or codes.ndim != 2 or codes.dtype != np.int16 or codes.shape[1] != len(classes):
        form = "none" if codes is None else f"{codes.shape} {codes.dtype}"
        raise DataError(f"session {session}: labels must be (bins, {len(classes)}) int16, got {form}")
    for column, (name, of_label) in enumerate(classes.items()):
        check_label(name, "label")
        if not 2 <= len(of_label) <= MOST_CLASSES or len(set(of_label)) < len(of_label):
            shown = ", ".join(map(str, of_label[:8])) + (", ..." if len(of_label) > 8 else "")
            raise DataError(
                f'session {session}: label "{name}" needs 2 to {MOST_CLASSES} different classes, got {len(of_label)}'
                f" ({shown}); numbers are decoded as `behavior`"
            )
        if not ((codes[:, column] >= UNKNOWN) & (codes[:, column] < len(of_label))).all():
            raise DataError(f'session {session}: label "{name}" has codes outside of -1 to {len(of_label) - 1}')


def stored_labels(
    codes: np.ndarray | None, classes: Mapping[str, tuple[str, ...]], bounds: Sequence[tuple[int, int]]
) -> dict[str, StoredLabel]:
    """What the store says of the labels of a session.

    Args:
        codes: (T, L) of all bins; None: the session has no labels.
        bounds: first bin and last bin + 1 of each segment.
    """
    if codes is None:
        return {}
    changes = np.zeros(len(classes), dtype=bool)  # (L,)
    for start, stop in bounds:
        of_segment = codes[start:stop]
        changes |= (of_segment != of_segment[:1]).any(axis=0)
    return {
        name: StoredLabel(column=column, classes=of_label, of="bins" if is_changing else "segments")
        for column, ((name, of_label), is_changing) in enumerate(zip(classes.items(), changes.tolist(), strict=True))
    }

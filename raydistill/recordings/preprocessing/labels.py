"""Labels on bins: from the classes of bins or intervals, as text, to codes.

Axes: T bins of the session, L labels.
"""

from collections.abc import Sequence

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.preprocessing.bins import Bins
from raydistill.recordings.raw import RawLabel
from raydistill.store.labels import UNKNOWN

_MISSING = ("", "nan", "none")
"""Texts, in lower case, that stand for a class that is not known."""


def labels_on_bins(
    labels: Sequence[RawLabel], bins: Bins, notes: list[str]
) -> tuple[np.ndarray | None, dict[str, tuple[str, ...]]]:
    """(T, L) int16 codes, and the classes of each label. A bin has the class of the interval in which its centre is.

    Args:
        notes: how many bins of each label have no class is added to it.

    Raises:
        DataError: a label has less than two classes in the recording, or two labels have one name.
    """
    if not labels:
        return None, {}
    columns, classes = [], dict[str, tuple[str, ...]]()
    for label in labels:
        if label.name in classes:
            raise DataError(f'two labels are named "{label.name}"; give one of them another name')
        texts = _texts(label, bins)
        found, codes = np.unique(texts, return_inverse=True)
        names = sorted((name for name in found.tolist() if name), key=_order)
        if len(names) < 2:
            raise DataError(
                f'label "{label.name}" has {f"the class {names[0]} alone" if names else "no class"} in the bins of the '
                "session; two or more are needed (`outside` gives bins without a class one of their own)"
            )
        place = np.array([names.index(name) if name else UNKNOWN for name in found.tolist()], dtype=np.int16)
        columns.append(place[codes])
        classes[label.name] = tuple(names)
        if unknown := int((columns[-1] == UNKNOWN).sum()):
            notes.append(f'label "{label.name}" has no class in {unknown / bins.n:.1%} of the bins')
    return np.stack(columns, axis=1), classes


def _texts(label: RawLabel, bins: Bins) -> np.ndarray:
    """(T,) the class of each bin as text, empty where it is unknown."""
    values = np.array([("" if text.strip().lower() in _MISSING else text.strip()) for text in label.values.tolist()])
    outside = label.outside or ""
    if label.intervals is None:
        values = values[bins.rows]
        return np.where(values == "", outside, values) if outside else values
    texts = np.full(bins.n, outside, dtype=f"U{max([len(outside), 1, *(len(text) for text in values.tolist())])}")
    timed = np.isfinite(label.intervals).all(axis=1)
    first, last = (np.searchsorted(bins.centres, label.intervals[timed, side]) for side in (0, 1))
    for text, a, b in zip(values[timed], first, last, strict=True):
        texts[a:b] = text
    return texts


def _order(name: str) -> tuple[float, str]:
    """Numbers in their order, then texts."""
    try:
        return float(name), name
    except ValueError:
        return np.inf, name

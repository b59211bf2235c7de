"""Which dimension of an array is time, which are units, channels or columns, and which are trials."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.text import Line

_CLEAR = 3
"""A matrix this many times longer than wide has its samples along the longer dimension."""


def orientation(look: Look, others: Sequence[Look], columns: str) -> tuple[int, int, Line | None]:
    """Samples and columns of a vector or matrix, and the line `transpose` if there is something to say.

    Args:
        others: variables whose lengths can confirm which dimension is time.
        columns: the word for what is side by side.
    """
    if look.size == max(look.shape):
        return look.size, 1, None
    rows, width = look.shape
    shared = Counter(
        max(o.shape) for o in others if o.is_number and o is not look and o.file == look.file and o.size > 1
    )
    clear = max(rows, width) >= _CLEAR * min(rows, width)
    if shared[rows] != shared[width] and not clear:
        turned, why = shared[width] > shared[rows], f"other variables have {max(rows, width)} values too"
        if turned == (width < rows):
            why = f"other variables have {min(rows, width)} values too"
    else:
        turned, why = width > rows, "time is taken to be the longer dimension"
    n, across = (width, rows) if turned else (rows, width)
    asks = () if clear else (f"{n} samples of {across} {columns}? If it is the other way round, {_turn(not turned)}",)
    if not turned and clear:
        return n, across, None
    return (
        n,
        across,
        Line(key="transpose", value=turned, guess=f"{n} samples of {across} {columns}: {why}", questions=asks),
    )


def _turn(value: bool) -> str:
    return f"transpose: {str(value).lower()}"


def trial_orientation(look: Look, columns: str) -> tuple[tuple[int, ...], int, Line | None]:
    """Samples of each trial, columns, and the line `transpose`, of a list with a matrix per trial."""
    shapes = [shape if len(shape) == 2 else (*shape, 1, 1)[:2] for shape in look.shapes if 0 not in shape]
    heights, widths = [shape[0] for shape in shapes], [shape[1] for shape in shapes]
    same_height, same_width = len(set(heights)) == 1, len(set(widths)) == 1
    clear = same_height != same_width
    turned = same_height if clear else np.median(widths) > np.median(heights)
    lengths, across = (widths, heights[0]) if turned else (heights, widths[0])
    if clear and not turned:
        return tuple(lengths), across, None
    why = f"{across} {columns} in every trial" if clear else "time is taken to be the longer dimension"
    asks = f"samples x {columns}, or {columns} x samples? Then {_turn(not turned)}"
    return (
        tuple(lengths),
        across,
        Line(key="transpose", value=bool(turned), guess=why, questions=() if clear else (asks,)),
    )


def tensor_axes(look: Look, others: Sequence[Look], columns: str) -> tuple[list[str], str]:
    """Dimensions of an array of three, and the question whether that is right."""
    time = _padded(look)
    sizes = look.shape
    tensors = [o for o in others if o.is_number and len(o.shape) == 3 and o is not look and o.file == look.file]
    shared = {size for other in tensors for size in other.shape if size in sizes}
    across = next((i for i, size in enumerate(sizes) if size not in shared), None) if len(shared) == 2 else None
    if time is None:
        choices = [i for i in range(3) if i != across]
        time = max(choices, key=lambda i: sizes[i])
    rest = [i for i in range(3) if i != time]
    if across is None or across == time:
        # numpy users write trials first, MATLAB users last
        trials = rest[0] if time != 0 else rest[1]
        across = next(i for i in rest if i != trials)
        if columns == "columns" and sizes[across] > sizes[trials]:
            trials, across = across, trials
    names = [""] * 3
    names[time], names[across] = "time", columns
    names[names.index("")] = "trials"
    told = ", ".join(f"{size} {name}" for size, name in zip(sizes, names, strict=True))
    return names, f"is it {told}? Otherwise change the order of the axes"


def _padded(look: Look) -> int | None:
    """The dimension along which NaN begins and never ends, as in trials that are filled up to one length."""
    if look.values is None or look.values.shape != look.shape or not look.seen or not look.seen.nan_share:
        return None
    missing = np.isnan(look.values)
    for axis in range(3):
        lost = np.moveaxis(missing, axis, 0)
        if np.all(lost[1:] | ~lost[:-1]) and np.any(lost[1:] != lost[:-1]):
            return axis
    return None

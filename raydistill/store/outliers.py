"""The released rule by which windows with too restless behavior leave a session before its folds are drawn."""

from collections.abc import Sequence

import numpy as np

from raydistill.store.session import Session


def is_regular_as_released(session: Session, bounds: Sequence[tuple[int, int]]) -> np.ndarray:
    """Whether the SD of velocity in each window is within Tukey's fence, Q3 + 1.5 (Q3 - Q1) of all windows.

    Velocity is z-scored over the whole session, and a window has one SD over its bins and both axes together. Where no
    column is a velocity, all columns of the behavior are taken.

    Args:
        bounds: [start, stop) bins of each window.
    Returns:
        (windows,) bool; a window without behavior is regular.
    """
    if session.behavior is None:
        return np.ones(len(bounds), dtype=bool)
    is_velocity = [name.startswith("velocity") for name in session.behavior_names]
    columns = session.behavior[:, is_velocity if any(is_velocity) else slice(None)].astype(np.float64)  # (T, K)
    with np.errstate(all="ignore"):
        scale = np.nanstd(columns, axis=0, ddof=1)
        zscored = (columns - np.nanmean(columns, axis=0)) / np.where(scale > 0, scale, 1.0)
        sd = np.array([_sd(zscored[start:stop]) for start, stop in bounds])
        q1, q3 = np.nanpercentile(sd, [25, 75])
    return ~(sd > q3 + 1.5 * (q3 - q1))


def _sd(values: np.ndarray) -> float:
    """The unbiased SD over all finite values; NaN for fewer than two."""
    finite = values[np.isfinite(values)]
    return float(finite.std(ddof=1)) if len(finite) > 1 else float("nan")

"""Smoothing and derivatives over time, within the runs of samples between gaps. K samples, D columns."""

from collections.abc import Callable, Iterator

import numpy as np

_REACH = 4  # SDs of the Gaussian
_COARSEST, _FINEST = 1 / 5, 1 / 20  # of the SD: width of the cells of the grid


def smoothed(times: np.ndarray, values: np.ndarray, sd_s: float, gap_s: float) -> np.ndarray:
    """(K, D) the value at each sample of the line that fits the samples around it, with Gaussian weights over time.

    Between samples at equal steps, this is the Gaussian mean. At the ends of a run and between uneven steps, a line
    stays a line, which a mean would bend. NaN stays NaN.

    Args:
        times: (K,) ascending seconds.
        values: (K, D), NaN where lost.
        sd_s: standard deviation of the Gaussian in seconds.
        gap_s: valid samples farther apart than this do not influence each other.
    """
    return _by_run(times, values, gap_s, lambda t, v: _smoothed_run(t, v, sd_s))


def derivative(times: np.ndarray, values: np.ndarray, gap_s: float) -> np.ndarray:
    """(K, D) per second: second-order differences with their uneven steps, one-sided at both ends of a run.

    NaN where a value is lost, or has no neighbour within `gap_s` seconds. Arguments as in `smoothed`.
    """
    return _by_run(times, values, gap_s, lambda t, v: np.gradient(v, t) if len(t) > 1 else np.full(1, np.nan))


def _by_run(times, values, gap_s, function: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    out = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        valid = np.flatnonzero(np.isfinite(values[:, column]))
        for rows in _runs(times, valid, gap_s):
            out[rows, column] = function(times[rows], values[rows, column])
    return out


def _runs(times, valid, gap_s) -> Iterator[np.ndarray]:
    """The valid rows between one gap and the next."""
    if len(valid):
        yield from np.split(valid, np.flatnonzero(np.diff(times[valid]) > gap_s) + 1)


def _smoothed_run(times: np.ndarray, values: np.ndarray, sd_s: float) -> np.ndarray:
    """Locally weighted lines. Sums over neighbours are correlations on a grid, on which each sample keeps its time."""
    from scipy.ndimage import correlate1d

    steps = np.diff(times)
    if not len(steps) or steps.min() > _REACH * sd_s:
        return values
    step_s = float(np.median(steps))  # a whole number of cells, or a whole part of one, so that equal steps stay equal
    cell_s = step_s / np.ceil(step_s / (_COARSEST * sd_s)) * max(1.0, np.floor(_FINEST * sd_s / step_s))
    cells = np.rint((times - times[0]) / cell_s).astype(np.int64)
    offset = times - times[0] - cells * cell_s  # of the sample from the middle of its cell
    centred = values - values.mean()
    distance = np.arange(-(reach := int(np.ceil(_REACH * sd_s / cell_s))), reach + 1) * cell_s
    weights = np.exp(-0.5 * (distance / sd_s) ** 2)

    def neighbours(power: int, quantity: np.ndarray) -> np.ndarray:
        """(K,) the weighted sum of distance**power * quantity over the samples around the cell of each sample."""
        gridded = np.bincount(cells, weights=quantity)
        return correlate1d(gridded, weights * distance**power, mode="constant")[cells]

    # Sums of 1, dt, dt^2, v and v dt, dt from the middle of a cell; then dt from the sample itself.
    one, dt = neighbours(0, np.ones(len(times))), neighbours(1, np.ones(len(times))) + neighbours(0, offset)
    dt2 = neighbours(2, np.ones(len(times))) + 2 * neighbours(1, offset) + neighbours(0, offset**2)
    v, v_dt = neighbours(0, centred), neighbours(1, centred) + neighbours(0, centred * offset)
    dt2 += -2 * offset * dt + offset**2 * one
    dt, v_dt = dt - offset * one, v_dt - offset * v
    determinant = one * dt2 - dt**2
    fits_line = determinant > 1e-9 * (one * sd_s) ** 2  # otherwise there is no neighbour near enough to count
    with np.errstate(all="ignore"):
        line = (dt2 * v - dt * v_dt) / determinant
    return np.where(fits_line, line, v / one) + values.mean()

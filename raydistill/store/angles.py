"""Angles of a stored session: from the cosine and sine that the store holds to values in [0, period). N bins."""

from collections.abc import Mapping

import numpy as np


def stored_columns(names: tuple[str, ...], circular: Mapping[str, float]) -> tuple[str, ...]:
    """The names of behavior columns with each angle replaced by the two columns that the store holds of it."""
    return tuple(c for n in names for c in ((f"{n}_cos", f"{n}_sin") if n in circular else (n,)))


def angles(columns: Mapping[str, np.ndarray], circular: Mapping[str, float]) -> dict[str, np.ndarray]:
    """Name -> (N,) float32 in [0, period) of each angle of which `columns` has both the cosine and the sine.

    Args:
        columns: name -> (N,) values before z-scoring, as recorded or as decoded. NaN stays NaN.
        circular: name -> period, that of the session's entry.
    """
    return {
        name: _angle(columns[f"{name}_cos"], columns[f"{name}_sin"], period)
        for name, period in circular.items()
        if f"{name}_cos" in columns and f"{name}_sin" in columns
    }


def angle_unit(period: float) -> str:
    """The unit in which a full turn is `period`, empty if it is neither radians nor degrees."""
    return "radians" if np.isclose(period, 2 * np.pi, rtol=1e-4) else "degrees" if period == 360 else ""


def _angle(cosine: np.ndarray, sine: np.ndarray, period: float) -> np.ndarray:
    turns = np.arctan2(np.asarray(sine, dtype=np.float64), np.asarray(cosine, dtype=np.float64)) / (2 * np.pi)
    values = (turns % 1.0 * period).astype(np.float32)
    values[values >= period] = 0.0  # rounded up
    return values

"""The filters of LFP as second-order sections, and the groups of channels of a common average."""

from collections.abc import Sequence

import numpy as np

from raydistill.config.recordings import LfpFilters
from raydistill.errors import DataError

_NOTCH_Q = 30.0
_ORDER = 2


def averaged_groups(filters: LfpFilters | None, n: int, arrays: Sequence[str] | None) -> list[slice | np.ndarray]:
    """The columns of each group of channels of which the common average is subtracted.

    Args:
        arrays: the array of each of the n channels; None: unknown.
    Raises:
        DataError: a group has one channel, or the arrays are needed and unknown.
    """
    if filters is None or not filters.common_average:
        return []
    if filters.common_average is True:
        if n == 1:
            raise DataError(
                "subtracting the common average of a single LFP channel leaves 0; set `filters.common_average: false`"
            )
        return [slice(None)]
    if arrays is None or "" in arrays:
        raise DataError(
            "`filters.common_average: array` needs the array of every LFP channel; give `lfp.channels`, or set it to "
            "true or false"
        )
    names = np.array(arrays)
    groups = [np.flatnonzero(names == name) for name in dict.fromkeys(arrays)]
    if alone := [names[group[0]] for group in groups if len(group) == 1]:
        raise DataError(
            f'array "{alone[0]}" has a single LFP channel, of which the common average leaves 0; leave it out with '
            "`drop_channels`, or set `filters.common_average` to true or false"
        )
    return list(groups)


def filter_sections(filters: LfpFilters | None, rate_hz: float, bin_hz: float) -> np.ndarray:
    """Second-order sections of notch, high-pass and low-pass at `rate_hz`; (0, 6) if there is nothing to filter.

    The low-pass is never above half the bin rate; stages at or above the Nyquist frequency are left out.
    """
    from scipy.signal import butter, iirnotch

    nyquist, sections = rate_hz / 2, []
    if filters is not None and filters.notch_hz:
        for frequency in np.arange(filters.notch_hz, nyquist, filters.notch_hz):
            sections.append(np.hstack(iirnotch(frequency, _NOTCH_Q, rate_hz))[None])  # b, a -> (1, 6)
    if filters is not None and filters.highpass_hz and filters.highpass_hz < nyquist:
        sections.append(butter(_ORDER, filters.highpass_hz, "highpass", fs=rate_hz, output="sos"))
    if filters is not None and filters.lowpass_hz:
        lowpass_hz = min(filters.lowpass_hz, bin_hz / 2)
        if lowpass_hz < nyquist:
            sections.append(butter(_ORDER, lowpass_hz, "lowpass", fs=rate_hz, output="sos"))
    return np.concatenate(sections) if sections else np.empty((0, 6))

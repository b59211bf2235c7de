"""LFP on bins without later samples: the filters run forward, with a state, over samples as they arrive.

The stages are those of lfp.py (docs/methods.md, Data and preprocessing): decimation to about 500 Hz, notch, high-pass
and low-pass, bins, common average. They delay the signal; zero-phase filters do not, and read the future for it.

Axes: m samples that arrive together, C channels, T bins.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from raydistill.config.recordings import LfpFilters
from raydistill.errors import DataError
from raydistill.recordings.preprocessing.bins import Bins
from raydistill.recordings.preprocessing.decimation import factor_of
from raydistill.recordings.preprocessing.lfp_filters import averaged_groups, filter_sections
from raydistill.recordings.raw import Signal

_ORDER = 4  # of the Butterworth low-pass before decimation
_PASS = 0.8  # its corner, relative to the Nyquist frequency of the decimated samples
_ROUNDING = 1e-6  # of a bin
_SLICE_BYTES = 2 << 20


class CausalLfp:
    """Filters samples that arrive in the order of time, and averages them over bins.

    The filters start from the state that they would have if the first sample had lasted forever.

    Args:
        channels: numbers of the channels, for messages.
        first_bin_s: start of the first bin in seconds after the first sample.
        arrays: the array of each channel, for `common_average: array`.
        lfp_nan: `interpolate` repeats the last finite value of the channel, because later ones are unknown.
    Raises:
        DataError: the rate is below that of the bins, or a common average of one channel.
    """

    def __init__(
        self,
        filters: LfpFilters | None,
        rate_hz: float,
        bin_width_s: float,
        channels: Sequence[int] | np.ndarray,
        *,
        first_bin_s: float = 0.0,
        arrays: Sequence[str] | None = None,
        lfp_nan: Literal["error", "interpolate"] = "error",
    ):
        from scipy.signal import butter

        bin_hz = 1 / bin_width_s
        if rate_hz < bin_hz * (1 - 1e-6):
            raise DataError(f"LFP arrives at {rate_hz:g} Hz, below the {bin_hz:g} bins per second")
        self.rate_hz, self.width_s, self.first_bin_s = rate_hz, bin_width_s, first_bin_s
        self.channels, self.lfp_nan, self.factor = np.asarray(channels), lfp_nan, factor_of(rate_hz, bin_hz)
        self._groups = averaged_groups(filters, len(self.channels), arrays)
        decimated_hz = rate_hz / self.factor
        before = [] if self.factor == 1 else [butter(_ORDER, _PASS * decimated_hz / 2, fs=rate_hz, output="sos")]
        self._before = _Sections(np.concatenate(before) if before else np.empty((0, 6)))
        self._after = _Sections(filter_sections(filters, decimated_hz, bin_hz))
        self._n_samples = self._n_bins = 0
        self._last_sample: np.ndarray | None = None
        self._last = np.zeros(len(self.channels))
        self._sum, self._count = np.zeros(len(self.channels)), 0

    def coefficients(self) -> dict:
        """What another program needs to filter in the same way, as numbers and lists.

        `decimate` and `filters` are second-order sections, rows b0 b1 b2 1 a1 a2; `*_state` is their state for a first
        sample of 1; every `factor`-th sample after `decimate` is used, from the first on.
        """
        from scipy.signal import sosfilt_zi

        parts = {"decimate": self._before.sections, "filters": self._after.sections}
        states = {f"{name}_state": sosfilt_zi(s).tolist() if len(s) else [] for name, s in parts.items()}
        n = len(self.channels)
        groups = [np.arange(n)[group].tolist() for group in self._groups]
        return {
            "rate_hz": self.rate_hz,
            "factor": self.factor,
            **{name: s.tolist() for name, s in parts.items()},
            **states,
            "averaged_groups": groups,
        }

    def push(self, samples: np.ndarray) -> np.ndarray:
        """The bins that end with these samples.

        Args:
            samples: (m, C) in physical units.
        Returns:
            (T, C) float32, often with T = 0.
        Raises:
            DataError: a sample is not finite, and `lfp_nan` is `error`, or is the first of its channel.
        """
        samples = self._finite(np.asarray(samples, dtype=np.float64))
        numbers = np.arange(self._n_samples, self._n_samples + len(samples))
        self._n_samples += len(samples)
        kept = numbers % self.factor == 0
        values = self._after(self._before(samples)[kept])
        # The bin of each decimated sample, and of the next one, before which all bins have ended.
        next_number = -(-self._n_samples // self.factor) * self.factor
        bins = self._bin(np.append(numbers[kept], next_number))
        out = []
        for k in range(self._n_bins, bins[-1]):
            rows = values[bins[:-1] == k]
            total, count = self._sum + rows.sum(axis=0), self._count + len(rows)
            if count:
                self._last = total / count
            out.append(self._last)
            self._sum, self._count = np.zeros(len(self.channels)), 0
        self._n_bins = max(self._n_bins, bins[-1])
        rest = values[bins[:-1] == self._n_bins]
        self._sum, self._count = self._sum + rest.sum(axis=0), self._count + len(rest)
        return self._averaged(np.array(out).reshape(-1, len(self.channels)))

    def _bin(self, numbers: np.ndarray) -> np.ndarray:
        """The bin of each raw sample; negative before the first bin."""
        return np.floor((numbers / self.rate_hz - self.first_bin_s) / self.width_s + _ROUNDING).astype(np.int64)

    def _averaged(self, values: np.ndarray) -> np.ndarray:
        for group in self._groups:
            values[:, group] -= values[:, group].mean(axis=1, keepdims=True)
        return values.astype(np.float32)

    def _finite(self, samples: np.ndarray) -> np.ndarray:
        """The samples, with the last finite value of the channel in place of those that are not finite."""
        before = self._last_sample
        is_bad = ~np.isfinite(samples)
        if is_bad.any():
            row, column = (int(i) for i in np.argwhere(is_bad)[0])
            if self.lfp_nan == "error" or (before is None and is_bad[0].any()):
                at = (self._n_samples + row) / self.rate_hz
                raise DataError(
                    f"LFP channel {self.channels[column]} is not finite {at:.3f} s after the first sample; drop the "
                    f"channel with `drop_channels: [{self.channels[column]}]`, or set `lfp_nan: interpolate`, which "
                    "needs a first sample"
                )
            held = samples if before is None else np.vstack([before, samples])
            for row in range(1, len(held)):
                held[row] = np.where(np.isfinite(held[row]), held[row], held[row - 1])
            samples = held[-len(samples) :]
        if len(samples):
            self._last_sample = samples[-1]
        return samples


class _Sections:
    """Second-order sections with their state, for (m, C) samples."""

    def __init__(self, sections: np.ndarray):
        self.sections, self.state = sections, np.empty(0)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        from scipy.signal import sosfilt, sosfilt_zi

        if not len(self.sections) or not len(samples):
            return samples
        if not self.state.size:
            self.state = sosfilt_zi(self.sections)[:, :, None] * samples[0]  # (sections, 2, C)
        filtered, self.state = sosfilt(self.sections, samples, axis=0, zi=self.state)
        return filtered


def causal_on_bins(
    signal: Signal,
    bins: Bins,
    filters: LfpFilters,
    channels: np.ndarray,
    arrays: Sequence[str] | None,
    lfp_nan: Literal["error", "interpolate"],
) -> np.ndarray:
    """The chosen channels of a recording as if they arrived, from its first sample on. Shape: (T, C) float32."""
    chain = CausalLfp(
        filters,
        signal.rate_hz,
        bins.width_s,
        channels,
        first_bin_s=bins.start_s - signal.start_s,
        arrays=arrays,
        lfp_nan=lfp_nan,
    )
    step = max(1, _SLICE_BYTES // (4 * signal.n_channels))
    parts, n = [], 0
    for start in range(0, signal.n_samples, step):
        parts.append(chain.push(signal.read(start, min(start + step, signal.n_samples))[:, channels]))
        n += len(parts[-1])
        if n >= bins.n:
            break
    values = np.concatenate(parts)[: bins.n]
    # The last bin may end after the last sample.
    return values if len(values) == bins.n else np.pad(values, ((0, bins.n - len(values)), (0, 0)), mode="edge")

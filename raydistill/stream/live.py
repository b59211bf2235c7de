"""Decoding samples as they arrive: `raydistill decode --from`."""

import time
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from raydistill.errors import DataError, counted
from raydistill.stream.decoder import StreamDecoder, check_reads_raw_lfp
from raydistill.stream.preprocess import Preprocess
from raydistill.stream.replay import Latency, late_in_words
from raydistill.stream.samples import Gaps, SilenceError, Source, longest_gap

HOLD_S = 1.0
"""Losses up to this long are bridged by the last sample."""


class LiveDecoder:
    """Decodes samples of one signal until the sender ends or is silent.

    Args:
        preprocess: makes what turns raw samples into bins; None: each sample is a z-scored bin as in the store.
        rate_hz: of raw LFP samples; None: one sample per bin.
        say: prints a message when decoding starts again.
    Raises:
        DataError: the model reads two signals, or `rate_hz` is given for one of spikes.
    """

    def __init__(
        self,
        decoder: StreamDecoder,
        preprocess: Callable[[], Preprocess] | None = None,
        rate_hz: float | None = None,
        say: Callable[[str], None] = lambda text: None,
    ):
        entry, self._signal = decoder.decoder.entry, decoder.decoder.model.spec.modality
        if self._signal == "multimodal":
            raise DataError("`--from` sends one signal, but this model reads spikes and LFP; use `LoadedModel.stream`")
        if rate_hz is not None:
            check_reads_raw_lfp(decoder)
        self._decoder, self._make_preprocess, self._say = decoder, preprocess, say
        self._bin_width_ms = entry.bin_width_ms
        self._gaps = Gaps(longest_gap(HOLD_S, rate_hz or 1000 / entry.bin_width_ms))
        self._seconds: list[float] = []
        self._silence = ""
        self._begin()
        self.n_channels = self._chain.n_channels if self._chain else entry.n_columns[self._signal]
        """Columns of a sample."""

    def _begin(self) -> None:
        self._decoder.reset()
        self._chain = self._make_preprocess() if self._make_preprocess else None

    def run(self, source: Source) -> Iterator[np.ndarray]:
        """The behavior (K,) of each bin, in the units of the recording.

        Of a model that answers late, the last ones come when the sender has ended.

        Raises:
            DataError: the sender has another number of channels, or its samples are not finite.
        """
        try:
            for chunk in source.chunks(self.n_channels):
                began = time.perf_counter()
                samples, restart = self._gaps.fill(chunk)
                if restart:
                    yield from self._answers(self._decoder.finish())
                    self._say(f"{restart}; decoding starts again after {counted(len(self._seconds), 'bin')}")
                    self._begin()
                for values in self._chain.push(samples) if self._chain else samples:
                    behavior = self._decoder.step(**{self._signal: values})
                    self._seconds.append(time.perf_counter() - began)
                    yield from self._answers([behavior])
                    began = time.perf_counter()
        except SilenceError as err:
            self._silence = f"; {err}"
        yield from self._answers(self._decoder.finish())

    @staticmethod
    def _answers(behavior: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Without those of bins before the first, which a model that answers late gives as NaN."""
        return (values for values in behavior if np.isfinite(values).all())

    @property
    def expected(self) -> str:
        """What a sample must be, in words."""
        what = "counts per bin" if self._signal == "spikes" else "z-scored values per bin"
        return f"{self.n_channels} {what if self._chain is None else 'raw values per sample'}"

    def in_words(self) -> str:
        """What was decoded and lost, and how long it took, as one line."""
        if not self._seconds:
            return f"no bin was decoded{self._silence}"
        latency = Latency.of(np.array(self._seconds), self._bin_width_ms)
        lost = f"; {self._gaps.in_words()}" if self._gaps.in_words() else ""
        late = late_in_words(self._decoder.lookahead_bins, self._bin_width_ms)
        return (
            f"{late}{counted(len(self._seconds), 'bin')} decoded in {latency.p50_ms:.2f} ms (median), "
            f"{latency.p99_ms:.2f} ms (99 %), at most {latency.max_ms:.2f} ms{lost}{self._silence}"
        )

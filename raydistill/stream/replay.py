"""The scored segments of a stored session, decoded bin by bin as they would have arrived: R² and latency."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np
import torch

from raydistill.cluster.memory import peak_mb
from raydistill.decode.decoder import draw_in_words
from raydistill.errors import counted
from raydistill.evaluation.decoders.scoring import PooledR2
from raydistill.evaluation.folds import behavior_of
from raydistill.evaluation.session_scores import scored_folds
from raydistill.models.columns import signals_of
from raydistill.store.session import Segment
from raydistill.store.store import Store
from raydistill.stream.decoder import StreamDecoder


@dataclass(frozen=True, kw_only=True)
class Latency:
    """How long the bins took, from their values to the decoded behavior."""

    p50_ms: float
    p99_ms: float
    max_ms: float
    share_over_bin: float
    """Share of bins that took longer than a bin lasts."""

    @classmethod
    def of(cls, seconds: np.ndarray, bin_width_ms: float) -> "Latency":
        """Of the times of all bins, (n,)."""
        ms = 1000 * seconds
        p50, p99 = np.percentile(ms, [50, 99])
        over = float((ms > bin_width_ms).mean())
        return cls(p50_ms=float(p50), p99_ms=float(p99), max_ms=float(ms.max()), share_over_bin=over)


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What `raydistill decode --stream` reports."""

    r2: float
    """Mean over behavior columns, of the bins of the scored segments."""
    r2_whole: float
    """The same with whole segments."""
    largest_difference: float
    """Between behavior decoded bin by bin and from whole segments, in standard deviations."""
    draw: int
    """Which draw of the folds was scored, from 1."""
    draws: int
    """How many draws of the folds the store has of the recording."""
    n_bins: int
    bin_width_ms: float
    lookahead_bins: int
    """How many bins after a bin its behavior is decoded, because the model reads so many later ones."""
    latency: Latency
    memory_mb: float
    """Largest memory of the process."""
    threads: int

    def to_json(self) -> dict:
        """As nested dictionaries."""
        return asdict(self)

    def in_words(self) -> str:
        """As one line of text."""
        times, late = self.latency, late_in_words(self.lookahead_bins, self.bin_width_ms)
        draw = draw_in_words(self.draw, self.draws)
        return (
            f"R² {self.r2:.3f} bin by bin, {self.r2_whole:.3f} over whole segments (decoded values differ by at most "
            f"{self.largest_difference:.1g} SD{draw}); {counted(self.n_bins, 'bin')} of "
            f"{self.bin_width_ms:g} ms took {times.p50_ms:.2f} ms (median), {times.p99_ms:.2f} ms (99 %), at most "
            f"{times.max_ms:.2f} ms, {times.share_over_bin:.2%} of them longer than a bin; {late}"
            f"{self.memory_mb:.0f} MB, {counted(self.threads, 'thread')}"
        )


def late_in_words(bins: int, bin_width_ms: float) -> str:
    """How late a stream answers, to be followed by another part of a sentence; empty if it answers at once."""
    return f"each bin is answered {bins * bin_width_ms:g} ms late; " if bins else ""


def replay(decoder: StreamDecoder, store: Store, threads: int = 1) -> Replay:
    """Decode the scored segments of the session bin by bin; each begins with an empty state.

    Args:
        threads: of torch. A single bin is too little work for several.
    """
    entry, seconds, r2 = decoder.decoder.entry, list[float](), PooledR2()
    whole, differences = decoder.decoder.score.decoding, list[float]()
    signals = (*signals_of(decoder.decoder.model.spec), "behavior")
    segments = (s for fold in scored_folds(entry) for s in store.stream(entry, fold, signals=signals))
    norm, indices = entry.normalisation["behavior"], decoder.decoder.column_indices
    std = np.asarray(norm.std)[indices]
    with torch_threads(threads):
        for segment, at_once in zip(segments, whole.decoded, strict=True):
            behavior = [*_timed(decoder, segment, seconds), *decoder.finish()]
            decoded = np.array(behavior[decoder.lookahead_bins :])  # (T, K), in the units of the recording
            differences.append((np.abs(decoded - norm.undo(at_once, indices)) / std).max())
            recorded = norm.undo(behavior_of(segment, entry, decoder.columns), indices)
            is_valid = np.isfinite(recorded).all(axis=1)
            r2.add(recorded[is_valid], decoded[is_valid])
    return Replay(
        r2=float(r2.per_axis().mean()),
        r2_whole=whole.r2,
        largest_difference=float(np.max(differences)),  # NaN if one is, unlike Python's max
        draw=decoder.decoder.about["draw"],
        draws=decoder.decoder.about["draws"],
        n_bins=len(seconds),
        bin_width_ms=entry.bin_width_ms,
        lookahead_bins=decoder.lookahead_bins,
        latency=Latency.of(np.array(seconds), entry.bin_width_ms),
        memory_mb=peak_mb(),
        threads=threads,
    )


def _timed(decoder: StreamDecoder, segment: Segment, seconds: list[float]) -> Iterator[np.ndarray]:
    """The decoded behavior (K,) of each bin; the time that it took is added to `seconds`."""
    decoder.reset()
    for t in range(segment.n_bins):
        signals = {"spikes": segment.spikes, "lfp": segment.lfp}
        values = {name: x[t] for name, x in signals.items() if x is not None}
        began = time.perf_counter()
        behavior = decoder.step(**values)
        seconds.append(time.perf_counter() - began)
        yield behavior


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

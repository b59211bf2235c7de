"""Samples that arrive while an experiment runs: what every source gives, and lines of numbers on standard input."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, TextIO

import numpy as np

from raydistill.errors import DataError


@dataclass(frozen=True)
class Chunk:
    """Samples that arrived together."""

    first: int
    """Number of the first sample, counted by the sender; samples between chunks were lost."""
    values: np.ndarray
    """(m, channels)."""


class Source(Protocol):
    """Where samples come from."""

    def chunks(self, n_channels: int) -> Iterator[Chunk]:
        """Chunks until the sender ends.

        Raises:
            DataError: the sender has another number of channels, or sends something else.
            SilenceError: no sample has come for too long.
        """
        ...


class SilenceError(Exception):
    """A sender has stopped without a word."""

    def __init__(self, seconds: float):
        super().__init__(f"no sample has come for {seconds:g} s")


class Lines:
    """One line of numbers per sample, separated by spaces, commas or tabs; empty lines are lost samples."""

    def __init__(self, stream: TextIO):
        self.stream = stream

    def chunks(self, n_channels: int) -> Iterator[Chunk]:
        """One chunk per line, until the end of the input."""
        for number, line in enumerate(self.stream):
            words = line.replace(",", " ").split()
            if not words:
                continue
            try:
                values = [float(word) for word in words]
            except ValueError:
                raise DataError(
                    f"line {number + 1} of the input is not one of numbers: {line.strip()[:60]!r}"
                ) from None
            if len(values) != n_channels:
                raise DataError(
                    f"line {number + 1} of the input has {len(values)} numbers, but the model reads {n_channels}"
                )
            yield Chunk(number, np.array([values]))


class Gaps:
    """Makes one uninterrupted row of what arrives: short losses are held, samples that come twice are left out.

    Args:
        longest: number of lost samples that are replaced by the last one; after more, decoding starts again.
    """

    def __init__(self, longest: int):
        self.longest, self.n_held, self.n_restarts, self.n_repeated = longest, 0, 0, 0
        self._next: int | None = None
        self._last = np.empty((0, 0))

    def fill(self, chunk: Chunk) -> tuple[np.ndarray, bool]:
        """The samples to use, (m, channels), and whether decoding starts again with them."""
        values, missing = chunk.values, 0 if self._next is None else chunk.first - self._next
        if missing < 0:
            repeated = min(-missing, len(values))
            self.n_repeated += repeated
            values = values[repeated:]
        starts_again = missing > self.longest
        if starts_again:
            self.n_restarts += 1
        elif missing > 0:
            self.n_held += missing
            values = np.concatenate([np.repeat(self._last, missing, axis=0), values])
        if len(values):
            self._next, self._last = chunk.first + len(chunk.values), values[-1:]
        return values, starts_again

    def in_words(self) -> str:
        """What was lost, or "" if nothing was."""
        told = [
            (self.n_held, "lost samples were replaced by the last one before them"),
            (self.n_restarts, "times more were lost at once, and decoding started again"),
            (self.n_repeated, "samples came twice"),
        ]
        return ", ".join(f"{n} {what}" for n, what in told if n)


def longest_gap(seconds: float, rate_hz: float) -> int:
    """The number of samples in a time."""
    return math.floor(seconds * rate_hz + 1e-6)

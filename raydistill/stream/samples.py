"""Samples that arrive while an experiment runs: what every source gives, and lines of numbers on standard input."""

import math
import os
import select
from collections.abc import Iterable, Iterator
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

    def __init__(self, lines: Iterable[str]):
        self.lines = lines

    def chunks(self, n_channels: int) -> Iterator[Chunk]:
        """One chunk per line, until the end of the input."""
        for number, line in enumerate(self.lines):
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


def arriving_lines(stream: TextIO, timeout_s: float) -> Iterator[str]:
    """The lines of a file or pipe, each as soon as it is there. Raises SilenceError after `timeout_s` without any."""
    rest = b""
    while select.select([stream], [], [], timeout_s)[0]:
        read = os.read(stream.fileno(), 1 << 16)
        *lines, rest = (rest + read).split(b"\n") if read else (rest, b"")
        yield from (line.decode(errors="replace") for line in lines)
        if not read:
            return
    raise SilenceError(timeout_s)


class Gaps:
    """Makes one uninterrupted row of what arrives: short losses are held, samples that come twice are left out.

    Args:
        longest: number of lost samples that are replaced by the last one. After more, decoding starts again, and also
            if the sender goes further back than this, because it then counts anew.
    """

    def __init__(self, longest: int):
        self.longest, self.n_held, self.n_repeated, self.n_restarts = longest, 0, 0, 0
        self._next: int | None = None
        self._last = np.empty((0, 0))

    def fill(self, chunk: Chunk) -> tuple[np.ndarray, str]:
        """The samples to use, (m, channels), and why decoding starts again with them; empty if it continues."""
        values, missing, restart = chunk.values, 0 if self._next is None else chunk.first - self._next, ""
        if missing > self.longest:
            restart = f"{missing} samples before sample {chunk.first} were lost"
        elif missing < -self.longest:
            restart = f"the sender went back from sample {self._next} to sample {chunk.first}"
        elif missing < 0:
            repeated = min(-missing, len(values))
            self.n_repeated += repeated
            values = values[repeated:]
        elif missing:
            self.n_held += missing
            values = np.concatenate([np.repeat(self._last, missing, axis=0), values])
        self.n_restarts += bool(restart)
        if len(values):
            self._next, self._last = chunk.first + len(chunk.values), values[-1:]
        return values, restart

    def in_words(self) -> str:
        """What was lost, or "" if nothing was."""
        told = [
            (self.n_held, "lost {samples} replaced by the last one before"),
            (self.n_repeated, "{samples} that came twice left out"),
            (self.n_restarts, "{restarts} after longer losses or a new count of the sender"),
        ]

        def words(n: int, what: str) -> str:
            many = "s" * (n > 1)
            return f"{n} " + what.format(samples=f"sample{many}", restarts=f"new start{many}")

        return ", ".join(words(n, what) for n, what in told if n)


def longest_gap(seconds: float, rate_hz: float) -> int:
    """The number of samples in a time."""
    return math.floor(seconds * rate_hz + 1e-6)

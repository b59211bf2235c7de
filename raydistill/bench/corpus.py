"""A store of random sessions, equal in size, for the benchmarks that read from one.

Random values compress about as poorly as recorded voltages, and the benchmarks do not look at what a model learns.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.store.session import Session
from raydistill.store.store import Store

BIN_MS, SEGMENT_S = 10.0, 5.0
SHORTEST_S = 30.0  # a split unit of 10 s for each fold
_RATE = 0.2  # spikes per unit and bin
_CONFIG = IngestConfig(
    bin_width_ms=BIN_MS, filters=None, splits=Splits(segment_s=SEGMENT_S, parent_s=2 * SEGMENT_S, valid=0.05, test=0.05)
)


@contextlib.contextmanager
def corpus(
    *, sessions: int, seconds: float, units: int = 0, channels: int = 0, seed: int = 0
) -> Iterator[tuple[Path, Store]]:
    """A temporary folder and a store in it; both are deleted at the end.

    The train split of a session of ten minutes is nine tenths of it. A session must have at least `SHORTEST_S` seconds.

    Args:
        seconds: length of each session.
        units: units per session; 0: no spikes.
        channels: LFP channels per session; 0: no LFP.
    """
    with TemporaryDirectory(prefix="raydistill-bench-") as folder:
        store = Store(str(Path(folder) / "store"))
        random = np.random.default_rng(seed)
        n_bins = round(seconds * 1000 / BIN_MS)
        names = (f"bench{number:03d}" for number in range(sessions))
        write_sessions(store, (_session(name, random, n_bins, units, channels) for name in names), _CONFIG)
        yield Path(folder), store


def write_sessions(store: Store, sessions: Iterable[Session], config: IngestConfig) -> None:
    """Write sessions that come from no recording, and compile the catalogue."""
    for session in sessions:
        store.write(session, config, hashlib.sha256(session.name.encode()).hexdigest())
    store.publish()


def _session(name: str, random: np.random.Generator, n_bins: int, units: int, channels: int) -> Session:
    """Poisson counts, (n_bins, units), and normally distributed voltages, (n_bins, channels)."""
    return Session(
        name=name,
        subject="bench",
        bin_width_ms=BIN_MS,
        spikes=random.poisson(_RATE, (n_bins, units)).astype(np.uint8) if units else None,
        lfp=random.standard_normal((n_bins, channels), np.float32) if channels else None,
    )

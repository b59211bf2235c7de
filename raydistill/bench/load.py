"""`bench load`: how fast a training reads a store, in its first epoch and in later ones, for LFP and for spikes.

A first epoch opens the feed, which reads the parts of train and valid and keeps their segments in host memory, and
iterates over its batches. It is measured with the worker reading the files itself, as in trainings on little data, and
with Ray Data, as in trainings on more. A later epoch only iterates over batches. For comparison, plain pyarrow reads
all columns of the same files, one file after another, with its default number of threads. Ray is running and has read
one part before the clock starts, so that its processes exist. The files were just written, so all reads come from the
page cache.
"""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Literal

import pyarrow.parquet as pq
import torch

from raydistill.bench import Report, versions
from raydistill.bench.corpus import corpus
from raydistill.bench.machine import copy_gb_per_s
from raydistill.bench.model import masked_model
from raydistill.cluster import connected
from raydistill.config.engine import EngineConfig
from raydistill.feed.feed import Feed
from raydistill.feed.placement import SPLITS, Share, open_feed
from raydistill.feed.reading import read_directly, read_through_ray
from raydistill.feed.tokens import Inputs
from raydistill.models.crossmodal.config import PRESETS
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store

UNITS, CHANNELS = 96, 96
_BATCH = 32


def bench_load(
    *,
    sessions: int = 16,
    seconds: float = 600.0,
    repeats: int = 3,
    epochs: int = 10,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Medians over the repeats, and over the later epochs.

    Rates count four bytes (a float32) for every spike count or voltage that a training on that signal reads, without
    padding. The files contain both signals, and `pyarrow_mb_per_s` is the rate of reading both, in these units. Names
    without a prefix are for LFP. `*_over_pyarrow` are ratios of times: `first` for the first epoch of a worker,
    `ray_data` for a first epoch through Ray Data. Later epochs run in one thread, which `threads` reports.
    """
    say(f"writing {sessions} sessions of {seconds:g} s")
    with (
        corpus(sessions=sessions, seconds=seconds, units=UNITS, channels=CHANNELS) as (_, store),
        _quiet(),
        connected(),
    ):
        loads = {name: Load(store, name) for name in ("lfp", "spikes")}
        say("starting the processes of Ray Data")
        loads["lfp"].warm_up()
        measured = {}
        for name, load in loads.items():
            say(f"reading {name} {repeats} times")
            measured[name] = load.measured(repeats, epochs)
        size = sum(info.size for info in store.folder.filesystem.get_file_info([p.path for p in loads["lfp"].parts]))
    prefixed = {f"{name}_{figure}": value for name, rates in measured.items() for figure, value in rates.items()}
    return Report(
        what="load",
        device="cpu",
        threads=1,
        precision="float32",
        figures=measured["lfp"] | prefixed | {"store_mb": size / 1e6, "copy_gb_per_s": copy_gb_per_s()},
        versions=versions("ray", "pyarrow", "torch", "numpy"),
    )


@dataclass(frozen=True)
class Load:
    """Reading the training set of one signal."""

    store: Store
    modality: Literal["spikes", "lfp"]

    @cached_property
    def entries(self) -> list[Entry]:
        """The sessions of the store."""
        return self.store.entries()

    @cached_property
    def share(self) -> Share:
        """All of the training set, for one worker."""
        config = masked_model(PRESETS["paper"], self.modality, sessions={}).config
        return Share(
            entries=tuple(self.entries), inputs=Inputs(modality=self.modality, widths=config.inputs.widths(bands=1))
        )

    @cached_property
    def parts(self) -> list:
        """The parts of train and valid, which a first epoch reads."""
        return [part for split in SPLITS for part in self.share.parts[split]]

    def warm_up(self) -> None:
        """Read one part through Ray Data, which starts its processes."""
        deque(read_through_ray(self.store, self.entries)(self.parts[:1]), maxlen=0)

    def measured(self, repeats: int, epochs: int) -> dict[str, float]:
        """Figures without prefix. Plain reads and first epochs alternate, so that a disturbance affects both."""
        first_s, through_ray_s, plain_s = [], [], []
        for _ in range(repeats):
            plain_s.append(self._plain_s())
            seconds, feed = self._first_epoch(read_directly)
            first_s.append(seconds)
            through_ray_s.append(self._first_epoch(read_through_ray)[0])
        later_s = _later_epochs_s(feed, epochs)
        return {
            "first_epoch_mb_per_s": self._mb(*SPLITS) / median(first_s),
            "later_epoch_mb_per_s": self._mb("train") / median(later_s),
            "pyarrow_mb_per_s": self._mb(*SPLITS) / median(plain_s),
            "first_over_pyarrow": median(first_s) / median(plain_s),
            "ray_data_over_pyarrow": median(through_ray_s) / median(plain_s),
        }

    def _first_epoch(self, reader) -> tuple[float, Feed]:
        started = time.perf_counter()
        read = reader(self.store, self.entries)
        feed, _ = open_feed(self.share, read, batch=_BATCH, seed=0, engine=EngineConfig(memory="host"))
        _iterate(feed, 0)
        return time.perf_counter() - started, feed

    def _plain_s(self) -> float:
        started = time.perf_counter()
        for part in self.parts:
            pq.read_table(part.path, filesystem=self.store.folder.filesystem, partitioning=None)
        return time.perf_counter() - started

    def _mb(self, *splits: str) -> float:
        columns = UNITS if self.modality == "spikes" else CHANNELS
        return 4 * columns * sum(sum(part.n_bins) for split in splits for part in self.share.parts[split]) / 1e6


def _later_epochs_s(feed: Feed, epochs: int) -> list[float]:
    threads, times = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        for epoch in range(1, epochs + 1):
            started = time.perf_counter()
            _iterate(feed, epoch)
            times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
    return times


def _iterate(feed: Feed, epoch: int) -> None:
    deque(feed.train(epoch), maxlen=0)


@contextlib.contextmanager
def _quiet():
    """Suppress the lines that Ray Data logs for each dataset in the process that reads it."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)

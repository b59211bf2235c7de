"""Folders that spike sorters write for Phy (Kilosort and others): spike_times.npy, spike_clusters.npy and labels.

Times are sample numbers from the start of the sorted recording. Clusters that are labelled as noise are left out; what
people call a good unit differs, so that all others are taken as they are. Positions are those of the peak channels.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from raydistill.config.manifest import Interval, SessionEntry, Spikes, UnitFilter
from raydistill.errors import ConfigError, DataError, suggest
from raydistill.recordings.files.npy import load_npy
from raydistill.recordings.raw import Raw, SpikeTrains
from raydistill.recordings.readers.sorter_positions import POSITIONS, positions
from raydistill.recordings.readers.sorter_tables import TABLES, Labels, read_labels, read_rate
from raydistill.recordings.recording import Layout, RecordingSource
from raydistill.store.channels import ChannelTable

_TIMES, _CLUSTERS, _TEMPLATES = "spike_times.npy", "spike_clusters.npy", "spike_templates.npy"
_READ = (_TIMES, _CLUSTERS, _TEMPLATES, *TABLES, "params.py", *POSITIONS)
_KEYS = {"file", "offset_s", "time_scale", "rate_hz"}  # of `spikes`
NOISE = "noise"
_NO_LABEL = "without a label"


@dataclass(frozen=True, kw_only=True, slots=True)
class SorterOptions:
    """Which clusters are used, and the clock of their spikes."""

    spikes: Spikes = field(default_factory=Spikes)
    """Its `rate_hz` is that of the samples by which spikes are timed; None: that in params.py."""
    unit_filter: UnitFilter | None = None
    """None: all clusters but those labelled as noise."""
    intervals: tuple[Interval, ...] = ()


def describe(entry: SessionEntry) -> SorterOptions:
    """The options for a manifest's entry.

    Raises:
        ConfigError: the entry has keys that do not apply to such a folder.
    """
    for name in ("lfp_sections", "behavior_sections", "label_sections"):
        if getattr(entry, name):
            word = "labels" if name == "label_sections" else name.removesuffix("_sections")
            raise ConfigError(
                f"the folder of a spike sorter holds spikes only; name the file of `{word}` in its section"
            )
    if entry.trials is not None:
        raise ConfigError("the folder of a spike sorter holds spikes only; name the file of `trials` in its section")
    if any(interval.table for interval in entry.intervals):
        raise ConfigError("`interval.table` belongs to NWB files; give `start_s` and `stop_s`")
    spikes = Spikes() if entry.spikes == "auto" else entry.spikes
    if not isinstance(spikes, Spikes):
        raise ConfigError("the folder of a spike sorter holds spikes only: leave out `spikes`, or give its `rate_hz`")
    default = Spikes()
    wrong = [key for key in Spikes.__dataclass_fields__ if getattr(spikes, key) != getattr(default, key)]
    wrong = [key for key in wrong if key not in _KEYS and (key, spikes.time_unit) != ("time_unit", "samples")]
    if wrong:
        raise ConfigError(
            f"`spikes.{wrong[0]}` does not apply to the folder of a spike sorter, whose times are samples"
        )
    return SorterOptions(spikes=spikes, unit_filter=entry.unit_filter, intervals=entry.intervals)


def is_sorter_folder(path: Path) -> bool:
    """Whether a folder holds sorted spikes."""
    return (path / _TIMES).is_file()


def members(path: Path) -> tuple[str, ...]:
    """The files of a folder that are read, relative to the folder in which it is."""
    return tuple(f"{path.name}/{name}" for name in _READ if (path / name).is_file())


@contextmanager
def open_raw(path: Path, source: RecordingSource[SorterOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of a sorter's folder.

    Raises:
        DataError: a file is missing or damaged, the sampling rate is unknown, or no cluster is left.
    """
    try:
        raw = _raw(path, source.options)
    except DataError as err:
        raise DataError(f"{path.name}: {err}") from err
    yield raw


def _raw(folder: Path, options: SorterOptions) -> Raw:
    samples, owners = _spikes(folder)
    labels = read_labels(folder)
    clusters = np.unique(owners).tolist()
    used, notes = _selected(clusters, labels, options.unit_filter)
    order = np.lexsort((samples, owners))  # by cluster, then by time
    samples, owners = samples[order], owners[order]
    starts, stops = (np.searchsorted(owners, used, side=side) for side in ("left", "right"))
    rate_hz = _rate(folder, options.spikes.rate_hz)
    kinds = Counter(_label(cluster, labels) for cluster in used)
    counts = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    return Raw(
        spikes=SpikeTrains(
            times=tuple(samples[a:b] / rate_hz for a, b in zip(starts, stops, strict=True)),
            ids=tuple(used),
            channels=_positions(folder, used, labels, notes),
        ),
        windows=tuple(interval.seconds for interval in options.intervals),
        taken=(f"{len(used)} units from {folder.name} ({counts})",),
        notes=tuple(notes),
    )


def _positions(folder: Path, used: list[int], labels: Labels, notes: list[str]) -> ChannelTable | None:
    """Where the units were recorded; a damaged file of templates or channels is noted, as spikes do not need it."""
    try:
        return positions(folder, used, labels)
    except DataError as err:
        notes.append(f"where the units were recorded is unknown: {err}")
        return None


def _spikes(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """(spikes,) sample numbers as float64, and the cluster of each."""
    name = _CLUSTERS if (folder / _CLUSTERS).is_file() else _TEMPLATES
    if not (folder / name).is_file():
        raise DataError(f"there is neither {_CLUSTERS} nor {_TEMPLATES}, so that the units of the spikes are unknown")
    samples, owners = (_whole_numbers(folder / file) for file in (_TIMES, name))
    if len(samples) != len(owners):
        raise DataError(f"{_TIMES} has {len(samples)} spikes but {name} has {len(owners)}: are they of one sorting?")
    if not len(samples):
        raise DataError(f"{_TIMES} has no spike")
    return samples.astype(np.float64), owners.astype(np.int64)


def _whole_numbers(path: Path) -> np.ndarray:
    values = np.squeeze(load_npy(path))
    values = values[None] if values.ndim == 0 else values
    if values.ndim != 1 or values.dtype.kind not in "uif":
        raise DataError(
            f"{path.name} has {values.dtype} values of the shape {values.shape}; one number per spike is needed"
        )
    if values.dtype.kind == "f" and not np.all(values == np.round(values)):
        at = int(np.argmax(values != np.round(values)))
        raise DataError(
            f"{path.name} holds {values[at]:g}, which is no whole number; if times are in seconds, describe the file "
            "as `spikes: {times: ..., unit_ids: ...}`"
        )
    return values


def _rate(folder: Path, given: float | None) -> float:
    stated = read_rate(folder)
    if given is None and stated is None:
        raise DataError(
            "the spikes are timed in samples, and no params.py gives their `sample_rate`; set "
            "`spikes: {rate_hz: 30000}`, with the rate of the sorted recording"
        )
    if given is not None and stated is not None and abs(given - stated) > 1e-3 * stated:
        raise DataError(
            f"`spikes.rate_hz` is {given:g} but params.py states a sample_rate of {stated:g}; leave out `rate_hz`, or "
            "correct params.py"
        )
    return given or stated or 0.0


# Labels


def _label(cluster: int, labels: Labels) -> str:
    """What people, or else the sorter, call a cluster."""
    group, by_sorter = labels.get("group", {}), labels.get("KSLabel", {})
    return group.get(cluster) or by_sorter.get(cluster) or _NO_LABEL


def _selected(clusters: list[int], labels: Labels, unit_filter: UnitFilter | None) -> tuple[list[int], list[str]]:
    """The clusters to use, ascending, and a note on those left out.

    Raises:
        DataError: there is no such column of labels, or no cluster is left.
    """
    if unit_filter is None:
        label_of = {cluster: _label(cluster, labels) for cluster in clusters}
        used = [cluster for cluster in clusters if label_of[cluster] != NOISE]
    else:
        if unit_filter.column not in labels:
            raise DataError(
                f'`unit_filter`: no table of clusters has the column "{unit_filter.column}"'
                f"{suggest(unit_filter.column, labels)}"
            )
        column = labels[unit_filter.column]
        label_of = {cluster: column.get(cluster, _NO_LABEL) for cluster in clusters}
        used = [cluster for cluster in clusters if label_of[cluster] in unit_filter.words]
    kinds = Counter(label_of[cluster] for cluster in clusters)
    if not used:
        counts = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
        raise DataError(
            f"no cluster is left of {len(clusters)} ({counts}); set `unit_filter: {{column: group, keep: [...]}}` to "
            "the labels to use"
        )
    left_out = kinds - Counter(label_of[cluster] for cluster in used)
    if not left_out:
        return used, []
    counts = ", ".join(f"{n} {kind}" for kind, n in left_out.most_common())
    way = "" if unit_filter else f"; `unit_filter: {{column: {_column(labels)}, keep: [{NOISE}, ...]}}` selects labels"
    return used, [f"{sum(left_out.values())} of {len(clusters)} clusters were left out ({counts}){way}"]


def _column(labels: Labels) -> str:
    return "group" if "group" in labels else "KSLabel"


LAYOUT = Layout(
    name="sorter",
    title="output of a spike sorter for Phy",
    files="a folder with `spike_times.npy`, named in a [manifest](bring-your-own-data.md)",
    sessions="`name` in the manifest, or the name of the folder",
    open=open_raw,
    options=SorterOptions,
    endings=(),
    describe=describe,
    finds_signals=True,
    takes_folder=is_sorter_folder,
    members=members,
)

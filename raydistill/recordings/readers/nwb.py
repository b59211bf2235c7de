"""NWB 2 files through pynwb, from a path or a URI: which of their parts to use, and all of them as one recording.

The modules of nwb_parts read them: file.py opens a file, units.py reads its spikes, lfp.py and behavior.py its series,
tables.py its trials and intervals. Files stay open while they are read, and LFP is read in slices, never as a whole.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, dataclass
from pathlib import Path

from raydistill.config.manifest import Behavior, Interval, Label, Lfp, SessionEntry, Spikes, Trials, UnitFilter
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.files.plugins import what_is_wrong
from raydistill.recordings.planning.search import files_below
from raydistill.recordings.raw import Raw
from raydistill.recordings.readers.nwb_parts.behavior import behavior
from raydistill.recordings.readers.nwb_parts.exported import exported, is_exported
from raydistill.recordings.readers.nwb_parts.file import NwbContent, listed, open_content
from raydistill.recordings.readers.nwb_parts.lfp import lfp
from raydistill.recordings.readers.nwb_parts.tables import invalid_time_note, labels_of, trial_intervals, window
from raydistill.recordings.readers.nwb_parts.units import units
from raydistill.recordings.readers.nwb_parts.zarr import ENDING, holds_nwb, is_zarr, missing_chunks
from raydistill.recordings.recording import Layout, Recording, RecordingSource, default_name
from raydistill.recordings.remote import Remote


@dataclass(frozen=True, kw_only=True, slots=True)
class NwbOptions:
    """The parts of an NWB file to use. `auto`: the only candidate in the file; None: leave the modality out."""

    spikes: Spikes | None = dataclasses.field(default_factory=Spikes)
    """Without a `table`, the file's own units, if it has any."""
    lfp: tuple[Lfp, ...] | None = None
    """None: the only candidate in the file, if there is one; empty: leave LFP out."""
    behavior: tuple[Behavior, ...] | None = None
    """None: the only candidate in the file, if there is one; empty: leave behavior out."""
    trials: Trials | None = None
    labels: dict[str, Label] = dataclasses.field(default_factory=dict)
    intervals: tuple[Interval, ...] = ()
    unit_filter: UnitFilter | None = None


# Keys that apply to NWB files; all others describe arrays.
_KEYS = {
    "spikes": {"table", "channels"},
    "lfp": {"values", "scale", "transpose", "channels"},
    "behavior": {
        "values",
        "names",
        "units",
        "transpose",
        "lost_value",
        "max_speed",
        "smooth_s",
        "derive",
        "columns",
        "circular",
    },
    "trials": {"table", "where"},
}
_CLOCK_KEYS = {"file", "offset_s", "time_scale", "time_unit"}


def describe(entry: SessionEntry) -> NwbOptions:
    """The options for a manifest's entry.

    Raises:
        ConfigError: the entry has keys that belong to files of arrays.
    """
    spikes: Spikes | None = Spikes() if entry.spikes == "auto" else None
    if isinstance(entry.spikes, Spikes):
        spikes = entry.spikes
    elif isinstance(entry.spikes, str) and entry.spikes != "auto":
        spikes = Spikes(table=entry.spikes)
    trials = Trials(table=entry.trials) if isinstance(entry.trials, str) else entry.trials
    if trials is not None and trials.table is None and trials == Trials(where=trials.where):
        raise ConfigError("`trials` of an NWB file needs the name of its `table`, such as trials")
    options = NwbOptions(
        spikes=spikes,
        lfp=entry.lfp_sections,
        behavior=entry.behavior_sections,
        trials=trials,
        labels=entry.label_sections,
        intervals=entry.intervals,
        unit_filter=entry.unit_filter,
    )
    wrong: list[str] = []
    for name, keys in _KEYS.items():
        sections = getattr(options, name) or ()
        for section in sections if isinstance(sections, tuple) else (sections,):
            own = {"rate_hz"} if name == "spikes" or section.time_unit == "samples" else set()
            wrong += [f"{name}.{key}" for key in _changed_fields(section) if key not in keys | own | _CLOCK_KEYS]
    if wrong:
        raise ConfigError(
            f"`{wrong[0]}` describes a file of arrays; an NWB file states it itself: give only the path of the series"
        )
    return options


def _changed_fields(options) -> list[str]:
    """Names of the fields that differ from their defaults."""
    defaults = {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in dataclasses.fields(options)
    }
    return [name for name, default in defaults.items() if getattr(options, name) != default]


def find(folder: Path) -> list[Recording]:
    """The NWB 2 files anywhere in a folder, one recording each; hidden files are skipped."""
    named = files_below(folder, lambda name: name.lower().endswith(LAYOUT.endings))
    files = [path for path in named if not path.is_dir() or holds_nwb(path)]
    source = RecordingSource(layout=LAYOUT.name, options=NwbOptions())
    return [Recording(name=default_name(p), path=p, source=source, config=LAYOUT.config) for p in files]


@contextmanager
def open_raw(path: Path | Remote, source: RecordingSource[NwbOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of an NWB file; series are read in slices while the context is open.

    Args:
        bin_width_ms: gaps of observation no longer than this are ignored.

    Raises:
        DataError: the file is not NWB 2, or does not hold what `source.options` names (the candidates are listed).
    """
    file_name = path if isinstance(path, Remote) else path.name
    with open_content(path) as content:
        try:
            raw = _read(content, source.options, bin_width_ms / 1000)
            lost = missing_chunks(path) if isinstance(path, Path) and is_zarr(path) else []
            yield dataclasses.replace(raw, notes=(*raw.notes, *lost))
        except DataError as err:
            raise DataError(f"{file_name}: {err}") from err


def _read(content: NwbContent, options: NwbOptions, bin_s: float) -> Raw:
    try:
        return exported(content.nwb, options) if is_exported(content.nwb) else _raw(content, options, bin_s)
    except (OSError, RuntimeError, ValueError, MemoryError) as err:  # as h5py, zarr and its codecs report damage
        raise DataError(f"a dataset cannot be read; the file {what_is_wrong(err)}") from err


def _raw(content: NwbContent, options: NwbOptions, bin_s: float) -> Raw:
    nwb = content.nwb
    groups = {g.location for g in nwb.electrode_groups.values() if g.location not in (None, "", "unknown")}
    found = units(content, options.spikes, options.unit_filter, bin_s)
    signals = lfp(content, options.lfp)
    traces = behavior(content, options.behavior)
    trials, rows, trials_taken = trial_intervals(content, options.trials)
    notes = (*found.notes, *signals.notes, *traces.notes, *invalid_time_note(content))
    return Raw(
        spikes=found.spikes,
        lfp=signals.signals,
        behavior=traces.traces,
        trial_intervals=trials,
        trial_numbers=rows,
        labels=labels_of(content, options.labels),
        pieces=found.pieces,
        windows=tuple(window(content, interval) for interval in options.intervals),
        subject=nwb.subject.subject_id if nwb.subject else None,
        region=", ".join(sorted(groups)),
        taken=(*found.taken, *signals.taken, *traces.taken, *trials_taken),
        notes=(*notes, *_unreadable(content, notes, options)),
    )


def _unreadable(content: NwbContent, notes: Sequence[str], options: NwbOptions) -> tuple[str, ...]:
    """A note about what cannot be read and no other note names, except of modalities left out on purpose."""
    out = [] if options.spikes is not None else ["units"]
    out += ["lfp", "ecephys", "electricalseries"] if options.lfp == () else []
    out += ["behavior"] if options.behavior == () else []
    left = [
        f"{path} {cause}"
        for path, cause in content.omitted.items()
        if not any(path in note for note in notes) and not any(word in path.lower() for word in out)
    ]
    return (f"left out: {listed(left)}",) if left else ()


LAYOUT = Layout(
    name="nwb",
    title="any NWB 2 file",
    files="`*.nwb`, and folders `*.nwb.zarr`",
    find=find,
    open=open_raw,
    options=NwbOptions,
    endings=(".nwb", ENDING),
    takes_folder=is_zarr,
    describe=describe,
    describes_itself=True,
)

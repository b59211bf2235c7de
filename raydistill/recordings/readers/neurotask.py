"""NeuroTask Parquet files: one row per bin, several sessions per file, no time between trials.

`<datasetID>_<bin width in ms>_<Name>_<Task>.parquet` holds the columns Neuron1..K (null throughout in a session that
lacks the unit), behavior, and animal, session, task, trial_id and result in every row. The file does not contain the
times of trials, so trials follow one another on the clock of bins, and each is a piece of its own. Wider bins are
made within each trial, from its start: spikes are summed, behavior is averaged over the samples that are not missing,
and a last bin that is not full is dropped (docs/methods.md, Data and preprocessing).

Datasets 1 and 3 are left out, as other files hold those recordings with their LFP. K units, T bins.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path

import numpy as np

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import DataError, one_line, suggest
from raydistill.recordings.planning.search import files_below
from raydistill.recordings.planning.unfetched import why_absent
from raydistill.recordings.raw import Counts, Raw, Trace
from raydistill.recordings.recording import Layout, Recording, RecordingSource, as_name

_FILE = re.compile(r"([2456])_(\d+(?:\.\d+)?)_[^_]+_(.+)\.parquet")
_KEYS = ["datasetID", "animal", "session", "task"]
_ROWS = 16_384  # rows of the file in memory at once


@dataclass(frozen=True)
class NeurotaskDataset:
    """One of the four datasets."""

    name: str
    region: str
    behavior: str
    subjects: dict[str, str]  # the animal as named in the file -> its name in Table 2 of the paper


DATASETS = {
    2: NeurotaskDataset("Chowdhury", "S1", "hand_vel", {n: f"R{n}" for n in "123"}),
    4: NeurotaskDataset("Ma", "M1", "cursor_vel", {n: f"X{n}" for n in "1234"}),
    5: NeurotaskDataset("Perich", "M1, PMd", "cursor_vel", {"C": "Cp", "M": "Mp", "T": "T", "J": "J"}),
    6: NeurotaskDataset("Churchland", "M1, PMd", "cursor_vel", {n: f"C{n}" for n in "12"}),
}
"""By the number at the start of the file's name."""
_UNITS = {"hand_vel": "cm/s"}  # the units of cursor velocity and force are not published


@dataclass(frozen=True, kw_only=True, slots=True)
class NeurotaskOptions:
    """The parts of these recordings that a user can choose."""

    results: tuple[str, ...] = ()
    """Use only trials with these results, such as R (rewarded); empty: all."""


def find(folder: Path) -> list[Recording]:
    """The sessions of every NeuroTask file anywhere in `folder`, named `<Dataset>_<animal>_<task>_<session>`.

    Raises:
        DataError: a file with such a name is damaged, or lacks the columns that identify its sessions.
    """
    recordings = []
    for path in files_below(folder, _FILE.fullmatch):
        if why_absent(path):  # nothing tells which sessions it holds: one for all, which fails when it is read
            source = RecordingSource(layout=LAYOUT.name, options=NeurotaskOptions())
            recordings.append(Recording(name=as_name(path.stem), path=path, source=source, config=LAYOUT.config))
            continue
        with _reading(path):
            sessions = _sessions(path)
        for name, key in sessions.items():
            dataset, animal = DATASETS[key["datasetID"]], _text(key["animal"])
            source = RecordingSource(
                layout=LAYOUT.name,
                options=NeurotaskOptions(),
                part=name,
                subject=dataset.subjects.get(animal, as_name(f"{dataset.name}_{animal}")),
                dataset=dataset.name.lower(),
                task=_text(key["task"]),
                region=dataset.region,
            )
            recordings.append(Recording(name=name, path=path, source=source, config=LAYOUT.config))
    return recordings


@contextmanager
def open_raw(path: Path, source: RecordingSource[NeurotaskOptions], bin_width_ms: float) -> Iterator[Raw]:
    """Yield the `Raw` of session `source.part` in bins of `bin_width_ms`; only the rows of this session are read.

    Raises:
        DataError: the file is damaged or not as published, or lacks the session, trials with the chosen results, or
            bins that can be combined to this width.
    """
    with _reading(path):
        raw = _raw(path, source, bin_width_ms)
    yield raw


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError) as err:
        cause = re.sub(r"\w+Exception: ", "", one_line(err))
        raise DataError(f"{path}: damaged, or not a Parquet file ({cause})") from err
    except DataError as err:
        raise DataError(f"{path.name}: {err}") from err


def _sessions(path) -> dict[str, dict]:
    """Name of each session -> its value in each of the key columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = int(_parts_of_name(path)[1])
    keys: list[dict] = []
    with pq.ParquetFile(path) as file:
        _check_columns(file.schema_arrow, [*_KEYS, "trial_id", "result"])
        for batch in file.iter_batches(columns=_KEYS):
            keys += pa.table(batch).group_by(_KEYS, use_threads=False).aggregate([]).to_pylist()
    sessions: dict[str, dict] = {}
    for key in keys:
        if empty := [k for k in _KEYS if key[k] is None or key[k] != key[k]]:
            raise DataError(f"there are rows without a value in `{empty[0]}`")
        if key["datasetID"] != number:
            raise DataError(f"`datasetID` is {key['datasetID']}, but the name of the file has {number}")
        name = as_name("_".join([DATASETS[number].name, *(_text(key[k]) for k in ("animal", "task", "session"))]))
        if sessions.setdefault(name, key) != key:
            raise DataError(f"two sessions would have the name {name}: {sessions[name]} and {key}")
    return sessions


def _parts_of_name(path: Path) -> re.Match[str]:
    if (match := _FILE.fullmatch(path.name)) is None:
        raise DataError("the name is not of the form <datasetID 2, 4, 5 or 6>_<bin width in ms>_<Name>_<Task>.parquet")
    return match


def _text(value) -> str:
    """The value as a string, without the .0 of a whole number whose column has missing values elsewhere."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _check_columns(schema, names):
    for name in names:
        if name not in schema.names:
            available = [n for n in schema.names if not n.startswith("Neuron")]
            raise DataError(f'there is no column "{name}"{suggest(name, available)}')


def _raw(path, source, bin_width_ms) -> Raw:
    import pyarrow as pa
    import pyarrow.dataset as ds

    rows_per_bin = _rows_per_bin(path, bin_width_ms)
    sessions, results = _sessions(path), source.options.results
    if source.part not in sessions:
        raise DataError(f'there is no session "{source.part}"{suggest(str(source.part), sessions)}')
    key, file = sessions[source.part], ds.dataset(path, format="parquet")
    of_session = reduce(and_, (ds.field(k) == value for k, value in key.items()), ds.field("trial_id").is_valid())
    selection = of_session & ds.field("result").isin(list(results)) if results else of_session

    kind = file.schema.field("trial_id").type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise DataError(f"trial_id holds {kind} values, not numbers")
    ids = file.to_table(columns=["trial_id"], filter=selection).column(0).to_numpy()
    if not len(ids):
        available = file.to_table(columns=["result"], filter=of_session).column(0).unique().to_pylist()
        condition = f" has the result {' or '.join(results)}" if results else " was found"
        raise DataError(f"no trial{condition}; results in the file: {', '.join(map(str, available)) or 'none'}")
    label, n_bins, bin_of_row = _trials(ids, rows_per_bin)
    if not n_bins.any():
        raise DataError(f"no trial is as long as a bin of {bin_width_ms:g} ms")
    stops = np.cumsum(n_bins)
    units, behavior = _columns(file.schema, key, path)
    counts, values = _binned(file, selection, units, behavior, bin_of_row, rows_per_bin)
    width_s, has_values = bin_width_ms / 1000, np.isfinite(values).any(axis=0)
    if not has_values.any():
        raise DataError(f"{' and '.join(behavior)} have no value in this session")
    names = tuple(np.array(behavior)[has_values].tolist())
    measures = tuple(_UNITS.get(name[:-2], "") for name in names)
    times, span = (np.arange(stops[-1]) + 0.5) * width_s, (0.0, stops[-1] * width_s)
    return Raw(
        spikes=Counts(values=counts),
        behavior=(Trace(times=times, values=values[:, has_values], names=names, units=measures, span=span),),
        trial_labels=np.repeat(label, n_bins),
        pieces=np.stack([stops - n_bins, stops], axis=1)[n_bins > 0] * width_s,
        n_bins=int(stops[-1]),
        subject=source.subject,
    )


def _rows_per_bin(path, bin_width_ms) -> int:
    native = float(_parts_of_name(path)[2])
    rows = round(bin_width_ms / native) if native else 0
    if rows < 1 or abs(rows * native - bin_width_ms) > 1e-6 * bin_width_ms:
        advice = f"set `bin_width_ms` to a whole multiple of {native:g}"
        raise DataError(f"bins of {native:g} ms cannot be combined to bins of {bin_width_ms:g} ms; {advice}")
    return rows


def _trials(ids, rows_per_bin) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, lengths and bins of trials.

    Args:
        ids: (rows,) trial_id of each row.
    Returns:
        (trials,) int32 label: the file's own number if it is one, otherwise the position of the trial;
        (trials,) number of bins;
        (rows,) bin of each row, ascending, or -1 for rows at the end of a trial that do not fill a bin.
    """
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    named = ids[starts]
    values, times = np.unique(named, return_counts=True)
    if times.max() > 1:
        raise DataError(f"trial_id {values[times.argmax()]} occurs again after another trial; sort the rows by trial")
    numbered = named.dtype.kind in "iuf" and np.all((named >= 0) & (named < 2**31) & (named == np.floor(named)))
    label = named if numbered else np.arange(len(named))
    n_rows = np.diff(starts, append=len(ids))
    n_bins = n_rows // rows_per_bin
    in_trial = (np.arange(len(ids)) - np.repeat(starts, n_rows)) // rows_per_bin  # (rows,)
    bins = np.repeat(np.cumsum(n_bins) - n_bins, n_rows) + in_trial
    return label.astype(np.int32), n_bins, np.where(in_trial < np.repeat(n_bins, n_rows), bins, -1)


def _columns(schema, key, path) -> tuple[list[str], list[str]]:
    """Names of the columns of units, and of the behavior that the paper decodes from this dataset and task."""
    import pyarrow as pa

    columns = [field.name for field in schema if not pa.types.is_null(field.type)]
    units = sorted((n for n in columns if re.fullmatch(r"Neuron\d+", n)), key=lambda n: int(n[6:]))
    dataset = DATASETS[key["datasetID"]]
    is_key = dataset.name == "Ma" and "key" in f"{key['task']} {_parts_of_name(path)[3]}".lower()
    measure = "force" if is_key else dataset.behavior
    behavior = [n for n in (f"{measure}_x", f"{measure}_y") if n in columns]
    if not units or not behavior:
        _check_columns(schema, ["Neuron1", f"{measure}_x"])
    for name in [*units, *behavior]:
        kind = schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise DataError(f"{name} holds {kind} values, not numbers")
    return units, behavior


def _binned(file, selection, units, behavior, bin_of_row, rows_per_bin) -> tuple[np.ndarray, np.ndarray]:
    """(T, K) counts of the session's units, and (T, D) means of the behavior, NaN in bins without a value.

    Args:
        bin_of_row: (rows,) bin of each row of the session, see `_trials`.
    """
    n_bins = bin_of_row.max() + 1
    counts = np.zeros((n_bins, len(units)), dtype=np.int32)
    sums, n_values = np.zeros((n_bins, len(behavior))), np.zeros((n_bins, len(behavior)))
    missing, row = np.zeros(len(units), dtype=int), 0
    for batch in file.to_batches(columns=[*units, *behavior], filter=selection, batch_size=_ROWS, batch_readahead=1):
        bins = bin_of_row[row : row + len(batch)]
        row += len(batch)
        values = np.empty((len(batch), batch.num_columns))
        for column, array in enumerate(batch.columns):
            values[:, column] = array.to_numpy(zero_copy_only=False)
        values, bins = values[bins >= 0], bins[bins >= 0]
        spikes, moves = np.split(values, [len(units)], axis=1)
        wrong = ~np.isnan(spikes) & ~((spikes >= 0) & (spikes < np.inf) & (spikes == np.rint(spikes)))
        if wrong.any():
            at = tuple(np.argwhere(wrong)[0])
            raise DataError(f"{units[at[1]]} holds {spikes[at]:g}, which is not a spike count")
        missing += np.isnan(spikes).sum(axis=0)
        _add(counts, bins, np.nan_to_num(spikes))
        _add(sums, bins, np.where(np.isnan(moves), 0, moves))
        _add(n_values, bins, ~np.isnan(moves))
    n_rows = n_bins * rows_per_bin
    if (partly := (missing > 0) & (missing < n_rows)).any():
        unit = int(partly.argmax())
        raise DataError(f"{units[unit]} has a count in only {n_rows - missing[unit]} of the session's {n_rows} rows")
    if (missing == n_rows).all():
        raise DataError("the session has none of the file's units")
    with np.errstate(invalid="ignore"):
        return counts[:, missing == 0], sums / n_values


def _add(total, bins, values):
    """Add each row to its bin of `total`; the rows of one bin are adjacent."""
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    total[bins[starts]] += np.add.reduceat(values, starts, axis=0, dtype=total.dtype)


LAYOUT = Layout(
    name="neurotask",
    title="Perich, Churchland, Chowdhury, Ma",
    files="`5_10_Perich_CO.parquet`, `6_*`, `2_*`, `4_*`",
    sessions="`Perich_<animal>_<task>_<session>`, ...",
    find=find,
    open=open_raw,
    options=NeurotaskOptions,
    # The paper sets no minimum rate here; a unit that never fires carries no information.
    config=IngestConfig(bin_width_ms=10, min_rate_hz=1e-6, splits=Splits(by="trials")),
)

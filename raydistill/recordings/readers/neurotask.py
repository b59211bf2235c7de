"""NeuroTask Parquet files (spec A4): one row a bin, several sessions a file, each trial a stretch of its own.

`<datasetID>_<bin width in ms>_<Name>_<Task>.parquet` holds Neuron1..K (null throughout in a session that lacks the
unit), behavior, and animal, session, task, trial_id, result in every row. Nothing says when a trial took place, so
trials follow one another on the clock of bins, each a piece. Bins are made wider inside each trial, from its start:
spikes summed, behavior averaged over the samples that are there, a last bin that is not full dropped.

Datasets 1 and 3 are left out: other files hold those recordings with their LFP. K units, T bins.
"""

import re
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import and_
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line, suggest
from raydistill.recordings.manifest import as_name
from raydistill.recordings.published import Found, Published
from raydistill.recordings.readers import Counts, Raw, Trace

_FILE = re.compile(r"([2456])_(\d+(?:\.\d+)?)_[^_]+_(.+)\.parquet")
_KEYS = ["datasetID", "animal", "session", "task"]
_ROWS = 16_384  # of the file in memory at once


@dataclass(frozen=True)
class Dataset:
    name: str
    region: str
    behavior: str
    subjects: dict[str, str]  # the animal as the file names it -> its name in Table 2 of the paper


DATASETS = {
    2: Dataset("Chowdhury", "S1", "hand_vel", {n: f"R{n}" for n in "123"}),
    4: Dataset("Ma", "M1", "cursor_vel", {n: f"X{n}" for n in "1234"}),
    5: Dataset("Perich", "M1, PMd", "cursor_vel", {"C": "Cp", "M": "Mp", "T": "T", "J": "J"}),
    6: Dataset("Churchland", "M1, PMd", "cursor_vel", {n: f"C{n}" for n in "12"}),
}
"""By the number that opens the name of a file."""
_UNITS = {"hand_vel": "cm/s"}  # the layout does not say what cursor velocity and force are measured in


def find(folder: Path) -> list[Found]:
    """The sessions of every NeuroTask file in `folder` and below, called `<Dataset>_<animal>_<task>_<session>`.

    Raises:
        DataError: a file of such a name is damaged, or lacks the columns that name its sessions.
    """
    found = []
    for path in sorted(p for p in folder.rglob("*.parquet") if _FILE.fullmatch(p.name)):
        with _reading(path):
            sessions = _sessions(path)
        for name, key in sessions.items():
            dataset, animal = DATASETS[key["datasetID"]], _text(key["animal"])
            subject = dataset.subjects.get(animal, as_name(f"{dataset.name}_{animal}"))
            where = {"layout": "neurotask", "file": path.relative_to(folder).as_posix(), "part": name}
            what = {
                "subject": subject,
                "dataset": dataset.name.lower(),
                "task": _text(key["task"]),
                "region": dataset.region,
            }
            found.append(Found(name=name, path=path, source=Published(**where, **what)))
    return found


@contextmanager
def opened(path: Path, source: Published, bin_width_ms: float):
    """Yield the `Raw` of session `source.part`, in bins of `bin_width_ms`; of the file, only its rows are read.

    Raises:
        DataError: the file is damaged or not as published, or has no such session or result, or no such bins.
    """
    with _reading(path):
        raw = _raw(path, source, bin_width_ms)
    yield raw


@contextmanager
def _reading(path):
    from pyarrow import ArrowException

    try:
        yield
    except (ArrowException, OSError) as err:
        raise DataError(f"{path}: damaged, or not a Parquet file ({one_line(err)})") from err
    except DataError as err:
        raise DataError(f"{path.name}: {err}") from err


def _sessions(path) -> dict[str, dict]:
    """Name of each session -> its value in each of the key columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    named = int(_FILE.fullmatch(path.name)[1])
    keys = []
    with pq.ParquetFile(path) as file:
        _check_columns(file.schema_arrow, [*_KEYS, "trial_id", "result"])
        for batch in file.iter_batches(columns=_KEYS):
            keys += pa.table(batch).group_by(_KEYS, use_threads=False).aggregate([]).to_pylist()
    sessions = {}
    for key in keys:
        if empty := [k for k in _KEYS if key[k] is None or key[k] != key[k]]:
            raise DataError(f"there are rows without a value in `{empty[0]}`")
        if key["datasetID"] != named:
            raise DataError(f"`datasetID` is {key['datasetID']}, but the file's name says {named}")
        name = as_name("_".join([DATASETS[named].name, *(_text(key[k]) for k in ("animal", "task", "session"))]))
        if sessions.setdefault(name, key) != key:
            raise DataError(f"two sessions would both be called {name}: {sessions[name]} and {key}")
    return sessions


def _text(value) -> str:
    """A whole number loses the .0 that it has where its column once held a gap."""
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def _check_columns(schema, wanted):
    for name in wanted:
        if name not in schema.names:
            known = [n for n in schema.names if not n.startswith("Neuron")]
            raise DataError(f'there is no column "{name}"{suggest(name, known)}')


def _raw(path, source, bin_width_ms) -> Raw:
    import pyarrow.dataset as ds

    rows_per_bin = _rows_per_bin(path, bin_width_ms)
    sessions = _sessions(path)
    if source.part not in sessions:
        raise DataError(f'there is no session "{source.part}"{suggest(str(source.part), sessions)}')
    key, file = sessions[source.part], ds.dataset(path, format="parquet")
    of_session = reduce(and_, (ds.field(k) == value for k, value in key.items()), ds.field("trial_id").is_valid())
    wanted = of_session & ds.field("result").isin(list(source.results)) if source.results else of_session

    ids = file.to_table(columns=["trial_id"], filter=wanted).column(0).to_numpy()
    if not len(ids):
        there = file.to_table(columns=["result"], filter=of_session).column(0).unique().to_pylist()
        wish = f" ended as {' or '.join(source.results)}" if source.results else ""
        raise DataError(f"no trial{wish}; results are {', '.join(map(str, there)) or 'none'}")
    label, n_bins, bin_of_row = _trials(ids, rows_per_bin)
    if not n_bins.any():
        raise DataError(f"no trial lasts a whole bin of {bin_width_ms:g} ms")
    stops = np.cumsum(n_bins)
    units, behavior = _columns(file.schema, key, path)
    counts, values = _binned(file, wanted, units, behavior, bin_of_row, rows_per_bin)
    width_s, kept = bin_width_ms / 1000, np.isfinite(values).any(axis=0)
    if not kept.any():
        raise DataError(f"{' and '.join(behavior)} hold no value in this session")
    names = tuple(np.array(behavior)[kept].tolist())
    measures = tuple(_UNITS.get(name[:-2], "") for name in names)
    times, span = (np.arange(stops[-1]) + 0.5) * width_s, (0.0, stops[-1] * width_s)
    return Raw(
        spikes=Counts(values=counts),
        behavior=Trace(times=times, values=values[:, kept], names=names, units=measures, span=span),
        trial_labels=np.repeat(label, n_bins),
        pieces=np.stack([stops - n_bins, stops], axis=1)[n_bins > 0] * width_s,
        n_bins=int(stops[-1]),
        subject=source.subject,
    )


def _rows_per_bin(path, bin_width_ms) -> int:
    if (match := _FILE.fullmatch(path.name)) is None:
        raise DataError("the name is not of the form <datasetID 2, 4, 5 or 6>_<bin width in ms>_<Name>_<Task>.parquet")
    native = float(match[2])
    rows = round(bin_width_ms / native) if native else 0
    if rows < 1 or abs(rows * native - bin_width_ms) > 1e-6 * bin_width_ms:
        wish = f"set `bin_width_ms` to a whole multiple of {native:g}"
        raise DataError(f"its bins of {native:g} ms do not make up bins of {bin_width_ms:g} ms; {wish}")
    return rows


def _trials(ids, rows_per_bin) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From the (rows,) ids of trials: each trial's int32 label, the file's own number where those will do, (trials,);
    how many bins it has, (trials,); and each row's bin, (rows,), ascending but for the -1 of rows that fill none."""
    starts = np.flatnonzero(np.r_[True, ids[1:] != ids[:-1]])
    named = ids[starts]
    values, times = np.unique(named, return_counts=True)
    if times.max() > 1:
        raise DataError(f"trial_id {values[times.argmax()]} comes back after another trial; sort the rows by trial")
    numbered = named.dtype.kind in "iuf" and np.all((named >= 0) & (named < 2**31) & (named == np.floor(named)))
    label = named if numbered else np.arange(len(named))
    n_rows = np.diff(starts, append=len(ids))
    n_bins = n_rows // rows_per_bin
    in_trial = (np.arange(len(ids)) - np.repeat(starts, n_rows)) // rows_per_bin  # (rows,)
    bins = np.repeat(np.cumsum(n_bins) - n_bins, n_rows) + in_trial
    return label.astype(np.int32), n_bins, np.where(in_trial < np.repeat(n_bins, n_rows), bins, -1)


def _columns(schema, key, path) -> tuple[list[str], list[str]]:
    """The columns of units, in their order, and of the behavior that the paper decodes from this dataset and task."""
    import pyarrow as pa

    there = [field.name for field in schema if not pa.types.is_null(field.type)]
    units = sorted((n for n in there if re.fullmatch(r"Neuron\d+", n)), key=lambda n: int(n[6:]))
    dataset = DATASETS[key["datasetID"]]
    is_key = dataset.name == "Ma" and "key" in f"{key['task']} {_FILE.fullmatch(path.name)[3]}".lower()
    wanted = "force" if is_key else dataset.behavior
    behavior = [n for n in (f"{wanted}_x", f"{wanted}_y") if n in there]
    if not units or not behavior:
        _check_columns(schema, ["Neuron1", f"{wanted}_x"])
    for name in [*units, *behavior]:
        kind = schema.field(name).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise DataError(f"{name} holds {kind} values, not numbers")
    return units, behavior


def _binned(file, wanted, units, behavior, bin_of_row, rows_per_bin) -> tuple[np.ndarray, np.ndarray]:
    """(T, K) counts of the units that the session has, and (T, D) means of the behavior, NaN where none is there.

    Args:
        bin_of_row: (rows,) the bin of each wanted row, see `_trials`.
    """
    n_bins = bin_of_row.max() + 1
    counts = np.zeros((n_bins, len(units)), dtype=np.int32)
    sums, found = np.zeros((n_bins, len(behavior))), np.zeros((n_bins, len(behavior)))
    lost, row = np.zeros(len(units), dtype=int), 0
    for batch in file.to_batches(columns=[*units, *behavior], filter=wanted, batch_size=_ROWS, batch_readahead=1):
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
            raise DataError(f"{units[at[1]]} holds {spikes[at]:g}, which is no spike count")
        lost += np.isnan(spikes).sum(axis=0)
        _add(counts, bins, np.nan_to_num(spikes))
        _add(sums, bins, np.where(np.isnan(moves), 0, moves))
        _add(found, bins, ~np.isnan(moves))
    n_rows = n_bins * rows_per_bin
    if (partly := (lost > 0) & (lost < n_rows)).any():
        unit = int(partly.argmax())
        raise DataError(f"{units[unit]} has a count in only {n_rows - lost[unit]} of the session's {n_rows} rows")
    if (lost == n_rows).all():
        raise DataError("the session has none of the file's units")
    with np.errstate(invalid="ignore"):
        return counts[:, lost == 0], sums / found


def _add(total, bins, values):
    """Add each row to its bin of `total`; rows of one bin lie together."""
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    total[bins[starts]] += np.add.reduceat(values, starts, axis=0, dtype=total.dtype)

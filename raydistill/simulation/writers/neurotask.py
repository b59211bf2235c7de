"""Synthetic recordings as a NeuroTask Parquet file: several sessions, cut into trials, one row per bin.

Only the trials of a recording are written, without their times. Each session is a row group, so that memory holds one
session.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.files import renamed_when_whole
from raydistill.recordings.readers.neurotask import LAYOUT
from raydistill.simulation.simulate import SyntheticRecording, generate, session_names
from raydistill.simulation.writing import LayoutWriter, check_arrays

_FAILED = 5  # every fifth trial has the result F, the others R


def write_neurotask(
    recordings: Iterable[SyntheticRecording],
    folder,
    *,
    labels: Mapping[str, tuple[int | str, int | str]],
    units: int,
    dataset_id: int = 5,
    name: str = "Perich",
    task: str = "CO",
    bin_ms: int = 10,
) -> Path:
    """Write one recording or more to `folder/<dataset_id>_<bin_ms>_<name>_<task>.parquet` and return that path.

    Dataset 2 holds hand_{pos,vel}_{x,y}, dataset 4 cursor_{pos,vel}_{x,y} and force_{x,y}, all others
    cursor_{pos,vel}_{x,y}: position in cm and velocity in cm/s at the centre of each bin, force that of a
    spring of 1 N/cm.

    Args:
        recordings: of one array each, read one after the other.
        labels: session of a recording -> its values in the columns `animal` and `session`.
        units: number of columns Neuron1..K, null beyond the units of a recording.

    Raises:
        ConfigError: a recording has several arrays.
        DataError: a recording has more units, or the file cannot be written.
    """
    import pyarrow.parquet as pq

    path = Path(folder) / f"{dataset_id}_{bin_ms}_{name}_{task}.parquet"
    tables = (_table(r, dataset_id, task, labels[r.session], bin_ms / 1000, units) for r in recordings)
    first_table = next(tables)
    with renamed_when_whole(path) as partial, pq.ParquetWriter(partial, first_table.schema) as file:
        for table in chain([first_table], tables):
            file.write_table(table)
    return path


def write_sessions(config: SyntheticConfig, folder: Path) -> Iterator[Path]:
    """Write every session of `config` to one file of the dataset Perich; its animals and sessions have numbers."""
    labels = {name: (int(subject[1:]), int(name.partition("_")[2])) for name, subject in session_names(config)}
    yield write_neurotask(generate(config), folder, labels=labels, units=config.max_units)


def trial_rows(recording: SyntheticRecording, bin_s: float) -> list[tuple[int, int]]:
    """[first, stop) bins of each trial, counted from 0 s: 1.2 to 3.7 s long, 0.3 s apart.

    Trial i lasts 1.2 + 2.5 * frac(0.618 i) s, so that trials do not fit any coarser clock.
    """
    end = int(len(recording.velocity) / recording.kinematics_rate_hz / bin_s + 1e-6)
    trials: list[tuple[int, int]] = []
    start = round(0.3 / bin_s) + 1
    while (stop := start + round((1.2 + 2.5 * (0.618 * len(trials) % 1)) / bin_s)) <= end:
        trials.append((start, stop))
        start = stop + round(0.3 / bin_s)
    return trials


def _table(recording, dataset_id, task, label, bin_s, units):
    import pyarrow as pa

    check_arrays(LAYOUT.name, recording, 1)
    if len(recording.spike_times) > units:
        raise DataError(
            f"{recording.session} has {len(recording.spike_times)} units; `units` must be at least that, not {units}"
        )
    trials = trial_rows(recording, bin_s)
    rows = np.concatenate([np.arange(a, b) for a, b in trials])
    lengths = [b - a for a, b in trials]
    table = {f"Neuron{i + 1}": _counts(recording, i, bin_s, rows) for i in range(units)}
    seconds = (rows + 0.5) * bin_s
    for key, values in _behavior(recording, dataset_id).items():
        at = np.arange(len(values)) / recording.kinematics_rate_hz
        table[key] = np.interp(seconds, at, values)
    target = [recording.position[_sample(recording, b * bin_s)] for _, b in trials]
    origin = [recording.position[_sample(recording, a * bin_s)] for a, _ in trials]
    reach = np.array(target) - np.array(origin)  # (trials, 2)
    table["target_dir"] = np.repeat(np.arctan2(reach[:, 1], reach[:, 0]), lengths)
    for event, place in {"EventTarget_Onset": 0.1, "EventGo_cue": 0.3, "EventEnd_trial": 1.0}.items():
        table[event] = np.concatenate([np.arange(n) == int(place * (n - 1)) for n in lengths])
    numbers = np.arange(1, len(trials) + 1)
    table["trial_id"] = np.repeat(numbers, lengths)
    table["result"] = np.repeat(np.where(numbers % _FAILED, "R", "F"), lengths)
    keys = {"datasetID": dataset_id, "animal": label[0], "session": label[1], "task": task}
    return pa.table(table | {key: [value] * len(rows) for key, value in keys.items()})


def _counts(recording, unit, bin_s, rows):
    """Counts as floats, as in a table in which some sessions lack units; null if this session lacks the unit."""
    import pyarrow as pa

    if unit >= len(recording.spike_times):
        return pa.nulls(len(rows), pa.float64())
    bins = np.floor(recording.spike_times[unit] / bin_s).astype(int)
    return pa.array(np.bincount(bins, minlength=rows[-1] + 1)[rows].astype(np.float64))


def _behavior(recording, dataset_id) -> dict[str, np.ndarray]:
    place = "hand" if dataset_id == 2 else "cursor"
    values = {f"{place}_pos": recording.position, f"{place}_vel": recording.velocity}
    values |= {"force": recording.position} if dataset_id == 4 else {}
    return {f"{key}_{axis}": v[:, i] for key, v in values.items() for i, axis in enumerate("xy")}


def _sample(recording, second):
    return min(round(second * recording.kinematics_rate_hz), len(recording.position) - 1)


WRITER = LayoutWriter(layout=LAYOUT.name, write=write_sessions)

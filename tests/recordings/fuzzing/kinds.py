"""The kinds of recordings: how a sound one is written, how an odd one is, and the manifests that describe it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from tests.recordings.fuzzing import sound
from tests.recordings.fuzzing.damage import (
    HUGE,
    damage,
    damage_one,
    huge_dataset,
    huge_npy,
    huge_npz,
    odd_array,
    odd_arrays,
    odd_json,
    odd_matlab,
    odd_objects,
    odd_table,
)
from tests.recordings.fuzzing.text import manifest, odd_channels, odd_manifest, write_channels, write_manifest
from tests.recordings.own_nwb import write_nwb

MANIFEST = "ingest: {filters: null, splits: {parent_s: 2, segment_s: 1}}\nsessions: [{name: s, subject: m, SIGNALS}]\n"
BINNED = "bin_width_ms: 10, spikes: counts, lfp: lfp, behavior: hand, trials: trial"
SHORT = ("ingest.splits.parent_s=2", "ingest.splits.segment_s=1")
NWB_OVERRIDES = (*SHORT, "defaults.lfp=acquisition/LFP_probe0")
TIMED = (
    "spikes: {times: times, unit_ids: unit}, lfp: {values: lfp, rate_hz: 100}, behavior: {values: hand, times: stamps}"
)


@dataclass(frozen=True)
class Kind:
    """A kind of recording, in a folder of its own."""

    write: Callable[[Path], None]
    """Write a sound recording into a folder."""
    odden: Callable[[Path, np.random.Generator], str]
    """Damage the copy of a sound recording in a folder, and return how."""
    sessions: tuple[str, ...] = ()
    """Keys of a session in a manifest, of which one is drawn; empty: the folder describes itself."""
    overrides: tuple[str, ...] = SHORT
    is_drafted: bool = True
    """Whether its files, and not only what describes them, are damaged."""


def source(kind: Kind, folder: Path, rng: np.random.Generator) -> Path:
    """What to ingest of a folder: a manifest, which is written here if there is none, or the folder."""
    if not kind.sessions:
        return folder
    path = folder / "lab.yaml"
    if not path.exists():
        path.write_text(MANIFEST.replace("SIGNALS", kind.sessions[rng.integers(len(kind.sessions))]))
    return path


def _arrays(name: str) -> Kind:
    ending, write = sound.ARRAY_WRITERS[name]
    path = f"rec{ending}"

    def odden(folder: Path, rng: np.random.Generator) -> str:
        draw, values = rng.random(), sound.arrays()
        if draw > 0.5:
            return damage(folder / path, rng)
        if draw > 0.4 and name in ("h5", "mat73"):
            huge_dataset(folder / path, str(rng.choice(sorted(values))), rng)
            return "huge"
        if draw > 0.4 and name == "npz":
            huge_npz(folder / path, values, rng)
            return "huge"
        write(folder / path, odd_arrays(rng, values))
        return "odd arrays"

    entries = tuple(f"file: {path}, {signals}" for signals in (BINNED, TIMED))
    return Kind(lambda folder: write(folder / path, sound.arrays()), odden, entries)


def _odd_npy(folder: Path, rng: np.random.Generator) -> str:
    draw, values = rng.random(), sound.arrays()
    if draw > 0.5:
        return damage_one(folder, rng)
    name = str(rng.choice(sorted(values)))
    if draw > 0.4:
        (folder / f"{name}.npy").write_bytes(huge_npy(HUGE[rng.integers(len(HUGE))]))
        return f"huge {name}"
    np.save(folder / f"{name}.npy", odd_array(rng, values[name]))
    return f"odd {name}"


NPY_SESSIONS = (
    "file: counts.npy, bin_width_ms: 10, spikes: counts, lfp: {file: lfp.npy}, behavior: {file: hand.npy}, "
    "trials: {file: trial.npy, labels: trial}",
    "spikes: {file: times.npy, times: times}, lfp: {file: lfp.npy, rate_hz: 100}, behavior: {file: hand.npy, "
    "rate_hz: 100}",
    "file: lfp.npy, lfp: {rate_hz: 100, times: null}, spikes: null, behavior: {file: hand.npy, rate_hz: 100}",
)


def _odd_sorter(folder: Path, rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return damage_one(folder / "sorting", rng)
    values = sound.sorter_arrays()
    name = str(rng.choice(sorted(values)))
    if rng.random() < 0.2:
        (folder / "sorting" / f"{name}.npy").write_bytes(huge_npy(HUGE[rng.integers(len(HUGE))]))
        return f"huge {name}"
    np.save(folder / "sorting" / f"{name}.npy", odd_array(rng, values[name]))
    return f"odd {name}"


SORTER_SESSIONS = (
    "file: sorting",
    "file: sorting, unit_filter: {column: group, keep: [good, mua]}",
    "file: sorting, spikes: {rate_hz: 30000}, ingest: {drop_units: [2]}",
)


def _nwb(folder: Path) -> None:
    write_nwb(folder / "rec.nwb", sound.SECONDS)


def _odd_corpus(folder: Path, rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return damage_one(folder, rng)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = files[rng.integers(len(files))]
    if h5py.is_hdf5(path):
        return odd_objects(path, rng)
    return odd_table(path, rng) if path.suffix == ".parquet" else odd_matlab(path, rng)


def _odd_zarr(folder: Path, rng: np.random.Generator) -> str:
    draw = rng.random()
    (metadata,) = folder.rglob(".zmetadata")
    if draw < 0.3:
        return odd_json(metadata, rng)
    if draw < 0.6:
        metadata.unlink()
        files = sorted(path for path in folder.rglob(".z*") if path.is_file())
        return odd_json(files[rng.integers(len(files))], rng)
    return damage_one(folder, rng)


def _write_several(folder: Path) -> None:
    values = sound.arrays()
    sound.write_h5(folder / "spikes.h5", {name: values[name] for name in ("times", "unit")})
    np.savez(folder / "lfp.npz", lfp=values["lfp"])
    sound.ARRAY_WRITERS["mat5"][1](folder / "hand.mat", {"hand": values["hand"], "stamps": values["stamps"] * 1000})
    sound.write_h5(folder / "trials.h5", {"on": np.arange(0.0, 38, 2), "off": np.arange(1.5, 39, 2)})
    write_channels(folder / "map.csv")


def _odd_several(folder: Path, rng: np.random.Generator) -> str:
    if rng.random() < 0.5:
        return damage_one(folder, rng)
    values = sound.arrays()
    draw = rng.integers(4)
    if draw == 0:
        sound.write_h5(folder / "spikes.h5", odd_arrays(rng, {name: values[name] for name in ("times", "unit")}))
    elif draw == 1:
        np.savez(folder / "lfp.npz", lfp=odd_array(rng, values["lfp"]))
    elif draw == 2:
        odd = odd_arrays(rng, {"hand": values["hand"], "stamps": values["stamps"] * 1000, "other": values["times"]})
        sound.ARRAY_WRITERS["mat5"][1](folder / "hand.mat", odd)
    else:
        on = np.arange(0.0, 38, 2)
        sound.write_h5(folder / "trials.h5", odd_arrays(rng, {"on": on, "off": on + 1.5, "more": on}))
    return f"odd arrays in file {draw}"


SEVERAL_SESSION = (
    "spikes: {file: spikes.h5, times: times, unit_ids: unit, offset_s: 0.25, time_scale: 1.0001}, "
    "lfp: {file: lfp.npz, values: lfp, rate_hz: 100, channels: map.csv}, "
    "behavior: {file: hand.mat, values: hand, times: stamps, time_unit: ms}, "
    "trials: {file: trials.h5, start_s: on, stop_s: off}"
)


def _write_channels(folder: Path) -> None:
    sound.write_h5(folder / "rec.h5", sound.arrays())
    write_channels(folder / "map.csv")


def _write_for_manifest(folder: Path) -> None:
    _write_channels(folder)
    _nwb(folder)
    sound.write_sorter(folder / "sorting", sound.sorter_arrays())
    write_manifest(folder / "lab.yaml", manifest(np.random.default_rng(0)))


def _trials(version: str) -> Kind:
    def write(folder: Path, trials: list | None = None, times: np.ndarray | None = None) -> None:
        times = sound.arrays()["times"] if times is None else times
        sound.write_trials(folder / "rec.mat", version, trials or sound.trial_values(), times)

    def odden(folder: Path, rng: np.random.Generator) -> str:
        if rng.random() < 0.5:
            return damage(folder / "rec.mat", rng)
        trials, times, told = sound.trial_values(), sound.arrays()["times"], []
        for _ in range(rng.integers(1, 4)):
            k, name = rng.integers(len(trials)), str(rng.choice(["spk", "lfp", "pos", "good", "label", "times"]))
            if name == "times":
                times = np.real(np.atleast_1d(odd_array(rng, times)))
            elif rng.random() < 0.2:
                trials = [{key: value for key, value in trial.items() if key != name} for trial in trials] or trials
            else:
                trials[k][name] = odd_array(rng, trials[k].get(name, np.zeros(0)))
            told.append(f"{name} of trial {k}")
        if times.dtype.kind == "S":
            times = np.zeros(0)
        write(folder, trials, times)
        return "odd " + ", ".join(told)

    return Kind(write, odden, TRIAL_SESSIONS)


TRIAL_SESSIONS = tuple(
    f"file: rec.mat, {signals}"
    for signals in (
        "bin_width_ms: 10, spikes: trial/spk, lfp: {values: trial/lfp, rate_hz: 100}, behavior: {values: trial/pos, "
        "names: [x, y], derive: velocity}",
        "bin_width_ms: 10, spikes: c_spk, behavior: {values: c_pos}",
        "bin_width_ms: 10, spikes: {counts: tensor, axes: [trials, time, units]}",
        "spikes: {times: grid, axes: [units, trials], times_from: trial}, lfp: {values: trial/lfp, rate_hz: 100}",
        "spikes: {times: units}, behavior: {values: hand, rate_hz: 100}",
        "bin_width_ms: 10, spikes: sparse, behavior: hand",
        "bin_width_ms: 10, spikes: trial/spk, lfp: trial/lfp, pieces: trials, ingest: {splits: {by: trials, "
        "segment_s: 1}}",
    )
)


KINDS: dict[str, Kind] = {
    **{name: _arrays(name) for name in sound.ARRAY_WRITERS},
    "npy": Kind(lambda folder: sound.write_npy(folder, sound.arrays()), _odd_npy, NPY_SESSIONS),
    "trials5": _trials("5"),
    "trials73": _trials("7.3"),
    "several": Kind(_write_several, _odd_several, (SEVERAL_SESSION,)),
    "sorter": Kind(
        lambda folder: sound.write_sorter(folder / "sorting", sound.sorter_arrays()), _odd_sorter, SORTER_SESSIONS
    ),
    "channels": Kind(
        _write_channels,
        lambda folder, rng: odd_channels(folder / "map.csv", rng),
        (
            "file: rec.h5, bin_width_ms: 10, spikes: counts, lfp: {values: lfp, channels: map.csv}, ingest: {filters: "
            "{notch_hz: null, highpass_hz: null, lowpass_hz: 40, common_average: array}}",
            "file: rec.h5, lfp: {values: lfp, rate_hz: 100, channels: map.csv}",
        ),
        is_drafted=False,
    ),
    "manifest": Kind(
        _write_for_manifest,
        lambda folder, rng: odd_manifest(folder / "lab.yaml", rng),
        ("written with the recording",),
        is_drafted=False,
    ),
    "blackrock": Kind(
        sound.write_blackrock, damage_one, ("file: rec.ns2", "file: rec.nev, lfp: null", "file: rec.nev")
    ),
    "nwb": Kind(_nwb, _odd_corpus, overrides=NWB_OVERRIDES),
    "zarr": Kind(lambda folder: sound.write_zarr(folder / "rec.nwb.zarr"), _odd_zarr, overrides=NWB_OVERRIDES),
    "exported": Kind(sound.write_exported, _odd_corpus, overrides=()),
    **{
        name: Kind(partial(sound.write_corpus, name), _odd_corpus)
        for name in ("makin", "flint", "gallego", "neurotask")
    },
}

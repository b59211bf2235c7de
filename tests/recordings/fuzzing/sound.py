"""Small sound recordings of 40 s, of every kind that is read."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from scipy.io import savemat
from scipy.sparse import csc_array

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.decode.nwb_export import write_session_nwb
from raydistill.simulation.layouts import layout_config, write_layout
from raydistill.store.session import Session
from raydistill.store.store import Store
from tests.recordings.blackrock import CLOCK_HZ, write_nev, write_nsx
from tests.recordings.matlab_files import write_matlab
from tests.recordings.own_nwb import write_nwb

SECONDS = 40


def arrays() -> dict[str, np.ndarray]:
    """A small recording as arrays: 40 s in bins of 10 ms, or spike times with LFP and behavior at 100 Hz."""
    rng, n = np.random.default_rng(0), SECONDS * 100
    return {
        "counts": rng.poisson(0.3, (n, 3)).astype(np.uint8),
        "times": np.sort(rng.uniform(0, SECONDS, 900)),
        "unit": rng.integers(0, 3, 900),
        "lfp": rng.normal(size=(n, 2)),
        "hand": np.cumsum(rng.normal(size=(n, 2)), axis=0),
        "stamps": (np.arange(n) + 0.5) / 100,
        "trial": np.repeat(np.arange(20), n // 20),
    }


def write_h5(path: Path, values: dict[str, np.ndarray]) -> None:
    """An HDF5 file."""
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            file.create_dataset(name, data=value)


def write_mat73(path: Path, values: dict[str, np.ndarray]) -> None:
    """A MATLAB 7.3 file."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in values.items():
            file.create_dataset(name, data=np.atleast_2d(value).T)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")


ARRAY_WRITERS: dict[str, tuple[str, Callable[[Path, dict], None]]] = {
    "h5": (".h5", write_h5),
    "mat5": (".mat", lambda path, values: savemat(path, values, do_compression=True)),
    "mat73": (".mat", write_mat73),
    "npz": (".npz", lambda path, values: np.savez(path, **values)),
}


def write_npy(folder: Path, values: dict[str, np.ndarray]) -> None:
    """A file per array."""
    for name, value in values.items():
        np.save(folder / f"{name}.npy", value)


def trial_values() -> list[dict]:
    """8 trials of about 5 s: counts per bin of 10 ms, LFP at 100 Hz, hand, spike times from the start of the trial."""
    rng = np.random.default_rng(1)
    trials = []
    for n in rng.integers(480, 520, 8):
        trials.append(
            {
                "spk": rng.poisson(0.3, (n, 3)).astype(float),
                "lfp": rng.normal(size=(n, 2)),
                "pos": np.cumsum(rng.normal(size=(n, 2)), axis=0),
                "good": float(rng.random() < 0.8),
                "label": "left" if rng.random() < 0.5 else "right",
            }
        )
    return trials


def write_trials(path: Path, version: str, trials: list[dict], times: np.ndarray) -> None:
    """The trials as a struct array, as cells and as a tensor, spike times in cells, and a sparse matrix of counts."""
    fields = sorted({name for trial in trials for name in trial})
    same = [{name: trial.get(name, np.zeros((0, 0))) for name in fields} for trial in trials]
    tensor = np.full((len(trials), 520, 3), np.nan)
    for k, trial in enumerate(trials):
        value = np.asarray(trial.get("spk", 0.0))
        if value.ndim == 2 and value.shape[1] == 3 and len(value) <= 520:
            tensor[k, : len(value)] = np.real(value)
    grid = np.empty((3, len(trials)), dtype=object)
    for at in np.ndindex(grid.shape):
        grid[at] = times[times < 4.8]
    variables = {
        "trial": same,
        "tensor": tensor,
        "grid": grid,
        "units": [times, times[::2], times[::3]],
        "sparse": csc_array(np.random.default_rng(2).poisson(0.3, (4000, 3)).astype(float)),
        "hand": arrays()["hand"],
    } | {f"c_{name}": [trial[name] for trial in same] for name in ("spk", "pos") if name in fields}
    write_matlab(path, version, variables)


def write_sorter(folder: Path, values: dict[str, np.ndarray]) -> None:
    """A folder as Kilosort writes it and Phy curates it."""
    folder.mkdir(exist_ok=True)
    for name, value in values.items():
        np.save(folder / f"{name}.npy", value)
    (folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n2\tgood\n3\tnoise\n5\tmua\n")
    (folder / "cluster_info.tsv").write_text(
        "cluster_id\tch\tsh\tdepth\tgroup\n2\t0\t0\t10.0\tgood\n3\t1\t0\t30\tnoise\n"
    )
    (folder / "params.py").write_text("dat_path = 'recording.dat'\nsample_rate = 30000.0  # Hz\noffset = 0\n")


def sorter_arrays() -> dict[str, np.ndarray]:
    """900 spikes of three clusters with templates on four channels."""
    rng, found = np.random.default_rng(2), arrays()
    owners = np.array([2, 3, 5])[found["unit"]]
    return {
        "spike_times": (found["times"] * 30000).astype(np.uint64)[:, None],
        "spike_clusters": owners.astype(np.int32),
        "spike_templates": (owners - 2).astype(np.uint32)[:, None],
        "templates": rng.normal(size=(4, 20, 4)).astype(np.float32),
        "channel_map": np.arange(4, dtype=np.int32)[:, None],
        "channel_positions": np.arange(8.0).reshape(4, 2),
    }


def write_blackrock(folder: Path) -> None:
    """rec.ns2 at 1 kHz, with a pause of 1 s, and rec.nev."""
    rng = np.random.default_rng(3)
    lfp, half = rng.integers(-2000, 2000, (20000, 2)).astype(np.int16), 10 * CLOCK_HZ
    write_nsx(folder / "rec.ns2", [(0, lfp[:10000]), (half + CLOCK_HZ, lfp[10000:])], 1000, ["elec1", "elec2"])
    owners = [(1, 0), (1, 1), (2, 1), (2, 255)]
    ticks = {owner: np.sort(rng.choice(21 * CLOCK_HZ, 300, replace=False)) for owner in owners}
    write_nev(folder / "rec.nev", ticks, [1, 2])


def write_zarr(path: Path) -> None:
    """An NWB file in the Zarr format."""
    import pynwb
    from hdmf_zarr.nwb import NWBZarrIO

    source = path.with_name("source.nwb")
    write_nwb(source, SECONDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pynwb.NWBHDF5IO(source, "r") as read, NWBZarrIO(str(path), "w") as write:
            write.export(src_io=read, write_args={"link_data": False})
    source.unlink()


def write_exported(folder: Path) -> None:
    """rec.nwb: a session of a store, with trials and a gap."""
    n, found = SECONDS * 50, arrays()
    session = Session.from_arrays(
        "rec",
        subject="m",
        bin_width_ms=20.0,
        spikes=found["counts"][:n],
        lfp=found["lfp"][:n],
        behavior=found["hand"][:n],
        behavior_names=("velocity_x", "velocity_y"),
        behavior_units=("cm/s", "cm/s"),
        trial=found["trial"][::2].astype(np.int32),
        piece=np.repeat([0, -1, 1], [n // 2, n // 10, n - n // 2 - n // 10]).astype(np.int32),
    )
    store = Store(str(folder / "store"))
    splits = Splits(parent_s=2, segment_s=1)
    entry = store.write(session, IngestConfig(bin_width_ms=20.0, filters=None, splits=splits), "f" * 64)
    store.publish()
    write_session_nwb(store, entry, folder / "rec.nwb")
    shutil.rmtree(folder / "store")


def write_corpus(layout: str, folder: Path) -> None:
    """One session in the layout of a published corpus."""
    sizes = ("subjects=1", "sessions_per_subject=1", "duration_s=40", "min_units=3", "max_units=4")
    config = layout_config(layout, (*sizes, "min_channels=2", "max_channels=2"))
    list(write_layout(layout, config, folder))

"""Damaged and odd files of every kind that is read, and what ingest makes of them.

    python -m tests.recordings.fuzzing 2000             # of every kind
    python -m tests.recordings.fuzzing 2000 nwb mat5    # of some

Each file is ingested in a process of its own, which is stopped after 60 s. A file passes if it becomes a session, or
fails with one line that is not the name of a Python exception, in less than 2 GB, and leaves no half-made session.
"""

import json
import os
import re
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
from scipy.io import savemat

from raydistill.errors import RaydistillError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.simulation.layouts import layout_config, write_layout
from raydistill.store.store import Store

LIMIT_S = 60
LIMIT_MB = 2000
SECONDS = 40
# "name.mat: TypeError: ..." is what ingest makes of an exception that nobody expected.
UNEXPECTED = re.compile(r"(?:^|: )[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Exit)\b")

SHORT = ("ingest.splits.parent_s=2", "ingest.splits.segment_s=1")
MANIFEST = """
ingest: {filters: null, splits: {parent_s: 2, segment_s: 1}}
sessions:
  - {file: FILE, name: s, subject: m, SIGNALS}
"""
BINNED = "bin_width_ms: 10, spikes: counts, lfp: lfp, behavior: hand, trials: trial"
TIMED = (
    "spikes: {times: times, unit_ids: unit}, lfp: {values: lfp, rate_hz: 100}, behavior: {values: hand, times: stamps}"
)


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


# Sound files


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


WRITERS: dict[str, tuple[str, Callable[[Path, dict], None]]] = {
    "h5": (".h5", write_h5),
    "mat5": (".mat", lambda path, values: savemat(path, values, do_compression=True)),
    "mat73": (".mat", write_mat73),
    "npz": (".npz", lambda path, values: np.savez(path, **values)),
}
FOLDERS = {name: f"--layout {name}" for name in ("nwb", "makin", "flint", "gallego", "neurotask")}
KINDS = (*WRITERS, *FOLDERS)


def sound(kind: str, folder: Path) -> list[Path]:
    """Write a sound recording of a kind into a folder, and return its files."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind in WRITERS:
        ending, write = WRITERS[kind]
        write(folder / f"rec{ending}", arrays())
        return [folder / f"rec{ending}"]
    sizes = ("subjects=1", "sessions_per_subject=1", "duration_s=40", "min_units=3", "max_units=4")
    config = layout_config(kind, (*sizes, "min_channels=2", "max_channels=2"))
    list(write_layout(kind, config, folder))
    return sorted(path for path in folder.rglob("*") if path.is_file())


# Damage


def odd_arrays(rng: np.random.Generator) -> dict:
    """The arrays of the small recording, of which some have another type, shape or content."""
    values = dict(arrays())
    for name in rng.choice(sorted(values), size=rng.integers(1, 4), replace=False):
        values[name] = _odd(rng, values[name])
        if rng.random() < 0.15:
            del values[name]
    return values


def _odd(rng, value):
    number = np.asarray(value, dtype=np.float64)
    choices = [
        lambda: np.array([b"text", b"more text"]),
        lambda: number.astype(np.complex128),
        lambda: np.float64(3.0),
        lambda: np.zeros((0, 2)),
        lambda: np.zeros(0),
        lambda: np.full_like(number, np.nan),
        lambda: np.where(rng.random(number.shape) < 0.1, np.nan, number),
        lambda: np.where(rng.random(number.shape) < 0.01, np.inf, number),
        lambda: number.T,
        lambda: number[: rng.integers(0, 5)],
        lambda: np.stack([number, number]),
        lambda: number * 1e3,
        lambda: -number,
        lambda: number * 1e300,
        lambda: number[::-1],
        lambda: number.astype(np.float16),
        lambda: np.zeros_like(number),
        lambda: number.astype(bool),
        lambda: np.repeat(number, 2, axis=0),
        lambda: number + 1e9,
        lambda: np.zeros((1, 1, 1, 1)),
        lambda: np.array([2**63 - 1, -(2**63)]),
    ]
    return choices[rng.integers(len(choices))]()


def huge(kind: str, path: Path, rng: np.random.Generator) -> None:
    """Declare a dataset of 10^12 values or more, of which none is written."""
    name = str(rng.choice(sorted(arrays())))
    shape = ((10**12,), (10**12, 2), (2, 10**12), (10**6, 10**6))[rng.integers(4)]
    if kind in ("h5", "mat73"):
        values = {key: value for key, value in arrays().items() if key != name}
        WRITERS[kind][1](path, values)
        with h5py.File(path, "r+") as file:
            file.create_dataset(name, shape=shape, dtype=np.float64, chunks=(1000, 1000)[: len(shape)])
    elif kind == "npz":
        write_huge_npz(path, name, shape)
    else:
        WRITERS[kind][1](path, odd_arrays(rng))


def write_huge_npz(path: Path, name: str, shape: tuple[int, ...]) -> None:
    """An archive in which the header of one array declares far more values than follow."""
    import io
    import zipfile

    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in arrays().items():
            content = io.BytesIO()
            np.save(content, value)
            archive.writestr(f"{key}.npy", header.getvalue() if key == name else content.getvalue())


def damage(path: Path, rng: np.random.Generator) -> str:
    """Damage a file in place, and return how."""
    data = bytearray(path.read_bytes())
    n = len(data)
    how = str(rng.choice(["cut", "flip", "flip head", "zero", "swap", "empty", "noise", "grow", "text"]))
    if how == "cut":
        data = data[: rng.integers(0, n)]
    elif how in ("flip", "flip head"):
        end = n if how == "flip" else min(n, 4096)
        for at in rng.integers(0, end, rng.integers(1, 40)):
            data[at] ^= 1 << rng.integers(8)
    elif how == "zero":
        a = int(rng.integers(0, n))
        b = min(n, a + int(rng.integers(1, max(2, n // 4))))
        data[a:b] = bytes(b - a)
    elif how == "swap":
        a, b, size = (int(v) for v in (rng.integers(0, n), rng.integers(0, n), rng.integers(1, 2000)))
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]
    elif how == "empty":
        data = bytearray()
    elif how == "noise":
        data = bytearray(rng.bytes(int(rng.integers(1, 20000))))
    elif how == "grow":
        data += rng.bytes(int(rng.integers(1, 5000)))
    elif how == "text":
        data = bytearray(b"time,x,y\n1,2,3\n" * int(rng.integers(1, 100)))
    path.write_bytes(bytes(data))
    return how


def odd_recording(kind: str, seed: int, pristine: Path, folder: Path) -> tuple[Path, str]:
    """Write a damaged recording of a kind; the same for the same seed. Returns what to ingest, and what is wrong."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    if kind in FOLDERS:
        shutil.copytree(pristine, folder)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        how = damage(files[rng.integers(len(files))], rng)
        return folder, how
    folder.mkdir(parents=True)
    ending, write = WRITERS[kind]
    path = folder / f"rec{ending}"
    draw = rng.random()
    try:
        if draw < 0.4:
            how, values = "odd arrays", odd_arrays(rng)
            write(path, values)
        elif draw < 0.5:
            how = "huge"
            huge(kind, path, rng)
        else:
            shutil.copy(next(pristine.iterdir()), path)
            how = damage(path, rng)
    except (TypeError, ValueError, OSError):  # a format that cannot hold these arrays
        how = "unwritable"
        path.write_bytes(b"")
    return _manifest(kind, folder, BINNED if rng.random() < 0.5 else TIMED), how


def _manifest(kind: str, folder: Path, signals: str = TIMED) -> Path:
    path = folder.parent / f"{folder.name}.yaml"
    text = MANIFEST.replace("FILE", f"{folder.name}/rec{WRITERS[kind][0]}").replace("SIGNALS", signals)
    path.write_text(text)
    return path


# What ingest makes of it


def outcome(source: Path, folder: Path) -> dict:
    """Ingest in this process: state, the line that is printed, and what is wrong with it, if anything."""
    store = folder / "store"
    try:
        recordings = plan_sources(source, overrides=() if source.suffix == ".yaml" else SHORT)
        results = [ingest_one(recording, str(store), None) for recording in recordings]
        Store(str(store)).publish()
    except RaydistillError as err:
        return {"state": "failed", "line": str(err), "fault": _fault_of_line(str(err))}
    except Exception:
        return {"state": "failed", "line": traceback.format_exc(), "fault": "a traceback"}
    failed = [result.cause for result in results if result.state == "failed"]
    stored = [result.name for result in results if result.state == "stored"]
    fault = next(filter(None, map(_fault_of_line, failed)), "")
    if [entry.session for entry in Store(str(store)).entries()] != sorted(stored):
        fault = "a session that ingest did not report"
    return {"state": "failed" if failed else "stored", "line": " | ".join(failed), "fault": fault}


def _fault_of_line(line: str) -> str:
    if "\n" in line.strip():
        return "several lines"
    if not line.strip():
        return "no message"
    if len(line) > 1000:
        return "a message of more than 1000 characters"
    return "an unexpected exception" if UNEXPECTED.search(line) else ""


def examine(kind: str, seed: int, pristine: Path, folder: Path) -> dict:
    """`outcome` of one odd recording in a process of its own, which is stopped after `LIMIT_S`."""
    source, how = odd_recording(kind, seed, pristine, folder)
    report = folder.with_suffix(".json")
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        signal.alarm(LIMIT_S)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        result = outcome(source, folder)
        result["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        report.write_text(json.dumps(result))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - start
    if not report.exists():
        fault = "no end" if seconds > LIMIT_S - 1 else f"the process died with status {status}"
        result = {"state": "failed", "line": "", "fault": fault, "mb": 0.0}
    else:
        result = json.loads(report.read_text())
        report.unlink()
        if result["mb"] > LIMIT_MB:
            result["fault"] = f"{result['mb']:.0f} MB"
    shutil.rmtree(folder)
    return result | {"kind": kind, "seed": seed, "how": how, "seconds": seconds}


def fuzz(kind: str, seeds: range, folder: Path) -> list[dict]:
    """`examine` for each of the seeds."""
    pristine = folder / f"{kind}-pristine"
    sound(kind, pristine)
    outcome(pristine if kind in FOLDERS else _manifest(kind, pristine), folder / "warm")  # imports what children need
    return [examine(kind, seed, pristine, folder / f"{kind}-{seed}") for seed in seeds]


def main(n: int, kinds: list[str]) -> int:
    """Fuzz n files of each kind, print the counts and every fault, and return their number."""
    faults = 0
    with TemporaryDirectory(prefix="raydistill-fuzz-") as folder:
        for kind in kinds or KINDS:
            results = fuzz(kind, range(n), Path(folder))
            states = Counter(result["state"] for result in results)
            wrong = [result for result in results if result["fault"]]
            peak, slowest = max(r["mb"] for r in results), max(r["seconds"] for r in results)
            print(
                f"{kind}: {n} files, {states['stored']} stored, {states['failed']} refused, {len(wrong)} faults, "
                f"peak {peak:.0f} MB, slowest {slowest:.1f} s",
                flush=True,
            )
            for result in wrong:
                line = result["line"].strip().replace("\n", " / ")[-300:]
                print(f"  seed {result['seed']} ({result['how']}): {result['fault']}: {line}", flush=True)
            faults += len(wrong)
    return faults


if __name__ == "__main__":
    sys.exit(1 if main(int(sys.argv[1]), sys.argv[2:]) else 0)

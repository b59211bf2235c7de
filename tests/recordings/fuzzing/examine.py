"""What `ingest` and `new-manifest` make of a damaged recording, in a process of its own."""

import json
import os
import re
import resource
import shutil
import signal
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from raydistill.errors import RaydistillError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.new_manifest.command import new_manifest
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.refused import refused
from raydistill.store.store import Store
from tests.recordings.fuzzing.kinds import KINDS, source

LIMIT_S = 60
LIMIT_MB = 2000
DRAFTED = (".h5", ".mat", ".npz", ".npy", ".nwb")  # files of which `new-manifest` writes a manifest
ANSWERS = {"subject": "m", "rate_hz": "100", "bin_width_ms": "10", "spikes": "counts"}
# "name.mat: TypeError: ..." is what ingest makes of an exception that nobody expected.
UNEXPECTED = re.compile(r"(?:^|: )[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Exit)\b")
# What only those understand who know Python.
PYTHON = re.compile(
    r"NoneType|has no attribute|unhashable|unsupported operand|subscriptable|not iterable|0x[0-9a-f]{6}|<class|<HDF5|"
    r"dtype\(|positional argument|\[Errno|np\.\w+\(|broadcast|list index|must be \w+, not \w+$"
)


def ingested(place: Path, store: Path, overrides: Iterable[str] = ()) -> dict:
    """Ingest in this process: state, the line that is printed, and what is wrong with it, if anything."""
    recordings = plan_sources(place, overrides=overrides)
    failed = refused(recordings)
    results = [ingest_one(recording, str(store), None) for recording in recordings if recording.name not in failed]
    failed |= {result.name: result.cause for result in results if result.state == "failed"}
    stored = sorted(result.name for result in results if result.state == "stored")
    if stored:
        Store(str(store)).publish()
    fault = next(filter(None, map(fault_of, failed.values())), "")
    kept = [entry.session for entry in Store(str(store)).complete()] if store.exists() else []
    if sorted(kept) != stored:
        fault = "a session that ingest did not report"
    if store.exists() and any(name.startswith((".", "_")) for name in os.listdir(store / "segments")):
        fault = "a half-made session"
    return {"state": "failed" if failed else "stored", "line": " | ".join(failed.values()), "fault": fault}


def drafted(folder: Path) -> str:
    """The manifest that `new-manifest` writes of the files in a folder, with its open values filled in."""
    files = [path for path in sorted(folder.glob("*")) if path.is_file() and path.suffix in DRAFTED]
    files += [folder / "sorting"] if (folder / "sorting").exists() else []
    text = new_manifest(files, folder) if files else ""
    for key, value in ANSWERS.items():
        text = text.replace(f"{key}: FILL_IN", f"{key}: {value}")
    return text


def outcome(kind: str, place: Path, folder: Path) -> dict:
    """`ingested` of a recording, and of the manifest that is written of its files."""
    stores = folder.parent / f"{folder.name}-stores"
    result = _guarded(lambda: ingested(place, stores / "own", KINDS[kind].overrides))
    try:
        text, line = drafted(folder) if KINDS[kind].is_drafted else "", ""
    except RaydistillError as err:
        text, line = "", str(err)
    except Exception:
        text, line = "", traceback.format_exc()
    if line and (fault := fault_of(line)) and not result["fault"]:
        result |= {"line": line, "fault": f"new-manifest: {fault}"}
    if text:
        (folder / "drafted.yaml").write_text(text)
        again = _guarded(lambda: ingested(folder / "drafted.yaml", stores / "drafted"))
        if again["line"].startswith(f"{folder / 'drafted.yaml'}:"):
            again["fault"] = "it cannot be planned"
        if again["fault"] and not result["fault"]:
            result |= {"line": again["line"], "fault": f"drafted manifest: {again['fault']}"}
    shutil.rmtree(stores, ignore_errors=True)
    return result | {"drafted": bool(text)}


def _guarded(run: Callable[[], dict]) -> dict:
    try:
        return run()
    except RaydistillError as err:
        return {"state": "failed", "line": str(err), "fault": fault_of(str(err))}
    except Exception:
        return {"state": "failed", "line": traceback.format_exc(), "fault": "a traceback"}


def fault_of(line: str) -> str:
    """What is wrong with a message; empty if nothing is."""
    if "Traceback (most" in line:
        return "a traceback"
    if len(line.strip().splitlines()) > 1:
        return "several lines"
    if not line.strip():
        return "no message"
    if len(line) > 1000:
        return "a message of more than 1000 characters"
    if PYTHON.search(line):
        return "a message for those who know Python"
    return "an unexpected exception" if UNEXPECTED.search(line) else ""


def examine(kind: str, seed: int, pristine: Path, folder: Path) -> dict:
    """`outcome` of one damaged recording in a process of its own, which is stopped after `LIMIT_S`."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    shutil.copytree(pristine, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = KINDS[kind].odden(folder, rng)
    place = source(KINDS[kind], folder, rng)
    report = folder.with_suffix(".json")
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            warnings.simplefilter("ignore")
            signal.alarm(LIMIT_S)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            result = outcome(kind, place, folder)
            result["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            report.write_text(json.dumps(result))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - start
    if not report.exists():
        fault = "no end" if seconds > LIMIT_S - 1 else f"the process died with status {status}"
        result = {"state": "failed", "line": "", "fault": fault, "mb": 0.0, "drafted": False}
    else:
        result = json.loads(report.read_text())
        report.unlink()
        if result["mb"] > LIMIT_MB:
            result["fault"] = f"{result['mb']:.0f} MB"
    shutil.rmtree(folder)
    shutil.rmtree(folder.parent / f"{folder.name}-stores", ignore_errors=True)
    return result | {"kind": kind, "seed": seed, "how": how, "seconds": seconds}


def fuzz(kind: str, seeds: Iterable[int], folder: Path) -> Iterator[dict]:
    """`examine` for each of the seeds."""
    pristine, warm = folder / f"{kind}-pristine", folder / f"{kind}-warm"
    pristine.mkdir(parents=True)
    KINDS[kind].write(pristine)
    shutil.copytree(pristine, warm)
    first = outcome(kind, source(KINDS[kind], warm, np.random.default_rng(0)), warm)  # imports what children need
    assert first["state"] == "stored" and not first["fault"], first
    for seed in seeds:
        yield examine(kind, seed, pristine, folder / f"{kind}-{seed}")

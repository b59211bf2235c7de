"""What `ingest` and `new-manifest` make of a damaged recording, in processes of its own.

If a library ends the process there is a second attempt, as for a task of Ray, which finds why the first one ended.
"""

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
from dataclasses import replace
from pathlib import Path

import numpy as np

from raydistill.errors import RaydistillError
from raydistill.recordings.guard import Guard
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.memory import MemoryLimit
from raydistill.recordings.new_manifest.command import new_manifest
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.refused import refused
from raydistill.store.store import Store
from tests.recordings.fuzzing.kinds import KINDS, source

LIMIT_S = 60
LIMIT_MB = 2000
STUCK_S = 10  # a user waits for longer
DRAFTED = (".h5", ".mat", ".npz", ".npy", ".nwb")  # files of which `new-manifest` writes a manifest
ANSWERS = {"subject": "m", "rate_hz": "100", "bin_width_ms": "10", "spikes": "counts"}
# "name.mat: TypeError: ..." is what ingest makes of an exception that nobody expected.
UNEXPECTED = re.compile(r"(?:^|: )[A-Z]\w*(?:Error|Exception|Warning|Interrupt|Exit)\b")
# What only those understand who know Python.
PYTHON = re.compile(
    r"NoneType|has no attribute|unhashable|unsupported operand|subscriptable|not iterable|0x[0-9a-f]{6}|<class|<HDF5|"
    r"dtype\(|positional argument|\[Errno|np\.\w+\(|broadcast|list index|must be \w+, not \w+$"
)


def ingested(place: Path, store: Path, guard: Guard, overrides: Iterable[str] = ()) -> dict:
    """Ingest in this process: state, the line that is printed, and what is wrong with it, if anything."""
    recordings = plan_sources(place, overrides=overrides)
    failed = refused(recordings)
    results = [
        ingest_one(recording, str(store), None, guard=replace(guard, key=f"{guard.key}-{k}"))
        for k, recording in enumerate(recordings)
        if recording.name not in failed
    ]
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


def drafted(folder: Path, guard: Guard) -> str:
    """The manifest that `new-manifest` writes of the files in a folder, with its open values filled in."""
    files = [path for path in sorted(folder.glob("*")) if path.is_file() and path.suffix in DRAFTED]
    files += [folder / "sorting"] if (folder / "sorting").exists() else []
    if not files:
        return ""
    with guard.over(files), MemoryLimit.of(files).enforced():
        text = new_manifest(files, folder)
    for key, value in ANSWERS.items():
        text = text.replace(f"{key}: FILL_IN", f"{key}: {value}")
    return text


def outcome(kind: str, place: Path, folder: Path, run: Callable[[Callable[[], dict]], dict]) -> dict:
    """`ingested` of a recording, and of the manifest that is written of its files.

    Args:
        run: calls one step and returns its result.
    """
    stores = folder.parent / f"{folder.name}-stores"
    own, draft, again = (Guard(stuck_s=STUCK_S).fresh() for _ in range(3))
    result = run(lambda: _guarded(lambda: ingested(place, stores / "own", own, KINDS[kind].overrides)))
    written = run(lambda: _written(folder, draft)) if KINDS[kind].is_drafted else {"text": "", "line": ""}
    line, text = written["line"], written.get("text", "")
    result["mb"] = max(result["mb"], written.get("mb", 0))
    if line and (fault := written.get("fault", "") or fault_of(line)) and not result["fault"]:
        result |= {"line": line, "fault": f"new-manifest: {fault}"}
    if text:
        (folder / "drafted.yaml").write_text(text)
        drafted = run(lambda: _guarded(lambda: ingested(folder / "drafted.yaml", stores / "drafted", again)))
        result["mb"] = max(result["mb"], drafted["mb"])
        if drafted["line"].startswith(f"{folder / 'drafted.yaml'}:"):
            drafted["fault"] = "it cannot be planned"
        if drafted["fault"] and not result["fault"]:
            result |= {"line": drafted["line"], "fault": f"drafted manifest: {drafted['fault']}"}
    shutil.rmtree(stores, ignore_errors=True)
    return result | {"drafted": bool(text)}


def _written(folder: Path, guard: Guard) -> dict:
    """The text of a manifest, or the line that is printed in its place."""
    try:
        return {"text": drafted(folder, guard), "line": ""}
    except RaydistillError as err:
        return {"text": "", "line": str(err)}
    except Exception:
        return {"text": "", "line": traceback.format_exc()}


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


def damaged(kind: str, seed: int, pristine: Path, folder: Path) -> tuple[str, Path]:
    """Write a damaged copy of a sound recording to a new folder: how it is damaged, and what to ingest."""
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    shutil.copytree(pristine, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        how = KINDS[kind].odden(folder, rng)
    return how, source(KINDS[kind], folder, rng)


def examine(kind: str, seed: int, pristine: Path, folder: Path) -> dict:
    """`outcome` of one damaged recording, of which each step has a process that is stopped after `LIMIT_S`."""
    how, place = damaged(kind, seed, pristine, folder)
    start = time.monotonic()
    result = outcome(kind, place, folder, _in_a_process)
    if result["mb"] > LIMIT_MB and not result["fault"]:
        result["fault"] = f"{result['mb']:.0f} MB"
    shutil.rmtree(folder)
    return result | {"kind": kind, "seed": seed, "how": how, "seconds": time.monotonic() - start}


def _in_a_process(step: Callable[[], dict]) -> dict:
    """The result of a step in a process of its own, and its peak memory. If that ends, there is a second attempt."""
    for _ in range(2):
        start = time.monotonic()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                warnings.simplefilter("ignore")
                signal.alarm(LIMIT_S)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                with os.fdopen(writing, "w") as answer:
                    json.dump(_here(step), answer)
            finally:
                os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            text = answer.read()
        _, status = os.waitpid(child, 0)
        if text:
            return json.loads(text)
    fault = "no end" if time.monotonic() - start > LIMIT_S - 1 else f"the process died with status {status}"
    return {"state": "failed", "line": fault, "fault": fault, "mb": 0.0}


def _here(step: Callable[[], dict]) -> dict:
    result = step()
    return result | {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def fuzz(kind: str, seeds: Iterable[int], folder: Path) -> Iterator[dict]:
    """`examine` for each of the seeds."""
    pristine, warm = folder / f"{kind}-pristine", folder / f"{kind}-warm"
    pristine.mkdir(parents=True)
    KINDS[kind].write(pristine)
    shutil.copytree(pristine, warm)
    place = source(KINDS[kind], warm, np.random.default_rng(0))
    first = outcome(kind, place, warm, _here)  # imports what the processes need
    assert first["state"] == "stored" and not first["fault"], first
    for seed in seeds:
        yield examine(kind, seed, pristine, folder / f"{kind}-{seed}")

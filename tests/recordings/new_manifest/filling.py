"""Written manifests with their open values filled in, read into a store."""

import re
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.new_manifest.command import new_manifest
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.store import Store


def filled(text, **answers):
    """The text with each `key: FILL_IN` answered; an answer `section_key` is used before one for the key alone."""
    lines, section = [], ""
    for line in text.splitlines():
        if found := re.match(r" {4}(\w+):", line):
            section = found[1]
        if found := re.search(r"(\w+): FILL_IN", line):
            key = found[1]
            value = answers.get(f"{section}_{key}", answers.get(key))
            assert value is not None, f"no answer for {section} {key}"
            line = line.replace("FILL_IN", str(value), 1)
        lines.append(line)
    return "\n".join(lines) + "\n"


def guessed(folder: Path, *names: str):
    """The only session of the manifest for some files, as plain mappings."""
    text = new_manifest([folder / name for name in names], folder)
    (session,) = YAML(typ="safe").load(text)["sessions"]
    return session


def stored(folder: Path, names, edit=lambda text: text, **answers):
    """A store with the sessions of the manifest for some files, after answers."""
    text = edit(new_manifest([folder / name for name in names], folder))
    manifest = folder / "lab.yaml"
    manifest.write_text(filled(text, **answers))
    for recording in plan_sources(manifest):
        result = ingest_one(recording, str(folder / "store"), None)
        assert result.state == "stored", result.cause
    store = Store(str(folder / "store"))
    store.publish()
    return store


def behavior(store, name):
    """(N, K) behavior of a session in its own unit, and the time of each bin in seconds."""
    entry = store.entry(name)
    segments = store.read(entry)
    times = np.concatenate([s.start_s + (np.arange(s.n_bins) + 0.5) * entry.bin_width_ms / 1000 for s in segments])
    return entry.normalisation["behavior"].undo(np.concatenate([s.behavior for s in segments])), times


def counts(store, name):
    """Number of spikes of each unit in all segments."""
    return sum(s.spikes.sum(axis=0, dtype=int) for s in store.read(store.entry(name))).tolist()

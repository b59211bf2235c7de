"""What `raydistill ingest SOURCE` reads: the recordings of a manifest, of an NWB file, or anywhere in a folder."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raydistill.config.fingerprint import canonical
from raydistill.config.load import Where, build, override
from raydistill.config.recordings import IngestConfig
from raydistill.errors import ConfigError, DataError, suggest
from raydistill.recordings.layouts import LAYOUTS, folder_layouts
from raydistill.recordings.manifest import check_describes_itself, describe_files, read_manifest
from raydistill.recordings.recording import Layout, Recording
from raydistill.recordings.remote import Remote, located

_MANIFEST_KEYS = ("ingest", "defaults")


def plan_sources(
    source: str | Path,
    folder: str | Path | None = None,
    overrides: Sequence[str] = (),
    dataset: str | None = None,
) -> list[Recording]:
    """The recordings of a manifest, of an NWB file, or of a folder.

    Args:
        source: path of a .yaml manifest, of a .nwb file, or of a folder that is searched for recordings; or the
            https:// or s3:// URI of an NWB file.
        folder: folder of a manifest's files, if not the one that the manifest names.
        overrides: "path=value" strings, such as "ingest.bin_width_ms=20".
        dataset: for a folder, one of `folder_layouts()`, to use only the recordings of this layout.

    Raises:
        ConfigError, DataError: `source` holds nothing that can be read, or an argument is invalid.
    """
    place = located(Path(), str(source))
    if not isinstance(place, Remote) and place.is_dir():
        if folder is not None:
            raise ConfigError(f"{place}: --folder applies to manifests only")
        return recordings_in(place, dataset, overrides)
    if dataset is not None:
        raise ConfigError(f"{place}: --dataset applies to folders only")
    if not isinstance(place, Remote) and place.suffix.lower() in (".yaml", ".yml"):
        return read_manifest(place, None if folder is None else Path(folder), overrides)
    if folder is not None:
        raise ConfigError(f"{place}: --folder applies to manifests only")
    check_describes_itself(place)
    return describe_files([place], place, overrides)


def recordings_in(folder: Path, dataset: str | None = None, overrides: Sequence[str] = ()) -> list[Recording]:
    """The recordings anywhere in `folder`, sorted by name.

    Args:
        dataset: one of `folder_layouts()`; None: all layouts.
        overrides: "path=value" strings. "ingest.bin_width_ms=20" applies to all recordings, an option of a layout,
            such as "units=sorted", to the recordings of the layouts that have it.

    Raises:
        ConfigError, DataError: there is nothing to read, two sessions have one name, or an override is invalid.
    """
    by_layout = {name: _recordings_of(LAYOUTS[name], folder) for name in folder_layouts()}
    companions = {file for recordings in by_layout.values() for r in recordings for file in r.files[1:]}
    selected = {
        name: [r for r in recordings if r.path not in companions]
        for name, recordings in by_layout.items()
        if dataset in (None, name)
    }
    present = [LAYOUTS[name] for name, recordings in selected.items() if recordings]
    if not present:
        raise DataError(
            f"{folder}: no {dataset or 'known'} recording in this folder (known: {', '.join(folder_layouts())}); "
            "describe other files in a manifest"
        )
    _check_keys(present, overrides)
    planned = [r for layout in present for r in _with_overrides(layout, selected[layout.name], folder, overrides)]
    _refuse_same_names(planned)
    return sorted(planned, key=lambda r: r.name)


def _recordings_of(layout: Layout, folder: Path) -> list[Recording]:
    return layout.find(folder) if layout.find else []


def _refuse_same_names(recordings: list[Recording]) -> None:
    paths: dict[str, Path | Remote] = {}
    for recording in recordings:
        if recording.name in paths:
            places = f"{paths[recording.name]} and {recording.path}"
            raise DataError(f"two sessions are named {recording.name}: {places}; move one of them out of the folder")
        paths[recording.name] = recording.path


# Overrides


def _keys(layout: Layout) -> tuple[str, ...]:
    """First words of the overrides that apply to a layout."""
    if layout.describe is not None:
        return _MANIFEST_KEYS
    return ("ingest", *(field.name for field in dataclasses.fields(layout.options)))


def _check_keys(layouts: list[Layout], overrides: Sequence[str]) -> None:
    allowed = list(dict.fromkeys(key for layout in layouts for key in _keys(layout)))
    for text in overrides:
        key = _first_word(text)
        if key not in allowed:
            names = ", ".join(layout.name for layout in layouts)
            raise ConfigError(f'--set {text}: there is no "{key}" for {names}{suggest(key, allowed)}')


def _first_word(text: str) -> str:
    return text.partition("=")[0].partition(".")[0].strip()


def _with_overrides(
    layout: Layout, recordings: list[Recording], folder: Path, overrides: Sequence[str]
) -> list[Recording]:
    texts = [text for text in overrides if _first_word(text) in _keys(layout)]
    if layout.describe is not None:
        return describe_files([r.path for r in recordings], folder, texts)
    tree: dict = {"ingest": canonical(layout.config)}
    for text in texts:
        override(tree, text)
    config = build(IngestConfig, tree.pop("ingest"), Where("--set", "ingest"))
    options: Any = build(layout.options, tree, Where("--set"))
    return [
        dataclasses.replace(r, config=config, source=dataclasses.replace(r.source, options=options)) for r in recordings
    ]

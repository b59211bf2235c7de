"""What `raydistill ingest SOURCE` reads: the recordings of a manifest, of an NWB file, or anywhere in a folder."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raydistill.config.fingerprint import canonical
from raydistill.config.load import Where, build, mapping, override
from raydistill.config.recordings import IngestConfig
from raydistill.errors import ConfigError, DataError, suggest
from raydistill.recordings.child import links_in_child
from raydistill.recordings.layouts import LAYOUTS, folder_layouts, layout_of, layouts_by_ending
from raydistill.recordings.planning.manifest import check_describes_itself, describe_files, read_manifest
from raydistill.recordings.planning.search import search
from raydistill.recordings.recording import Layout, Recording
from raydistill.recordings.remote import Remote, located

_MANIFEST_KEYS = ("ingest", "defaults", "links")


@dataclass(frozen=True, kw_only=True)
class _Links:
    """The override that all layouts have besides `ingest`; see `config.manifest.Manifest.links`."""

    links: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PlannedIngest:
    """The recordings to ingest, and what a search of a folder passed over."""

    recordings: list[Recording]
    notes: tuple[str, ...] = ()
    """One line for each file that belongs to another recording, or is a link to its file."""
    unsearched: tuple[str, ...] = ()
    """One line for each place that could not be searched, so that recordings may be missing."""


def plan_sources(
    source: str | Path,
    folder: str | Path | None = None,
    overrides: Sequence[str] = (),
    dataset: str | None = None,
) -> list[Recording]:
    """The recordings of `plan`, for those who need nothing else."""
    return plan(source, folder, overrides, dataset).recordings


def plan(
    source: str | Path,
    folder: str | Path | None = None,
    overrides: Sequence[str] = (),
    dataset: str | None = None,
) -> PlannedIngest:
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
    if not isinstance(place, Remote) and place.is_dir() and not _is_recording(place):
        if folder is not None:
            raise ConfigError(f"{place}: --folder applies to manifests only")
        return plan_folder(place, dataset, overrides)
    if dataset is not None:
        raise ConfigError(f"{place}: --dataset applies to folders only")
    if not isinstance(place, Remote) and place.suffix.lower() in (".yaml", ".yml"):
        return PlannedIngest(recordings=read_manifest(place, None if folder is None else Path(folder), overrides))
    if folder is not None:
        raise ConfigError(f"{place}: --folder applies to manifests only")
    check_describes_itself(place)
    return PlannedIngest(recordings=describe_files([place], place, overrides))


def _is_recording(folder: Path) -> bool:
    """Whether a folder is itself a recording that needs no manifest."""
    layout = layout_of(folder)
    return layout is not None and layout.describes_itself


def plan_folder(folder: Path, dataset: str | None = None, overrides: Sequence[str] = ()) -> PlannedIngest:
    """The recordings anywhere in `folder`, sorted by name.

    A file that belongs to another recording, because its layout says so or because a file of that recording links to
    it, is no recording of its own.

    Args:
        dataset: one of `folder_layouts()`; None: all layouts.
        overrides: "path=value" strings. "ingest.bin_width_ms=20" applies to all recordings, an option of a layout,
            such as "units=sorted", to the recordings of the layouts that have it.

    Raises:
        ConfigError, DataError: there is nothing to read, two sessions have one name, or an override is invalid.
    """
    by_layout = {name: _recordings_of(LAYOUTS[name], folder) for name in folder_layouts()}
    companions = {file for recordings in by_layout.values() for r in recordings for file in r.files[1:]}
    by_layout = {name: [r for r in found if r.path not in companions] for name, found in by_layout.items()}
    all_found = [r for found in by_layout.values() for r in found]
    owners = _owners(all_found)
    selected = {
        name: [r for r in found if r.path not in owners] for name, found in by_layout.items() if dataset in (None, name)
    }
    endings = {r.path.suffix for r in all_found}
    endings |= {ending for ending, layout in layouts_by_ending().items() if layout.find is not None}
    searched = search(folder, lambda name: Path(name).suffix in endings)
    present = [LAYOUTS[name] for name, recordings in selected.items() if recordings]
    if not present:
        raise DataError(
            f"{folder}: no {dataset or 'known'} recording in this folder (known: {', '.join(folder_layouts())}); "
            f"describe other files in a manifest{''.join(f'; {line}' for line in searched.unsearched)}"
        )
    _check_keys(present, overrides)
    planned = [r for layout in present for r in _with_overrides(layout, selected[layout.name], folder, overrides)]
    _refuse_same_names(planned)
    files = {r.path for r in planned}
    notes = [f"{link}: a link to {file}, which counts once" for link, file in searched.repeated if file in files]
    notes += [f"{path}: belongs to {owner}, which links to it; no session of its own" for path, owner in owners.items()]
    return PlannedIngest(
        recordings=sorted(planned, key=lambda r: r.name), notes=tuple(notes), unsearched=searched.unsearched
    )


def _recordings_of(layout: Layout, folder: Path) -> list[Recording]:
    return layout.find(folder) if layout.find else []


def _owners(recordings: list[Recording]) -> dict[Path | Remote, Path | Remote]:
    """Main file that another recording links to -> the main file of that recording.

    Of two files that link to each other, the first is the recording.
    """
    mains = {os.path.realpath(str(r.path)): r.path for r in recordings}
    owners: dict[Path | Remote, Path | Remote] = {}
    local = [r.path for r in recordings if isinstance(r.path, Path)] if len(mains) > 1 else []
    for path, links in links_in_child(local).items():
        if path not in owners and not isinstance(links, Exception):  # reading the file tells what is wrong with it
            linked = {os.path.realpath(link) for link in links}
            owners |= {main: path for resolved, main in mains.items() if resolved in linked}
    return owners


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
    return ("ingest", "links", *(field.name for field in dataclasses.fields(layout.options)))


def _check_keys(layouts: list[Layout], overrides: Sequence[str]) -> None:
    allowed = list(dict.fromkeys(key for layout in layouts for key in _keys(layout)))
    for text in overrides:
        key = _first_word(text)
        if key not in allowed:
            names = ", ".join(layout.name for layout in layouts)
            raise ConfigError(f'--set {text}: there is no "{key}" for {names}{suggest(key, allowed)}')


def _merged(tree: dict, changes: Mapping[str, Any]) -> dict:
    """The tree with these values; those of a section replace only values of the same name."""
    merged = dict(tree)
    for key, value in changes.items():
        merged[key] = _merged(merged[key], value) if isinstance(value, Mapping) else value
    return merged


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
    given = tree["ingest"] if isinstance(tree["ingest"], dict) else {}
    if differs := layout.by_protocol.get(str(given.get("protocol"))):  # what is given has the last word
        tree = {"ingest": _merged(canonical(layout.config), differs)}
        for text in texts:
            override(tree, text)
    config = build(IngestConfig, tree.pop("ingest"), Where("--set", "ingest"))
    links = build(_Links, mapping({key: tree.pop(key) for key in ("links",) if key in tree}), Where("--set")).links
    options: Any = build(layout.options, tree, Where("--set"))
    return [
        dataclasses.replace(
            r,
            config=config,
            source=dataclasses.replace(r.source, options=options),
            links=(folder, *map(Path, links)),
        )
        for r in recordings
    ]

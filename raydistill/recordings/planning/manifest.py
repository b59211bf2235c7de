"""Manifests and single NWB files as planned recordings.

Planning opens no recording. It finds every mistake that needs no data to be found: misspelt keys, options that the
kind of file does not have, two sessions with one name, names that cannot name a folder.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from raydistill.config.load import Where, build, complete, mapping, override, read_yaml
from raydistill.config.manifest import Lfp, Manifest, SessionEntry, Spikes
from raydistill.config.placeholders import check_filled_in
from raydistill.config.recordings import IngestConfig
from raydistill.errors import ConfigError, DataError, RaydistillError
from raydistill.recordings.layouts import LAYOUTS, layout_of, layouts_by_ending
from raydistill.recordings.planning.electrodes import read_channels
from raydistill.recordings.planning.parts import SignalsOfFile, parts_of
from raydistill.recordings.planning.unfetched import NO_FILE, is_file_or_folder, why_absent
from raydistill.recordings.recording import Addition, Layout, Recording, RecordingSource, default_name
from raydistill.recordings.remote import Remote, located
from raydistill.store.session import check_name

_OWN_NAMES = (
    "move one of them out of the folder if they are the same recording, or else give each its `name` in a manifest"
)
Section = TypeVar("Section", Spikes, Lfp)


def read_manifest(path: Path, folder: Path | None = None, overrides: Sequence[str] = ()) -> list[Recording]:
    """The recordings of a manifest.

    Args:
        path: of the YAML file.
        folder: where the files are, if not where the manifest says.
        overrides: "path=value" strings on the manifest's keys, such as "ingest.bin_width_ms=20".

    Raises:
        ConfigError, DataError: the manifest or an override is invalid; the message gives file and line.
    """
    trusted = (path.parent, *([folder] if folder else []))
    return _planned(
        read_yaml(path), str(path), folder or path.parent, overrides, trusted, has_own_folder=folder is None
    )


def describe_files(
    files: Sequence[Path | Remote], source: Path | Remote, overrides: Sequence[str] = ()
) -> list[Recording]:
    """The recordings in files that need no manifest: what a manifest with nothing but their names would describe.

    Args:
        source: the file or folder that the user named, for messages.
        overrides: "path=value" strings on the keys of that manifest, such as "defaults.lfp=PATH".

    Raises:
        ConfigError: an override is invalid.
    """
    names = [file.uri if isinstance(file, Remote) else str(file) for file in files]
    tree = mapping({"sessions": [mapping({"file": name}) for name in names]})
    trusted = (source,) if isinstance(source, Path) and source.is_dir() else ()
    return _planned(tree, str(source), Path(), overrides, trusted)


def check_describes_itself(file: Path | Remote) -> None:
    """Raise ConfigError or DataError unless a file can be read without a manifest."""
    if isinstance(file, Remote):
        return
    if file.is_symlink() and (why := why_absent(file)):
        raise DataError(f"{file}: {why}")
    if not file.exists():
        raise DataError(f"{file}: no such file or folder; give a manifest (.yaml), a .nwb file or a folder of them")
    if not is_file_or_folder(file):
        raise DataError(f"{file}: {NO_FILE}")
    endings = [ending for ending, layout in layouts_by_ending().items() if layout.find is not None]
    if file.suffix.lower() not in endings:
        raise ConfigError(
            f"{file}: only {' and '.join(endings)} files can be read without a manifest; describe it in a .yaml "
            "manifest (docs/bring-your-own-data.md)"
        )


def _planned(
    tree: dict,
    file: str,
    folder: Path,
    overrides: Sequence[str],
    trusted: tuple[Path, ...],
    has_own_folder: bool = False,
) -> list[Recording]:
    """The recordings that the keys of a manifest describe.

    Args:
        file: the name of the manifest, for messages.
        folder: of the recordings.
        trusted: folders that the user named, to which links in files may lead.
        has_own_folder: whether the manifest's `folder`, relative to `folder`, applies.
    """
    for text in overrides:
        override(tree, text)
    where = Where(file)
    check_filled_in(tree, where)
    items = tree.get("sessions")
    items = items if isinstance(items, list) else [items]
    for item in items:
        if isinstance(item, dict):
            _complete(item, tree, file)
    manifest = build(Manifest, tree, where)
    if has_own_folder:
        folder = folder / (manifest.folder or "")
        trusted = (*trusted, folder)
    links = (*trusted, *(folder / place for place in manifest.links))
    places = [where.down(tree, "sessions").down(items, i) for i in range(len(items))]
    entries = [build(SessionEntry, item, place) for item, place in zip(items, places, strict=True)]
    try:
        recordings = [_recording(manifest, entry, folder, at) for entry, at in zip(entries, places, strict=True)]
    except OSError as err:  # such as a name that is too long for the file system
        raise where.error(
            f"a file or folder that it names cannot be looked up: {err.filename} ({err.strerror})"
        ) from None
    settings = [[*_paths(tree.get("ingest") or {}), *_paths(item.get("ingest") or {})] for item in items]
    recordings = [
        replace(r, chosen=tuple(dict.fromkeys(paths)), links=links)
        for r, paths in zip(recordings, settings, strict=True)
    ]
    _refuse_same_names(recordings, places)
    return recordings


def _complete(item: dict, tree: dict, file: str) -> None:
    """Complete a session with `defaults`, and its own `ingest` with that of all sessions."""
    defaults = tree.get("defaults")
    if isinstance(defaults, dict):
        for key in ("lfp", "behavior"):
            if isinstance(defaults.get(key), dict) and isinstance(item.get(key), str):
                item[key] = mapping({"values": item[key]})
        complete(item, defaults, file)
    if isinstance(item.get("ingest"), dict) and isinstance(tree.get("ingest"), dict):
        complete(item["ingest"], tree["ingest"], file)


def _paths(section: dict, prefix: str = "") -> Iterator[str]:
    """Paths of all values in a section and its sections, such as "splits.segment_s"."""
    for key, value in section.items():
        if isinstance(value, dict) and value:
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _recording(manifest: Manifest, entry: SessionEntry, folder: Path, place: Where) -> Recording:
    try:
        main, *others = parts_of(entry)
        paths = [located(folder, part.file or "") for part in (main, *others)]
        name = entry.name if entry.name is not None else default_name(paths[0])
    except RaydistillError as err:
        raise place.error(str(err)) from None
    try:
        layouts = [_layout(path) for path in paths]
        config = _config(manifest, entry)
        check_name(name)
        if entry.subject is not None:
            check_name(entry.subject, "subject")
        _check_said(entry, layouts)
        options = [_described(part, layout, folder) for part, layout in zip((main, *others), layouts, strict=True)]
    except ConfigError as err:
        raise place.error(f"session {name}: {err}") from None
    except DataError as err:
        raise place.error(str(err)) from None
    additions = [
        Addition(
            path=path,
            layout=layout.name,
            options=own,
            companions=_companions(path, layout),
            offset_s=part.offset_s,
            time_scale=part.time_scale,
            lfp_places=part.lfp_places,
            behavior_places=part.behavior_places,
        )
        for part, path, layout, own in zip(others, paths[1:], layouts[1:], options[1:], strict=True)
    ]
    source = RecordingSource(
        layout=layouts[0].name,
        options=options[0],
        companions=_companions(paths[0], layouts[0]),
        subject=entry.subject,
        dataset=entry.dataset,
        task=entry.task,
        region=entry.region,
        pieces=entry.pieces,
        additions=tuple(additions),
    )
    return Recording(name=name, path=paths[0], source=source, config=config)


def _layout(path: Path | Remote) -> Layout:
    layout = layout_of(path)
    if layout is None or layout.describe is None:
        endings = ", ".join(layouts_by_ending())
        if isinstance(path, Path) and path.is_dir():
            raise ConfigError(f"`file` {path} is a folder, but {_folders(path)}")
        raise ConfigError(
            f"`file` {path} ends in {path.suffix!r}; the suffix must be one of {endings}; folders must exist"
        )
    return layout


def _folders(path: Path) -> str:
    """What to name instead of a folder that is no recording."""
    below = [place for place in sorted(path.glob("*/")) if layout_of(place)]
    if below:
        return f"not one of a recording; did you mean {', '.join(str(place) for place in below[:3])}?"
    kinds = ", ".join(layout.title for layout in LAYOUTS.values() if layout.takes_folder)
    return f"not one of a recording; folders that can be read: {kinds}"


def _companions(path: Path | Remote, layout: Layout) -> tuple[str, ...]:
    """The further files that are read with a file, or in place of a folder."""
    if isinstance(path, Remote) or layout.members is None:
        return ()
    return tuple(name for name in layout.members(path) if name != path.name)


def _check_said(entry: SessionEntry, layouts: list[Layout]) -> None:
    """Raise ConfigError if the manifest leaves out what no file of the session states."""
    if any(layout.describes_itself for layout in layouts):
        return
    if entry.subject is None:
        raise ConfigError("give its `subject`, which a file of arrays does not contain")
    if any(layout.finds_signals for layout in layouts):
        return
    if entry.spikes in ("auto", None) and not entry.lfp_sections:
        raise ConfigError("give the path of `spikes` or `lfp`, or both")


def _described(part: SignalsOfFile, layout: Layout, folder: Path) -> Any:
    """The options of the layout for the signals of one file, with lists of channels read from their files."""
    assert layout.describe is not None
    entry = part.entry if layout.has_bins else replace(part.entry, bin_width_ms=None)
    spikes, lfp = entry.spikes, entry.lfp
    if isinstance(spikes, Spikes):
        spikes = _with_channels(spikes, folder)
    if isinstance(lfp, Lfp):
        lfp = _with_channels(lfp, folder)
    elif isinstance(lfp, tuple):
        lfp = tuple(_with_channels(section, folder) for section in lfp)
    return layout.describe(replace(entry, spikes=spikes, lfp=lfp))


def _with_channels(section: Section, folder: Path) -> Section:
    if not isinstance(section.channels, str):
        return section
    return replace(section, channels=read_channels(folder / section.channels))


def _config(manifest: Manifest, entry: SessionEntry) -> IngestConfig:
    """The manifest's `ingest` section, overridden by that of the session, with the bin width of the file."""
    values = {**manifest.ingest, **entry.ingest}
    if any(section.bands > 1 for section in entry.lfp_sections or ()):
        values.setdefault("filters", None)  # features are no voltages
    if entry.bin_width_ms is not None:
        width = values.setdefault("bin_width_ms", entry.bin_width_ms)
        if width != entry.bin_width_ms:
            ratio = width / entry.bin_width_ms
            if ratio < 1 or abs(ratio - round(ratio)) > 1e-9 * ratio:
                raise ConfigError(
                    f"`ingest.bin_width_ms` is {width:g} but the file's bins are {entry.bin_width_ms:g} ms wide; "
                    "set it to a whole multiple of them"
                )
    return IngestConfig(**values)


def _refuse_same_names(recordings: list[Recording], places: list[Where]) -> None:
    by_name: dict[str, tuple[Recording, Where]] = {}
    for recording, place in zip(recordings, places, strict=True):
        if recording.name in by_name:
            other, other_place = by_name[recording.name]
            line = f" (line {other_place.line})" if other_place.line else ""
            raise place.error(
                f"two sessions are named {recording.name}: {other.path}{line} and {recording.path}; "
                f"{'give one of them another `name`' if place.line else _OWN_NAMES}"
            )
        by_name[recording.name] = recording, place

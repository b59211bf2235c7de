"""Manifests and single NWB files as planned recordings.

Planning opens no recording. It finds every mistake that needs no data to be found: misspelt keys, options that the
kind of file does not have, two sessions with one name, names that cannot name a folder.
"""

from collections.abc import Sequence
from pathlib import Path

from raydistill.config.load import Where, build, override, read_yaml
from raydistill.config.manifest import Behavior, Manifest, SessionEntry
from raydistill.config.recordings import IngestConfig
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.layouts import layouts_by_ending
from raydistill.recordings.recording import Recording, RecordingSource, as_name
from raydistill.recordings.remote import Remote, located
from raydistill.store.session import check_name


def read_manifest(path: Path, folder: Path | None = None, overrides: Sequence[str] = ()) -> list[Recording]:
    """The recordings of a manifest.

    Args:
        path: of the YAML file.
        folder: where the files are, if not where the manifest says.
        overrides: "path=value" strings on the manifest's keys, such as "ingest.bin_width_ms=20".

    Raises:
        ConfigError, DataError: the manifest or an override is invalid; the message gives file and line.
    """
    return _planned(read_yaml(path), str(path), folder or path.parent, overrides, has_own_folder=folder is None)


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
    tree = {"sessions": [{"file": name} for name in names]}
    return _planned(tree, str(source), Path(), overrides)


def check_describes_itself(file: Path | Remote) -> None:
    """Raise ConfigError or DataError unless a file can be read without a manifest."""
    if isinstance(file, Remote):
        return
    if not file.exists():
        raise DataError(f"{file}: no such file or folder; give a manifest (.yaml), a .nwb file or a folder of them")
    endings = [ending for ending, layout in layouts_by_ending().items() if layout.find is not None]
    if file.suffix.lower() not in endings:
        raise ConfigError(
            f"{file}: only {' and '.join(endings)} files can be read without a manifest; describe it in a .yaml "
            "manifest (docs/bring-your-own-data.md)"
        )


def _planned(
    tree: dict, file: str, folder: Path, overrides: Sequence[str], has_own_folder: bool = False
) -> list[Recording]:
    """The recordings that the keys of a manifest describe.

    Args:
        file: the name of the manifest, for messages.
        folder: of the recordings.
        has_own_folder: whether the manifest's `folder`, relative to `folder`, applies.
    """
    for text in overrides:
        override(tree, text)
    where = Where(file)
    manifest = build(Manifest, tree, where)
    if not manifest.sessions:
        raise where.error("`sessions` is empty: name at least one recording")
    if has_own_folder:
        folder = folder / (manifest.folder or "")
    items = tree["sessions"] if isinstance(tree["sessions"], list) else [tree["sessions"]]
    places = [where.down(tree, "sessions").down(items, i) for i in range(len(items))]
    recordings = [
        _recording(manifest, values, folder, at) for values, at in zip(manifest.sessions, places, strict=True)
    ]
    _refuse_same_names(recordings, places)
    return recordings


def _recording(manifest: Manifest, session_values: dict, folder: Path, place: Where) -> Recording:
    values = {**manifest.defaults, **session_values}
    if "file" not in values:
        raise place.error("a session lacks `file`")
    entry = SessionEntry(**values)
    path = located(folder, entry.file)
    endings = layouts_by_ending()
    layout = endings.get(path.suffix.lower())
    if layout is None or layout.describe is None:
        raise place.error(f"`file` ends in {path.suffix!r}; the suffix must be one of {', '.join(endings)}")
    name = entry.name if entry.name is not None else as_name(path.stem)
    try:
        options = layout.describe(entry)
        config = _config(manifest, entry)
        check_name(name)
        if entry.subject is not None:
            check_name(entry.subject, "subject")
    except ConfigError as err:
        raise place.error(f"session {name}: {err}") from None
    except DataError as err:
        raise place.error(str(err)) from None
    source = RecordingSource(
        layout=layout.name,
        options=options,
        subject=entry.subject,
        dataset=entry.dataset,
        task=entry.task,
        region=entry.region,
        behavior=entry.behavior if isinstance(entry.behavior, Behavior) else Behavior(),
    )
    return Recording(name=name, path=path, source=source, config=config)


def _config(manifest: Manifest, entry: SessionEntry) -> IngestConfig:
    """The manifest's `ingest` section, overridden by that of the session, with the bin width of the file."""
    values = {**manifest.ingest, **entry.ingest}
    if entry.bin_width_ms is not None:
        width = values.setdefault("bin_width_ms", entry.bin_width_ms)
        if width != entry.bin_width_ms:
            raise ConfigError(
                f"`ingest.bin_width_ms` is {width:g} but the file's bins are {entry.bin_width_ms:g} ms wide; "
                "a file that is already binned keeps its bins"
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
                "give one of them another `name`"
            )
        by_name[recording.name] = recording, place

"""Files as the text of a manifest with guesses and questions: what `raydistill new-manifest` prints."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from raydistill.config.placeholders import FILL_IN
from raydistill.errors import ConfigError, DataError, one_line
from raydistill.recordings.layouts import layout_of
from raydistill.recordings.linked import checked_links
from raydistill.recordings.new_manifest.grouping import grouped
from raydistill.recordings.new_manifest.looks import looks_of_file
from raydistill.recordings.new_manifest.nwb import nwb_content
from raydistill.recordings.new_manifest.parts import FileContent, SessionGuess, session_of
from raydistill.recordings.new_manifest.sorter import sorter_content
from raydistill.recordings.new_manifest.text import Line, Section, comment, written
from raydistill.recordings.planning.unfetched import NO_FILE, is_file_or_folder
from raydistill.recordings.readers import arrays as arrays_layout
from raydistill.recordings.readers.sorter import is_sorter_folder
from raydistill.recordings.recording import as_name, default_name

_ARRAYS = (".h5", ".hdf5", ".mat", ".npz", ".npy")
_SORTER_FILES = ("spike_times.npy", "spike_clusters.npy", "spike_templates.npy")


def new_manifest(files: Sequence[Path], folder: Path) -> str:
    """The text of a manifest that describes some files.

    Args:
        files: HDF5, MATLAB, NPZ, NPY and NWB files, and folders of spike sorters.
        folder: the folder in which the manifest will be.

    Raises:
        ConfigError: a file is missing, or of another kind.
        DataError: a file is damaged, or there is nothing in it to describe.
    """
    paths = [_checked(path) for path in files]
    paths = list(dict.fromkeys(paths))
    for path in paths:
        checked_links(path, [folder])
    base = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    names = [path.absolute().relative_to(base).as_posix() for path in paths]
    contents = [_content(path, name, len(paths) == 1) for path, name in zip(paths, names, strict=True)]
    by_name = dict(zip(names, paths, strict=True))
    grouping = grouped(contents, _is_complete)
    if len(paths) > 1:  # a session of one file need not name it in each section
        alone = {files[0].file for files in grouping.sessions if len(files) == 1}
        again = {name: _content(by_name[name], name, True) for name in alone if by_name[name].suffix not in _ARRAYS}
        sessions = [[again.get(c.file, c) for c in session] for session in grouping.sessions]
    else:
        sessions = grouping.sessions
    guesses = [session_of(session) for session in sessions]
    relative = os.path.relpath(base, folder.absolute())
    heads = [_head(session, by_name, "" if relative == "." else base.name) for session in sessions]
    heads = _named_apart(heads, sessions)
    return _text(files, relative, grouping.question, heads, guesses)


def _is_complete(content: FileContent) -> bool:
    """Whether a file has spikes and other signals, so that it may be a session of its own."""
    try:
        keys = {line.key for line in session_of([content]).lines if line.is_active and line.value != FILL_IN}
    except DataError:
        return False
    return "spikes" in keys and bool(keys & {"lfp", "behavior"})


def _checked(path: Path) -> Path:
    """The path of a file of a known kind, or of the folder of a spike sorter."""
    if not path.exists():
        raise ConfigError(f"{path}: no such file or folder")
    if not is_file_or_folder(path):
        raise ConfigError(f"{path}: {NO_FILE}")
    if path.name in _SORTER_FILES and is_sorter_folder(path.parent):
        path = Path(os.path.normpath(path.absolute().parent))
    if path.suffix.lower() == ".zarr":
        raise ConfigError(f"{path}: an NWB file in the Zarr format needs no manifest: run `raydistill ingest` on it")
    is_known = path.suffix.lower() in (*_ARRAYS, ".nwb") if path.is_file() else is_sorter_folder(path)
    if not is_known and layout_of(path) is not None and path.suffix.lower() not in _ARRAYS:
        raise ConfigError(
            f"{path}: a raw file or folder of a recording system states what it holds; write "
            f"`sessions: [{{file: {path.name}, subject: NAME}}]`, with the sections that new-manifest writes for files "
            'of behavior and trials (docs/bring-your-own-data.md, "Raw formats of acquisition systems")'
        )
    if not is_known:
        what = "a folder without spike_times.npy" if path.is_dir() else "of no known kind"
        raise ConfigError(
            f"{path}: {what}; give files that end in {', '.join((*_ARRAYS, '.nwb'))}, or the folder of a spike sorter"
        )
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{str(path)!a}: its name is not valid text, so no manifest can name it; rename it") from None
    return path


def _content(path: Path, name: str, one_file: bool) -> FileContent:
    if path.is_dir():
        return sorter_content(path, name, one_file)
    if path.suffix.lower() == ".nwb":
        return nwb_content(path, name, one_file)
    try:
        looks = looks_of_file(path, name)
    except DataError:
        raise
    except Exception as err:  # of odd files, which the libraries refuse by exceptions of many kinds
        raise DataError(f"{path}: cannot be read ({one_line(err)})") from err
    words = {re.sub(r"\d+", "#", look.path) for look in looks}
    return FileContent(file=name, kind=arrays_layout.LAYOUT.name, looks=tuple(looks), words=frozenset(words))


def _head(session: Sequence[FileContent], by_name: dict[str, Path], folder: str) -> list[Line]:
    """`file` or `name` of a session. `folder` is the name of a folder of its own, or empty."""
    if len(session) == 1:
        file = session[0].file
        return [Line(key="name", value=default_name(by_name[file])), Line(key="file", value=file)]
    stems = [default_name(by_name[content.file]) for content in session]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*stems, strict=False))
    common = "".join(letters[0] for letters in same).strip("._-")
    if len(common) < 3 and folder:
        return [Line(key="name", value=as_name(folder), guess="the name of their folder")]
    name = common if len(common) >= 3 else stems[0]
    return [Line(key="name", value=as_name(name), guess="from the names of its files")]


def _named_apart(heads: Sequence[list[Line]], sessions: Sequence[Sequence[FileContent]]) -> list[list[Line]]:
    """The heads, of which those with the name of another have the path of their first file as their name."""
    names = [head[0].value for head in heads]
    paths = [Path(files[0].file) for files in sessions]
    bare = [path.with_suffix("") for path in paths]
    out = []
    for (first, *others), path in zip(heads, bare if len(set(bare)) == len(bare) else paths, strict=True):
        if names.count(first.value) > 1:
            name = as_name("_".join(path.parts))
            first = replace(first, value=name, guess="from its path, because several files have the same name")
        out.append([first, *others])
    return out


def _text(
    files: Sequence[Path],
    folder: str,
    question: str,
    heads: Sequence[list[Line]],
    guesses: Sequence[SessionGuess],
) -> str:
    names = " ".join(str(path) for path in files[:6]) + (" ..." if len(files) > 6 else "")
    lines = [
        *comment(f"Manifest for `raydistill ingest`, written by `raydistill new-manifest {names}`."),
        '# A comment with "guess:" says why a value was chosen: check it. Answer each QUESTION.',
        f"# Replace each {FILL_IN}. Lines such as `# key: value` are options, used without their `# `.",
        "# docs/bring-your-own-data.md describes all keys.",
    ]
    top = [] if folder == "." else [Line(key="folder", value=folder)]
    shared = _shared([guess.lines for guess in guesses])
    if shared:
        top.append(Line(key="defaults", value=Section(tuple(shared))))
    same = {line.key for line in shared}
    sessions = [
        Section((*head, *(line for line in guess.lines if line.key not in same)))
        for head, guess in zip(heads, guesses, strict=True)
    ]
    top.append(Line(key="sessions", value=sessions, questions=(question,) if question else ()))
    lines += written(Section(tuple(top)))
    for head, guess in zip(heads, guesses, strict=True):
        if guess.unused:
            lines += ["", *comment(f"Not used of {head[0].value}:")]
            lines += [text for unused in guess.unused for text in comment(f"  {unused}")]
    return "\n".join(lines) + "\n"


def _shared(sessions: Sequence[Sequence[Line]]) -> list[Line]:
    """The lines that several sessions have in common, by key and value."""
    if len(sessions) < 2:
        return []
    first, *others = sessions
    return [line for line in first if all(any(_are_same(line, o) for o in lines) for lines in others)]


def _are_same(a: Line, b: Line) -> bool:
    return a.key == b.key and a.is_active == b.is_active and _plain(a.value) == _plain(b.value)


def _plain(value: object) -> object:
    """A value without its comments."""
    if isinstance(value, Section):
        return [(line.key, _plain(line.value)) for line in value.lines if line.is_active]
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value

"""Whether the files of a store are what its markers say: sizes and sha256 of the parts, folds and catalogue."""

import hashlib
from typing import TYPE_CHECKING

from raydistill.errors import DataError, one_line
from raydistill.files import Folder
from raydistill.store.catalogue import Entry, Part
from raydistill.store.marker import entry_of_marker, folder_of, split_file_of

if TYPE_CHECKING:
    import pyarrow as pa


def what_is_wrong(part: Part, content: "pa.Buffer") -> str:
    """How the content of a part differs from what was written, in a few words; empty: it does not."""
    if content.size != part.size:
        return f"it has {content.size} bytes instead of {part.size}"
    if hashlib.sha256(content).hexdigest() != part.sha256:
        return "its sha256 is not that of what was written"
    return ""


def damage(folder: Folder, entry: Entry) -> list[str]:
    """What is wrong with the files of a session, one line for each file: "PATH: what". All bytes are read."""
    found = {part.path: _damage_of_part(folder, part) for part in entry.parts}
    split = split_file_of(entry.session)
    try:
        is_same = hashlib.sha256(folder.read(split)).hexdigest() == entry.split_digest
        found[split] = "" if is_same else "its sha256 is not that of what was written"
    except OSError as err:
        found[split] = f"it cannot be read ({one_line(err)})"
    return [f"{path}: {what}" for path, what in found.items() if what]


def missing_or_short(entry: Entry, sizes: dict[str, int]) -> list[str]:
    """The files of a session that are not there or of another size, one line for each. Nothing is read.

    Args:
        sizes: name -> bytes of the files in its folder.
    """
    expected = {part.path: part.size for part in entry.parts}
    lines = [
        f"{path}: it has {sizes[path]} bytes instead of {size}" if path in sizes else f"{path}: it is missing"
        for path, size in expected.items()
        if sizes.get(path) != size
    ]
    split = split_file_of(entry.session)
    return lines if split in sizes else [*lines, f"{split}: it is missing"]


def problems(folder: Folder, markers: dict[str, bytes], listed: dict[str, str] | str) -> list[str]:
    """All that is wrong with a store, one line each, with the way out.

    Args:
        markers: name of each marker -> its content.
        listed: session -> text of its entry in the catalogue; or what is wrong with the catalogue.
    """
    lines, contents = [], {}
    for name, content in markers.items():
        session = name.split("/")[1].removeprefix("session=")
        again = f"ingest session {session} again"
        try:
            entry = checked_entry(name, content)
            contents[session] = content.decode()
        except DataError as err:
            lines.append(f"store {folder.uri}: {name} contains {err}; {again}")
            continue
        lines += [f"store {folder.uri}: {line}; {again}" for line in damage(folder, entry)]
    compile_again = "`raydistill ingest` of any of its recordings compiles it again"
    if isinstance(listed, str):
        return [*lines, f"store {folder.uri}: {listed}; {compile_again}"]
    named = {name.split("/")[1].removeprefix("session=") for name in markers}
    for session in sorted(listed.keys() - named):
        lines.append(
            f"store {folder.uri}: {folder_of(session)}/session.json is missing; ingest session {session} again"
        )
    older = [session for session, content in contents.items() if listed.get(session) != content]
    if older:
        names = ", ".join(older[:5]) + (f" and {len(older) - 5} more" if len(older) > 5 else "")
        lines.append(f"store {folder.uri}: the catalogue is older than the sessions {names}; {compile_again}")
    return lines


def checked_entry(name: str, content: bytes | str) -> Entry:
    """The entry in a marker. Raises DataError if it is damaged, or is in the folder of another session.

    Args:
        name: of the marker.
    """
    entry = entry_of_marker(content)
    if f"{folder_of(entry.session)}/session.json" != name:
        raise DataError(f"an entry of another session, {entry.session}")
    return entry


def _damage_of_part(folder: Folder, part: Part) -> str:
    try:
        return what_is_wrong(part, folder.read_buffer(part.path))
    except OSError as err:
        return f"it cannot be read ({one_line(err)})"

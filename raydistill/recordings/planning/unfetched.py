"""Files of which only the name is here: dangling links, the pointers that git-annex and Git LFS leave, and pipes.

Reading a pipe or a device such as /dev/zero would never end, so nothing is opened before it is known to be a file.
"""

import os
from pathlib import Path

_POINTER_BYTES = 1 << 15  # the longest pointer of git-annex; those of Git LFS are shorter
_ANNEX = b"/annex/objects/"
_LFS = b"version https://git-lfs"


NO_FILE = "a pipe or a device, not a file; name a copy of its content"


def is_file_or_folder(path: Path) -> bool:
    """Whether there is a file or a folder, or a link to one, and no pipe, socket or device."""
    return path.is_file() or path.is_dir()


def why_absent(path: Path) -> str | None:
    """Why the content of a file, or of a file in a folder, is not here, and how to get it; None: all of it is here."""
    if not os.path.exists(path):
        return _why_no_file(path)
    if path.is_dir():
        inside = ((file, why_absent(file)) for file in path.rglob("*") if not file.is_dir())
        return next((f"{file.relative_to(path)}: {why}" for file, why in inside if why), None)
    if not path.is_file():
        return NO_FILE
    if path.stat().st_size <= _POINTER_BYTES:
        with open(path, "rb") as file:
            head = file.read(64)
        if head.startswith(_ANNEX):
            return _annexed(path)
        if head.startswith(_LFS):
            return f"its content is not fetched (Git LFS); run `git lfs pull --include '{path.name}'` in its folder"
    return None


def _why_no_file(path: Path) -> str:
    if not path.is_symlink():
        return "no such file; give the folder of the files with --folder"
    target = os.readlink(path)
    if _ANNEX.decode() in target:
        return _annexed(path)
    return f"a link to {target}, which is not there; mend or delete the link"


def _annexed(path: Path) -> str:
    return (
        f"its content is not fetched (git-annex); run `datalad get {path.name}` or `git annex get {path.name}` "
        "in its folder"
    )

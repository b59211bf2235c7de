"""A limit to the memory that is taken while a file is read: a damaged file may ask a library for any amount.

Linux counts the private writable memory of a process (`RLIMIT_DATA`), to which Ray's shared store does not belong, and
refuses what is above the limit, so that the library reports an error in place of filling the machine. macOS has no such
limit, so there this does nothing.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raydistill.errors import DataError
from raydistill.recordings.recording import local_bytes
from raydistill.recordings.remote import Remote

BASE_GB = 1.75
"""Limit for a small file; with what a process holds before, 2 GB."""
PER_SIZE = 64
"""Bytes of memory for each byte of the files, because compressed values expand."""
_SHORTAGE = re.compile(r"memory allocation|(?:unable to|can't|cannot) allocate|out of memory|bad_alloc", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class MemoryLimit:
    """What the reading of some files may take, above what the process holds when it begins."""

    name: str
    """The files, in messages; empty: whoever catches the error names them."""
    gb: float

    @classmethod
    def of(cls, paths: Sequence[Path | Remote], gb: float | None = None) -> "MemoryLimit":
        """The limit for some files.

        Args:
            paths: files and folders, see `local_bytes`.
            gb: the limit that the user gave; None: `BASE_GB` and `PER_SIZE` times the size of the files.
        """
        size = local_bytes(paths)
        name = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
        return cls(name=name, gb=BASE_GB + PER_SIZE * size / 1e9 if gb is None else gb)

    @contextmanager
    def enforced(self) -> Iterator[None]:
        """Let the system refuse memory above the limit, in all threads of this process.

        Raises:
            DataError: more was asked for inside.
        """
        if sys.platform != "linux":
            yield
            return
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limits = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min(_held_bytes() + int(self.gb * 1e9), *limits, 1 << 62), hard))
        try:
            yield
        except Exception as err:
            if _is_shortage(err):
                raise DataError(
                    f"{self.name}{': ' if self.name else ''}more than {self.gb:.3g} GB of memory are needed to read "
                    f"it; it is probably damaged: copy it again; if it is right, set `--memory-gb` above {self.gb:.3g}"
                ) from err
            raise
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _held_bytes() -> int:
    """What counts for the limit of this process."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmData:\s*(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _is_shortage(err: BaseException) -> bool:
    """Whether memory was refused: libraries say so by exceptions of many kinds, which readers wrap into their own."""
    seen: list[BaseException] = []
    while err not in seen:
        if isinstance(err, MemoryError) or _SHORTAGE.search(str(err)):
            return True
        seen.append(err)
        err = err.__cause__ or err.__context__ or err
    return False

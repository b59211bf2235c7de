"""Files that a command reads itself: in a process of its own, so that a crash or hang of a library becomes one line.

Each item is read in the same process, one after the other, and its result comes back as JSON. After an item that ended
the process, the others are read in another one. What a process may do is in `_READS`; it has no other road in.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from raydistill import errors
from raydistill.errors import DataError, RaydistillError
from raydistill.recordings.guard import UNWATCHED, Guard, ended

_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG


@dataclass(frozen=True, kw_only=True)
class Item:
    """What one reading needs."""

    files: tuple[str, ...]
    folder: str = ""
    """Where a manifest of them will be."""


def read_in_child(
    what: Literal["manifest", "links"],
    items: Sequence[Item],
    guard: Guard = UNWATCHED,
    report_wait: Callable[[str, float], None] = lambda name, seconds: None,
    quiet_s: float = 60.0,
) -> Iterator[Any]:
    """The result of each item, or the RaydistillError that it raised or that says how it ended its process.

    Args:
        what: `manifest`: the text of a manifest of some files; `links`: the names of the files that a file links to.
        guard: what the reading of one item may take.
        report_wait: called with the first file of an item and for how many seconds it is read.
        quiet_s: seconds until the first of these calls. The next ones are after twice the time, four times and so on.
    """
    left = list(items)
    while left:
        with _process() as process:
            while left:
                item, watched = left.pop(0), guard.fresh(tempfile.gettempdir())
                order = {"what": what, "item": asdict(item), "guard": asdict(watched)}
                try:
                    answer = _answer_of(process, order, partial(report_wait, item.files[0]), quiet_s)
                    if answer is None:
                        files = [Path(file) for file in item.files]
                        yield DataError(watched.cause(files) or ended(files[0]))
                        break
                finally:
                    watched.forget()
                yield answer


def links_in_child(files: Iterable[Path]) -> dict[Path, tuple[Path, ...] | RaydistillError]:
    """File -> its `linked_files`, or the error that says how it ended the process that looked for them.

    No process is started if none of the files is HDF5.
    """
    from raydistill.recordings.linked import may_link

    hdf5 = [file for file in dict.fromkeys(files) if may_link(file)]
    found = read_in_child("links", [Item(files=(str(file),)) for file in hdf5])
    return {
        file: links if isinstance(links, RaydistillError) else tuple(map(Path, links))
        for file, links in zip(hdf5, found, strict=True)
    }


@contextlib.contextmanager
def _process() -> Iterator[subprocess.Popen]:
    """A process that reads items, and is killed at the end."""
    own = str(Path(__file__).parents[2])
    path = os.pathsep.join([own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "raydistill.recordings.child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C reaches the command alone, which then ends this one
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _answer_of(
    process: subprocess.Popen, order: dict[str, Any], report_wait: Callable[[float], None], quiet_s: float
) -> Any:
    """What the process answers to an order; None: it has ended."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return None
    waited_s, next_s = 0.0, quiet_s
    while not select.select([process.stdout], [], [], next_s)[0]:
        waited_s += next_s
        report_wait(waited_s)
        next_s = waited_s
    line = process.stdout.readline()
    if not line.endswith(b"\n"):
        return None
    answer = json.loads(line)
    if "fault" in answer:
        raise RuntimeError(answer["fault"])
    return getattr(errors, answer["error"])(answer["message"]) if "error" in answer else answer["result"]


# In the process


def main() -> None:
    """Read the items that come in, until no more can come because the command has ended."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_answer(json.loads(line))).encode() + b"\n")
        answers.flush()


def _end_with(command: int) -> None:
    """End this process when that of the command has ended, even if it was killed.

    Linux does so even while a library hangs; elsewhere that waits for the end by the guard.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
    while os.getppid() == command:
        time.sleep(1)
    os._exit(1)


def _answer(order: dict[str, Any]) -> dict[str, Any]:
    item, guard = order["item"], Guard(**order["guard"])
    files = [Path(file) for file in item["files"]]
    from raydistill.recordings.memory import MemoryLimit

    try:
        with guard.over(files), MemoryLimit.of(files, guard.memory_gb).enforced():
            return {"result": _READS[order["what"]](files, Path(item["folder"]))}
    except RaydistillError as err:
        return {"error": type(err).__name__, "message": str(err)}
    except Exception:
        return {"fault": traceback.format_exc()}


def _manifest(files: list[Path], folder: Path) -> str:
    from raydistill.recordings.new_manifest.command import new_manifest

    return new_manifest(files, folder)


def _links(files: list[Path], folder: Path) -> list[str]:
    from raydistill.recordings.linked import linked_files

    return [str(linked) for linked in linked_files(files[0])]


_READS: dict[str, Callable[[list[Path], Path], Any]] = {"manifest": _manifest, "links": _links}

if __name__ == "__main__":
    main()

"""The table of all layouts. To add one, write a reader with a `LAYOUT` and add it to `LAYOUTS`.

The choices of the command line, the search of folders, the files that a manifest may name and the table in
docs/datasets.md follow from it. `simulation/layouts.py` holds the writers of synthetic files under the same names.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from raydistill.errors import DataError
from raydistill.recordings.combine import combined, on_session_clock
from raydistill.recordings.memory import MemoryLimit
from raydistill.recordings.raw import Raw
from raydistill.recordings.readers import arrays, flint, gallego, makin, neo, neurotask, nwb, sorter
from raydistill.recordings.recording import Addition, Layout, RecordingSource, read_files
from raydistill.recordings.remote import Remote, is_there

_READERS = (makin, flint, gallego, neurotask, nwb, sorter, neo, arrays)
LAYOUTS: dict[str, Layout] = {reader.LAYOUT.name: reader.LAYOUT for reader in _READERS}
"""Name -> layout. Messages and docs list the layouts in this order."""


def folder_layouts() -> tuple[str, ...]:
    """Names of the layouts that folders are searched for."""
    return tuple(name for name, layout in LAYOUTS.items() if layout.find is not None)


def layouts_by_ending() -> dict[str, Layout]:
    """Suffix of a file that a manifest may name -> its layout."""
    return {ending: layout for layout in LAYOUTS.values() for ending in layout.endings}


def layout_of(path: Path | Remote) -> Layout | None:
    """The layout of a file, by its suffix, or of a folder, by its content; None: there is none."""
    if isinstance(path, Path) and path.is_dir():
        fitting = (layout for layout in LAYOUTS.values() if layout.takes_folder and layout.takes_folder(path))
        return next(fitting, None)
    return layouts_by_ending().get(path.suffix.lower())


@contextmanager
def open_raw(
    path: Path | Remote, source: RecordingSource, bin_width_ms: float, memory_gb: float | None = None
) -> Iterator[Raw]:
    """Yield the recording in `path` and in further files, read as `source` describes it; files stay open inside.

    Args:
        bin_width_ms: width of the bins of the session to be made. Files with bins and separate trials are rebinned
            to it, and gaps no longer than one bin are ignored.
        memory_gb: what its readers may take, see `MemoryLimit.of`.

    Raises:
        DataError: the file is missing, damaged, or not as `source` describes it.
    """
    limit = MemoryLimit.of(read_files(path, source), memory_gb)
    with ExitStack() as files:
        try:
            # No name is left here for what is read, so that the caller can release parts of it.
            yield _read(files, path, source, bin_width_ms, limit)
            return
        except DataError as err:
            if not source.additions:
                raise  # the reader adds the name of its file
            error = err
    raise error  # an error of the whole or of another file, to which no reader shall add the name of its file


def _read(
    files: ExitStack, path: Path | Remote, source: RecordingSource, bin_width_ms: float, limit: MemoryLimit
) -> Raw:
    """The recording, of which all that readers do here and later takes no more memory than the limit."""
    with limit.enforced():
        raw = files.enter_context(_opened(path, source, bin_width_ms))
        raw = _with_additions(raw, files, source, bin_width_ms)
    if not source.additions:
        limit = replace(limit, name="")  # the reader adds the name of its file
    return replace(raw, lfp=tuple(replace(signal, read=limit.enforced()(signal.read)) for signal in raw.lfp))


def _with_additions(raw: Raw, files: ExitStack, source: RecordingSource, bin_width_ms: float) -> Raw:
    """A recording and the signals of its further files."""
    added = [_added(files, source, addition, bin_width_ms) for addition in source.additions]
    return combined([raw, *added], source.additions)


def _added(files: ExitStack, source: RecordingSource, addition: Addition, bin_width_ms: float) -> Raw:
    """The signals of a further file, on the clock of the session."""
    part = replace(
        source, layout=addition.layout, options=addition.options, companions=addition.companions, additions=()
    )
    raw = files.enter_context(_opened(addition.path, part, bin_width_ms))
    try:
        return on_session_clock(raw, addition.offset_s, addition.time_scale)
    except DataError as err:
        raise DataError(f"{addition.path.name}: {err}") from None


def _opened(path: Path | Remote, source: RecordingSource, bin_width_ms: float) -> AbstractContextManager[Raw]:
    if not is_there(path):
        raise DataError(f"{path}: no such file")
    return LAYOUTS[source.layout].open(path, source, bin_width_ms)

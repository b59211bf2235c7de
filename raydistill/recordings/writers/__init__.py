"""Recordings as raw files: one file a layout."""

import os
from contextlib import contextmanager
from pathlib import Path

from raydistill.errors import DataError


@contextmanager
def whole(path: Path):
    """A name to write to; at the end the file becomes `path`, and after an error there is none.

    Raises:
        DataError: the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as err:
        raise DataError(f"{path}: cannot be written ({err}); name a folder that exists and has room") from None
    finally:
        partial.unlink(missing_ok=True)

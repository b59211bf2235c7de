"""HDF5 files opened for reading, also those compressed by a plugin of HDF5, such as Blosc or LZ4."""

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from raydistill.errors import one_line

if TYPE_CHECKING:
    import h5py

_INDEX_BYTES = 1 << 18

_WITHOUT_PLUGIN = ("can't open directory", "required filter", "unable to load plugin")
_WITHOUT_TYPE = ("No NumPy equivalent", "Insufficient precision")


def opened(place: Any) -> "h5py.File":
    """The file at a path, or behind a file object, opened for reading. Raises what h5py raises if it cannot be."""
    import h5py

    load_plugins()
    file = h5py.File(place, "r")
    # HDF5 first keeps 2 MB of the index of chunks, which in memory are 20 MB. It keeps more where that is too little.
    config = file.id.get_mdc_config()
    config.set_initial_size, config.initial_size, config.min_size = True, _INDEX_BYTES, _INDEX_BYTES
    file.id.set_mdc_config(config)
    return file


def load_plugins() -> None:
    """Make the compressions of the package hdf5plugin known to h5py, if it is installed."""
    with contextlib.suppress(ImportError):
        import hdf5plugin  # noqa: F401


def what_is_wrong(err: Exception) -> str:
    """What an error of h5py says about a part of a file, in words that follow its name."""
    cause = one_line(err)
    if any(words in cause for words in _WITHOUT_PLUGIN):
        has_plugins = "hdf5plugin" in sys.modules
        way_out = "" if has_plugins else "run `pip install hdf5plugin`, or "
        return f"is compressed by a plugin of HDF5 that is not installed; {way_out}save it again with gzip ({cause})"
    if any(words in cause for words in _WITHOUT_TYPE):
        return f"has a type of HDF5 that Python cannot read; save it again as float64 ({cause})"
    return f"is damaged ({cause})"

"""HDF5 files that were compressed by a plugin of HDF5, such as Blosc or LZ4, which h5py alone cannot read."""

import contextlib
import sys

from raydistill.errors import one_line

_WITHOUT_PLUGIN = ("can't open directory", "required filter", "unable to load plugin")
_WITHOUT_TYPE = ("No NumPy equivalent", "Insufficient precision")


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

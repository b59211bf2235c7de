"""Which series of an NWB file is meant, and its values in physical units.

A value is data x conversion + offset (NWB schema), in an ElectricalSeries also x channel_conversion. In some published
files (DANDI 000070) the conversion is NaN: their values are used unchanged, in an unknown unit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.files.matlab73 import check_stored
from raydistill.recordings.files.plugins import what_is_wrong
from raydistill.recordings.readers.nwb_parts.file import NwbContent


def all_series(content: NwbContent) -> dict:
    """Path -> series of the file."""
    import pynwb

    return content.of_kind(pynwb.TimeSeries)


def named_series(content: NwbContent, path: str, key: str):
    """(path, series) that a manifest names as `key`. DataError: there is none at this path, or it cannot be read."""
    series, path = all_series(content), content.resolved(path)
    if path not in series:
        raise content.missing(f"series for `{key}`", path, series)
    return path, series[path]


def only_series(candidates: dict, key: str, preferred: Sequence[Callable] = ()):
    """(path, series) of the only candidate, or of the only one of a preferred kind; None if there is no candidate.

    Raises:
        DataError: there are several.
    """
    paths = sorted(candidates)
    for kind in preferred:
        of_kind = [path for path in paths if kind(candidates[path])]
        paths = of_kind if len(of_kind) == 1 else paths
    if len(paths) > 1:
        raise DataError(
            f"several series could be `{key}`: {', '.join(paths)}; name one as `{key}: PATH` in a manifest, or "
            f"several as `{key}: [{{values: PATH}}, {{values: PATH}}]`, or one with --set defaults.{key}=PATH"
        )
    return (paths[0], candidates[paths[0]]) if paths else None


@contextmanager
def way_out(key: str, values: str) -> Iterator[None]:
    """Let errors about a series that nobody asked for name the setting that leaves it out."""
    try:
        yield
    except DataError as err:
        if values != "auto":
            raise
        raise DataError(f"{err}; `{key}: null` leaves it out") from None


def check_data(content: NwbContent, path: str) -> None:
    """Raise DataError if the data of a series are a link to a file that is not there."""
    place = f"{path}/data"
    if place in content.omitted:
        raise DataError(f"{place} {content.omitted[place]}")


def shape_of(series, path: str, transpose: bool) -> tuple[int, int]:
    """(samples, columns) of a series.

    Raises:
        DataError: its data are missing, empty, not real numbers or not a matrix, or lie the other way round than
            `transpose` says.
    """
    shape = getattr(series.data, "shape", np.shape(series.data if series.data is not None else []))
    if hasattr(series.data, "id"):  # a dataset of HDF5
        check_stored(series.data.id, f"{path}/data")
    if 0 in shape:
        raise DataError(f"{path} has no data: its shape is {tuple(shape)}")
    kind = _kind(series.data)
    if kind:
        raise DataError(f"{path} holds {kind}, not real numbers")
    if len(shape) not in (1, 2):
        raise DataError(f"{path} has the shape {tuple(shape)}; a vector or a (samples, columns) matrix is needed")
    if len(shape) == 1:
        return shape[0], 1
    n, width = shape[::-1] if transpose else shape
    stamps = None if series.timestamps is None else len(series.timestamps)
    electrodes = getattr(series, "electrodes", None)
    n_electrodes = None if electrodes is None else len(electrodes.data)
    if (stamps != n and stamps == width) or (n_electrodes != width and n_electrodes == n) or (not stamps and width > n):
        raise DataError(
            f"{path} has the shape {tuple(shape)}, which lies the other way round: {width} columns of {n} samples; set "
            f"`transpose: {str(not transpose).lower()}`"
        )
    return n, width


def _kind(data) -> str:
    """What data hold instead of real numbers; empty: they hold real numbers."""
    dtype = getattr(data, "dtype", None)
    if isinstance(dtype, list):  # how hdmf gives the fields of a compound type
        return "compound values"
    dtype = np.asarray(data[:1]).dtype if dtype is None else np.dtype(dtype)
    words = {"O": "text or objects", "S": "text", "U": "text", "V": "compound values"}
    return "" if dtype.kind in "buif" else words.get(dtype.kind, f"{dtype} values")


def slice_of(series, path: str, start: int, stop: int, transpose: bool) -> np.ndarray:
    """(stop - start, columns) values of some samples as the file holds them. DataError: the file is damaged."""
    data = series.data
    try:
        part = np.asarray(data[:, start:stop].T if transpose and np.ndim(data) == 2 else data[start:stop])
    except Exception as err:  # h5py, zarr and the codecs of Zarr report damage by exceptions of many kinds
        raise DataError(f"{path}: samples {start} to {stop} cannot be read; the file {what_is_wrong(err)}") from err
    return part.reshape(stop - start, -1)


def factor(series) -> float:
    """Factor from data to physical units; 1 if the file does not know it."""
    return float(series.conversion) if np.isfinite(series.conversion) else 1.0

"""One array in an .npy file, mapped into memory and never unpickled."""

from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line
from raydistill.recordings.files.mat import in_memory
from raydistill.recordings.files.nodes import Node


def load_npy(path: Path) -> np.ndarray:
    """The array of an .npy file, read from disk only where it is used.

    Raises:
        DataError: the file is missing, damaged, not an .npy file, or a pickled object.
    """
    try:
        with open(path, "rb") as file:
            is_npy = file.read(6) == np.lib.format.MAGIC_PREFIX
        if is_npy:  # otherwise numpy would take it for a pickled object
            return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as err:
        if "Python objects" in str(err):
            raise DataError(
                f"{path.name} is a pickled object, which is never loaded; save it as a plain array"
            ) from None
        raise DataError(f"{path.name} is damaged ({one_line(err)})") from err
    raise DataError(f"{path.name} is not an .npy file: it lacks the mark with which such files begin")


class NpyFile(Node):
    """An .npy file as a group with one variable, which is named as the file."""

    def __init__(self, path: Path):
        super().__init__("", "group")
        self.file = path
        self.values = load_npy(path)

    def names(self) -> list[str]:
        """As `Node.names`."""
        return [self.file.stem]

    def close(self) -> None:
        """Close the file."""
        del self.values

    def _has(self, name: str) -> bool:
        if name not in (self.file.name, self.file.stem):
            raise DataError(
                f'there is no variable "{name}": the file holds one array, named {self.file.stem}; name the file of '
                "the other, or save several arrays to one .npz file"
            )
        return True

    def _member(self, name: str) -> Node:
        is_number = self.values.dtype.kind in "buif"
        return _Mapped(self.file.stem, self.values) if is_number else in_memory(self.file.stem, self.values)


class _Mapped(Node):
    """An array of numbers of which only what is read is taken from the disk."""

    def __init__(self, path: str, values: np.ndarray):
        super().__init__(path, "number", values.shape, str(values.dtype))
        self.values = values

    def _read(self, key: tuple) -> np.ndarray:
        return np.asarray(self.values[key])

"""Archives of numpy arrays. Pickled objects are never loaded, as they can run any code."""

import contextlib
import zipfile
from pathlib import Path

import numpy as np

from raydistill.errors import DataError, one_line
from raydistill.recordings.files.mat import in_memory
from raydistill.recordings.files.nodes import Node, check_readable, check_size

_SPARSE = ("data", "format", "shape")  # the arrays of a matrix that scipy.sparse.save_npz wrote, besides its indices


class NpzFile(Node):
    """The arrays of an archive. The keys `times/0` and `times/1` are members of a group `times`."""

    def __init__(self, path: Path):
        super().__init__("", "group")
        self.file = path
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError("a single array, not an archive of named arrays")
        assert archive.zip is not None
        self.archive, self.zip = archive, archive.zip
        self.keys = list(archive.files)
        self.is_sparse = all(key in self.keys for key in _SPARSE)

    def names(self) -> list[str]:
        """As `Node.names`."""
        if self.is_sparse:
            return ["data"]
        return list(dict.fromkeys(key.split("/")[0] for key in self.keys))

    def close(self) -> None:
        """Close the file."""
        self.archive.close()

    def _member(self, name: str) -> Node:
        return self.sparse() if self.is_sparse else self.below(name)

    def below(self, path: str) -> Node:
        """The array of this key, or the group of the keys that begin with it."""
        return self.array(path) if path in self.keys else _KeyGroup(self, path)

    def array(self, key: str) -> Node:
        """The array of this key; its values are loaded when they are read."""
        try:
            shape, dtype, stored_bytes = _header(self.zip, key)
        except Exception as err:  # as for `load`
            raise DataError(f"{key} is damaged ({_cause(err)})") from err
        if dtype.hasobject:
            why = (
                "a pickled object, which is never loaded as it can run any code: save a list of vectors as one array "
                f"each, np.savez(file, **{{f'{key}/{{i}}': v for i, v in enumerate(vectors)}})"
            )
            return Node(key, "object", why=why)
        check_size(key, shape, dtype.itemsize, stored_bytes)
        if dtype.kind not in "buif":
            return in_memory(key, self.load(key))
        return _NpzNumbers(self, key, shape, dtype)

    def load(self, key: str) -> np.ndarray:
        """The values of an array, from the file."""
        try:
            return self.archive[key]
        except Exception as err:  # zipfile, zlib and numpy report damage by exceptions of many kinds
            raise DataError(f"{key} is damaged ({_cause(err)})") from err

    def sparse(self) -> Node:
        """The matrix of a file that scipy.sparse.save_npz wrote."""
        from scipy.sparse import load_npz

        try:
            return in_memory("data", load_npz(self.file))
        except Exception as err:
            raise DataError(f"the sparse matrix is damaged ({_cause(err)})") from err


class _NpzNumbers(Node):
    """An array of numbers; it is loaded, as a whole, when a part of it is read."""

    def __init__(self, file: NpzFile, key: str, shape: tuple[int, ...], dtype: np.dtype):
        super().__init__(key, "number", shape, str(dtype))
        self.file = file
        self._values: np.ndarray | None = None

    def _read(self, key: tuple) -> np.ndarray:
        if self._values is None:
            check_readable(self.path, self.shape)
            self._values = self.file.load(self.path)
        return self._values[key]


class _KeyGroup(Node):
    """The keys of an archive that begin with the same words."""

    def __init__(self, file: NpzFile, path: str):
        super().__init__(path, "group")
        self.file = file

    def names(self) -> list[str]:
        """As `Node.names`."""
        start = f"{self.path}/"
        below = (key.removeprefix(start) for key in self.file.keys if key.startswith(start))
        return list(dict.fromkeys(key.split("/")[0] for key in below))

    def _member(self, name: str) -> Node:
        return self.file.below(f"{self.path}/{name}")


def _header(archive: zipfile.ZipFile, key: str) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape and type of an array, and the bytes that it takes in the file."""
    name = key
    with contextlib.suppress(KeyError):
        archive.getinfo(f"{key}.npy")
        name = f"{key}.npy"
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return shape, dtype, archive.getinfo(name).compress_size


def _cause(err: Exception) -> str:
    return one_line(err)[:200]  # zipfile quotes the damaged part of a file, whatever its length

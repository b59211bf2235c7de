"""Numbers of NumPy and paths in a pickle, as Python's numbers and text; neither class is loaded."""

from typing import Any

import numpy as np

from raydistill.models.released.inert_pickle import DTYPE, Record, Refused

_SCALARS = {"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"}
_PATHS = {
    f"{module}.{kind}"
    for module in ("pathlib", "pathlib._local")
    for kind in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
}
FUNCTIONS = _SCALARS | _PATHS | {DTYPE, "_codecs.encode"}
"""Names of the functions and classes that such values call."""
_CODES = {f"{kind}{size}" for kind in "fiu" for size in (2, 4, 8)} | {"i1", "u1", "b1"}


def plain_value(name: str, arguments: tuple[Any, ...]) -> object:
    """What one of FUNCTIONS gives for these arguments.

    Raises:
        Refused: they are not those of a number or a path.
    """
    match name, arguments:
        case "numpy.dtype", (str(code), *_) if code in _CODES:
            return Record(DTYPE, {"code": code})
        case "_codecs.encode", (str(text), "latin1") if len(text) <= 8:  # protocol 2 writes the bytes of a number so
            return text.encode("latin1")
        case _, (Record(kind=kind, state={"code": str(code)} as dtype), bytes(raw)) if name in _SCALARS:
            order = dtype.get("state", (3, "<"))[1]
            if kind == DTYPE and order in ("<", ">", "|") and len(raw) == int(code[1:]):
                return np.frombuffer(raw, dtype=f"{order}{code}")[0].item()
        case _, parts if name in _PATHS and all(isinstance(part, str) for part in parts):
            return "/".join(parts).replace("//", "/", 1)
    raise Refused(f"calls {name} in a way that numbers and paths never do")

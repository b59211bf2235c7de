"""Damage to the bytes of a file, and arrays and objects of HDF5 that are not as a reader expects them."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.io import loadmat, savemat

_HUGE = 1 << 30  # more values than a sound file has


def damage(path: Path, rng: np.random.Generator) -> str:
    """Damage a file in place, and return how."""
    data = bytearray(path.read_bytes())
    n = len(data)
    how = str(rng.choice(["cut", "flip", "flip head", "zero", "ones", "swap", "empty", "noise", "grow", "text"]))
    if how == "cut" and n:
        data = data[: rng.integers(0, n)]
    elif how in ("flip", "flip head") and n:
        end = n if how == "flip" else min(n, 4096)
        for at in rng.integers(0, end, rng.integers(1, 40)):
            data[at] ^= 1 << rng.integers(8)
    elif how == "zero" and n:
        a = int(rng.integers(0, n))
        b = min(n, a + int(rng.integers(1, max(2, n // 4))))
        data[a:b] = bytes(b - a)
    elif how == "ones" and n:
        a, size = int(rng.integers(min(n, 8192))), int(rng.integers(1, 64))
        data[a : a + size] = b"\xff" * size
    elif how == "swap" and n:
        a, b, size = (int(v) for v in (rng.integers(0, n), rng.integers(0, n), rng.integers(1, 2000)))
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]
    elif how == "empty":
        data = bytearray()
    elif how == "noise":
        data = bytearray(rng.bytes(int(rng.integers(1, 20000))))
    elif how == "grow":
        data += rng.bytes(int(rng.integers(1, 5000)))
    elif how == "text":
        data = bytearray(b"time,x,y\n1,2,3\n" * int(rng.integers(1, 100)))
    path.write_bytes(bytes(data))
    return how


def damage_one(folder: Path, rng: np.random.Generator) -> str:
    """Damage or remove one of the files in a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = files[rng.integers(len(files))]
    if len(files) > 1 and rng.random() < 0.1:
        path.unlink()
        return f"{path.name} removed"
    return f"{path.name}: {damage(path, rng)}"


def odd_arrays(rng: np.random.Generator, arrays: dict) -> dict:
    """Arrays of which some have another type, shape or content, or are missing."""
    values = dict(arrays)
    for name in rng.choice(sorted(values), size=min(rng.integers(1, 4), len(values)), replace=False):
        values[name] = odd_array(rng, values[name])
        if rng.random() < 0.15:
            del values[name]
    return values


def odd_array(rng: np.random.Generator, value: np.ndarray) -> np.ndarray:
    """One array, of another type, shape or content."""
    number = np.asarray(value, dtype=np.float64) if np.asarray(value).dtype.kind in "biuf" else np.arange(5.0)
    choices = [
        lambda: np.array([b"text", b"more text"]),
        lambda: number.astype(np.complex128),
        lambda: np.float64(3.0),
        lambda: np.zeros((0, 2)),
        lambda: np.zeros(0),
        lambda: np.full_like(number, np.nan),
        lambda: np.where(rng.random(number.shape) < 0.1, np.nan, number),
        lambda: np.where(rng.random(number.shape) < 0.01, np.inf, number),
        lambda: number.T,
        lambda: number[: rng.integers(0, 5)] if number.ndim else number,
        lambda: np.stack([number, number]),
        lambda: number * 1e3,
        lambda: -number,
        lambda: number * 1e300,
        lambda: number[::-1] if number.ndim else -number,
        lambda: number.astype(np.float16),
        lambda: np.zeros_like(number),
        lambda: number.astype(bool),
        lambda: np.repeat(number, 2, axis=0) if number.ndim else number,
        lambda: number + 1e9,
        lambda: np.zeros((1, 1, 1, 1)),
        lambda: np.array([2**63 - 1, -(2**63)]),
    ]
    with np.errstate(all="ignore"):
        return choices[rng.integers(len(choices))]()


HUGE = ((10**12,), (10**12, 2), (2, 10**12), (10**6, 10**6))
"""Shapes of datasets that are declared but never written."""


def huge_dataset(path: Path, name: str, rng: np.random.Generator) -> None:
    """Replace a dataset of an HDF5 file by one of 10^12 values or more, of which none is written."""
    with h5py.File(path, "r+") as file:
        del file[name]
        _declare(file, name, HUGE[rng.integers(len(HUGE))])


def _declare(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    file.create_dataset(name, shape=shape, dtype=np.float64, chunks=tuple(min(n, 1000) for n in shape))


def huge_npy(shape: tuple[int, ...]) -> bytes:
    """An .npy file whose header declares far more values than follow."""
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return header.getvalue() + bytes(800)


def huge_npz(path: Path, arrays: dict, rng: np.random.Generator) -> None:
    """An archive with one array that is not as long as it says."""
    name = str(rng.choice(sorted(arrays)))
    with zipfile.ZipFile(path, "w") as archive:
        for key, value in arrays.items():
            content = io.BytesIO()
            np.save(content, value)
            data = huge_npy(HUGE[rng.integers(len(HUGE))]) if key == name else content.getvalue()
            archive.writestr(f"{key}.npy", data)


def odd_objects(path: Path, rng: np.random.Generator) -> str:
    """Replace, remove or rename some datasets, groups or attributes of an HDF5 file, and return which."""
    told = []
    with h5py.File(path, "r+") as file:
        for _ in range(rng.integers(1, 4)):
            names: list[str] = []
            file.visit(names.append)
            names = [name for name in names if not name.startswith("specifications")] or names
            name = names[rng.integers(len(names))]
            told.append(f"{name} {_odd_object(file, name, rng)}")
    return "; ".join(told)


def _odd_object(file: h5py.File, name: str, rng: np.random.Generator) -> str:
    node, draw = file[name], rng.random()
    if draw < 0.2:
        del file[name]
        return "removed"
    if draw < 0.3:
        file.move(name, f"{name}_2")
        return "renamed"
    if draw < 0.35:
        del file[name]
        file[name] = h5py.SoftLink("/nowhere") if rng.random() < 0.5 else h5py.ExternalLink("gone.h5", "/a")
        return "linked to nothing"
    if draw < 0.55 and len(node.attrs):
        key = str(rng.choice(sorted(node.attrs)))
        del node.attrs[key]
        if rng.random() < 0.6:
            node.attrs[key] = odd_array(rng, np.arange(3.0))
        return f"attribute {key} changed"
    if isinstance(node, h5py.Group):
        if rng.random() < 0.5:
            return "left"
        del file[name]
        file[name] = odd_array(rng, np.arange(9.0))
        return "is an array"
    if node.size is not None and node.size > _HUGE:
        return "declared huge before"
    attributes, value = dict(node.attrs), node[()]
    del file[name]
    if draw < 0.6:
        _declare(file, name, HUGE[rng.integers(len(HUGE))])
    else:
        file[name] = odd_array(rng, np.asarray(value))
    file[name].attrs.update(attributes)
    return "is another array"


def odd_matlab(path: Path, rng: np.random.Generator) -> str:
    """Replace some variables, fields or elements of a MATLAB 5 file, and return which."""
    variables = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    places: list[tuple] = []
    _matlab_places(variables, places)
    told = []
    for _ in range(rng.integers(1, 4)):
        holder, at, name = places[rng.integers(len(places))]
        holder[at] = odd_array(rng, np.asarray(holder[at]))
        told.append(name)
    savemat(path, variables)
    return ", ".join(told)


def _matlab_places(value: object, places: list[tuple], name: str = "") -> None:
    """(holder, key, name) of each variable, field and element, of those of an array only the first few."""
    if isinstance(value, dict):
        inside = [(value, key, f"{name}{key}") for key in value]
    elif isinstance(value, np.ndarray) and value.dtype.names:
        elements = [(value[field], at, f"{name}{at}.{field}") for field in value.dtype.names for at in _few(value)]
        inside = [(array, at, label) for array, at, label in elements if isinstance(array, np.ndarray)]
    elif isinstance(value, np.ndarray) and value.dtype == object:
        inside = [(value, at, f"{name}{at}") for at in _few(value)]
    else:
        inside = []
    for holder, at, label in inside:
        places.append((holder, at, label))
        _matlab_places(holder[at], places, label)


def _few(value: np.ndarray) -> list[tuple]:
    return list(np.ndindex(value.shape))[:4]


def odd_table(path: Path, rng: np.random.Generator) -> str:
    """Other columns in a Parquet file, and return which."""
    table, told = pq.read_table(path), []
    for _ in range(rng.integers(1, 4)):
        i = int(rng.integers(table.num_columns))
        name, n, draw = table.column_names[i], table.num_rows, rng.integers(8)
        told.append(f"{name} {draw}")
        if draw == 0:
            table = table.remove_column(i)
        elif draw == 1:
            table = table.rename_columns([f"{c}2" if c == name else c for c in table.column_names])
        elif draw == 2:
            table = table.slice(0, int(rng.integers(0, 4)))
        elif draw == 3:
            table = table.append_column(name, table.column(i))
        else:
            odd = (
                [None] * n,
                ["text"] * n,
                [[1.0, 2.0]] * n,
                np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n) * 10.0 ** rng.integers(-3, 300)),
            )[draw - 4]
            table = table.set_column(i, name, pa.array(odd))
    pq.write_table(table, path)
    return ", ".join(told)


def odd_json(path: Path, rng: np.random.Generator) -> str:
    """Other values in a file of JSON, and return where."""
    tree = json.loads(path.read_text())
    places: list[tuple] = []
    _places(tree, places)
    if not places:
        return "left"
    node, key = places[rng.integers(len(places))]
    odd = [None, -1, 0, 10**15, 1e300, "", "text", [], {}, [1, 2, 3, 4, 5], True, [[]], "<f8", "|O", [10**12, 2]]
    node[key] = odd[rng.integers(len(odd))]
    path.write_text(json.dumps(tree))
    return f"{path.name} {key} = {node[key]!r}"


def _places(tree: object, places: list[tuple]) -> None:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inside:
        places.append((tree, key))
        _places(value, places)

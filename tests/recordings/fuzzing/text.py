"""Manifests and lists of channels with odd values, unknown keys, and damage to their text."""

import copy
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from tests.recordings.fuzzing.damage import damage

INGEST = {
    "bin_width_ms": 10,
    "filters": {"notch_hz": None, "highpass_hz": 0.5, "lowpass_hz": 40, "common_average": True},
    "splits": {"by": "time", "parent_s": 2, "segment_s": 1, "valid": 0.1, "test": 0.1, "seed": 1, "guard_s": 0.0},
    "min_rate_hz": 0.0,
    "drop_units": [],
    "drop_channels": [],
    "max_lost": 0.5,
    "lfp_nan": "error",
    "behavior_gap_s": 0.2,
    "lfp_dtype": "float32",
}
CHANNELS = [{"electrode": "1", "array": "a", "x_um": 10.0}, {"electrode": "2", "bad": False, "region": "M1"}]
SESSIONS = (
    {
        "file": "rec.h5",
        "name": "s",
        "subject": "m",
        "dataset": "d",
        "task": "t",
        "region": "M1",
        "spikes": {"times": "times", "unit_ids": "unit", "time_unit": "s", "offset_s": 0.0, "time_scale": 1.0},
        "lfp": {"values": "lfp", "rate_hz": 100, "start_s": 0.0, "scale": 1.0e-6, "bands": 1, "channels": CHANNELS},
        "behavior": {
            "values": "hand",
            "times": "stamps",
            "names": ["x", "y"],
            "units": ["cm", "cm"],
            "lost_value": -1,
            "max_speed": 1e6,
            "smooth_s": 0.02,
            "derive": "velocity",
            "circular": False,
            "columns": ["velocity_x", "velocity_y"],
        },
        "pieces": "auto",
        "interval": [{"start_s": 1, "stop_s": 18}, {"start_s": 20, "stop_s": 39}],
    },
    {
        "file": "rec.h5",
        "subject": "m",
        "bin_width_ms": 10,
        "spikes": {"counts": "counts", "axes": ["time", "units"]},
        "lfp": "lfp",
        "behavior": [{"values": "hand", "names": ["a", "b"], "circular": {"a": 360.0}}],
        "trials": {"labels": "trial", "outside": "negative", "where": {"trial": [1, 2, 3, 4, 5, 6]}},
        "ingest": {"splits": {"by": "trials", "segment_s": 1, "parent_s": 2}},
    },
    {
        "file": "rec.nwb",
        "lfp": {"values": "acquisition/LFP_probe0", "scale": 1.0},
        "behavior": {"values": "processing/behavior/Position/hand", "rate_hz": None, "derive": "velocity"},
        "unit_filter": {"column": "quality", "keep": ["good"]},
        "trials": {"table": "trials", "where": {"is_good": True}},
        "interval": {"start_s": 2, "stop_s": 38},
    },
    {
        "name": "several",
        "subject": "m",
        "spikes": {"file": "sorting", "rate_hz": 30000, "offset_s": 0.5},
        "unit_filter": {"column": "group", "keep": ["good", "mua"]},
        "lfp": [{"file": "rec.h5", "values": "lfp", "rate_hz": 100, "channels": "map.csv"}],
        "behavior": {"file": "rec.h5", "values": "hand", "times": "stamps", "time_unit": "s"},
        "trials": {"file": "rec.nwb", "table": "trials"},
    },
)
ODD = (
    *(None, True, False, 0, -1, 1, 3, 7, 0.5, 100.0, 1e-300, 1e300, -1e300, 1e-4, 1e6, 10**30, 2**63),
    *(float("nan"), float("inf"), float("-inf"), "", "auto", "text", "lfp", "times", "counts", "*", "a/*", "/", ".."),
    *("é\u2028", "x" * 3000, "1e3", "velocity", "samples", "ms", "trials", "none", "zero", "~", "2020-01-01", "no"),
    *("http://localhost:9/a", ["x"], [], {}, [None], [[]], [1, 2], ["a", "b"], [{}], {"a": 1}, {"values": "lfp"}),
    *({"times": "times"}, {"table": "u"}, [{"start_s": 1, "stop_s": 0}], {"start_s": "a"}, ["time", "time"]),
)


def manifest(rng: np.random.Generator) -> dict:
    """A sound manifest for the files of the kind `manifest`, of one of four sorts of session."""
    session = copy.deepcopy(SESSIONS[rng.integers(len(SESSIONS))])
    return copy.deepcopy({"ingest": INGEST, "defaults": {"task": "reach"}, "sessions": [session]})


def write_manifest(path: Path, found: dict) -> None:
    """Write a manifest."""
    with open(path, "w", encoding="utf-8") as file:
        YAML().dump(found, file)


def odd_manifest(path: Path, rng: np.random.Generator) -> str:
    """Write a manifest of which some values, keys or bytes are odd."""
    found, told = manifest(rng), []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        told.append(_odd_place(found, rng))
    write_manifest(path, found)
    if rng.random() < 0.2:
        told.append(damage(path, rng))
    return "; ".join(told)


def _odd_place(found: dict, rng: np.random.Generator) -> str:
    places: list[tuple] = []
    _places(found, places)
    node, key = places[rng.integers(len(places))]
    draw = rng.random()
    if draw < 0.1:
        del node[key]
        return f"{key} removed"
    if draw < 0.2 and isinstance(node, dict):
        other = (
            places[rng.integers(len(places))][1]
            if rng.random() < 0.6
            else ("", 1, None, "a b", "filee", True)[rng.integers(6)]
        )
        node[other] = node.pop(key)
        return f"{key} is called {other!r}"
    if draw < 0.25:
        node[key] = [copy.deepcopy(node[key])] * 2
        return f"{key} twice"
    node[key] = copy.deepcopy(ODD[rng.integers(len(ODD))])
    return f"{key} = {str(node[key])[:40]!r}"


def _places(found: object, places: list[tuple]) -> None:
    inside = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in inside:
        places.append((found, key))
        _places(value, places)


COLUMNS = ("electrode", "array", "region", "x_um", "y_um", "z_um", "bad")
ROWS = (("1", "a", "M1", "10", "20", "0", "0"), ("2", "b", "S1", "30", "40", "0", "false"))
CELLS = (
    "",
    "text",
    "nan",
    "inf",
    "-1",
    "1e400",
    "é",
    '"',
    '"open',
    "a,b",
    "yes",
    "maybe",
    "TRUE",
    " 1",
    "0x10",
    "x" * 50000,
    "x" * 200000,
)


def write_channels(path: Path, columns: tuple = COLUMNS, rows: tuple = ROWS) -> None:
    """A list of two channels."""
    path.write_text("\n".join(",".join(row) for row in (columns, *rows)) + "\n", encoding="utf-8")


def odd_channels(path: Path, rng: np.random.Generator) -> str:
    """Write a list of channels of which some cells, rows, columns or bytes are odd."""
    columns, rows, told = list(COLUMNS), [list(row) for row in ROWS], []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        row, column, cell = rows[rng.integers(len(rows))], rng.integers(len(columns)), CELLS[rng.integers(len(CELLS))]
        draw = rng.random()
        if draw < 0.5:
            row[min(column, len(row) - 1)] = cell
            told.append(f"{columns[column]} = {cell[:20]!r}")
        elif draw < 0.6:
            columns[column] = cell[:50]
            told.append(f"a column named {cell[:20]!r}")
        elif draw < 0.7:
            rows.append(rows[0])
            told.append("a row too many")
        elif draw < 0.8:
            row.append(cell)
            told.append("a cell too many")
        elif draw < 0.9 and len(row) > 2:
            row.pop()
            told.append("a cell too few")
        else:
            columns[column] = columns[0]
            told.append("a column twice")
    write_channels(path, tuple(columns), tuple(map(tuple, rows)))
    if rng.random() < 0.4:
        told.append(damage(path, rng))
    return "; ".join(told)

"""Files of arrays that were damaged at random: a session is made, or one line says what is wrong."""

import h5py
import numpy as np
import pytest
from scipy.sparse import csc_array

from raydistill.errors import DataError
from raydistill.recordings.files.opening import variables
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session
from tests.recordings.matlab_files import write_matlab

FILES = 40  # per kind
FLAT = "bin_width_ms: 10, spikes: c, lfp: {values: lfp, rate_hz: 1000}, behavior: x, trials: tr"
ENTRIES = {
    "mat": (
        FLAT,
        "spikes: {times: st}",
        "bin_width_ms: 10, spikes: sp",
        "bin_width_ms: 10, spikes: trial/spk, lfp: {values: trial/lfp, rate_hz: 1000}",
    ),
    "h5": (FLAT, "spikes: {times: st}"),
    "npz": (FLAT, "spikes: {times: st}"),
}


@pytest.fixture
def arrays(rng):
    counts = rng.poisson(1, (300, 3)).astype(float)
    return {
        "c": counts,
        "lfp": rng.normal(size=(3000, 2)),
        "x": rng.normal(size=(300, 2)),
        "tr": np.repeat(np.arange(3.0), 100),
        "st": [np.sort(rng.uniform(0, 3, 50)) for _ in range(3)],
        "sp": csc_array(counts),
        "trial": [{"spk": counts[:100], "lfp": rng.normal(size=(1000, 2))} for _ in range(3)],
    }


def write(path, kind, arrays):
    if kind.startswith("mat"):
        write_matlab(path, kind.removeprefix("mat "), arrays)
        return
    flat = {name: arrays[name] for name in ("c", "lfp", "x", "tr")}
    flat |= {f"st/{i}": times for i, times in enumerate(arrays["st"])}
    if kind == "npz":
        np.savez_compressed(path, **flat)
        return
    with h5py.File(path, "w") as file:
        for name, values in flat.items():
            file[name] = values


def damaged(data, rng):
    """The bytes cut off, with bits turned, or with a stretch of ones or of random bytes."""
    out = bytearray(data)
    how = rng.integers(3)
    if how == 0:
        return bytes(out[: rng.integers(len(out))])
    if how == 1:
        for _ in range(rng.integers(1, 20)):
            out[rng.integers(len(out))] ^= 1 << rng.integers(8)
        return bytes(out)
    at, n = rng.integers(min(len(out), 8192)), int(rng.integers(1, 64))
    out[at : at + n] = b"\xff" * n if rng.integers(2) else rng.bytes(n)
    return bytes(out)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("kind", ["h5", "mat 5", "mat 7.3", "npz"])
def test_damaged_file_is_read_or_refused_in_one_line(kind, tmp_path, manifest, arrays):
    ending = kind.split()[0]
    path = tmp_path / f"a.{ending}"
    write(path, kind, arrays)
    data, rng = path.read_bytes(), np.random.default_rng(0)
    plans = []
    for entry in ENTRIES[ending]:
        text = f"ingest: {{filters: null, min_rate_hz: 0.01}}\nsessions: [{{file: {path.name}, subject: s, {entry}}}]"
        plans += plan_sources(manifest(text), tmp_path)
    made = refused = 0
    for number in range(FILES):
        path.write_bytes(damaged(data, rng))
        plan = plans[number % len(plans)]
        try:
            with open_raw(plan.path, plan.source, plan.config.bin_width_ms) as raw:
                to_session(plan, raw, {})
            variables(path)
            made += 1
        except DataError as err:
            refused += 1
            assert "\n" not in str(err) and len(str(err)) < 700
    assert made and refused > FILES / 10

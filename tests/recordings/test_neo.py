"""Raw files of recording systems through neo: the values, clocks and units that were written, and what is told."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from raydistill.errors import ConfigError, DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.store import Store
from tests.recordings.blackrock import CLOCK_HZ, write_nev, write_nsx

SECONDS = 60
UNITS = {(1, 0): 8, (1, 1): 20, (2, 1): 15, (3, 255): 5}  # (electrode, unit) -> Hz


@pytest.fixture
def ticks():
    rng = np.random.default_rng(3)
    return {u: np.sort(rng.choice(SECONDS * CLOCK_HZ, SECONDS * hz, replace=False)) for u, hz in UNITS.items()}


@pytest.fixture
def lfp():
    """(samples, 3) at 1 kHz."""
    return np.random.default_rng(4).integers(-2000, 2000, (SECONDS * 1000, 3)).astype(np.int16)


@pytest.fixture
def blackrock(tmp_path, ticks, lfp):
    """rec.ns2 at 1 kHz, rec.ns5 at 30 kHz and rec.nev."""
    write_nsx(tmp_path / "rec.ns2", [(0, lfp)], 1000, ["elec1", "elec2", "elec3"])
    write_nsx(tmp_path / "rec.ns5", [(0, np.zeros((CLOCK_HZ * SECONDS, 1), np.int16))], 30000, ["raw1"])
    write_nev(tmp_path / "rec.nev", ticks, [1, 2, 3])
    return tmp_path


@pytest.fixture
def planned(manifest):
    def plan(entry):
        return plan_sources(manifest(f"sessions:\n  - {{subject: m1, {entry}}}\n"))[0]

    return plan


def test_blackrock_spikes_have_their_times_and_noise_is_left_out(blackrock, planned, ticks):
    recording = planned("file: rec.nev, lfp: null")
    with open_raw(recording.path, recording.source, 10.0) as raw:
        assert raw.spikes.ids == (0, 1, 2)
        for owner, times in zip([(1, 0), (1, 1), (2, 1)], raw.spikes.times, strict=True):
            np.testing.assert_allclose(times, ticks[owner] / CLOCK_HZ, atol=1e-9)
        assert raw.spikes.channels.electrode == ("1", "1", "2")
        assert raw.taken == ("3 units (2 sorted, 1 unclassified) of rec.nev",)
        (note,) = raw.notes
        assert note.startswith("1 of 4 units were left out (1 noise); `unit_filter: {column: unit_classification")


def test_blackrock_unit_filter_selects_sorted_units(blackrock, planned):
    recording = planned("file: rec.nev, lfp: null, unit_filter: {column: unit_classification, keep: [sorted]}")
    with open_raw(recording.path, recording.source, 10.0) as raw:
        assert raw.spikes.ids == (1, 2)


def test_blackrock_lfp_has_its_values_in_volts_and_its_clock(blackrock, planned, lfp):
    recording = planned("file: rec.nev, spikes: null")
    with open_raw(recording.path, recording.source, 10.0) as raw:
        (signal,) = raw.lfp
        assert (signal.rate_hz, signal.start_s, signal.n_samples, signal.n_channels) == (1000, 0, len(lfp), 3)
        np.testing.assert_allclose(signal.read(100, 250), lfp[100:250] * 0.25e-6, rtol=1e-5)
        assert signal.channels.electrode == ("elec1", "elec2", "elec3")
        assert raw.taken == ("LFP of 3 channels at 1000 Hz from stream nsx2 of rec.nev",)
        assert raw.notes == ("signals not used: nsx5 (id 5, 1 channels at 30000 Hz); `lfp: NAME` uses one",)


def test_blackrock_pause_is_a_gap_and_splits_the_session(tmp_path, planned, lfp, ticks):
    pause = 10 * CLOCK_HZ
    half = len(lfp) // 2
    write_nsx(tmp_path / "rec.ns2", [(0, lfp[:half]), (half * 30 + pause, lfp[half:])], 1000, ["a", "b", "c"])
    moved = {u: np.where(t < half * 30, t, t + pause) for u, t in ticks.items()}
    write_nev(tmp_path / "rec.nev", moved, [1, 2, 3])
    recording = planned("file: rec.ns2")
    with open_raw(recording.path, recording.source, 10.0) as raw:
        (signal,) = raw.lfp
        assert [(run.first, run.stop, run.start_s) for run in signal.runs] == [(0, half, 0.0), (half, 2 * half, 40.0)]
        np.testing.assert_allclose(signal.read(half - 2, half + 2), lfp[half - 2 : half + 2] * 0.25e-6, rtol=1e-5)
        np.testing.assert_allclose(raw.pieces, [[0, 30], [40, 70]], atol=2e-3)
        np.testing.assert_allclose(raw.spikes.times[1], moved[1, 1] / CLOCK_HZ, atol=1e-9)


def test_blackrock_clock_that_was_reset_is_refused(tmp_path, planned, lfp):
    write_nsx(tmp_path / "rec.ns2", [(0, lfp), (300, lfp)], 1000, ["a", "b", "c"])
    recording = planned("file: rec.ns2")
    with (
        pytest.raises(DataError, match=r"rec\.ns2.*(clock|gap|Gap|segment)"),
        open_raw(recording.path, recording.source, 10.0),
    ):
        pass


def test_blackrock_channels_of_several_units_are_pointed_out(tmp_path, planned, lfp):
    write_nsx(tmp_path / "rec.ns2", [(0, lfp)], 1000, ["elec1", "elec2", "ainp1"], ["uV", "uV", "mV"])
    recording = planned("file: rec.ns2")
    with open_raw(recording.path, recording.source, 10.0) as raw:
        assert raw.notes[-1].startswith(
            "channels of stream nsx2 have several units (uV: elec1, elec2; mV: ainp1); `ingest.drop_channels`"
        )
        np.testing.assert_allclose(raw.lfp[0].read(0, 5), lfp[:5] * [0.25e-6, 0.25e-6, 0.25e-3], rtol=1e-5)


def test_session_of_a_raw_file_is_stored_and_read_again_when_its_second_file_changes(
    blackrock, planned, ticks, tmp_path
):
    recording = planned("file: rec.ns2, ingest: {bin_width_ms: 20}")
    assert [path.name for path in recording.files] == ["rec.ns2", "rec.nev"]
    store = Store(str(tmp_path / "store"))
    result = ingest_one(recording, store.uri, None)
    assert result.state == "stored", result.cause
    store.publish()
    entry = store.entry("rec")
    assert (entry.n_units, entry.n_channels, entry.bin_width_ms) == (3, 3, 20)
    first = store.read(entry)[0]
    edges = first.start_s + np.arange(first.n_bins + 1) * 0.02
    counts = np.histogram(ticks[1, 1] / CLOCK_HZ, edges)[0]
    np.testing.assert_array_equal(first.spikes[:, 1], counts)
    assert ingest_one(recording, store.uri, entry.fingerprint).state == "skipped"
    write_nev(tmp_path / "rec.nev", {u: t[:-1] for u, t in ticks.items()}, [1, 2, 3])
    assert ingest_one(recording, store.uri, entry.fingerprint).state == "stored"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("lfp: nsx3", r'rec\.nev: there is no stream "nsx3" for `lfp`.*nsx2 \(id 2, 3 channels at 1000 Hz\)'),
        ("lfp: {channels: [{region: M1}]}", "name the stream of `lfp`|`lfp.channels` has 1 rows but the stream has 3"),
        ("unit_filter: {column: quality}", 'units have no annotation "quality"; known: .*unit_classification'),
        ("unit_filter: {column: unit_classification, keep: [best]}", r"no unit is left of 4 \(2 sorted"),
    ],
)
def test_raw_file_without_what_is_asked_is_refused(entry, message, blackrock, planned):
    recording = planned(f"file: rec.nev, {entry}")
    with pytest.raises(DataError, match=message), open_raw(recording.path, recording.source, 10.0):
        pass


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("behavior: x", "`behavior` is not read from raw files"),
        ("trials: x", "`trials` is not read from raw files"),
        ("spikes: x", "`spikes` of a raw file has no path"),
        ("spikes: {times: x}", "`spikes.times` does not apply to raw files"),
        ("lfp: {rate_hz: 1000}", "`lfp.rate_hz` does not apply to raw files"),
    ],
)
def test_raw_file_with_keys_of_other_files_is_refused(entry, message, planned):
    with pytest.raises(ConfigError, match=message):
        planned(f"file: rec.nev, {entry}")


@pytest.mark.parametrize("size", [0, 7, 320, 2000])
def test_raw_file_that_is_damaged_is_refused_in_one_line(size, blackrock, planned, tmp_path):
    os.truncate(tmp_path / "rec.ns2", size)
    (tmp_path / "rec.nev").unlink()
    recording = planned("file: rec.ns2")
    result = ingest_one(recording, str(tmp_path / "store"), None)
    assert result.state == "failed" and str(tmp_path / "rec") in result.cause and "\n" not in result.cause


def test_raw_file_without_neo_names_what_to_install(blackrock, planned):
    code = f"""
import sys
sys.modules["neo"] = None
from pathlib import Path
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.readers.neo import NeoOptions
from raydistill.recordings.recording import RecordingSource
source = RecordingSource(layout="neo", options=NeoOptions())
try:
    open_raw(Path({str(blackrock / "rec.nev")!r}), source, 10.0).__enter__()
except Exception as err:
    print(f"{{type(err).__name__}}: {{err}}")
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip().endswith("pip install 'raydistill[neo]'")


def write_spikeglx(folder, values):
    """One probe (Neuropixels 1.0) with an LF band at 2.5 kHz: (samples, channels) and the trace of the clock."""
    n = values.shape[1]
    folder.mkdir()
    name = folder / "run_g0_t0.imec0.lf"
    np.column_stack([values, np.zeros(len(values), np.int16)]).astype("<i2").tofile(f"{name}.bin")
    table = f"(0,{n})" + "".join(f"({i} 0 0 500 250 1)" for i in range(n))
    names = f"({n},{n},1)" + "".join(f"(LF{i};{i}:{i})" for i in range(n)) + f"(SY0;{n}:{n})"
    meta = {
        **{"fileName": f"D:/data/{name.name}.bin", "nSavedChans": n + 1, "snsApLfSy": f"0,{n},1", "typeThis": "imec"},
        **{
            "imDatPrb_pn": "NP1010",
            "imAiRangeMax": 0.6,
            "imSampRate": 2500,
            "fileSizeBytes": 2 * (n + 1) * len(values),
        },
        **{"~imroTbl": table, "~snsChanMap": names},
    }
    folder.joinpath(f"{name.name}.meta").write_text("".join(f"{key}={value}\n" for key, value in meta.items()))


def write_open_ephys(folder, values):
    """The binary format: (samples, channels) at 1 kHz, from sample 5000 of the clock on."""
    recording = folder / "Record Node 101" / "experiment1" / "recording1"
    stream = recording / "continuous" / "Rhythm.LFP"
    stream.mkdir(parents=True)
    values.astype("<i2").tofile(stream / "continuous.dat")
    np.save(stream / "sample_numbers.npy", np.arange(5000, 5000 + len(values)))
    np.save(stream / "timestamps.npy", np.arange(5000, 5000 + len(values)) / 1000)
    channels = [{"channel_name": f"CH{i}", "bit_volts": 0.195, "units": "uV"} for i in range(values.shape[1])]
    info = {"folder_name": "Rhythm.LFP/", "sample_rate": 1000, "num_channels": len(channels), "channels": channels}
    text = json.dumps({"GUI version": "0.6.7", "continuous": [info], "events": [], "spikes": []})
    recording.joinpath("structure.oebin").write_text(text)
    (folder / "Record Node 101" / "settings.xml").write_text("<SETTINGS/>")


@pytest.mark.parametrize(
    ("write", "rate_hz", "start_s", "volts"),
    [(write_spikeglx, 2500, 0.0, 0.6 / 512 / 250), (write_open_ephys, 1000, 5.0, 0.195e-6)],
)
def test_folder_of_a_recording_system_gives_its_lfp(write, rate_hz, start_s, volts, lfp, tmp_path, planned):
    write(tmp_path / "day.1", lfp[:8000])
    recording = planned("file: day.1")
    assert recording.name == "day.1" and recording.files == [tmp_path / "day.1"]
    with open_raw(recording.path, recording.source, 10.0) as raw:
        (signal,) = raw.lfp
        assert (signal.rate_hz, signal.start_s, signal.n_samples, signal.n_channels) == (rate_hz, start_s, 8000, 3)
        np.testing.assert_allclose(signal.read(4000, 4100), lfp[4000:4100] * volts, rtol=1e-5)
        assert raw.spikes is None

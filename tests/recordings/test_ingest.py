"""Manifests, planning and parallel ingest into a store."""

import re
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.guard import UNWATCHED
from raydistill.recordings.ingest import _decimated_in_tasks, ingest, ingest_one, ingest_with_ray
from raydistill.recordings.planning.discover import plan_sources
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.makin import write_makin
from raydistill.store.store import Store
from tests.commands import read_json
from tests.paths import ROOT

ENTRY = "subject: m1, bin_width_ms: 100, spikes: spikes, lfp: lfp, behavior: behavior"


def three(make_h5, manifest, **of_second):
    """A manifest of three recordings, a.h5, b.h5 and c.h5."""
    for number, changed in enumerate(({}, of_second, {})):
        make_h5(f"{'abc'[number]}.h5", number=np.array([number]), **changed)
    entries = "".join(f"  - {{file: {name}.h5}}\n" for name in "abc")
    return manifest(f"ingest: {{filters: null}}\ndefaults: {{{ENTRY}}}\nsessions:\n{entries}")


# Planning


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("sessions:\n  - {fil: a.h5}\n", ConfigError, r'yaml:2: unknown key "fil".*did you mean "file"'),
        (
            "defaults:\n  lfp:\n    value: x\nsessions: [{file: a.h5}]",
            ConfigError,
            r'yaml:3: unknown key "value".*"values"',
        ),
        ("ingest: {bin_width: 10}\nsessions: []", ConfigError, r'yaml:1: .*did you mean "bin_width_ms"'),
        ("sessions: []", ConfigError, "`sessions` must not be an empty list"),
        ("sessions:\n  - {name: x}\n", ConfigError, "yaml:2: a session lacks `file`"),
        ("sessions:\n  - {file: a.txt}\n", ConfigError, r"yaml:2: .*one of \.nwb, .*\.h5"),
        ("sessions:\n  - {file: a.nwb, name: ../x}\n", ConfigError, r"yaml:2: session name '\.\./x' is not allowed"),
        ("sessions:\n  - {file: a.nwb, subject: a/b}\n", ConfigError, "yaml:2: subject name 'a/b' is not allowed"),
        ("sessions:\n  - {file: a.h5, spikes: x}\n", ConfigError, "yaml:2: .*give its `subject`"),
        ("sessions:\n  - {file: a.h5, subject: m}\n", ConfigError, "path of `spikes` or `lfp`"),
        ("sessions:\n  - {file: a.nwb, lfp: {bands: 2}}\n", ConfigError, r"`lfp\.bands` describes a file of arrays"),
        ("sessions:\n  - {file: a.nwb, behavior: {rate_hz: 3}}\n", ConfigError, r"`behavior\.rate_hz` describes"),
        ("sessions:\n  - file: a.h5\n    spikes: {counts: x, times: y}\n", ConfigError, "yaml:3: .*either `counts` or"),
    ],
)
def test_invalid_manifest_is_refused_with_its_line(text, error, message, manifest):
    with pytest.raises(error, match=message):
        plan_sources(manifest(text))


def test_two_sessions_of_one_name_are_refused_with_both_lines(manifest):
    path = manifest("sessions:\n  - {file: x/day1.nwb}\n  - {file: b.nwb}\n  - {file: y/day1.nwb}\n")
    with pytest.raises(
        ConfigError, match=r"yaml:4: two sessions are named day1: .*x/day1\.nwb \(line 2\) and .*y/day1"
    ):
        plan_sources(path)


def test_session_values_win_over_defaults_and_null_leaves_out(manifest):
    first, second = plan_sources(
        manifest(
            "ingest: {min_rate_hz: 1, filters: null}\n"
            "defaults: {subject: m1, spikes: s, lfp: l, bin_width_ms: 20, region: CA1}\n"
            "sessions:\n  - {file: a.h5}\n"
            "  - {file: b.h5, lfp: null, region: CA3, ingest: {min_rate_hz: 0, drop_units: 3}}\n"
        )
    )
    assert (first.source.options.lfp[0].values, first.source.region, first.config.min_rate_hz) == ("l", "CA1", 1)
    assert (second.source.options.lfp, second.source.region, second.config.min_rate_hz) == ((), "CA3", 0)
    assert second.config.drop_units == (3,) and second.config.filters is None and second.config.bin_width_ms == 20


def test_section_of_defaults_completes_paths_lists_and_sections_within_sections(manifest):
    first, second = plan_sources(
        manifest(
            "ingest: {filters: {notch_hz: 50}}\n"
            "defaults: {subject: m1, spikes: s, bin_width_ms: 10, behavior: {rate_hz: 50, derive: velocity}, "
            "ingest: {splits: {by: trials}}}\n"
            "sessions:\n"
            "  - {file: a.h5, behavior: x}\n"
            "  - {file: b.h5, behavior: [{values: x}, {values: y, rate_hz: 20}], "
            "ingest: {filters: {common_average: false}, splits: {test: 0.2}}}\n"
        )
    )
    assert [(b.values, b.rate_hz, b.derive) for b in first.source.options.behavior] == [("x", 50, "velocity")]
    assert [(b.values, b.rate_hz, b.derive) for b in second.source.options.behavior] == [
        ("x", 50, "velocity"),
        ("y", 20, "velocity"),
    ]
    assert (first.config.filters.notch_hz, first.config.splits.by) == (50, "trials")
    assert (second.config.filters.notch_hz, second.config.filters.common_average) == (50, False)
    assert (second.config.splits.by, second.config.splits.test) == ("trials", 0.2)


def test_section_of_defaults_is_completed_by_that_of_a_session(manifest):
    (recording,) = plan_sources(
        manifest(
            "defaults: {subject: m1, lfp: {rate_hz: 1000, scale: 2}, ingest: {min_rate_hz: 1}}\n"
            "sessions:\n  - {file: a.h5, lfp: {values: x, scale: 3}, ingest: {drop_channels: 1}}\n"
        )
    )
    (lfp,) = recording.source.options.lfp
    assert (lfp.values, lfp.rate_hz, lfp.scale) == ("x", 1000, 3)
    assert (recording.config.min_rate_hz, recording.config.drop_channels) == (1, (1,))


def test_overrides_apply_to_manifests_and_to_plain_nwb_files(manifest, tmp_path):
    (by_manifest,) = plan_sources(manifest("sessions: [{file: a.nwb}]"), overrides=["ingest.splits.segment_s=2"])
    assert by_manifest.config.splits.segment_s == 2
    (tmp_path / "a.nwb").touch()
    (plain,) = plan_sources(tmp_path, overrides=["ingest.bin_width_ms=20", "defaults.behavior=processing/b/x"])
    assert plain.config.bin_width_ms == 20 and plain.source.options.behavior[0].values == "processing/b/x"
    with pytest.raises(ConfigError, match='did you mean "bin_width_ms"'):
        plan_sources(tmp_path, overrides=["ingest.bin_with_ms=20"])


def test_files_are_next_to_the_manifest_in_its_folder_or_where_the_caller_says(manifest, tmp_path):
    path = manifest("folder: raw\nsessions: [{file: a.nwb}]")
    assert plan_sources(path)[0].path == tmp_path / "raw" / "a.nwb"
    assert plan_sources(path, "/elsewhere")[0].path == Path("/elsewhere/a.nwb")


def test_source_that_is_nothing_to_read_is_refused(tmp_path, make_h5):
    with pytest.raises(DataError, match="no such file or folder"):
        plan_sources(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no known recording in this folder"):
        plan_sources(tmp_path)
    with pytest.raises(ConfigError, match="--folder applies to manifests only"):
        plan_sources(tmp_path, folder=tmp_path)
    with pytest.raises(ConfigError, match=r"describe it in a \.yaml manifest"):
        plan_sources(make_h5())


# Ingest


def test_ingest_with_one_bad_recording_of_three_brings_the_other_two(make_h5, manifest, tmp_path, local_ray, binned):
    path = three(make_h5, manifest, lfp=np.full((600, 4), np.nan, dtype=np.float32))
    results = []
    outcome = ingest(plan_sources(path), str(tmp_path / "store"), report=results.append)
    assert outcome.stored == ("a", "c") and list(outcome.failed) == ["b"]
    assert re.search(r"b\.h5: LFP channel 0 is not finite at 0\.050 s", outcome.failed["b"])
    assert sorted(a.name for a in results) == ["a", "b", "c"]
    store = Store(str(tmp_path / "store"))
    assert [e.session for e in store.entries()] == ["a", "c"]
    segments = store.read(store.entry("a"))
    assert np.array_equal(segments[0].spikes, binned["spikes"][:50]) and len(segments) == 12


def test_ingest_again_skips_what_has_not_changed(make_h5, manifest, tmp_path, local_ray, binned):
    path, store = three(make_h5, manifest), str(tmp_path / "store")
    assert ingest(plan_sources(path), store, workers=1).stored == ("a", "b", "c")
    assert ingest(plan_sources(path), store).skipped == ("a", "b", "c")
    make_h5("b.h5", spikes=binned["spikes"][::-1])
    again = ingest(plan_sources(path, overrides=["defaults.task=new"]), store)
    assert again.stored == ("a", "b", "c")
    make_h5("c.h5", spikes=binned["spikes"] + 1)
    changed = ingest(plan_sources(path, overrides=["defaults.task=new"]), store)
    assert changed.stored == ("c",) and changed.skipped == ("a", "b")


def test_ingest_with_repeats_stores_every_draw_and_skips_them_together(make_h5, manifest, tmp_path, local_ray):
    path, store = three(make_h5, manifest), Store(str(tmp_path / "store"))

    def again(repeats):
        return ingest(plan_sources(path, overrides=[f"ingest.splits.repeats={repeats}"]), store.uri)

    assert again(2).stored == ("a", "b", "c")
    draws = ["a", "a~2", "b", "b~2", "c", "c~2"]
    assert [e.session for e in store.entries()] == draws
    assert again(2).skipped == ("a", "b", "c")
    store.delete("b~2")
    assert again(2).stored == ("b",) and [e.session for e in store.entries()] == draws
    content = {e.session: e.content for e in store.entries()}
    assert again(1).stored == ("a", "b", "c")
    assert {e.session: e.content for e in store.entries()} == {name: content[name] for name in "abc"}


def test_ingest_of_missing_and_damaged_files_names_each_cause(make_h5, manifest, tmp_path, local_ray):
    path = three(make_h5, manifest)
    (tmp_path / "a.h5").unlink()
    (tmp_path / "b.h5").write_bytes((tmp_path / "b.h5").read_bytes()[:4000])
    results = []
    outcome = ingest_with_ray(plan_sources(path), str(tmp_path / "store"), report=results.append)
    assert outcome.stored == ("c",)
    assert outcome.failed["a"].endswith("a.h5: no such file; give the folder of the files with --folder")
    assert re.search(r"b\.h5: not a readable \.h5 file .*trunc", outcome.failed["b"])
    assert sorted((a.name, a.state) for a in results) == [("a", "failed"), ("b", "failed"), ("c", "stored")]
    assert not any("\n" in cause for cause in outcome.failed.values())


def test_ingest_where_nothing_arrives_leaves_no_store(make_h5, manifest, tmp_path, local_ray):
    path = three(make_h5, manifest)
    for name in "abc":
        (tmp_path / f"{name}.h5").unlink()
    outcome = ingest(plan_sources(path), str(tmp_path / "store"))
    assert len(outcome.failed) == 3 and not outcome.stored
    with pytest.raises(DataError, match="no session store here"):
        Store(str(tmp_path / "store")).entries()


def test_ingest_of_a_session_too_short_for_three_folds_is_that_recordings_failure(
    make_h5, manifest, tmp_path, local_ray, binned
):
    short = {k: v[:150] for k, v in binned.items()}
    outcome = ingest(plan_sources(three(make_h5, manifest, **short)), str(tmp_path / "store"))
    assert outcome.stored == ("a", "c") and "too few for train, valid and test" in outcome.failed["b"]


@pytest.mark.parametrize(
    ("width", "n_bins", "tail"), [(30, 20_000, 0), (12, 50_000, 0), (33, 18_181, 0), (30, 20_100, 100)]
)
def test_ingest_uses_all_but_a_tail_shorter_than_a_parent_at_bins_that_do_not_divide_it(
    width, n_bins, tail, manifest, tmp_path, local_ray, rng
):
    """600 s, in which 10 s are no whole number of bins; at 33 ms the last parent lacks part of a bin. Then 603 s."""
    savemat(tmp_path / "counts.mat", {"c": rng.poisson(1, (n_bins, 3)).astype(float)})
    path = manifest(f"sessions:\n  - {{file: counts.mat, subject: s, bin_width_ms: {width}, spikes: c}}\n")
    results = []
    ingest(plan_sources(path), str(tmp_path / "store"), report=results.append)
    (shown,) = read_json("sessions", "--store", "store", cwd=tmp_path)
    assert (shown["n_bins"], shown["n_segments"], sum(shown["splits"].values())) == (n_bins - tail, 120, 120)
    assert (shown["recorded_bins"], shown["unused_bins"]) == (n_bins, tail)
    text = "100 of 20100 bins (0.5%) are in no segment: 100 at ends of the recording"
    unused = [note for note in results[0].notes if note.startswith(text)]
    assert len(unused) == sum("no segment" in note for note in results[0].notes) == (tail > 0)


# Real recordings


def test_examples_of_real_recordings_all_arrive(recordings, tmp_path, local_ray):
    store = str(tmp_path / "store")
    for name, folder in (
        ("cao2021", "cao2021"),
        ("cao2021_uhf", "cao2021"),
        ("cao2021_bands", "cao2021"),
        ("contdata95", "contdata95"),
        ("nwb_recordings", "nwb"),
    ):
        outcome = ingest(plan_sources(ROOT / "examples" / f"{name}.yaml", recordings / folder), store)
        assert not outcome.failed
    entries = {e.session: e for e in Store(store).entries()}
    assert len(entries) == 19
    assert entries["mouse1_session1_bands"].n_channels == 192 + 64
    assert (entries["rat1"].n_channels, entries["rat1_uhf"].n_channels) == (0, 127)
    assert (entries["mouse1_session1"].n_segments, entries["contdata95"].n_segments) == (104, 1456)
    assert entries["mouse1_session1"].bin_width_ms == 100 and entries["mouse1_session1"].n_bins == 2579
    assert entries["open_field_r1838"].n_channels == 3 and entries["linear_track"].n_channels == 0


def test_long_recording_decimated_by_several_tasks_is_the_same_to_the_last_bit(tmp_path, local_ray, monkeypatch):
    recording = generate_session(SyntheticConfig(duration_s=66, min_channels=4, max_channels=4), 0)
    write_makin(recording, tmp_path, "indy_20160622_01")
    (planned,) = plan_sources(tmp_path, overrides=["ingest.splits.parent_s=6"])
    alone, spread = Store(str(tmp_path / "alone")), Store(str(tmp_path / "spread"))
    assert ingest_one(planned, alone.uri, None).state == "stored"
    parts = []

    def in_parts(signal, stage):
        parts.extend(_decimated_in_tasks(planned, UNWATCHED, signal, stage))
        return parts

    monkeypatch.setattr("raydistill.recordings.ingest._PART_VALUES", 1 << 20)
    assert ingest_one(planned, spread.uri, None, None, in_parts).state == "stored"
    assert len(parts) > 3
    assert [e.content for e in spread.publish()] == [e.content for e in alone.publish()]


def test_long_recording_with_a_damaged_part_fails_alone_in_one_line(tmp_path, local_ray, monkeypatch):

    recording = generate_session(SyntheticConfig(duration_s=66, min_channels=4, max_channels=4), 0)
    path = write_makin(recording, tmp_path, "indy_20160622_01").with_suffix(".nwb")
    with h5py.File(path, "r+") as file:
        data = file["acquisition/timeseries/broadband/data"]
        values = data[:].astype(np.float32)
        values[1_000_000, 2] = np.nan
        del file["acquisition/timeseries/broadband/data"]
        file["acquisition/timeseries/broadband/data"] = values
        file["acquisition/timeseries/broadband/data"].attrs["conversion"] = np.float32(1e-6)
    (planned,) = plan_sources(tmp_path, overrides=["ingest.splits.parent_s=6"])
    monkeypatch.setattr("raydistill.recordings.ingest._PART_VALUES", 1 << 20)
    found = ingest_one(planned, str(tmp_path / "store"), None, None, partial(_decimated_in_tasks, planned, UNWATCHED))
    assert found.state == "failed" and re.search(r"LFP channel 2 is not finite at 40\.9\d+ s", found.cause)


def test_ingest_again_mends_a_store_of_which_files_are_damaged_short_or_missing(make_h5, manifest, tmp_path, local_ray):
    path, store = three(make_h5, manifest), Store(str(tmp_path / "store"))
    ingest(plan_sources(path), store.uri)
    a, b, c = store.entries()
    files = [store.folder.path / entry.parts[0].path for entry in (a, b, c)]
    whole = [file.read_bytes() for file in files]
    files[0].write_bytes(whole[0][:500] + bytes([whole[0][500] ^ 1]) + whole[0][501:])
    files[1].write_bytes(whole[1][:-1])
    files[2].unlink()
    assert len(store.verify()) == 3
    results = []
    again = ingest(plan_sources(path), store.uri, report=results.append)
    assert again.stored == ("a", "b", "c") and store.verify() == []
    assert [file.read_bytes() for file in files] == whole and store.entries() == [a, b, c]
    (noted,) = [result for result in results if result.name == "a"]
    assert any(note.startswith(f"{a.parts[0].path}: its sha256 is not that of what") for note in noted.notes)
    assert ingest(plan_sources(path), store.uri).skipped == ("a", "b", "c")

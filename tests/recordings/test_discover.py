"""A folder of the published datasets, from raw files to the store, against the recording they were written from."""

import dataclasses
import shutil

import numpy as np
import pytest

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.flint import write_flint
from raydistill.simulation.writers.gallego import write_gallego
from raydistill.simulation.writers.makin import write_makin
from raydistill.simulation.writers.neurotask import write_neurotask
from raydistill.simulation.writers.nwb import write_nwb
from raydistill.store.store import Store

CONFIG = SyntheticConfig(
    duration_s=66, min_units=6, max_units=8, min_channels=4, max_channels=5, lfp_rate_hz=2000, sessions_per_subject=1
)
NAMES = {"makin": "MonkeyI_20160622_01", "flint": "MonkeyC_e1_1", "gallego": "MonkeyCh_20160929", "nwb": "S1_01"}


@pytest.fixture(scope="module")
def recording():
    return generate_session(CONFIG, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, recording):
    """One recording in every layout."""
    folder = tmp_path_factory.mktemp("published")
    write_makin(recording, folder, "indy_20160622_01")
    write_flint([recording], folder)
    write_gallego(recording, folder)
    write_neurotask([recording], folder, labels={recording.session: ("C", 1)}, units=CONFIG.max_units)
    write_nwb(recording, folder / "S1_01.nwb")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory, folder):
    """All of them, under the configuration of their dataset."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    arrivals = [ingest_one(r, store.uri, None) for r in plan_sources(folder, overrides=["ingest.splits.parent_s=5"])]
    assert [a.cause for a in arrivals if a.state != "stored"] == []
    store.publish()
    return store


def test_folder_is_recognised_by_its_files(folder):
    planned = {r.name: r for r in plan_sources(folder)}
    assert set(NAMES.values()) < set(planned) and len(planned) == 5
    assert planned[NAMES["makin"]].source.companions == ("indy_20160622_01.nwb",)
    assert planned[NAMES["gallego"]].config.bin_width_ms == 30


@pytest.mark.parametrize("layout", [*NAMES, "neurotask"])
def test_dataset_takes_one_layout_alone(folder, layout):
    (planned,) = plan_sources(folder, dataset=layout)
    assert planned.name == NAMES.get(layout, planned.name)


def on_bins(store, name):
    """Times (s), behavior and LFP of every stored bin of a session; LFP in standard deviations."""
    entry = store.entry(name)
    segments = store.read(entry)
    times = [s.start_s + (np.arange(s.n_bins) + 0.5) * entry.bin_width_ms / 1e3 for s in segments]
    return [np.concatenate(a) for a in (times, [s.behavior for s in segments], [s.lfp for s in segments])]


@pytest.mark.parametrize("layout", ["makin", "flint", "nwb"])
def test_velocity_comes_back_at_its_true_times(store, recording, layout):
    times, behavior, _ = on_bins(store, NAMES[layout])
    kinematics = np.arange(len(recording.velocity)) / recording.kinematics_rate_hz
    kept = np.isfinite(behavior).all(axis=1)
    assert kept.mean() > 0.95
    for column, truth in zip(behavior.T, recording.velocity.T, strict=True):
        assert np.corrcoef(column[kept], np.interp(times[kept], kinematics, truth))[0, 1] > 0.99


def test_lfp_of_two_layouts_agrees_bin_by_bin(store):
    """The broadband of one file and the LFP of the other, each behind its own rate and the same chain."""
    times, _, broadband = on_bins(store, NAMES["makin"])
    others, _, lfp = on_bins(store, NAMES["nwb"])
    _, ours, theirs = np.intersect1d(np.round(times * 1e3), np.round(others * 1e3), return_indices=True)
    assert len(ours) > 1000
    for a, b in zip(broadband[ours].T, lfp[theirs].T, strict=True):
        assert np.corrcoef(a, b)[0, 1] > 0.99


def test_every_layout_counts_the_same_spikes(store, recording):
    total = sum(map(len, recording.spike_times))
    for entry in store.entries():
        counted = sum(int(s.spikes.sum()) for s in store.read(entry))
        share = entry.n_bins * entry.bin_width_ms / 1e3 / CONFIG.duration_s
        assert counted == pytest.approx(total * share, rel=0.1), entry.session


def test_changed_companion_changes_the_fingerprint(folder, tmp_path):
    for path in folder.glob("indy*"):
        shutil.copy(path, tmp_path)
    (recording,) = plan_sources(tmp_path)
    store = str(tmp_path / "store")
    assert ingest_one(recording, store, None).state == "stored"
    known = Store(store).entry(recording.name).fingerprint
    assert ingest_one(recording, store, known).state == "skipped"
    alone = dataclasses.replace(recording, source=dataclasses.replace(recording.source, companions=()))
    assert ingest_one(alone, store, known).state == "stored"


def test_option_applies_to_the_layouts_that_have_it(folder):
    planned = {r.source.layout: r for r in plan_sources(folder, overrides=["units=sorted", "results=[R]"])}
    assert planned["makin"].source.options.units == "sorted"
    assert planned["gallego"].source.options.results == planned["neurotask"].source.options.results == ("R",)


def test_released_protocol_has_the_filters_and_outliers_of_the_released_code_unless_they_are_given(folder):
    released = {r.source.layout: r.config for r in plan_sources(folder, overrides=["ingest.protocol=released"])}
    flint, makin = released["flint"], released["makin"]
    assert (flint.filters.notch_hz, flint.filters.highpass_hz, flint.filters.lowpass_hz) == (None, None, 50)
    assert flint.splits.outliers == "drop" and flint.min_rate_hz == 1
    assert (makin.filters.notch_hz, makin.filters.highpass_hz, makin.splits.outliers) == (60, 0.05, "keep")
    overrides = ["ingest.protocol=released", "ingest.filters.notch_hz=50", "ingest.splits.outliers=keep"]
    (given,) = (r.config for r in plan_sources(folder, dataset="flint", overrides=overrides))
    assert (given.filters.notch_hz, given.filters.highpass_hz, given.splits.outliers) == (50, None, "keep")
    (usual,) = (r.config for r in plan_sources(folder, dataset="flint"))
    assert usual.filters.notch_hz == 60 and usual.splits.outliers == "keep"


def test_realm_protocol_draws_single_segments_of_makin_and_pairs_without_outliers_of_flint(folder):
    of_realm = {r.source.layout: r.config for r in plan_sources(folder, overrides=["ingest.protocol=realm"])}
    flint, makin = of_realm["flint"].splits, of_realm["makin"].splits
    assert (makin.parent_s, makin.segment_s, makin.outliers) == (5, 5, "keep")
    assert (flint.parent_s, flint.segment_s, flint.outliers) == (10, 5, "drop")
    assert of_realm["flint"].filters.notch_hz == 60


def test_released_protocol_stores_a_short_session_without_a_validation_fold_and_says_so(folder, tmp_path):
    overrides = ["ingest.protocol=released"]  # six parents of 10 s
    (recording,) = plan_sources(folder, dataset="makin", overrides=overrides)
    arrival = ingest_one(recording, str(tmp_path), None)
    assert arrival.state == "stored" and any(note.startswith("no validation fold") for note in arrival.notes)
    store = Store(str(tmp_path))
    store.publish()
    splits = store.entries()[0].splits
    assert splits["valid"] == 0 and splits["test"] == 2 and splits["train"] > 2  # segments of 5 s
    (usual,) = plan_sources(folder, dataset="makin", overrides=["ingest.splits.parent_s=5"])
    assert not any("validation" in note for note in ingest_one(usual, str(tmp_path / "usual"), None).notes)


def test_manifest_key_applies_to_nwb_files_of_a_folder(folder):
    overrides = ["defaults.subject=monkey", "ingest.bin_width_ms=20"]
    planned = {r.source.layout: r for r in plan_sources(folder, overrides=overrides)}
    assert planned["nwb"].source.subject == "monkey" and planned["makin"].source.subject == "I"
    assert planned["nwb"].config.bin_width_ms == planned["makin"].config.bin_width_ms == 20


def test_invalid_override_is_refused(folder):
    with pytest.raises(ConfigError, match='unknown key "bin_with_ms"'):
        plan_sources(folder, dataset="makin", overrides=["ingest.bin_with_ms=20"])
    with pytest.raises(ConfigError, match="`units` must be one of"):
        plan_sources(folder, dataset="makin", overrides=["units=all"])
    with pytest.raises(ConfigError, match='there is no "unit"'):
        plan_sources(folder, dataset="makin", overrides=["unit=sorted"])


def test_two_copies_of_a_session_are_refused_by_name(folder, tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        shutil.copy(folder / "indy_20160622_01.mat", tmp_path / place)
    with pytest.raises(DataError, match="two sessions are named MonkeyI_20160622_01"):
        plan_sources(tmp_path)

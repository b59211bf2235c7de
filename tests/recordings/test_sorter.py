"""Folders of spike sorters: which clusters become units, at which times and places, and what is told about the rest."""

import os
import re

import numpy as np
import pytest

from raydistill.errors import ConfigError, DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.store import Store

RATE = 30000
SECONDS = 60
LABELS = {2: "good", 3: "noise", 5: "mua", 9: "good"}  # cluster 11 has no label
PEAKS = {2: 1, 3: 0, 5: 3, 9: 2, 11: 0}  # cluster -> row of channel_map


@pytest.fixture
def spike_samples():
    """Cluster -> ascending sample numbers, about 20 Hz."""
    rng = np.random.default_rng(1)
    return {c: np.sort(rng.choice(SECONDS * RATE, SECONDS * 20, replace=False)) for c in (*LABELS, 11)}


@pytest.fixture
def sorted_folder(tmp_path, spike_samples):
    """A folder as Kilosort writes it and Phy curates it: five clusters, four channels."""
    folder = tmp_path / "sorter_output"
    folder.mkdir()
    samples = np.concatenate(list(spike_samples.values()))
    owners = np.repeat(list(spike_samples), [len(s) for s in spike_samples.values()])
    order = np.argsort(samples, kind="stable")
    np.save(folder / "spike_times.npy", samples[order].astype(np.uint64)[:, None])
    np.save(folder / "spike_clusters.npy", owners[order].astype(np.int32))
    np.save(folder / "spike_templates.npy", (owners[order] - 2).astype(np.uint32)[:, None])
    templates = np.zeros((10, 20, 4), dtype=np.float32)
    for cluster, row in PEAKS.items():
        templates[cluster - 2, 5:8, row] = (-2, 3, -1)
        templates[cluster - 2, :, (row + 1) % 4] = 9  # high, but constant
    np.save(folder / "templates.npy", templates)
    np.save(folder / "channel_map.npy", np.array([[7], [5], [3], [1]], dtype=np.int32))
    np.save(folder / "channel_positions.npy", np.array([[0, 0], [16, 20], [0, 40], [16, 60]], dtype=np.float64))
    rows = "".join(f"{cluster}\t{label}\n" for cluster, label in LABELS.items())
    (folder / "cluster_group.tsv").write_text(f"cluster_id\tgroup\n{rows}")
    (folder / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n2\tmua\n11\tmua\n")
    (folder / "params.py").write_text("dat_path = '/gone/recording.dat'\nsample_rate = 30000.0  # Hz\noffset = 0\n")
    return folder


@pytest.fixture
def planned(manifest, tmp_path):
    def plan(entry):
        return plan_sources(manifest(f"sessions:\n  - {{subject: m1, {entry}}}\n"))[0]

    return plan


@pytest.fixture
def read(planned):
    """The `Raw` of a manifest's entry."""

    def raw_of(entry="file: sorter_output"):
        recording = planned(entry)
        with open_raw(recording.path, recording.source, 10.0) as raw:
            return raw

    return raw_of


def test_sorter_folder_gives_each_cluster_but_noise_at_its_times(sorted_folder, spike_samples, read):
    raw = read()
    assert raw.spikes.ids == (2, 5, 9, 11)
    for cluster, times in zip(raw.spikes.ids, raw.spikes.times, strict=True):
        np.testing.assert_array_equal(times, spike_samples[cluster] / RATE)


def test_sorter_folder_tells_what_was_taken_and_left_out(sorted_folder, read):
    raw = read()
    assert raw.taken == ("4 units from sorter_output (2 good, 2 mua)",)  # cluster 11 has the label of the sorter only
    (note,) = raw.notes
    assert note.startswith("1 of 5 clusters were left out (1 noise); `unit_filter: {column: group")


def test_sorter_positions_are_those_of_the_channel_with_the_largest_template(sorted_folder, read):
    channels = read().spikes.channels
    assert channels.electrode == ("5", "1", "3", "7")
    assert channels.x_um == (16.0, 16.0, 0.0, 0.0)
    assert channels.y_um == (20.0, 60.0, 40.0, 0.0)


def test_sorter_cluster_that_was_merged_has_the_place_of_its_main_template(sorted_folder, read):
    owners = np.load(sorted_folder / "spike_clusters.npy")
    templates = np.ravel(np.load(sorted_folder / "spike_templates.npy"))
    owners[np.isin(owners, (2, 9))] = 20
    templates[np.flatnonzero(templates == 0)[:5]] = 7  # most spikes of cluster 20 are now of the template of 9
    np.save(sorted_folder / "spike_clusters.npy", owners)
    np.save(sorted_folder / "spike_templates.npy", templates)
    raw = read()
    assert raw.spikes.ids == (5, 11, 20)
    assert raw.spikes.channels.electrode[2] == "3"


def test_sorter_table_of_clusters_says_channel_shank_and_depth(sorted_folder, read):
    for name in ("templates.npy", "channel_positions.npy"):
        (sorted_folder / name).unlink()
    (sorted_folder / "cluster_info.tsv").write_text("cluster_id\tch\tsh\tdepth\tgroup\n2\t5\t1\t220.5\tmua\n")
    channels = read().spikes.channels
    assert (channels.electrode[0], channels.array[0], channels.x_um[0], channels.y_um[0]) == ("5", "1", None, 220.5)
    assert channels.electrode[1:] == ("", "", "") and channels.y_um[1:] == (None, None, None)


@pytest.mark.parametrize(
    ("unit_filter", "ids"),
    [
        ("{column: group, keep: [good]}", (2, 9)),
        ("{column: group, keep: [good, noise]}", (2, 3, 9)),
        ("{column: KSLabel, keep: [mua]}", (2, 11)),
    ],
)
def test_sorter_unit_filter_selects_labels(unit_filter, ids, sorted_folder, read):
    assert read(f"file: sorter_output, unit_filter: {unit_filter}").spikes.ids == ids


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "params.py").unlink(), r"sorter_output: the spikes are timed in samples.*rate_hz: 30000"),
        (lambda f: (f / "params.py").write_text("sample_rate = rate()\n"), "params.py: `sample_rate` must be a number"),
        (lambda f: np.save(f / "spike_clusters.npy", np.zeros(3, int)), "6000 spikes but spike_clusters.npy has 3"),
        (lambda f: np.save(f / "spike_times.npy", np.linspace(0, 60, 6000)), "no whole number; if times are in sec"),
        (lambda f: np.save(f / "spike_times.npy", np.empty(0, int)), "6000: are they of one sorting"),
        (lambda f: np.save(f / "spike_times.npy", np.array([{}])), "spike_times.npy is a pickled object"),
        (lambda f: (f / "spike_times.npy").write_bytes(b"\x93NUMPY"), "spike_times.npy is damaged"),
        (lambda f: (f / "spike_times.npy").write_bytes(b"text"), "spike_times.npy is not an .npy file"),
        (lambda f: os.truncate(f / "spike_times.npy", 5000), "spike_times.npy is damaged"),
        (lambda f: (f / "cluster_group.tsv").write_text("a\tgroup\n1\tgood\n"), "no number in its column `cluster_id`"),
        (lambda f: (f / "cluster_group.tsv").write_bytes(b"\xff\xfe\x00"), "cluster_group.tsv: cannot be read"),
    ],
)
def test_sorter_folder_that_is_damaged_is_refused(change, message, sorted_folder, read):
    change(sorted_folder)
    with pytest.raises(DataError, match=message):
        read()


@pytest.mark.parametrize(
    ("name", "shape"), [("templates.npy", (3,)), ("channel_positions.npy", (4,)), ("spike_templates.npy", (3,))]
)
def test_sorter_folder_with_damaged_positions_gives_its_spikes_and_a_note(name, shape, sorted_folder, read):
    np.save(sorted_folder / name, np.zeros(shape))
    raw = read()
    assert raw.spikes.ids == (2, 5, 9, 11) and raw.spikes.channels is None
    assert raw.notes[-1].startswith(f"where the units were recorded is unknown: {name} has ")


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("channel_map.npy", np.zeros(4, complex), "channel_map.npy holds complex128 values, not real numbers"),
        ("channel_map.npy", np.array([0, 1, 2.5, 3]), "channel_map.npy must hold whole numbers"),
        ("templates_ind.npy", np.zeros((2, 2)), "templates_ind.npy has the shape (2, 2); (templates, channels)"),
    ],
)
def test_sorter_positions_of_another_type_or_shape_are_left_out_with_a_note(name, values, why, sorted_folder, read):
    np.save(sorted_folder / name, values)
    raw = read()
    assert raw.spikes.channels is None
    assert raw.notes[-1].startswith(f"where the units were recorded is unknown: {why}")


def test_sorter_template_that_does_not_exist_gives_no_position(sorted_folder, read):
    templates = np.load(sorted_folder / "spike_templates.npy").astype(np.int64)
    templates[templates == 0] = -1  # of cluster 2; read as an index it would be the last template
    np.save(sorted_folder / "spike_templates.npy", templates)
    assert read().spikes.channels.electrode == ("", "1", "3", "7")


def test_sorter_params_are_never_executed(sorted_folder, read, tmp_path):
    (sorted_folder / "params.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nsample_rate = 30000.\n")
    assert len(read().spikes.ids) == 4
    assert not (tmp_path / "run").exists()


def test_sorter_rate_can_be_given_and_must_agree_with_params(sorted_folder, spike_samples, read):
    with pytest.raises(DataError, match=r"`spikes\.rate_hz` is 25000 but params.py states a sample_rate of 30000"):
        read("file: sorter_output, spikes: {rate_hz: 25000}")
    (sorted_folder / "params.py").unlink()
    raw = read("file: sorter_output, spikes: {rate_hz: 25000}")
    np.testing.assert_array_equal(raw.spikes.times[0], spike_samples[2] / 25000)


@pytest.mark.parametrize(
    ("entry", "error", "message"),
    [
        ("file: sorter_output, spikes: {times: x}", ConfigError, "`spikes.times` does not apply to the folder"),
        ("file: sorter_output, spikes: {time_unit: ms}", ConfigError, "`spikes.time_unit` does not apply"),
        ("file: sorter_output, lfp: x", ConfigError, "holds spikes only; name the file of `lfp`"),
        ("file: sorter_output, trials: x", ConfigError, "holds spikes only; name the file of `trials`"),
        ("file: sorter_output, spikes: null", ConfigError, "holds spikes only: leave out `spikes`"),
        ("file: missing_folder", ConfigError, "folders must exist"),
        ("file: parent", ConfigError, "is a folder, but not one of a recording; did you mean .*parent/sorter_output"),
    ],
)
def test_sorter_folder_with_keys_of_other_files_is_refused(entry, error, message, sorted_folder, planned, tmp_path):
    (tmp_path / "parent").mkdir()
    (tmp_path / "parent" / "sorter_output").symlink_to(sorted_folder)
    with pytest.raises(error, match=message):
        planned(entry)


def test_sorter_unit_filter_names_the_columns_that_exist(sorted_folder, read):
    with pytest.raises(DataError, match='no table of clusters has the column "quality"; known: KSLabel, group'):
        read("file: sorter_output, unit_filter: {keep: [good]}")
    with pytest.raises(DataError, match=r"no cluster is left of 5 \(2 good, 1 noise, 1 mua, 1 without a label\)"):
        read("file: sorter_output, unit_filter: {column: group, keep: [best]}")


@pytest.mark.parametrize(
    ("last", "message"),
    [
        (
            30000 * 4_000_000,
            r"the \d+ spikes of 4 units extend from .* which is 1\.11e\+03 hours: are they in seconds",
        ),
        (2**62, "hours: are they in seconds"),
    ],
)
def test_sorter_folder_with_a_damaged_time_is_refused(last, message, sorted_folder, planned, tmp_path):
    samples = np.load(sorted_folder / "spike_times.npy")
    samples[-1] = last
    np.save(sorted_folder / "spike_times.npy", samples)
    result = ingest_one(planned("file: sorter_output"), str(tmp_path / "store"), None)
    assert result.state == "failed"
    assert re.search(message, result.cause)


def test_session_of_a_sorter_folder_and_an_lfp_file_is_stored_and_read_again_after_curation(
    sorted_folder, planned, tmp_path, spike_samples
):
    rng = np.random.default_rng(2)
    np.save(tmp_path / "lfp.npy", rng.normal(0, 50, (SECONDS * 1000, 4)).astype(np.int16))
    (sorted_folder / "temp_wh.dat").write_bytes(b"large")
    recording = planned(
        "name: a, spikes: {file: sorter_output, offset_s: 2}, lfp: {file: lfp.npy, rate_hz: 1000}, "
        "ingest: {bin_width_ms: 20}"
    )
    assert (tmp_path / "sorter_output" / "spike_times.npy") in recording.files
    assert (tmp_path / "sorter_output") not in recording.files
    store = Store(str(tmp_path / "store"))
    result = ingest_one(recording, store.uri, None)
    assert result.state == "stored", result.cause
    store.publish()
    entry = store.entry("a")
    assert (entry.n_units, entry.n_channels, entry.unit_channels.electrode) == (4, 4, ("5", "1", "3", "7"))
    (first, *_) = store.read(entry)
    edges = first.start_s + np.arange(first.n_bins + 1) * 0.02
    expected = np.histogram(spike_samples[2] / RATE + 2, edges)[0]
    np.testing.assert_array_equal(first.spikes[:, 0], expected)

    (sorted_folder / "temp_wh.dat").write_bytes(b"larger")  # a file that is not read
    assert ingest_one(recording, store.uri, entry.fingerprint).state == "skipped"
    (sorted_folder / "cluster_group.tsv").write_text("cluster_id\tgroup\n2\tnoise\n")
    assert ingest_one(recording, store.uri, entry.fingerprint).state == "stored"
    store.publish()
    assert store.entry("a").n_units == 4 and store.entry("a").unit_channels.electrode == ("7", "1", "3", "7")

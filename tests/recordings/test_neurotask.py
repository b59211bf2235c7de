import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import DataError
from raydistill.recordings.readers.neurotask import find, open_raw
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.neurotask import trial_rows, write_neurotask
from tests.recordings.sources import changed as changed_source

CONFIG = SyntheticConfig(
    subjects=2,
    sessions_per_subject=2,
    duration_s=30,
    min_units=3,
    max_units=9,
    min_channels=2,
    max_channels=2,
)
LABELS = {"S1_01": (1, 1), "S1_02": (1, 2), "S2_01": (2, 1)}


def write(recordings, folder, **options):
    return write_neurotask(recordings, folder, **{"labels": LABELS, "units": CONFIG.max_units} | options)


@pytest.fixture(scope="module")
def recordings():
    return [generate_session(CONFIG, number) for number in range(3)]


@pytest.fixture(scope="module")
def written(recordings, tmp_path_factory):
    return write(recordings, tmp_path_factory.mktemp("neurotask"))


@pytest.fixture
def rewritten(written, tmp_path):
    """Writes the file again, its table changed by a function."""

    def make(change=lambda table: table, name=written.name, **options):
        path = tmp_path / name
        pq.write_table(change(pq.read_table(written)), path, **options)
        return path

    return make


def read(path, number=0, bin_width_ms=10.0, **source):
    found = find(path.parent)[number]
    with open_raw(found.path, changed_source(found.source, **source), bin_width_ms) as raw:
        return raw


def put(table, name, values):
    return table.set_column(table.schema.get_field_index(name), name, values)


def changed(name, row, value):
    """The table with one value of a column replaced."""

    def change(table):
        values = table[name].to_pylist()
        values[row] = value
        return put(table, name, pa.array(values))

    return change


def expected(recording, width_bins=1):
    """Per trial: counts and velocity in bins of `width_bins` x 10 ms, straight from spike times and kinematics."""
    at = np.arange(len(recording.velocity)) / recording.kinematics_rate_hz
    for first, stop in trial_rows(recording, 0.01):
        n = (stop - first) // width_bins
        edges = (first + np.arange(n + 1) * width_bins) * 0.01
        centres = (first + np.arange(n * width_bins) + 0.5) * 0.01
        velocity = np.stack([np.interp(centres, at, v) for v in recording.velocity.T], axis=1)
        counts = [np.histogram(t[t < edges[-1]], edges)[0] for t in recording.spike_times]
        # (n * width, 2) -> (n, width, 2) -> (n, 2)
        yield np.stack(counts, axis=1), velocity.reshape(n, width_bins, 2).mean(axis=1)


@pytest.mark.parametrize(("number", "width_bins"), [(0, 1), (1, 1), (2, 1), (2, 2), (1, 7)])
def test_neurotask_read_back_is_the_recording_rebinned_inside_each_trial_from_its_start(
    recordings, written, number, width_bins
):
    raw = read(written, number, 10.0 * width_bins)
    counts, velocity = map(list, zip(*expected(recordings[number], width_bins), strict=True))
    assert np.array_equal(raw.spikes.values, np.concatenate(counts))
    assert raw.behavior[0].values == pytest.approx(np.concatenate(velocity), abs=1e-9)
    assert raw.behavior[0].names == ("cursor_vel_x", "cursor_vel_y")
    lengths = [len(c) for c in counts]
    width_s = 0.01 * width_bins
    assert np.diff(raw.pieces, axis=1)[:, 0] == pytest.approx(np.array(lengths) * width_s)
    assert raw.pieces[1:, 0] == pytest.approx(raw.pieces[:-1, 1]) and raw.pieces[0, 0] == 0
    assert np.array_equal(raw.trial_labels, np.repeat(np.arange(1, len(lengths) + 1), lengths))
    assert raw.n_bins == sum(lengths) == len(raw.behavior[0].times)
    assert raw.behavior[0].times == pytest.approx((np.arange(raw.n_bins) + 0.5) * width_s)
    assert len(set(lengths)) > 1


def test_find_names_every_session_of_a_file_by_its_columns(written, tmp_path):
    (tmp_path / "Perich").mkdir()
    path = tmp_path / "Perich" / written.name
    path.write_bytes(written.read_bytes())
    found = find(tmp_path)
    assert [f.name for f in found] == ["Perich_1_CO_1", "Perich_1_CO_2", "Perich_2_CO_1"]
    assert [f.source.subject for f in found] == ["Perich_1", "Perich_1", "Perich_2"]
    assert {(f.path, f.source.dataset, f.source.task, f.source.region) for f in found} == {
        (path, "perich", "CO", "M1, PMd")
    }


def test_find_keeps_published_names_apart_and_mends_their_characters(rewritten):
    def published(table):
        sessions = table["session"].to_pylist()
        animals = ["C" if a == 1 else "M" for a in table["animal"].to_pylist()]
        table = put(table, "animal", pa.array(animals).dictionary_encode())
        table = put(table, "task", pa.array(["Random Target"] * len(table)))
        return put(table, "session", pa.array([f"2016/09/0{s}" for s in sessions]))

    path = rewritten(published)
    names = [f.name for f in find(path.parent)]
    assert names == [f"Perich_{a}_Random_Target_2016_09_0{s}" for a, s in (("C", 1), ("C", 2), ("M", 1))]
    assert [f.source.subject for f in find(path.parent)] == ["Cp", "Cp", "Mp"]
    assert np.array_equal(read(path, 2).spikes.values, read(rewritten(name="5_10_Perich_RT.parquet"), 2).spikes.values)


def test_find_passes_over_the_datasets_that_other_layouts_hold(rewritten, tmp_path):
    rewritten(name="3_10_Gallego_CO.parquet")
    rewritten(name="part-train-00000.parquet")
    assert find(tmp_path) == []


@pytest.mark.parametrize(
    ("dataset_id", "name", "task", "names", "subject"),
    [
        (2, "Chowdhury", "CObump", ("hand_vel_x", "hand_vel_y"), "R1"),
        (4, "Ma", "ISO", ("cursor_vel_x", "cursor_vel_y"), "X1"),
        (4, "Ma", "KeyGrasp", ("force_x", "force_y"), "X1"),
        (6, "Churchland", "Maze", ("cursor_vel_x", "cursor_vel_y"), "C1"),
    ],
)
def test_behavior_is_what_the_paper_decodes_from_each_dataset(
    recordings, tmp_path, dataset_id, name, task, names, subject
):
    path = write(recordings[:1], tmp_path, dataset_id=dataset_id, name=name, task=task)
    raw = read(path)
    assert (raw.behavior[0].names, raw.subject) == (names, subject)
    assert raw.behavior[0].values.std() > 0


def test_units_that_a_session_lacks_are_left_out_at_any_position(recordings, rewritten):
    def without_unit(table):
        mine = np.array(table["session"]) * 10 + np.array(table["animal"]) == 11
        table = table.append_column("Neuron99", pa.nulls(len(table)))
        return put(table, "Neuron2", pa.array(np.where(mine, np.nan, np.array(table["Neuron2"])), from_pandas=True))

    counts = np.concatenate([c for c, _ in expected(recordings[0])])
    assert np.array_equal(read(rewritten(without_unit)).spikes.values, np.delete(counts, 1, axis=1))
    sizes = {len(r.spike_times) for r in recordings}
    assert len(sizes) > 1 and {read(rewritten(), i).spikes.values.shape[1] for i in range(3)} == sizes


def test_results_choose_the_trials(written):
    every, good, failed = (read(written, results=r) for r in ((), ("R",), ("F",)))
    assert set(failed.trial_labels) == {n for n in every.trial_labels if n % 5 == 0} != set()
    assert set(good.trial_labels) == set(every.trial_labels) - set(failed.trial_labels)
    rows = np.isin(every.trial_labels, failed.trial_labels)
    assert np.array_equal(failed.spikes.values, every.spikes.values[rows])
    assert np.array_equal(failed.behavior[0].values, every.behavior[0].values[rows])
    with pytest.raises(DataError, match="no trial has the result A or I; results in the file: R, F"):
        read(written, results=("A", "I"))


def test_rows_outside_of_trials_and_trials_below_one_bin_are_left_out(written, rewritten, monkeypatch):
    def change(table):
        ids = np.array(table["trial_id"], dtype=float)
        ids[:4] = 999  # a trial of 40 ms, then rows of none
        ids[4:6] = np.nan
        return put(table, "trial_id", pa.array(ids, from_pandas=True))

    whole, rest = read(written, bin_width_ms=50.0), read(rewritten(change), bin_width_ms=50.0)
    monkeypatch.setattr("raydistill.recordings.readers.neurotask._ROWS", 2)
    assert np.array_equal(read(rewritten(change), bin_width_ms=50.0).spikes.values, rest.spikes.values)
    assert 999 not in rest.trial_labels and set(rest.trial_labels) == set(whole.trial_labels)
    assert len(rest.pieces) == len(whole.pieces) and rest.n_bins in (whole.n_bins - 1, whole.n_bins - 2)


def test_lost_behavior_is_averaged_over_what_is_there(written, rewritten):
    def change(table):
        values = np.array(table["cursor_vel_x"]).copy()
        values[[0, 2, 3]] = np.nan
        return put(table, "cursor_vel_x", pa.array(values, from_pandas=True))

    native, path = read(written).behavior[0].values, rewritten(change)
    values = read(path, bin_width_ms=20.0).behavior[0].values
    assert values[0] == pytest.approx([native[1, 0], native[:2, 1].mean()]) and np.isnan(values[1, 0])
    assert np.isfinite(values[2:]).all()


def test_rows_of_other_sessions_are_never_read(recordings, rewritten):
    path = rewritten(row_group_size=500, compression="none")
    meta = pq.read_metadata(path)
    chunk = meta.row_group(meta.num_row_groups - 1).column(0)
    with open(path, "r+b") as file:  # Neuron1 of the last session
        file.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
        file.write(b"\xff" * chunk.total_compressed_size)
    counts = np.concatenate([c for c, _ in expected(recordings[0])])
    assert np.array_equal(read(path).spikes.values, counts)
    with pytest.raises(DataError, match="damaged"):
        read(path, 2)


def test_counts_survive_batches_and_row_groups_that_end_inside_a_bin(written, rewritten, monkeypatch):
    monkeypatch.setattr("raydistill.recordings.readers.neurotask._ROWS", 101)
    raw, other = read(written, bin_width_ms=30.0), read(rewritten(row_group_size=77), bin_width_ms=30.0)
    assert np.array_equal(raw.spikes.values, other.spikes.values)
    assert raw.behavior[0].values == pytest.approx(other.behavior[0].values)
    assert np.array_equal(raw.spikes.values, np.concatenate([c for c, _ in expected(generate_session(CONFIG, 0), 3)]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("Neuron1", 7, -1.0), "Neuron1 holds -1, which is not a spike count"),
        (changed("Neuron2", 7, 0.5), "Neuron2 holds 0.5"),
        (changed("Neuron1", 7, None), r"Neuron1 has a count in only \d+ of the session's \d+ rows"),
        (changed("trial_id", 999, 1), "trial_id 1 occurs again after another trial"),
        (changed("datasetID", 3, 4), "`datasetID` is 4, but the name of the file has 5"),
        (changed("session", 3, None), "rows without a value in `session`"),
        (lambda t: put(t, "Neuron1", pa.array(["1"] * len(t))), "Neuron1 holds string values"),
        (lambda t: put(t, "trial_id", pa.array([[1]] * len(t))), "trial_id holds list.*values, not numbers"),
        (lambda t: put(t, "cursor_vel_x", pa.array(["1"] * len(t))), "cursor_vel_x holds string values"),
        (lambda t: t.drop_columns(["cursor_vel_x", "cursor_vel_y"]), 'no column "cursor_vel_x".*cursor_pos_x'),
        (lambda t: t.drop_columns("trial_id"), 'no column "trial_id"'),
        (lambda t: t.drop_columns([n for n in t.column_names if n.startswith("Neuron")]), 'no column "Neuron1"'),
    ],
)
def test_a_file_that_is_not_as_published_is_refused_by_name_and_field(rewritten, change, message):
    with pytest.raises(DataError, match=rf"^5_10_Perich_CO\.parquet: .*{message}") as caught:
        read(rewritten(change))
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(rewritten):
    path = rewritten()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"5_10_Perich_CO.parquet: damaged, or not a Parquet file"):
        find(path.parent)


@pytest.mark.parametrize("width", [5.0, 15.0, 25.0])
def test_bins_that_do_not_make_up_the_wanted_ones_are_refused(written, width):
    with pytest.raises(DataError, match=rf"bins of 10 ms cannot be combined to bins of {width:g} ms"):
        read(written, bin_width_ms=width)


def test_a_session_that_is_not_there_is_refused_with_a_suggestion(written):
    with pytest.raises(DataError, match='no session "Perich_1_CO_7"; did you mean "Perich_1_CO_'):
        read(written, part="Perich_1_CO_7")


def test_a_folder_that_is_missing_leaves_no_partial_file(recordings, tmp_path):
    with pytest.raises(DataError, match="cannot be written"):
        write(recordings[:1], tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_a_recording_with_more_units_than_columns_is_refused_and_no_file_is_left(recordings, tmp_path):
    most = max(len(r.spike_times) for r in recordings)
    with pytest.raises(DataError, match=rf"has {most} units; `units` must be at least that, not {most - 1}"):
        write(recordings, tmp_path, units=most - 1)
    assert list(tmp_path.iterdir()) == []


def test_an_iterator_of_recordings_becomes_a_row_group_each_under_its_label(recordings, written, tmp_path):
    named = {r.session: (f"Monkey{r.subject}", f"2016-09-0{i}") for i, r in enumerate(recordings)}
    path = write(iter(recordings), tmp_path, labels=named)
    assert pq.read_metadata(path).num_row_groups == len(recordings)
    assert [f.name for f in find(tmp_path)] == [f"Perich_{animal}_CO_{day}" for animal, day in named.values()]
    assert np.array_equal(read(path, 1).spikes.values, read(written, 1).spikes.values)

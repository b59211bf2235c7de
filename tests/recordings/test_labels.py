"""Labels from manifests: classes per bin or trial of arrays, and rows of NWB tables, as codes of bins."""

import numpy as np
import pytest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError, DataError
from raydistill.recordings.layouts import LAYOUTS
from raydistill.recordings.planning.manifest import read_manifest
from raydistill.recordings.preprocessing.session import to_session
from raydistill.recordings.python import add_session
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.nwb import write_nwb

BINS = 400


def read(folder, text):
    """(session, notes) of the only recording of a manifest."""
    (folder / "lab.yaml").write_text(text)
    (recording,) = read_manifest(folder / "lab.yaml")
    layout = LAYOUTS[recording.source.layout]
    with layout.open(recording.path, recording.source, recording.config.bin_width_ms) as raw:
        return to_session(recording, raw, {})


def classes_of(session, name):
    """(T,) the class of each bin, "" where unknown."""
    column = list(session.classes).index(name)
    return np.array([*session.classes[name], ""])[session.labels[:, column]]


@pytest.fixture
def arrays(tmp_path):
    random = np.random.default_rng(0)
    trial = np.repeat(np.arange(1, 9), 50)
    trial[::50] = 0  # a bin between trials
    per_bin = np.where(np.arange(BINS) % 4 < 2, 1.0, 2.0)
    per_bin[10:12] = np.nan
    np.savez(
        tmp_path / "a.npz",
        counts=random.poisson(2, (BINS, 3)),
        trial=trial,
        target=np.array(["left", "right"] * 4),
        state=per_bin,
    )
    return tmp_path


MANIFEST = """sessions:
  - name: a
    subject: a
    file: a.npz
    bin_width_ms: 10
    spikes: counts
    trials: {labels: trial, outside: zero}
    labels: LABELS
"""


def test_class_per_trial_is_that_of_the_bins_of_the_trial(arrays):
    session, notes = read(arrays, MANIFEST.replace("LABELS", "{target: target}"))
    target = classes_of(session, "target")
    assert session.classes == {"target": ("left", "right")}
    assert set(target[1:50]) == {"left"} and set(target[51:100]) == {"right"} and target[0] == target[50] == ""
    assert any('label "target" has no class in 2.0% of the bins' in note for note in notes)


def test_class_per_bin_may_be_a_number_and_unknown_bins_a_class_of_their_own(arrays):
    text = MANIFEST.replace("LABELS", "{state: {values: state, outside: none_of_them}}")
    state = classes_of(read(arrays, text)[0], "state")
    assert set(state[:2]) == {"1"} and set(state[2:4]) == {"2"} and set(state[10:12]) == {"none_of_them"}


def test_wider_bins_have_a_class_where_all_of_their_bins_have_the_same(arrays):
    text = "ingest: {bin_width_ms: 20}\n" + MANIFEST.replace("LABELS", "{state: state}")
    state = classes_of(read(arrays, text)[0], "state")
    assert len(state) == BINS // 2 and state[:6].tolist() == ["1", "2", "1", "2", "1", ""]


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        ("{target: targets}", DataError, "targets"),
        ("{target: {values: target, inside: x}}", ConfigError, "`inside` and `time_unit` belong to the tables of NWB"),
    ],
)
def test_labels_that_the_file_cannot_give_are_refused(arrays, labels, error, message):
    with pytest.raises(error, match=message):
        read(arrays, MANIFEST.replace("LABELS", labels))


def test_vector_of_another_length_is_refused_with_both_numbers(arrays):
    np.savez(arrays / "a.npz", **dict(np.load(arrays / "a.npz")) | {"target": np.array(["left", "right", "left"])})
    with pytest.raises(DataError, match=r"target has 3 values; one per bin \(400\) or one per trial \(8\) is needed"):
        read(arrays, MANIFEST.replace("LABELS", "{target: target}"))


def test_rows_of_an_nwb_table_give_the_bins_inside_and_outside(tmp_path):
    recording = generate_session(SyntheticConfig(duration_s=20, subjects=1, sessions_per_subject=1), 0)
    write_nwb(recording, tmp_path / "a.nwb")
    text = """sessions:
  - file: a.nwb
    behavior: null
    lfp: null
    labels: {direction: trials/direction, movement: {values: trials, inside: moving, outside: still}}
"""
    session, _ = read(tmp_path, text)
    start, stop = recording.reaches[3]
    centres = session.start_s + (np.arange(session.n_bins) + 0.5) / 100
    inside = (centres >= start) & (centres < stop)
    assert set(classes_of(session, "direction")[inside]) == {recording.directions[3]}
    moving = np.any([(centres >= a) & (centres < b) for a, b in recording.reaches], axis=0)
    assert np.array_equal(classes_of(session, "movement") == "moving", moving) and 0.3 < moving.mean() < 0.9
    with pytest.raises(DataError, match='has no column "directoin"; did you mean "direction"'):
        read(tmp_path, text.replace("trials/direction", "trials/directoin"))


def test_python_takes_a_class_per_trial_or_per_bin(tmp_path):
    random, trials = np.random.default_rng(0), np.array([[0.0, 1.0], [1.5, 2.5], [3.0, 4.0]])
    entry = add_session(
        tmp_path / "store",
        "a",
        subject="a",
        spikes=random.poisson(1, (BINS, 4)),
        bin_width_ms=10,
        trials=trials,
        labels={"target": ["left", "right", "left"], "state": np.arange(BINS) // 7 % 3},
        config=IngestConfig(bin_width_ms=10, splits=Splits(segment_s=0.2, parent_s=0.4)),
        report=lambda line: None,
    )
    assert entry.labels["target"].classes == ("left", "right") and entry.labels["state"].classes == ("0", "1", "2")

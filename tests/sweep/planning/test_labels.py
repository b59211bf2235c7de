"""Baselines of a label that read the clock: only where the label changes within trials that begin at the same event."""

import pytest

from raydistill.config.load import Where, build
from raydistill.errors import ConfigError
from raydistill.store.labels import StoredLabel
from raydistill.sweep.answering.sees import notes_on_clocks
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.planning.test_plan import make_entry

CLOCK = "logistic_on_clock"


def planned(folder, of, aligned=True, **change):
    sweep = {
        "name": "s",
        "store": "store",
        "preset": "tiny",
        "behavior": {"labels": "phase"},
        "sessions": {"all": {"names": ["a_1"]}},
        "jobs": {"lfp": {"train": "lfp", "each": "all"}},
        "methods": {"LFP": "lfp"},
    }
    label = StoredLabel(column=0, classes=("early", "late"), of=of)
    entry = make_entry("a_1", aligned=aligned, labels={"phase": label})
    config = build(SweepConfig, sweep | change, Where("sweep.yaml"))
    return config, plan(config, [entry], RunsFolder(folder))


def baselines(planned):
    return {job.spec.baseline for job in planned[1].jobs if job.kind == "baseline"}


def test_clock_is_a_baseline_of_labels_of_bins_in_aligned_trials_alone(tmp_path):
    assert baselines(planned(tmp_path, "bins")) == {"logistic_on_lfp", CLOCK}
    for of, aligned in (("segments", True), ("bins", False)):
        unsuited = planned(tmp_path, of, aligned)
        assert baselines(unsuited) == {"logistic_on_lfp"} and notes_on_clocks(*unsuited) == []


@pytest.mark.parametrize(
    "named", [{"baselines": [CLOCK]}, {"compare": ["LFP > Logistic regression on the clock"]}], ids=str
)
def test_clock_that_a_sweep_names_is_refused_for_labels_of_segments_and_missed_without_trials(tmp_path, named):
    with pytest.raises(ConfigError, match=f'{CLOCK} reads the bin within a trial, but "phase" does not change within'):
        planned(tmp_path, "segments", **named)
    (note,) = notes_on_clocks(*planned(tmp_path, "bins", aligned=False, **named))
    assert note.startswith("no clock baselines for a_1: their segments are not whole trials")

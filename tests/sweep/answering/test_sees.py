"""What a method sees follows from the specifications of its jobs and of all that they start and learn from."""

import pytest

from raydistill.config.load import Where, build
from raydistill.evaluation.sees import Sees, merged
from raydistill.sweep.answering.sees import notes_on_clocks, sees_of
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.baselines import baselines_of
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.planning.test_plan import ENTRIES, FAMILY, SWEEP, make_entry

METHODS = FAMILY["methods"] | {"SS": "ss", "Teacher": "teacher", "Distilled": "distilled"}
ALIGNED = [make_entry(s, aligned=True) for s in ("a_1", "a_2", "b_1", "b_2")]


def planned(folder, entries=ENTRIES, **change):
    sweep = build(SweepConfig, SWEEP | FAMILY | {"methods": METHODS} | change, Where("sweep.yaml"))
    return sweep, plan(sweep, entries, RunsFolder(folder))


def seen(folder, **change):
    return {s.method: s for s in sees_of(*planned(folder, **change))}


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("SS", "LFP, past, future"),
        ("Teacher", "spikes, past, future; in training: other sessions"),
        ("Distilled", "LFP, past, future; in training: spikes, other sessions"),
        ("Full", "LFP, past, future; in training: spikes, other sessions, labels"),
        ("MM", "spikes, LFP, past, future"),
        ("MM-ZS", "LFP, past, future; in training: spikes"),
        ("Ridge on LFP", "LFP, past; in training: labels"),
        ("Wide ridge on spikes", "spikes, past, future; in training: labels"),
    ],
)
def test_method_sees_what_its_jobs_and_their_sources_read(tmp_path, method, words):
    assert seen(tmp_path)[method].in_words() == words


def test_causal_models_do_not_see_the_future_and_bring_their_baselines(tmp_path):
    found = seen(tmp_path, model={"causal": True})
    assert not found["SS"].future and found["SS"].past
    assert found["Past ridge on LFP"].in_words() == "LFP, past; in training: labels"
    assert "Past ridge on LFP" not in seen(tmp_path)


def test_models_and_baselines_see_the_clock_where_trials_are_aligned(tmp_path):
    found = seen(tmp_path, entries=ALIGNED)
    assert found["SS"].clock and found["Clock"].in_words() == "clock; in training: labels"
    assert found["Wide ridge on LFP and clock"].clock and not found["Wide ridge on LFP"].clock
    assert not any(s.clock for s in seen(tmp_path).values())


def test_note_names_the_sessions_without_a_clock_only_if_it_is_missed(tmp_path):
    (note,) = notes_on_clocks(*planned(tmp_path))
    assert note.startswith("no clock baselines and no skill over the clock for a_2, b_2: their segments are not whole")
    assert notes_on_clocks(*planned(tmp_path, entries=ALIGNED)) == []
    assert notes_on_clocks(*planned(tmp_path, baselines=["ridge_on_lfp"])) == []


def test_sweep_that_reads_no_spikes_has_no_baseline_on_spikes():
    on_lfp = {"jobs": {"ss": SWEEP["jobs"]["ss"]}, "methods": {"SS": "ss"}}
    sweep = build(SweepConfig, SWEEP | on_lfp, Where("sweep.yaml"))
    assert not any("spikes" in name for name in baselines_of(sweep))
    assert baselines_of(build(SweepConfig, SWEEP | on_lfp | {"baselines": []}, Where("sweep.yaml"))) == ()


def test_method_of_several_jobs_sees_what_any_of_them_sees():
    one = Sees(
        method="m", reads=("lfp",), past=True, future=False, clock=False, labels=False, other_sessions=False,
        spikes="never",
    )  # fmt: skip
    two = Sees(
        method="m", reads=("lfp",), past=True, future=True, clock=False, labels=True, other_sessions=False,
        spikes="training",
    )  # fmt: skip
    both = merged([one, two])
    assert both.in_words() == "LFP, past, future; in training: spikes, labels"
    assert both.to_json()["reads"] == ["lfp"] and both.to_json()["spikes"] == "training"

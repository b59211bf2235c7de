"""Settings in which compared methods differ, and what methods are, from the specifications of their jobs."""

from dataclasses import replace

import pytest

from raydistill.evaluation.comparisons import compare, compare_all
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score
from raydistill.store.store import Store
from raydistill.sweep.answering.meanings import meanings
from raydistill.sweep.answering.settings import different_settings
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.paths import SWEEPS
from tests.sweep.baseline_sweep import write_sweep
from tests.sweep.planning.test_catalogue import corpus

JOBS = """jobs:
  ms_spike: {pretrain: spikes, on: every}
  teacher: {finetune: ms_spike, each: every}
  distilled: {distill: teacher, into: lfp, each: every, model: {lfp_patch: 64, dropout: 0.2}, training: {epochs: 7}}
  ss_lfp: {train: lfp, each: every, model: {lfp_patch: 16}}
  equal: {train: lfp, each: every, model: {lfp_patch: 64, dropout: 0.2}, training: {epochs: 7}, supervision: full}
methods: {Distilled LFP: distilled, SS-LFP: ss_lfp, Equal: equal, MS-Spike: teacher}
controls: []
"""


@pytest.fixture
def planned(tmp_path):
    path = write_sweep(tmp_path)
    kept = [line for line in path.read_text().splitlines() if not line.startswith(("jobs:", "methods:"))]
    path.write_text("\n".join(kept) + "\n" + JOBS)
    sweep = load_sweep(path)
    return plan(sweep, Store(sweep.store).entries(), RunsFolder(tmp_path / "runs"))


def test_settings_that_differ_are_those_that_the_sweep_gives(planned):
    (differ,) = different_settings(planned, [compare("Distilled LFP", "SS-LFP", [])])
    assert differ.values == {"lfp_patch": ("64", "16"), "dropout": ("0.2", "0.0"), "epochs": ("7", "3")}
    assert differ.in_words() == (
        "Settings differ between Distilled LFP and SS-LFP: lfp_patch 64 against 16, dropout 0.2 against 0.0, "
        "epochs 7 against 3."
    )
    results = Results(protocol="corrected", scores=(), settings=(differ,))
    assert results.settings_of(compare("Distilled LFP", "SS-LFP", [])) == differ.in_words()
    assert results.settings_of(compare("SS-LFP", "Distilled LFP", [])) == ""
    assert results.to_json()["settings"][0]["settings"]["epochs"] == ["7", "3"]


def test_settings_that_differ_are_those_of_the_jobs_of_the_figure(tmp_path):
    planned = plan(load_sweep(SWEEPS / "unsupervised.yaml"), corpus(), RunsFolder(tmp_path))
    found = {(d.figure, d.worse): d for d in different_settings(planned, compare_all(planned.panels, []))}
    assert set(found) == {("F11", "MS-LFP"), ("F11", "MS-Spike")}  # there, some are pretrained models as they are
    differ = found["F11", "MS-LFP"]
    assert differ.values == {"epochs": ("400", "550 or 560"), "batch": ("32", "64")}
    results = Results(protocol="corrected", scores=(), settings=tuple(found.values()))
    of_figure = {f: replace(compare("Distilled LFP", "MS-LFP", []), figure=f) for f in ("F3", "F11")}
    assert results.settings_of(of_figure["F11"]) == differ.in_words() and results.settings_of(of_figure["F3"]) == ""
    assert differ.to_json()["figure"] == "F11"


def test_methods_with_equal_settings_do_not_differ_by_their_objectives_or_signals(planned):
    assert different_settings(planned, [compare("Distilled LFP", "Equal", [])]) == ()
    (differ,) = different_settings(planned, [compare("MS-Spike", "Equal", [])])
    assert set(differ.values) == {"dropout", "epochs"}  # and not the patches of different signals


def test_meanings_say_what_methods_and_baselines_learn_and_from_which_weights(planned):
    scored = ("Distilled LFP", "MS-Spike", "Equal")
    scores = tuple(Score(method, "a_1", "a", 0, 0.5, "job") for method in scored)
    baselines = (Score("Ridge on LFP", "a_1", "a", None, 0.5, "job"),)
    found = meanings(planned, Results(protocol="corrected", scores=scores, baselines=baselines))
    assert found == {
        "Distilled LFP": "A model that reads LFP and learns to reconstruct LFP, while its latents follow those of "
        "`teacher`, a model of spikes. It is trained on each session alone, from random weights. Behavior is decoded "
        "from its latents by least squares.",
        "MS-Spike": "A model that reads spikes and learns to reconstruct masked parts of spikes. It is trained on each "
        "session alone, from the weights of `ms_spike` (1 session). Behavior is decoded from its latents by least "
        "squares.",
        "Equal": "A model that reads LFP and learns to predict behavior. It is trained on each session alone, from "
        "random weights. Behavior is decoded by its own head.",
        "Ridge on LFP": "Ridge regression on up to 0.3 s of LFP before the decoded bin (a Wiener filter).",
    }

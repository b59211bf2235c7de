"""Jobs of the family msid, from the line of a sweep to a model that streams: of spikes, of LFP, and of both."""

import json

import numpy as np
import pytest

import raydistill
from raydistill.config.recordings import IngestConfig, Splits
from raydistill.errors import ConfigError
from raydistill.evaluation.below import BelowBaseline
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.sweep.answering.advice import advice
from raydistill.sweep.answering.card import card_of
from raydistill.sweep.answering.collect import notes_on_fits
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.answering.tracked import Records
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.spec import spec_from_json, spec_to_json
from raydistill.sweep.running.execute import JobContext, run_session_job
from tests.models.msid.systems import simulated

SWEEP = """name: rivals
preset: tiny
sessions: {every: {modality: lfp}}
jobs:
  msid_spikes: {train: spikes, each: every, family: msid, supervision: full, model: {states: [4]}}
  msid_lfp: {train: lfp, each: every, family: msid, supervision: full, model: {states: [2, 4]}}
  msid_both: {train: [spikes, lfp], each: every, family: msid, supervision: full, model: {states: [4]}}
  ss_lfp: {train: lfp, each: every, training: {epochs: 1}}
methods: {MSID spikes: msid_spikes, MSID LFP: msid_lfp, MSID: msid_both, SS-LFP: ss_lfp}
compare: [MSID > MSID LFP, MSID > SS-LFP, Ridge on LFP > SS-LFP, Ridge on LFP > MSID LFP]
seeds: [0, 1]
baselines: []
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A sweep file next to a store of one session, whose behavior are two states of a simulated system."""
    folder = tmp_path_factory.mktemp("msid")
    _, states, counts, lfp = simulated(8000, rate=0.2)
    session = Session.from_arrays(
        "a_1",
        subject="a",
        bin_width_ms=10.0,
        spikes=counts,
        lfp=lfp,
        behavior=states[:, :2],
        behavior_names=("vx", "vy"),
        behavior_units=("cm/s", "cm/s"),
    )
    store = Store(str(folder / "store"))
    store.write(session, IngestConfig(bin_width_ms=10, splits=Splits(segment_s=2, parent_s=4)), "a" * 64)
    store.publish()
    (folder / "sweep.yaml").write_text(SWEEP + f"store: {folder / 'store'}\n")
    return folder


@pytest.fixture(scope="module")
def sweep(folder):
    """The sweep, with all its jobs done."""
    sweep = OpenSweep(load_sweep(folder / "sweep.yaml"), RunsFolder(folder / "runs"))
    for job in sweep.plan().jobs:
        run_session_job(job, JobContext(sweep.runs, sweep.store))
    return sweep


def jobs_of(sweep):
    return {job.name.split("/")[0]: job for job in sweep.plan().jobs}


def test_every_signal_gives_a_score_and_both_together_the_best(sweep):
    results = sweep.collect(sweep.plan())
    r2 = {score.method: score.value for score in results.scores}
    assert 0.6 < r2["MSID spikes"] < r2["MSID"] and 0.8 < r2["MSID LFP"] < r2["MSID"] < 0.95
    comparison = results.comparisons[0]
    assert comparison.mean_difference == pytest.approx(r2["MSID"] - r2["MSID LFP"])
    assert {s.method for s in results.sees if not s.future} == {"MSID spikes", "MSID LFP", "MSID", "Ridge on LFP"}


def test_fit_has_no_seed_and_is_compared_with_every_seed_of_a_method_and_with_baselines(sweep):
    assert {job.name: job.seed for job in sweep.plan().jobs if job.line != "ss_lfp"} == {
        "msid_spikes/a_1/fit": None,
        "msid_lfp/a_1/fit": None,
        "msid_both/a_1/fit": None,
        "ridge_on_lfp/a_1": None,
    }
    results = sweep.collect(sweep.plan())
    seeds = [[seed for _, seed, _, _ in comparison.pairs] for comparison in results.comparisons]
    assert seeds == [[None], [0, 1], [0, 1], [None]]
    assert all(comparison.missing == () for comparison in results.comparisons)


def test_mlflow_and_the_card_have_what_was_chosen_and_how_signals_are_predicted(sweep):
    job, results = jobs_of(sweep)["msid_lfp"], sweep.collect(sweep.plan())
    stored = sweep.runs.metrics(job.key)
    record = Records(sweep).job(job, None).read()
    assert record.metrics["states"] in (2, 4)
    assert record.metrics["R2 validation with 4"] == stored["fit"]["valid_r2"]["4"]
    name, value = "signals/last 200 ms: R2 of LFP", stored["neural"]["forward"]["lfp_r2"]
    assert record.metrics[name] == value
    methods = {row.name: row.metrics for row in Records(sweep).methods(results, {})}
    assert methods["MSID LFP"][name] == pytest.approx(value, abs=5e-5) and name not in methods["MSID spikes"]
    card = (sweep.runs.job_folder(job.key) / "card.md").read_text()
    assert f"states = {record.metrics['states']}" in card
    assert f"prediction of the last 200 ms: R² of LFP: {value:.3f}" in card


def test_metrics_tell_how_well_signals_are_predicted(sweep):
    for name, job in jobs_of(sweep).items():
        if job.line not in ("msid_spikes", "msid_lfp", "msid_both"):
            continue
        metrics = json.loads((sweep.runs.job_folder(job.key) / "metrics.json").read_text())
        tasks = metrics["neural"]
        assert set(tasks) == {"one_step", "co_smoothing", "forward"}
        for task in tasks.values():
            assert ("bits_per_spike" in task) == (name != "msid_lfp")
            assert ("lfp_r2" in task) == (name != "msid_spikes")
            assert task.get("bits_per_spike", 1) > 0.02 and task.get("lfp_r2", 1) > 0.02
            assert task.get("prediction_power", 1) > 0.1
        assert tasks["co_smoothing"].get("lfp_r2", 1) > tasks["forward"].get("lfp_r2", 0)
        correlation, r2 = metrics["correlation_per_axis"], metrics["r2_per_axis"]
        assert all(correlation[column] ** 2 > r2[column] - 1e-6 for column in ("vx", "vy"))


def test_fit_is_described_in_metrics_and_an_approximate_one_in_the_results(sweep, monkeypatch):
    both = jobs_of(sweep)["msid_lfp"]
    about = sweep.runs.metrics(both.key)["fit"]
    assert about["valid_r2"].keys() == {"2", "4"} and about["note"] is None
    assert about == raydistill.load_model(sweep.runs.job_folder(both.key)).spec.provenance["fit"]
    plan = sweep.plan()
    assert notes_on_fits(plan, sweep.runs) == []
    metrics = sweep.runs.metrics
    noted = {"fit": {"note": "fitted approximately"}}
    monkeypatch.setattr(type(sweep.runs), "metrics", lambda runs, key: metrics(key) | noted)
    assert notes_on_fits(plan, sweep.runs)[0] == "msid_spikes: 1 job fitted approximately"
    jobs, entries = {job.key: job for job in plan.jobs}, [Store(sweep.store).entry("a_1")]
    card = card_of(both, jobs, entries, sweep.runs.metrics(both.key), {})
    assert "It is fitted approximately." in card.limits


def test_specification_survives_json_and_no_recipe_is_part_of_the_key(folder, sweep):
    other = OpenSweep(load_sweep(folder / "sweep.yaml", ["training.epochs=7"]), sweep.runs)
    for job, same in zip(sweep.plan().jobs, other.plan().jobs, strict=True):
        assert spec_from_json(json.loads(json.dumps(spec_to_json(job.spec)))) == job.spec
        assert job.key == same.key


def test_advice_for_a_fit_that_a_plain_decoder_beats_names_no_setting_of_a_training(sweep):
    below = BelowBaseline(method="MSID", baseline="Ridge on LFP", value=0.1, baseline_value=0.2, worse_in=1, sessions=1)
    said = advice(below, sweep.plan(), sweep.runs)
    assert "compare other settings of its `model`" in said and "learning_rate" not in said


def test_stream_of_both_signals_equals_the_whole_segment(sweep):
    model = raydistill.load_model(sweep.runs.job_folder(jobs_of(sweep)["msid_both"].key))
    assert model.spec.provenance["fit"]["valid_r2"].keys() == {"4"}
    store = Store(sweep.store)
    segment = next(iter(store.stream(store.entry("a_1"), "test", signals=("spikes", "lfp"))))
    whole = model.latents(spikes=segment.spikes, lfp=segment.lfp)
    behavior = model.behavior(spikes=segment.spikes, lfp=segment.lfp)
    stream = model.stream()
    steps = [stream.step(spikes=n, lfp=y) for n, y in zip(segment.spikes, segment.lfp, strict=True)]
    np.testing.assert_allclose(np.array([s.latents for s in steps]), whole, atol=1e-5)
    np.testing.assert_allclose(np.array([s.behavior for s in steps]), behavior, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("states: [4]", "states: []", "`jobs.msid_spikes.model.states` must not be an empty list"),
        ("states: [4]", "states: [4, 4]", "`states` must be one or more different numbers"),
        ("states: [4]", "states: [0]", "must be at least 1"),
        ("states: [4]", "horizon: 1", "must be at least 2"),
        ("states: [4]", "layers: 2", "has no setting"),
        ("supervision: full", "supervision: full, embedding: conv", "without embedding"),
        ("supervision: full", "supervision: none", "are fitted to behavior"),
        ("supervision: full", "supervision: full, seeds: [0]", "nothing in the fit of `family: msid` is random"),
    ],
)
def test_setting_that_cannot_work_is_refused(folder, tmp_path, old, new, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP.replace(old, new, 1) + f"store: {folder / 'store'}\n")
    with pytest.raises(ConfigError, match=message):
        load_sweep(path)

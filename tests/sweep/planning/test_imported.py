"""Imported models as jobs: known by their content, and planned only for sessions and jobs that they fit."""

import dataclasses
import json
import shutil

import pytest

from raydistill.config.load import Where, build
from raydistill.errors import ConfigError, DataError
from raydistill.models.families import build_model
from raydistill.models.files import load_model, save_model
from raydistill.models.released.released import import_checkpoint
from raydistill.simulation.corpus import planned_sessions
from raydistill.sweep.answering.sees import sees_of
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, run_session_job
from tests.models.released.checkpoints import make_config, make_weights, write_checkpoint, write_metadata
from tests.paths import SWEEPS
from tests.sweep.planning.test_catalogue import corpus
from tests.sweep.planning.test_plan import make_entry

COLUMNS = {"a_1": 5, "b_1": 5}
ENTRIES = [make_entry(s) for s in ("a_1", "a_2", "b_1")]
SWEEP = {
    "name": "s",
    "store": "somewhere",
    "preset": "tiny",
    "seeds": [0, 1],
    "sessions": {"known": {"names": ["a_1", "b_1"]}, "other": {"names": ["a_2"]}},
}


def import_into(folder, columns=COLUMNS, value="conv", seed=0, **sizes):
    """The folder of a model in the released layout, as `raydistill import` writes it."""
    folder.mkdir(parents=True)
    weights = make_weights(value, columns, seed=seed, **sizes)
    checkpoint = write_checkpoint(folder / "released.ckpt", make_config(value), weights)
    save_model(import_checkpoint(checkpoint, write_metadata(folder / "released.csv", columns)).model, folder)
    return folder


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    return import_into(tmp_path_factory.mktemp("models") / "released", patch=4)


def jobs_of(jobs, methods, entries=ENTRIES):
    sweep = build(SweepConfig, SWEEP | {"jobs": jobs, "methods": methods, "baselines": []}, Where("sweep.yaml"))
    return {job.name: job for job in expand(sweep, entries)}


def test_key_of_an_imported_model_follows_from_its_content_wherever_it_lies(released, tmp_path):
    shutil.copytree(released, tmp_path / "moved")
    other = import_into(tmp_path / "other", patch=4, seed=1)
    methods = {"M": {"job": "m", "each": "known"}}
    one, moved, changed = (
        jobs_of({"m": {"imported": str(folder)}}, methods) for folder in (released, tmp_path / "moved", other)
    )
    assert one["m/imported"].key == moved["m/imported"].key != changed["m/imported"].key
    assert one["m/imported"].folder != moved["m/imported"].folder
    decoded = one["M/a_1"]
    assert decoded.kind == "evaluate" and decoded.depends_on == (one["m/imported"].key,) and decoded.seed is None
    assert decoded.spec.embeddings_of is None and decoded.spec.reads == ("lfp", "behavior")
    assert Job.from_json(json.loads(json.dumps(one["m/imported"].to_json()))) == one["m/imported"]


def test_imported_model_decodes_other_sessions_as_one_that_it_knows(released):
    jobs = jobs_of({"m": {"imported": str(released)}}, {"M": {"job": "m", "each": "other", "as": "b_1"}})
    assert jobs["M/a_2"].spec.embeddings_of == "b_1"


def test_jobs_that_start_from_an_imported_model_have_its_form(released):
    lines = {
        "m": {"imported": str(released)},
        "tuned": {"finetune": "m", "each": "other"},
        "student": {"distill": "m", "each": "known", "model": {"width": 32}},
    }
    jobs = jobs_of(lines, {"Tuned": "tuned", "Student": "student"})
    model, tuned = load_model(released).spec.config, jobs["tuned/a_2/seed1"]
    assert tuned.spec.weights == jobs["m/imported"].key
    assert dataclasses.replace(tuned.spec.model, predictor=None) == model and tuned.spec.model.predictor
    assert jobs["student/a_1/seed0"].spec.teachers == {"a_1": jobs["m/imported"].key}


@pytest.mark.parametrize(
    ("lines", "method", "message"),
    [
        (
            {},
            {"each": "other"},
            "methods.M: m was not trained on session a_2; .* give one of its sessions as `as`: a_1",
        ),
        ({}, {"each": "other", "as": "a_3"}, 'm was not trained on session a_3; did you mean "a_1"'),
        (
            {},
            {"each": "six", "as": "a_1"},
            "session six has 6 channels, but a_1, which the model was trained on, has 5",
        ),
        ({}, {}, "m is one model over many sessions: give the sessions to decode"),
        ({"m": {"imported": "nowhere"}}, {"each": "known"}, "nowhere: there is no model.json in this folder"),
        ({"m": {"epochs": 3}}, {"each": "known"}, 'unknown key "epochs"'),
        ({"m": {"seeds": [1]}}, {"each": "known"}, "a finished model, which no `seeds` can change"),
        ({"m": {"train": "lfp"}}, {"each": "known"}, "exactly one of .*imported; got train and imported"),
        ({"t": {"train": "lfp", "each": "known", "trained_with": "lfp"}}, {"each": "known"}, "`trained_with` applies"),
        (
            {"t": {"finetune": "m", "each": "known", "model": {"width": 64}}},
            {"each": "known"},
            "starts from the weights of m, which has width 32, not 64|`width: 32`, not 64",
        ),
        (
            {"t": {"distill": "m", "each": "other", "model": {"width": 32}}},
            {"each": "known"},
            "a_2, on which its teacher jobs.m is not trained",
        ),
    ],
)
def test_imported_model_that_does_not_fit_is_refused(released, lines, method, message):
    jobs = {"m": {"imported": str(released)}} | {name: job for name, job in lines.items() if name != "m"}
    jobs["m"] = jobs["m"] | lines.get("m", {})
    sessions = SWEEP["sessions"] | {"six": {"names": ["six"]}}
    tree = SWEEP | {"sessions": sessions, "jobs": jobs, "methods": {"M": {"job": "m"} | method}}
    with pytest.raises(ConfigError, match=message):
        expand(build(SweepConfig, tree, Where("sweep.yaml")), [*ENTRIES, make_entry("six", n_channels=6)])


def test_imported_model_is_copied_and_says_what_is_known_of_it(released, tmp_path):
    lines = {"m": {"imported": str(released), "trained_with": ["spikes", "lfp"], "supervision": "full"}}
    methods = {"M": {"job": "m", "each": "known"}}
    sweep = build(SweepConfig, SWEEP | {"jobs": lines, "methods": methods, "baselines": []}, Where("sweep.yaml"))
    runs = RunsFolder(tmp_path)
    planned = plan(sweep, ENTRIES, runs)
    (job,) = (job for job in planned.jobs if job.kind == "imported")
    run_session_job(job, JobContext(runs, "no store"))
    copied = load_model(runs.job_folder(job.key))
    ours, theirs = copied.state_dict(), load_model(released).state_dict()
    assert ours.keys() == theirs.keys() and all((ours[name] == theirs[name]).all() for name in ours)
    assert runs.is_current(job) and runs.find_job(job.key[:8])[0] == job
    (sees,) = sees_of(sweep, planned)
    assert (sees.reads, sees.spikes, sees.labels, sees.other_sessions) == (("lfp",), "training", True, True)


def test_imported_model_with_a_head_is_decoded_by_it_where_the_session_has_its_columns(released, tmp_path):
    spec = dataclasses.replace(load_model(released).spec, behavior=("velocity",))
    folder = tmp_path / "supervised"
    folder.mkdir()
    save_model(build_model(spec), folder)
    lines, methods = {"m": {"imported": str(folder)}}, {"M": {"job": "m", "each": "known"}}
    imported = jobs_of(lines, methods)["m/imported"].spec
    assert imported.predicted_behavior == ("velocity",) and imported.uses_labels
    others = [dataclasses.replace(e, behavior=("speed",)) for e in ENTRIES]
    with pytest.raises(ConfigError, match="model of m predicts velocity, which session a_1 does not have"):
        jobs_of(lines, methods, others)


def test_imported_model_that_changed_since_planning_is_refused(tmp_path):
    folder = import_into(tmp_path / "model", patch=4)
    job = jobs_of({"m": {"imported": str(folder)}}, {"M": {"job": "m", "each": "known"}})["m/imported"]
    shutil.rmtree(folder)
    import_into(folder, patch=4, seed=1)
    with pytest.raises(DataError, match=r"model\.json has changed since planning"):
        run_session_job(job, JobContext(RunsFolder(tmp_path / "runs"), "no store"))


def test_released_sweep_decodes_the_27_sessions_of_figure_5_with_the_released_models(tmp_path):
    of_lfp = {s.session for s in planned_sessions() if s.has_lfp and s.dataset in ("makin", "flint")}
    entries = [dataclasses.replace(e, n_channels=e.n_channels and 95 + (e.subject == "I")) for e in corpus()]
    folders = {
        "ms_lfp": import_into(tmp_path / "ms_lfp", {s: 95 + ("MonkeyI" in s) for s in of_lfp}),
        "distilled_i": import_into(tmp_path / "distilled_i", {"MonkeyI_20160622_01": 96}),
        "distilled_c": import_into(tmp_path / "distilled_c", {"MonkeyC_e1_1": 95}),
    }
    overrides = [f"jobs.released_{name}.imported={folder}" for name, folder in folders.items()]
    sweep = load_sweep(SWEEPS / "generalization_released.yaml", overrides)
    planned = plan(sweep, entries, RunsFolder(tmp_path / "runs"))
    jobs = [job for job in planned.jobs if job.kind != "baseline"]
    assert {job.kind: sum(j.kind == job.kind for j in jobs) for job in jobs} == {"imported": 3, "evaluate": 54}
    (panel,) = planned.panels
    assert panel.figure == "F5" and {job.session for job in jobs if job.method} == panel.sessions

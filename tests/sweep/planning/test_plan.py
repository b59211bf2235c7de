"""Planning: every job once, with a key that depends on everything that determines its result and nothing else."""

import dataclasses

import pytest

from raydistill.config.load import Where, build
from raydistill.errors import ConfigError
from raydistill.store.catalogue import Entry, Part
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.estimate import update_rates
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.plan import lines, merged, plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.selection import Selection, narrow

SWEEP = {
    "name": "s",
    "store": "somewhere",
    "preset": "tiny",
    "model": {"spikes_patch": 64},  # these three so that the golden keys do not depend on the preset
    "pretraining": {"epochs": 12},
    "training": {"epochs": 20},
    "seeds": [0, 1],
    "behavior": ["velocity"],
    "sessions": {"held_out": {"names": ["a_2", "b_2"]}, "pretraining": {"except": "held_out", "modality": "spikes"}},
    "jobs": {
        "ms": {"pretrain": "spikes", "on": "pretraining", "workers": 2},
        "teacher": {"finetune": "ms", "each": "held_out"},
        "distilled": {"distill": "teacher", "each": "held_out"},
        "ss": {"train": "lfp", "each": "held_out"},
    },
    "methods": {"Distilled": "distilled", "SS": "ss"},
}


def make_entry(session, n_units=10, n_channels=5, **other):
    values = {f.name: "" for f in dataclasses.fields(Entry)}
    values |= {"session": session, "subject": session[0], "n_units": n_units, "n_channels": n_channels, "n_bins": 1000}
    values |= {"behavior": ("velocity",), "aligned": False, "protocol": "corrected", "config": {}}
    present = {"spikes": n_units, "lfp": n_channels, "behavior": True}
    values |= {"contents": {name: f"{name} of {session}" for name, is_there in present.items() if is_there}}
    part = Part(
        path=f"{session}.parquet", split="train", numbers=tuple(range(10)), n_bins=(100,) * 10, size=0, sha256=""
    )
    values |= {"bin_width_ms": 20.0, "n_segments": 10, "lfp_bands": 1, "parts": (part,)}
    return Entry(**(values | other))


ENTRIES = [make_entry(s) for s in ("a_1", "a_2", "b_1", "b_2")] + [make_entry("c_1", n_channels=0)]


def jobs_of(entries=ENTRIES, **change):
    change |= {name: SWEEP[name] | change[name] for name in ("model", "pretraining", "training") if name in change}
    sweep = build(SweepConfig, SWEEP | change, Where("sweep.yaml"))
    return {job.name: job for job in expand(sweep, entries)}


def test_plan_says_on_which_bins_z_scores_are_fitted(tmp_path):
    sweep = build(SweepConfig, SWEEP, Where("sweep.yaml"))
    entries = [make_entry(e.session, protocol="session_zscores") for e in ENTRIES]
    assert "protocol: session_zscores" in lines(plan(sweep, entries, RunsFolder(tmp_path)))
    following = [make_entry(e.session, config={"adapt_s": 600}) for e in ENTRIES]
    assert "protocol: corrected (z-scores follow over 600 s)" in lines(plan(sweep, following, RunsFolder(tmp_path)))


def with_job(name, **change):
    return {"jobs": SWEEP["jobs"] | {name: SWEEP["jobs"][name] | change}}


def test_expand_gives_every_job_once_after_its_sources():
    jobs = jobs_of()
    assert len(jobs) == 1 + 3 * 2 * 2 + 6 * 2
    assert list(jobs["ms/seed0"].spec.sessions) == ["a_1", "b_1", "c_1"]
    assert jobs["distilled/a_2/seed1"].depends_on == (jobs["teacher/a_2/seed1"].key,)
    assert jobs["teacher/a_2/seed1"].depends_on == (jobs["ms/seed0"].key,)
    seen = set()
    for job in jobs.values():
        assert seen.issuperset(job.depends_on)
        seen.add(job.key)


def with_equal_job(**methods):
    return {"jobs": SWEEP["jobs"] | {"equal": {"train": "lfp", "each": "held_out", "embedding": "linear"}}} | methods


def test_expand_of_equal_jobs_keeps_the_method_of_the_one_that_has_it():
    for name in ("ss", "equal"):
        jobs = jobs_of(**with_equal_job(methods={"Distilled": "distilled", "SS": name}))
        assert [job.method for job in jobs.values() if job.kind == "train"] == ["SS", "SS", "SS", "SS"]


def test_expand_of_equal_jobs_of_two_methods_is_refused():
    message = "equal/a_2/seed0 of Other is the same job as ss/a_2/seed0 of SS, because their settings are equal"
    with pytest.raises(ConfigError, match=message):
        jobs_of(**with_equal_job(methods={"SS": "ss", "Other": "equal"}))


def changed(**change):
    """Names of the jobs whose key differs after a change of the sweep."""
    before, after = jobs_of(), jobs_of(**change)
    return {name for name in before if before[name].key != after[name].key}


def test_key_changes_with_everything_that_determines_the_result():
    per_session = {f"{n}/{s}_2/seed{i}" for n in ("teacher", "distilled", "ss") for s in "ab" for i in (0, 1)}
    assert changed(training={"epochs": 7}) == per_session
    assert changed(pretraining={"epochs": 7}) == {"ms/seed0"} | {n for n in per_session if not n.startswith("ss")}
    assert changed(**with_job("ss", training={"learning_rate": 0.1})) == {n for n in per_session if n.startswith("ss")}


def test_new_values_of_one_signal_change_the_keys_of_the_jobs_that_read_it():
    contents, others = make_entry("a_2").contents, [e for e in ENTRIES if e.session != "a_2"]
    other = {signal: [make_entry("a_2", contents=contents | {signal: "other"}), *others] for signal in contents}
    of_a_2 = {n for n in jobs_of() if "a_2" in n}
    assert changed(entries=other["behavior"]) == of_a_2
    on_spikes = {n for n in of_a_2 if n.startswith("teacher") or "_on_spikes" in n}
    on_lfp = {n for n in of_a_2 if n.startswith("ss") or "_on_lfp" in n}
    distilled = of_a_2 - on_spikes - on_lfp
    assert on_spikes and on_lfp and all(n.startswith("distilled") for n in distilled)
    assert changed(entries=other["spikes"]) == on_spikes | distilled
    assert changed(entries=other["lfp"]) == on_lfp | distilled


def test_key_changes_only_if_the_job_uses_the_value():
    every = set(jobs_of()) - {n for n in jobs_of() if "_on_" in n}
    students = {n for n in every if n.startswith("distilled")}
    assert changed(model={"lfp_patch": 16}) == students | {n for n in every if n.startswith("ss")}
    assert changed(model={"conv_kernel": 5}) == students == changed(training={"alignment": 1.0})
    assert (
        changed(model={"projection_dropout": True}) == every and changed(model={"projection_dropout": False}) == set()
    )
    assert changed(model={"readout": "pooled"}) == students and changed(model={"readout": "tokens"}) == set()
    assert changed(model={"spikes_patch": 32}) == {n for n in every if not n.startswith("ss")}


@pytest.mark.parametrize(
    "change",
    [
        {"store": "elsewhere"},
        {"name": "other"},
        {"engine": {"checkpoint_every": 3, "memory": "stream"}},
        with_job("ms", engine={"micro_batch": 1}),
        {"gpu_per_job": 0.5},
        with_job("ms", workers=[2, 8]),
        {"methods": {"Other name": "distilled", "SS": "ss"}},
        {"seeds": [1, 0]},
    ],
    ids=str,
)
def test_key_does_not_change_with_other_settings(change):
    assert changed(**change) == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sessions": SWEEP["sessions"] | {"held_out": {"names": ["a_3"]}}}, 'no session "a_3"; did you mean'),
        ({"sessions": SWEEP["sessions"] | {"held_out": {"subjects": ["z"]}}}, "matches none of the store's 5"),
        ({"sessions": SWEEP["sessions"] | {"held_out": {"names": ["c_1"]}}}, "needs lfp, which session c_1 does not"),
        ({"behavior": ["velocty"]}, 'no column "velocty"; did you mean "velocity"?'),
    ],
)
def test_expand_of_an_invalid_sweep_is_refused(change, message):
    with pytest.raises(ConfigError) as caught:
        jobs_of(**change)
    assert message in str(caught.value)


def test_clock_is_planned_for_sessions_with_aligned_trials():
    entries = [make_entry(e.session, n_channels=e.n_channels, aligned=e.session == "a_2") for e in ENTRIES]
    assert [name for name in jobs_of(entries) if name.startswith("clock")] == ["clock/a_2"]


def test_plan_of_an_empty_runs_folder_has_only_missing_jobs(tmp_path):
    found = plan(build(SweepConfig, SWEEP, Where("sweep.yaml")), ENTRIES, RunsFolder(tmp_path)).to_json()
    assert found["counts"] == {"done": 0, "missing": 25, "stale": 0, "failed": 0}
    assert all(job["estimated_s"] > 0 for job in found["jobs"])


def test_plan_with_a_named_group_of_the_paper_counts_the_sessions_that_the_store_has(tmp_path):
    held_out = [make_entry(f"MonkeyI_{day}", dataset="makin") for day in ("20160622_01", "20160630_01")]
    other = make_entry("MonkeyI_20160624_03", dataset="makin")
    groups = {"held_out": {"named": "paper_held_out"}, "pretraining": {"named": "paper_pretraining"}}
    groups["held_out_raw"] = {"named": "paper_held_out", "datasets": "makin"}
    sweep = build(SweepConfig, SWEEP | {"sessions": groups}, Where("sweep.yaml"))
    planned = plan(sweep, [*held_out, other, *ENTRIES], RunsFolder(tmp_path))
    assert {j.session for j in planned.jobs if j.session} == {e.session for e in held_out}
    assert list(next(j for j in planned.jobs if j.name == "ms/seed0").spec.sessions) == [other.session]
    assert planned.notes == (
        "sessions.held_out, held_out_raw: the store holds 2 of the 17 sessions of paper_held_out",
        "sessions.pretraining: the store holds 1 of the 226 sessions of paper_pretraining",
    )


FAMILY = {
    "jobs": SWEEP["jobs"]
    | {
        "teacher_sup": {"finetune": "ms", "each": "held_out", "supervision": "joint"},
        "teacher_full": {"finetune": "ms", "each": "held_out", "supervision": "full"},
        "distilled_full": {"distill": "teacher_full", "each": "held_out", "supervision": "full"},
        "unfrozen": {"distill": "teacher", "each": "held_out", "unfreeze_epoch": 0},
        "ms_distilled": {"distill": "ms", "on": "lfp"},
        "ms_distilled_ft": {"distill": "teacher", "start": "ms_distilled", "each": "held_out"},
        "mm": {"train": ["spikes", "lfp"], "each": "held_out"},
        "lstm": {"train": "lfp", "each": "held_out", "supervision": "full", "model": {"backbone": "lstm"}},
    },
    "sessions": SWEEP["sessions"] | {"lfp": {"modality": "lfp", "except": "held_out"}},
    "methods": {"MM": "mm", "MM-ZS": {"job": "mm", "inputs": "lfp"}, "Full": "distilled_full", "MS": "ms_distilled_ft"},
}


def test_expand_of_the_whole_family_links_every_job_to_its_weights_and_teachers():
    jobs = jobs_of(**FAMILY)
    one = lambda name: jobs[f"{name}/a_2/seed1"]  # noqa: E731
    assert one("distilled_full").spec.teachers == {"a_2": one("teacher_full").key}
    assert one("distilled_full").spec.weights is None
    many = jobs["ms_distilled/seed0"]
    assert many.is_pretraining and many.spec.teachers == dict.fromkeys(("a_1", "b_1"), jobs["ms/seed0"].key)
    tuned = one("ms_distilled_ft")
    assert tuned.spec.weights == many.key and tuned.spec.teachers == {"a_2": one("teacher").key}
    assert set(tuned.depends_on) == {many.key, one("teacher").key} and tuned.spec.model.embedding.name == "conv"
    assert one("mm").spec.model.modality == "multimodal" and one("mm").spec.model.embedding.name == "linear"
    assert one("unfrozen").spec.objective.unfreeze_epoch == 0 and one("unfrozen").key != one("distilled").key
    assert len({one(name).key for name in ("teacher", "teacher_sup", "teacher_full")}) == 3
    silent = one("MM-ZS")
    assert silent.kind == "evaluate" and silent.method == "MM-ZS" and silent.depends_on == (one("mm").key,)
    assert one("mm").method == "MM" and one("distilled_full").method == "Full"


def test_plan_of_the_whole_family_estimates_every_job(tmp_path):
    found = plan(build(SweepConfig, SWEEP | FAMILY, Where("sweep.yaml")), ENTRIES, RunsFolder(tmp_path)).to_json()
    assert all(job["estimated_s"] > 0 for job in found["jobs"]) and "evaluate" in {j["kind"] for j in found["jobs"]}
    trained = {job["kind"] for job in found["jobs"] if "parameters" in job}
    assert trained == {"pretrain", "finetune", "train", "distill"}


def test_plan_of_the_paper_prints_the_published_number_of_parameters(tmp_path):
    entries = [make_entry(s, n_units=130, n_channels=96) for s in ("a_1", "a_2", "b_1", "b_2")]
    power = [make_entry(e.session, n_units=130, n_channels=864, lfp_bands=9) for e in entries]
    for held, distilled in ((entries, 10_550_016), (power, 10_746_624)):
        sweep = build(SweepConfig, SWEEP | {"preset": "paper"}, Where("sweep.yaml"))
        sizes = {j["name"]: j.get("parameters") for j in plan(sweep, held, RunsFolder(tmp_path)).to_json()["jobs"]}
        patch = 32 if held is entries else 288
        assert (
            sizes["distilled/a_2/seed0"] == distilled + 256 * patch + patch
        )  # with the readout, which is removed after training
        assert sizes["teacher/a_2/seed0"] == 10_524_416 + 28 + 3 * 256 + 2_437_120


def test_expand_distillation_over_sessions_needs_a_teacher_on_each():
    jobs = FAMILY["jobs"] | {"ms_distilled": {"distill": "teacher", "on": "lfp"}}
    with pytest.raises(
        ConfigError, match=r"jobs\.ms_distilled runs on session a_1 with seed 0, but jobs.teacher does not"
    ):
        jobs_of(**FAMILY | {"jobs": jobs})


def test_key_of_a_multimodal_model_follows_both_patches_and_their_layout():
    before = jobs_of(**FAMILY)["mm/a_2/seed0"].key
    keys = {jobs_of(**FAMILY, model=m)["mm/a_2/seed0"].key for m in ({"lfp_patch": 8}, {"multimodal": "flat"})}
    assert len(keys | {before}) == 3
    assert jobs_of(**FAMILY, model={"multimodal": "flat"})["ms/seed0"].key == jobs_of(**FAMILY)["ms/seed0"].key


def test_refreshed_plan_has_the_same_jobs_with_their_present_states_and_estimates(tmp_path):
    runs = RunsFolder(tmp_path)
    before = plan(build(SweepConfig, SWEEP, Where("sweep.yaml")), ENTRIES, runs)
    ms, teacher = (next(p for p in before.planned if p.job.name == name) for name in ("ms/seed0", "teacher/a_2/seed0"))
    mark_complete(runs.open_job(ms.job, {}))
    runs.open_job(teacher.job, {})
    runs.write_failure(teacher.job, "boom")
    update_rates(runs, teacher.job, work_done=1.0, seconds=2.0)
    after = before.refreshed(runs)
    assert after.jobs == before.jobs and after.panels == before.panels
    state = {p.job.name: (p.state, p.reason) for p in after.planned}
    assert state["ms/seed0"] == ("done", "") and state["teacher/a_2/seed0"] == ("failed", "boom")
    assert len(after.todo) == len(before.todo) - 1
    estimate = next(p.estimated_s for p in after.planned if p.job.name == "teacher/a_2/seed0")
    assert estimate == pytest.approx(2.0 * teacher.work)


def test_plan_reads_every_byte_of_a_job_from_which_another_will_start(tmp_path, monkeypatch):
    monkeypatch.setattr("raydistill.marker.SMALL", 0)  # so that only sizes are compared unless everything is read
    runs = RunsFolder(tmp_path)
    before = plan(build(SweepConfig, SWEEP, Where("sweep.yaml")), ENTRIES, runs)
    done = {p.job.name: p.job for p in before.planned if p.job.name in ("ms/seed0", "teacher/a_2/seed0")}
    for job in done.values():
        folder = runs.open_job(job, {})
        (folder / "model.safetensors").write_bytes(b"weights")
        mark_complete(folder)
    assert {p.job.name for p in before.refreshed(runs).planned if p.state == "done"} == set(done)
    (runs.job_folder(done["ms/seed0"].key) / "model.safetensors").write_bytes(b"WEIGHTS")
    state = {p.job.name: (p.state, p.reason) for p in before.refreshed(runs).planned}
    assert state["ms/seed0"][0] == "missing" and "model.safetensors is damaged: its content" in state["ms/seed0"][1]
    reason = "depends on ms/seed0, which will be rerun; kept if its weights are unchanged"
    assert state["teacher/a_2/seed0"] == ("missing", reason)
    assert not runs.is_current(done["ms/seed0"])


def test_merged_plan_has_a_job_that_two_sweeps_share_once(tmp_path):
    runs = RunsFolder(tmp_path)
    first = plan(build(SweepConfig, SWEEP, Where("sweep.yaml")), ENTRIES, runs)
    second = plan(build(SweepConfig, SWEEP | {"name": "t", "seeds": [0, 1, 2]}, Where("sweep.yaml")), ENTRIES, runs)
    both = merged([first, second])
    assert {job.key for job in both.jobs} == {job.key for job in second.jobs} and len(both.jobs) == len(second.jobs)
    assert merged([first]) == first


def names(planned):
    return {p.job.name for p in planned.planned}


def test_narrow_keeps_the_selected_methods_and_the_jobs_that_they_start_from(tmp_path):
    whole = plan(build(SweepConfig, SWEEP, Where("sweep.yaml")), ENTRIES, RunsFolder(tmp_path))
    distilled = {f"{n}/{s}_2/seed{i}" for n in ("teacher", "distilled") for s in "ab" for i in (0, 1)}
    assert names(narrow(whole, Selection(("Distilled",)))) == distilled | {"ms/seed0"}
    of_a = narrow(whole, Selection(sessions="a*"))
    assert {p.job.session for p in of_a.planned} == {"a_2", None} and of_a.panels == whole.panels
    assert narrow(whole, Selection()) == whole


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(("Distiled",)), 'no method "Distiled"; did you mean'),
        (Selection(sessions="z*"), 'no session matches "z*"'),
    ],
)
def test_narrow_to_nothing_is_refused(selection, message, tmp_path):
    whole = plan(build(SweepConfig, SWEEP, Where("sweep.yaml")), ENTRIES, RunsFolder(tmp_path))
    with pytest.raises(ConfigError) as caught:
        narrow(whole, selection)
    assert message in str(caught.value)


DECODED = {
    "methods": {
        "MS-Spike": ["teacher", {"job": "ms", "each": "others"}],
        "Frozen": {"job": "distilled_a", "each": "others", "as": "a_2"},
    },
    "sessions": SWEEP["sessions"] | {"a": {"names": ["a_2"]}, "others": {"names": ["a_1", "b_1"]}},
    "jobs": SWEEP["jobs"]
    | {
        "teacher_a": {"finetune": "ms", "each": "a", "seeds": 1},
        "distilled_a": {"distill": "teacher_a", "each": "a", "seeds": 1},
    },
}


def test_method_decodes_a_pretraining_on_its_sessions_and_a_frozen_model_on_others():
    jobs = jobs_of(**DECODED)
    direct, frozen = jobs["MS-Spike/a_1"], jobs["Frozen/b_1/seed1"]
    assert (direct.kind, direct.seed, direct.depends_on) == ("evaluate", None, (jobs["ms/seed0"].key,))
    assert frozen.spec.embeddings_of == "a_2" and frozen.depends_on == (jobs["distilled_a/a_2/seed1"].key,)
    assert {j.session for j in jobs.values() if j.method == "MS-Spike"} == {"a_1", "a_2", "b_1", "b_2"}
    assert {j.session for j in jobs.values() if j.kind == "baseline"} == {"a_1", "a_2", "b_1", "b_2"}


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"job": "ms", "each": "held_out"}, "ms is not trained on session a_2"),
        ({"job": "distilled_a", "each": "others", "as": "a_3"}, "distilled_a is not trained on session a_3"),
        ({"job": "distilled_a", "each": "others"}, "give both `each: GROUP` and `as: SESSION`"),
        ({"job": "distilled_a", "as": "a_2"}, "give both `each: GROUP` and `as: SESSION`"),
    ],
)
def test_method_with_an_invalid_decoder_is_refused(method, message):
    with pytest.raises(ConfigError) as caught:
        jobs_of(**DECODED | {"methods": {"M": method}})
    assert message in str(caught.value)


def test_frozen_model_on_a_session_with_another_number_of_channels_is_refused():
    entries = [make_entry(e.session, n_channels=95 if e.session == "b_1" else e.n_channels) for e in ENTRIES]
    sweep = build(SweepConfig, SWEEP | DECODED, Where("sweep.yaml"))
    with pytest.raises(ConfigError, match=r"methods.Frozen: session b_1 has 95 channels, but a_2, whose model would"):
        expand(sweep, entries)


def test_frozen_model_with_a_head_on_a_session_without_its_behavior_is_refused():
    line = DECODED["jobs"] | {"distilled_a": DECODED["jobs"]["distilled_a"] | {"supervision": "full"}}
    entries = [
        make_entry(e.session, behavior=("velocity", "x") if e.session == "a_2" else ("velocity",)) for e in ENTRIES
    ]
    without = {key: value for key, value in SWEEP.items() if key != "behavior"}
    sweep = build(SweepConfig, without | DECODED | {"jobs": line}, Where("sweep.yaml"))
    with pytest.raises(ConfigError, match="the model of distilled_a predicts x, which session a_1 does not have"):
        expand(sweep, entries)


def panels_of(tmp_path, answers, compare="Distilled > SS"):
    sessions = SWEEP["sessions"] | {"others": {"names": "a_2"}}
    tree = SWEEP | {"answers": answers, "sessions": sessions, "compare": compare}
    return plan(build(SweepConfig, tree, Where("sweep.yaml")), ENTRIES, RunsFolder(tmp_path)).panels


def test_panels_compare_within_the_sessions_of_each_figure(tmp_path):
    answers = {"F3": "held_out", "F11": {"on": "others", "compare": "SS > Distilled", "called": {"SS": "SS-LFP"}}}
    first, second = panels_of(tmp_path, answers)
    assert (first.figure, first.sessions, first.pairs) == ("F3", {"a_2", "b_2"}, (("Distilled", "SS"),))
    assert (second.sessions, second.pairs, second.called) == ({"a_2"}, (("SS", "Distilled"),), {"SS": "SS-LFP"})
    assert first.methods == second.methods == ("Distilled", "SS"), "all of the sweep"


def test_figure_has_the_methods_that_it_names_and_the_comparisons_between_them(tmp_path):
    answers = {
        "F3": {"on": "held_out", "methods": ["Distilled"]},
        "F11": {"on": "held_out", "methods": ["SS", "Distilled"], "compare": []},
    }
    first, second = panels_of(tmp_path, answers)
    assert (first.methods, first.pairs) == (("Distilled",), ())
    assert (second.methods, second.pairs) == (("SS", "Distilled"), ())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"methods": ["Distil"]}, 'answers.F3: there is no "Distil"; did you mean "Distilled"?'),
        ({"methods": ["Distilled"], "compare": "Distilled > SS"}, 'answers.F3.compare: there is no "SS"'),
        (
            {"called": {"SS": "SS-LFP", "Distilled": "SS-LFP"}},
            "answers.F3: two methods of the figure are called 'SS-LFP' there",
        ),
        ({"called": {"SS": "SSLFP"}}, 'answers.F3.called.SS: there is no "SSLFP"; did you mean "SS-LFP"?'),
    ],
)
def test_figure_with_methods_that_do_not_fit_is_refused(tmp_path, answer, message):
    with pytest.raises(ConfigError) as caught:
        panels_of(tmp_path, {"F3": {"on": "held_out"} | answer})
    assert message in str(caught.value)


def test_table_of_similar_latents_is_refused_as_a_figure(tmp_path):
    with pytest.raises(ConfigError, match=r"answers\.T1: T1 is about latents, which `align` compares"):
        panels_of(tmp_path, {"T1": "held_out"})


@pytest.mark.parametrize("figure", ["F99", "F1", "F10b", "raw LFP"])
def test_figure_that_the_paper_lacks_is_refused(tmp_path, figure):
    with pytest.raises(ConfigError, match=rf"answers\.{figure}: .* under this name, only under A\.8\.3, A7,"):
        panels_of(tmp_path, {figure: "held_out"})


def test_figure_without_printed_numbers_may_call_its_methods_as_it_likes(tmp_path):
    (panel,) = panels_of(tmp_path, {"F10 raw LFP": {"on": "held_out", "called": {"SS": "Anything"}}})
    assert panel.called == {"SS": "Anything"} and not list(panel.answers())


CHAIN = {
    "jobs": SWEEP["jobs"]
    | {
        "many": {"finetune": "ms", "on": "lfp", "seed": 3, "training": {"epochs": 7}},
        "again": {"finetune": "many", "each": "held_out", "supervision": "full"},
        "student": {"distill": "many", "on": "lfp"},
    },
    "sessions": SWEEP["sessions"] | {"lfp": {"modality": "lfp", "except": "held_out"}},
    "methods": {"Again": "again"},
    "pretraining": {"batch": 5},
}


def test_expand_of_a_chain_over_several_sessions_starts_each_model_from_the_one_before():
    jobs = jobs_of(**CHAIN)
    many = jobs["many/seed3"]
    assert many.kind == "finetune" and many.is_pretraining and list(many.spec.sessions) == ["a_1", "b_1"]
    assert many.spec.weights == jobs["ms/seed0"].key and many.spec.seed == 3
    assert (many.spec.training.epochs, many.spec.training.batch) == (7, 5)
    assert {jobs[f"again/{s}/seed{k}"].spec.weights for s in ("a_2", "b_2") for k in (0, 1)} == {many.key}
    assert jobs["student/seed0"].spec.teachers == dict.fromkeys(("a_1", "b_1"), many.key)


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (
            {"finetune": "teacher", "on": "held_out"},
            "one model over several sessions starts from one model, but teacher",
        ),
        ({"distill": "ms", "start": "teacher", "on": "lfp"}, "starts from one model, but teacher has one for each"),
        ({"finetune": "ms", "on": "lfp", "supervision": "full"}, "`supervision` applies only to a job on `each`"),
        ({"distill": "ms", "each": "held_out"}, r"session a_2, on which its teacher jobs\.ms is not trained"),
        ({"distill": "many", "on": "both"}, r"session a_2, on which its teacher jobs\.many is not trained"),
        ({"finetune": "ms", "on": "lfp", "each": "held_out"}, "either `on: GROUP` or `each: GROUP`"),
    ],
)
def test_expand_of_a_chain_that_cannot_run_is_refused(job, message):
    sessions = CHAIN["sessions"] | {"both": {"names": ["a_1", "a_2"]}}
    with pytest.raises(ConfigError, match=message):
        jobs_of(**CHAIN | {"sessions": sessions, "jobs": CHAIN["jobs"] | {"new": job}})


def test_session_without_a_validation_fold_is_decoded_but_not_trained_on(tmp_path):
    short = make_entry("a_2", splits={"train": 14, "valid": 0, "test": 2}, protocol="released")
    entries = [*(e for e in ENTRIES if e.session != "a_2"), short]
    with pytest.raises(ConfigError, match=r"jobs\.teacher needs a validation fold, which session a_2 does not have"):
        jobs_of(entries)
    groups = {"one": {"names": ["a_2"]}, "pretraining": {"modality": "spikes"}}
    jobs, methods = {"ms": SWEEP["jobs"]["ms"]}, {"MS": {"job": "ms", "each": "one"}}
    sweep = build(SweepConfig, SWEEP | {"sessions": groups, "jobs": jobs, "methods": methods}, Where("sweep.yaml"))
    planned = plan(sweep, entries, RunsFolder(tmp_path))
    assert [job.kind for job in planned.jobs] == ["pretrain", "evaluate"]
    assert planned.notes == ("no baselines for a_2: no validation fold to choose settings on",)


def test_baseline_that_is_compared_is_scored_and_has_no_controls_and_no_trials():
    jobs = jobs_of(
        compare=["Distilled > Clock", "Past ridge on LFP > SS"],
        baselines=["ridge_on_lfp"],
        controls=["shuffled_teacher"],
    )
    baselines = {job.method for job in jobs.values() if job.kind == "baseline"}
    assert {"Ridge on LFP", "Past ridge on LFP"} <= baselines
    assert {job.method for job in jobs.values() if job.kind == "control"} == {"Distilled, spikes of other trials"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"compare": ["Distilled > Rigde on LFP"]}, "did you mean"),
        ({"methods": {"Clock": "ss"}, "compare": []}, "is the name of a baseline"),
    ],
)
def test_compared_name_that_is_neither_method_nor_baseline_is_refused(change, named):
    with pytest.raises(ConfigError, match=named):
        build(SweepConfig, SWEEP | change, Where("sweep.yaml"))


def test_share_of_masked_tokens_that_masks_none_is_refused_before_anything_is_trained(tmp_path):
    sweep = build(SweepConfig, SWEEP | {"training": SWEEP["training"] | {"mask_ratio": 0.0001}}, Where("sweep.yaml"))
    with pytest.raises(ConfigError, match=r"`mask_ratio: 0.0001` masks none of the \d+ tokens of the longest segment"):
        plan(sweep, ENTRIES, RunsFolder(tmp_path / "runs"))

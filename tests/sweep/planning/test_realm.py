"""The sweep of REALM on the sessions of the paper: its jobs, and decoding of sessions that no model has seen."""

import dataclasses
from collections import Counter

import pytest

from raydistill.errors import ConfigError
from raydistill.evaluation.published import published_rows
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.tuning.equal import equal_rows
from tests.paths import SWEEPS
from tests.sweep.config.odd_values import paper_entries


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    runs = RunsFolder(tmp_path_factory.mktemp("runs"))
    return plan(load_sweep(SWEEPS / "realm.yaml"), paper_entries(), runs)


def test_sweep_trains_one_teacher_and_one_student_and_decodes_8_sessions(planned):
    counts = Counter(job.line for job in planned.jobs)
    assert (counts["realm_teacher"], counts["realm"], counts["REALM"], counts["REALM-bi"]) == (1, 1, 8, 8)
    assert counts["realm_ft"] == counts["causal_distilled"] == counts["distilled_8"] == 8 * 3
    by_line = {p.job.line: p for p in planned.planned}
    student = by_line["realm"].job.spec
    assert len(student.sessions) == 34 and student.reads == ("lfp",) and student.inherit == "tokenizer"
    assert not set(student.sessions) & set(by_line["REALM"].job.spec.sessions)
    # The encoder without its read-out, and the teacher with its predictor.
    assert by_line["realm"].parameters == 4_857_365 + 90_464
    assert by_line["realm_teacher"].parameters == 10_830_085 + 885_112


def test_printed_means_are_shown_beside_the_methods(planned):
    rows = published_rows(planned.panels, lambda panel: [], (), ())
    printed = {(row.about, row.target.subject): row.target.text for row in rows}
    assert printed == {
        ("REALM", "all"): "0.561", ("REALM", "I"): "0.519", ("REALM", "C"): "0.630",
        ("REALM-bi", "all"): "0.588", ("REALM-bi", "I"): "0.547", ("REALM-bi", "C"): "0.656",
        ("REALM fine-tuned", "all"): "0.686", ("REALM fine-tuned", "I"): "0.677", ("REALM fine-tuned", "C"): "0.701",
    }  # fmt: skip


def test_sessions_with_more_channels_than_a_patch_are_refused_where_one_map_reconstructs_them(tmp_path):
    sweep = load_sweep(SWEEPS / "realm.yaml", ["model.lfp_patch=8"])
    with pytest.raises(ConfigError, match=r"has 20; set `model: \{lfp_patch: 20\}`"):
        plan(sweep, paper_entries(), RunsFolder(tmp_path))


def test_row_with_smaller_patches_of_another_method_is_left_out_with_its_reason():
    student = "{family: realm, distill: teacher_8, each: held_out_raw, model: {causal: true}}"
    sweep = load_sweep(SWEEPS / "realm.yaml", ["equal_settings=true", f"jobs.causal_distilled={student}"])
    entries = [dataclasses.replace(e, n_channels=96) for e in paper_entries()]
    rows, jobs = equal_rows(sweep, entries)
    (row,) = (row for row in rows if row.method == "Causal Distilled LFP")
    assert row.values["model.lfp_patch"] == 32 and "must fit into one patch" in row.problem
    assert not any(job.method and row.title in job.method for job in jobs)

"""The code that made the jobs: named, a mixture is warned of, and jobs of other code run again on request."""

import dataclasses

from raydistill.files import read_mapping, write_json
from raydistill.sweep.planning import code
from raydistill.sweep.planning.code import in_words, makers, mixture, present_code, set_aside_other_code
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.plan import Plan, Planned
from raydistill.sweep.planning.runs_folder import RunsFolder
from tests.sweep.jobs import make_job

OTHER = {"raydistill": "0.0.1", "git": "1234567890-dirty", "code": "abc", "torch": "2.0", "numpy": "2.0"}


def planned(runs, **provenance):
    """A plan of one finished job per provenance, and one that was not run."""
    jobs = [make_job(name) for name in (*provenance, "later")]
    for job in jobs[:-1]:
        mark_complete(runs.open_job(job, {"provenance": provenance[job.name]}))
    return Plan(sweep="s", protocol="", planned=tuple(Planned(job=job, work=1.0) for job in jobs)).refreshed(runs)


def test_jobs_of_one_code_are_no_mixture_and_of_two_are(tmp_path):
    runs = RunsFolder(tmp_path)
    made_by = makers(planned(runs, a=present_code(), b=present_code()), runs)
    assert made_by == {in_words(present_code()): 2} and mixture(made_by) == ""
    made_by = makers(planned(runs, a=present_code(), b=present_code(), c=OTHER), runs)
    line = mixture(made_by)
    assert "jobs of 2 versions of the code are mixed: 2 by raydistill" in line and "--remake-if-code-changed" in line
    assert "1 by raydistill 0.0.1 (commit 1234567 with changes, sources abc), torch 2.0, numpy 2.0" in line


def test_job_without_provenance_is_of_unknown_code(tmp_path):
    runs = RunsFolder(tmp_path)
    plan = planned(runs, a=present_code(), b=3)
    assert any("commit unknown" in maker for maker in makers(plan, runs))


def test_jobs_of_other_code_are_set_aside_and_the_others_stay(tmp_path):
    runs = RunsFolder(tmp_path)
    newer = present_code() | {"torch": "9.9"}
    moved = present_code() | {"git": "another commit with the same sources"}
    plan = planned(runs, same=present_code(), other=OTHER, newer=newer, moved=moved)
    begun = make_job("begun")
    (runs.open_job(begun, {"provenance": OTHER}) / "checkpoints").mkdir()
    plan = dataclasses.replace(plan, planned=(*plan.planned, Planned(job=begun, work=1.0)))
    assert [job.name for job in set_aside_other_code(plan, runs)] == ["other", "newer", "begun"]
    assert {p.job.name: p.state for p in plan.refreshed(runs).planned} == {
        **{"same": "done", "moved": "done"},
        **dict.fromkeys(("other", "newer", "later", "begun"), "missing"),
    }
    assert read_mapping(runs.aside_folder("other") / "job.json")["provenance"] == OTHER
    assert set_aside_other_code(plan, runs) == []


def test_digest_of_the_sources_changes_with_any_module(tmp_path, monkeypatch):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "module.py").write_text("a = 1\n")
    monkeypatch.setattr(code, "PACKAGE", tmp_path)
    before = code._sources_digest()
    (tmp_path / "part" / "module.py").write_text("a = 2\n")
    assert code._sources_digest() != before
    (tmp_path / "part" / "module.py").write_text("a = 1\n")
    write_json(tmp_path / "data.json", {})
    assert code._sources_digest() == before

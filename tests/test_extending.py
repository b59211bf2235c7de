"""The worked examples of docs/extending.md: each is applied to a copy of the package, and then used."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.paths import ROOT

TEXT = (ROOT / "docs" / "extending.md").read_text()
BLOCK = re.compile(r"^(New file|In) `(.+?)`:\n\n```(?:python|diff)\n(.*?)^```$", re.M | re.S)

SWEEP = """
from pathlib import Path
import sys

from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, run_session_job
from tests.sweep.baseline_sweep import write_sweep

def run(path):
    sweep = OpenSweep(load_sweep(path), RunsFolder(path.parent / "runs"))
    for job in sweep.plan().jobs:
        run_session_job(job, JobContext(sweep.runs, sweep.store))
    return sweep, sweep.collect(sweep.plan())
"""

CONTRACT = """
import pytest
import tests.models.family_cases as cases
from raydistill.models.families import FAMILIES
from raydistill.models.files import load_model

class Count:
    def __init__(self):
        self.passed = 0

    def pytest_runtest_logreport(self, report):
        self.passed += report.when == "call" and report.passed

def check_contract(only):
    every_family, count = dict(FAMILIES), Count()
    FAMILIES.clear()
    FAMILIES.update({name: every_family[name] for name in only})
    cases.CASES = only
    tests = cases.__file__.replace("family_cases", "test_families")
    assert pytest.main(["-q", "-p", "no:cacheprovider", tests], plugins=[count]) == 0
    assert count.passed >= 8 * sum(map(len, only.values())), count.passed
    FAMILIES.update(every_family)
"""

# Section of the document -> a program that uses what was added, in an empty folder.
USES = {
    "A layout of recordings": """
from pathlib import Path
import numpy as np
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.ingest import ingest_one
from raydistill.store.store import Store

random = np.random.default_rng(0)
rows = np.column_stack([random.poisson(1, (3000, 4)), random.normal(size=3000)])
np.savetxt("monday.counts.csv", rows, delimiter=",", header="unit1,unit2,unit3,unit4,velocity", comments="")
(recording,) = plan_sources(".", dataset="counts_csv")
assert ingest_one(recording, "store", None).state == "stored"
store = Store("store")
store.publish()
entry = store.entry("monday")
assert (entry.n_units, entry.n_bins, entry.behavior) == (4, 3000, ("velocity",))
counts = np.concatenate([s.spikes for s in sorted(store.read(entry), key=lambda s: s.number)])
np.testing.assert_array_equal(counts, rows[:, :4])
""",
    "A model family": SWEEP
    + CONTRACT
    + """
from raydistill.models.recurrent.config import RecurrentSettings

settings = RecurrentSettings(width=16, patch=8)
uses = (("spikes", "count", False, False), ("lfp", "linear", False, False))
check_contract({"recurrent": [(settings, use) for use in uses]})

path = write_sweep(Path.cwd(), "baselines: []", "behavior: [vy]")
path.write_text(path.read_text().replace("each: every}}", "each: every, family: recurrent, supervision: full}}"))
sweep, results = run(path)
(job,) = sweep.plan().jobs
assert (job.spec.family, job.spec.model.width) == ("recurrent", 64)
assert [score.method for score in results.scores] == ["SS-LFP"]
model = load_model(sweep.runs.job_folder(job.key))
assert type(model).__name__ == "RecurrentModel" and model.spec.behavior == ("vy",)
""",
    "A backbone": CONTRACT
    + """
import dataclasses

check_contract({"crossmodal": [case for case in cases.crossmodal("selective") if case[0].causal is False]})

from raydistill.models.crossmodal.config import PRESETS, configure
paper = configure(dataclasses.replace(PRESETS["paper"], backbone="selective"), "lfp", "linear")
assert abs(paper.backbone.parameters(256) / 10_524_416 - 1) < 0.05
""",
    "An objective": SWEEP
    + """
path = write_sweep(Path.cwd(), "baselines: []", "behavior: [vy]")
text = path.read_text()
path.write_text(text.replace("{train: lfp,", "{train: lfp, objective: {name: masked_latents, momentum: 0.9},"))
sweep, results = run(path)
(job,) = sweep.plan().jobs
assert job.spec.objective.name == "masked_latents" and job.spec.objective.mask_ratio == 0.6
assert [score.method for score in results.scores] == ["SS-LFP"]

from raydistill.training.history import read_history
losses = [line["train_loss"] for line in read_history(sweep.runs.job_folder(job.key))]
assert len(losses) == 3 and losses[-1] < losses[0]
""",
    "A baseline": SWEEP
    + """
sweep, results = run(write_sweep(Path.cwd(), "baselines: [mean_of_train, ridge_on_lfp]"))
mean, ridge = results.baselines
assert mean.method == "Mean of train" and -0.2 < mean.value <= 0
""",
    "A figure": SWEEP
    + """
path = write_sweep(Path.cwd(), "baselines: []", "seeds: [0, 1]", "compare: [SS-LFP > Other]")
text = path.read_text().replace("seeds: [0]\\n", "")
text = text.replace("jobs: {ss_lfp: {train: lfp, each: every}}",
                    "jobs: {ss_lfp: {train: lfp, each: every}, other: {train: lfp, each: every, embedding: conv}}")
path.write_text(text.replace("methods: {SS-LFP: ss_lfp}", "methods: {SS-LFP: ss_lfp, Other: other}"))
sweep, results = run(path)
from raydistill.sweep.answering.draw import draw
drawn = draw(sweep.config, sweep.plan(), sweep.runs, results, Path.cwd() / "figures")
lines = (Path.cwd() / "figures" / "differences.csv").read_text().splitlines()
assert "comparison,difference" in lines[0] and len(lines) == 3
""",
}


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", TEXT, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def apply(example: str, package) -> list[str]:
    """Write the new files of an example and apply its diffs; returns the files that it touches."""
    blocks = BLOCK.findall(example)
    for action, name, body in blocks:
        file = package / name
        if action == "New file":
            assert not file.exists()
            file.parent.mkdir(exist_ok=True)
            file.write_text(body)
            continue
        text = file.read_text()
        for hunk in body.split("@@\n"):
            lines = hunk.splitlines(keepends=True)
            old, new = ("".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))
            if not any(line[0] in " -" for line in lines):
                raise AssertionError(f"a hunk of {name} has no context")
            assert text.count(old) == 1, f"{name} does not contain once:\n{old}"
            text = text.replace(old, new)
        file.write_text(text)
    return [name for _, name, _ in blocks]


def test_every_section_is_used():
    assert list(sections()) == list(USES)


@pytest.mark.parametrize("section", USES)
def test_worked_example_applied_to_a_copy_of_the_package_works(section, tmp_path):
    shutil.copytree(ROOT / "raydistill", tmp_path / "copy" / "raydistill", ignore=shutil.ignore_patterns("__pycache__"))
    touched = apply(sections()[section], tmp_path / "copy")
    assert len(touched) == (3 if section == "A model family" else 2)
    folder = tmp_path / "work"
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": f"{tmp_path / 'copy'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    used = subprocess.run(
        [sys.executable, "-c", USES[section]], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert used.returncode == 0, used.stdout + used.stderr
    files = [tmp_path / "copy" / file for file in touched]
    ruff = [sys.executable, "-m", "ruff", "check", "--config", str(ROOT / "pyproject.toml"), *map(str, files)]
    linted = subprocess.run(ruff, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout

"""The code that made a job: version, commit, and a digest of the sources, as job.json holds them."""

import functools
import hashlib
import subprocess
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from raydistill.files import read_mapping
from raydistill.sweep.planning.job import DONE, Job
from raydistill.sweep.planning.job_folder import JOB
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder

PACKAGE = Path(__file__).parents[2]
LIBRARIES = ("torch", "numpy")
"""Libraries whose version may change a result."""


@functools.cache
def present_code() -> dict[str, str | None]:
    """The code that runs now: version, commit (None outside of a checkout), and digests of what determines results."""
    return {
        "raydistill": version("raydistill"),
        "git": _git_state(),
        "code": _sources_digest(),
        **{name: version(name) for name in LIBRARIES},
    }


def _git_state() -> str | None:
    """The commit that the package runs from, marked if files differ from it; None outside of a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        described = subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return described.stdout.strip() or None


def _sources_digest() -> str:
    """The beginning of the sha256 of the package's modules, which also sees changes that are not committed."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def in_words(code: dict) -> str:
    """Code as text, such as raydistill 0.9.0 (commit 28a21d1, sources 3fa9c1d20b7e), torch 2.13.0, numpy 2.1.0."""
    commit, _, dirty = str(code.get("git") or "unknown").partition("-")
    changed = " with changes" if dirty else ""
    libraries = "".join(f", {name} {code.get(name)}" for name in LIBRARIES)
    return f"raydistill {code.get('raydistill')} (commit {commit[:7]}{changed}, sources {code.get('code')}){libraries}"


def makers(plan: Plan, runs: RunsFolder) -> dict[str, int]:
    """Code in words -> the number of finished jobs of the plan that it made, most first."""
    return makers_of((p.job.key for p in plan.planned if p.state == DONE), runs)


def makers_of(keys: Iterable[str], runs: RunsFolder) -> dict[str, int]:
    """Code in words -> the number of these finished jobs that it made, most first."""
    return dict(Counter(in_words(_code_of(key, runs)) for key in keys).most_common())


def mixture(made_by: dict[str, int]) -> str:
    """A line that warns if jobs of several versions of the code would be compared; "" if one code made them all."""
    if len(made_by) < 2:
        return ""
    listed = "; ".join(f"{count} by {code}" for code, count in made_by.items())
    return (
        f"jobs of {len(made_by)} versions of the code are mixed: {listed}; "
        "`raydistill sweep --remake-if-code-changed` runs those of other versions again"
    )


def set_aside_other_code(plan: Plan, runs: RunsFolder) -> list[Job]:
    """Rename the folders of the plan's jobs that other code made or began, so that they run again; returns these jobs.

    The runs folder must be locked.
    """
    present = present_code()
    changed = []
    for job in plan.jobs:
        folder = runs.job_folder(job.key)
        if (folder / JOB).exists():
            code = _code_of(job.key, runs)
            if any(code.get(name) != present[name] for name in ("raydistill", "code", *LIBRARIES)):
                runs.set_aside(job.key)
                changed.append(job)
    return changed


def _code_of(key: str, runs: RunsFolder) -> dict:
    provenance = (read_mapping(runs.job_folder(key) / JOB) or {}).get("provenance")
    return provenance if isinstance(provenance, dict) else {}

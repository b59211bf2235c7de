"""Commands as a user can paste them: with the runs folder and the overrides of the command that shows them."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from raydistill.sweep.planning.plan import Plan


def command(verb: str, file: Path, runs: Path | str, overrides: Sequence[str] = (), *options: str) -> str:
    """Such as raydistill results s.yaml --json --runs elsewhere --set=seeds=1; the default runs folder is left out."""
    folder = ("--runs", str(runs)) if str(runs) != "runs" else ()
    return shlex.join(["raydistill", verb, str(file), *options, *folder, *(f"--set={text}" for text in overrides)])


def nothing_scored(name: str, file: Path, runs: Path | str, overrides: Sequence[str], plan: Plan) -> str:
    """What to do if a sweep has no score yet."""
    jobs, done = len(plan.planned), len(plan.planned) - len(plan.todo)
    sweep = command("sweep", file, runs, overrides)
    if not done:
        return f"no job of {name} is done in {runs}; run `{sweep}` first"
    are = "is" if done == 1 else "are"
    return f"{name} has no score yet: {done} of its {jobs} jobs {are} done in {runs}; `{sweep}` runs the others"

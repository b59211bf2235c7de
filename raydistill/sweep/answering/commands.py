"""Commands as a user can paste them: with the runs folder and the overrides of the command that shows them."""

import shlex
from collections.abc import Sequence
from pathlib import Path


def command(verb: str, file: Path, runs: Path, overrides: Sequence[str] = (), *options: str) -> str:
    """Such as raydistill results s.yaml --json --runs elsewhere --set=seeds=1; the default runs folder is left out."""
    folder = ("--runs", str(runs)) if runs != Path("runs") else ()
    return shlex.join(["raydistill", verb, str(file), *options, *folder, *(f"--set={text}" for text in overrides)])


def nothing_done(name: str, file: Path, runs: Path, overrides: Sequence[str]) -> str:
    """What to do if no job of a sweep is done."""
    return f"no job of {name} is done in {runs}; run `{command('sweep', file, runs, overrides)}` first"

"""Commands on searches: run, read."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from raydistill.cli.options import (
    RUNS_ON_DISK,
    Address,
    AsJson,
    Device,
    MaxHours,
    MaxWait,
    RunsOnDisk,
    SearchOverrides,
    seconds_of,
)
from raydistill.cli.output import console, say


def search(
    file: Annotated[Path, Parameter(help="Search file (YAML); it names the sweep file and the job.")],
    *,
    runs: RunsOnDisk = RUNS_ON_DISK,
    address: Address = None,
    device: Device = "auto",
    max_hours: MaxHours = None,
    max_wait: MaxWait = None,
    set_: SearchOverrides = (),
    json_: AsJson = False,
):
    """Search for better values of one job by its R² on the validation folds. Run it again to continue after a stop."""
    from raydistill.sweep.running.deadline import Deadline

    deadline = Deadline.after(max_hours)
    from raydistill.sweep.config.search import load_search

    config = load_search(file, set_)
    from raydistill.sweep.config.reading import lines_named
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.running.options import RunOptions
    from raydistill.sweep.running.progress import SweepProgress
    from raydistill.sweep.searching.driver import run_search
    from raydistill.sweep.searching.result import render

    folder = RunsFolder(runs)
    options = RunOptions(address=address, device=device, deadline=deadline, max_wait_s=seconds_of(max_wait))
    with lines_named(file.parent / config.config.sweep), SweepProgress(folder) as progress:
        result = run_search(config, folder, progress, options)
    if json_:
        print(json.dumps(result.to_json(), indent=1))
    else:
        render(result, console())
    return 1 if result.failed else 0


def print_results(file: Path, runs: Path, overrides: tuple[str, ...], form: Literal["table", "json", "csv"]) -> int:
    """Print the result of a search so far; returns the exit code of `raydistill results`."""
    from raydistill.sweep.config.search import load_search

    config = load_search(file, overrides)
    from raydistill.sweep.answering.commands import command
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.searching.opened import OpenSearch
    from raydistill.sweep.searching.result import render
    from raydistill.sweep.searching.rows import to_csv, trial_rows

    opened = OpenSearch(config, RunsFolder(runs))
    if form == "csv":
        print(to_csv(trial_rows(opened.points)), end="")
    elif form == "json":
        print(json.dumps(opened.result.to_json(), indent=1))
    else:
        render(opened.result, console())
    if not opened.points.finished:
        say(f"the search is not finished; `{command('search', file, runs, overrides)}` continues it")
    return 0 if opened.points.finished and not opened.result.failed else 1


def write_page(file: Path, out: Path, runs: Path, overrides: tuple[str, ...]) -> None:
    """Write the page of a search, for `raydistill report`."""
    from raydistill.sweep.config.search import load_search

    config = load_search(file, overrides)
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.searching.opened import OpenSearch
    from raydistill.sweep.searching.report import write_report

    write_report(OpenSearch(config, RunsFolder(runs)), file, out, overrides)
    print(out)

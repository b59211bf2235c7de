"""Commands on sweeps: run, plan, read."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from raydistill.cli.options import (
    ON_DISK,
    RUNS,
    Address,
    AsJson,
    Device,
    MaxHours,
    MaxWait,
    Only,
    Overrides,
    Runs,
    Sessions,
    SweepFile,
    SweepOrSearchFile,
    Tune,
    on_disk,
    seconds_of,
)
from raydistill.cli.output import console, say
from raydistill.cli.searches import print_results, write_page
from raydistill.config.names import check_ending
from raydistill.errors import without_password

if TYPE_CHECKING:
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.planning.selection import Selection


def sweep(
    file: SweepFile,
    *,
    runs: Runs = RUNS,
    address: Address = None,
    device: Device = "auto",
    only: Only = (),
    sessions: Sessions = "*",
    fail_fast: Annotated[
        bool,
        Parameter(
            help="Stop at the first failure. By default a failure stops only the jobs that depend on it.",
            negative="--keep-going",
        ),
    ] = False,
    max_hours: MaxHours = None,
    max_wait: MaxWait = None,
    tune: Tune = None,
    set_: Overrides = (),
    remake_if_code_changed: Annotated[
        bool,
        Parameter(
            help="Run those jobs again that another version or commit of raydistill, torch or numpy made.", negative=""
        ),
    ] = False,
):
    """Run the jobs of a sweep that are not done, then compare the methods. Run it again to continue after a stop."""
    from raydistill.sweep.running.deadline import Deadline

    deadline = Deadline.after(max_hours)
    from raydistill.sweep.config.reading import lines_named, load_sweep, with_trials

    set_ = with_trials(file, set_, tune)
    config = load_sweep(file, set_)
    from raydistill.evaluation.terminal import render
    from raydistill.sweep.answering.conclude import concluded
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.planning.selection import Selection

    opened = OpenSweep(config, RunsFolder.at(runs).fetched(), overrides=set_)
    selection = Selection(only, sessions)
    if remake_if_code_changed:
        _set_aside_other_code(opened, selection)
    results = concluded(opened)
    if results is None:
        from raydistill.sweep.running.driver import run_sweep
        from raydistill.sweep.running.options import RunOptions
        from raydistill.sweep.running.progress import SweepProgress

        options = RunOptions(
            address=address,
            device=device,
            selection=selection,
            fail_fast=fail_fast,
            deadline=deadline,
            max_wait_s=seconds_of(max_wait),
        )
        with lines_named(file, set_), SweepProgress(opened.runs) as progress:
            results = run_sweep(opened, progress, options)
    render(results, console())
    print("", *next_steps(file, opened.folder, runs, set_), sep="\n", file=sys.stderr)
    all_asked_for = not only and sessions == "*"  # then a missing job is one that was damaged while the sweep ran
    return 1 if results.failed or (all_asked_for and results.missing) else 0


def _set_aside_other_code(opened: "OpenSweep", selection: "Selection") -> None:
    """Let the selected jobs that other code made run again, and say how many they are."""
    from raydistill.sweep.planning.code import set_aside_other_code
    from raydistill.sweep.planning.selection import narrow

    with opened.runs.exclusive_lock():
        jobs = set_aside_other_code(narrow(opened.plan(), selection), opened.runs)
    say(f"{len(jobs)} job{'s' if len(jobs) != 1 else ''} of other versions of the code will run again")


def next_steps(file: Path, folder: Path, runs: str, overrides: Sequence[str]) -> list[str]:
    """Where the results of a sweep are, and commands that show more of them in the same runs folder."""
    from raydistill.sweep.answering.commands import command

    return [
        f"results and figures   {folder}",
        f"every job and curve   raydistill ui --runs {shlex.quote(runs)}",
        f"the numbers as JSON   {command('results', file, runs, overrides, '--json')}",
    ]


def plan(
    file: SweepFile,
    /,
    *more: Annotated[Path, Parameter(help="More sweep files; jobs that they share are counted once.")],
    runs: Runs = RUNS,
    only: Only = (),
    sessions: Sessions = "*",
    tune: Tune = None,
    set_: Overrides = (),
    json_: AsJson = False,
):
    """List the jobs of one or several sweeps: done, missing, stale or failed, and why. Nothing is run."""
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.config.reading import load_sweep, with_trials
    from raydistill.sweep.planning.code import makers, mixture
    from raydistill.sweep.planning.plan import lines, merged
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.planning.selection import Selection, narrow

    folder, selection = RunsFolder.at(runs).fetched(), Selection(only, sessions)
    catalogues: dict[str, list] = {}
    settings = {path: with_trials(path, set_, tune) for path in (file, *more)}
    sweeps = [OpenSweep(load_sweep(path, of_file), folder, catalogues, of_file) for path, of_file in settings.items()]
    planned = merged([narrow(sweep.plan(), selection) for sweep in sweeps])
    made_by = makers(planned, folder)
    if json_:
        print(json.dumps(planned.to_json() | {"made_by": made_by}, indent=1))
    else:
        mixed = mixture(made_by)
        code = [f"warning: {mixed}"] if mixed else [f"done jobs are made by {name}" for name in made_by]
        print(*lines(planned, code), sep="\n")


def results(
    file: SweepOrSearchFile,
    *,
    runs: Runs = RUNS,
    tune: Tune = None,
    set_: Overrides = (),
    json_: Annotated[
        bool, Parameter(name="--json", help="Print all results as JSON, without tables.", negative="")
    ] = False,
    csv: Annotated[
        bool, Parameter(help="Print one line per score as CSV: method, session, seed, R².", negative="")
    ] = False,
):
    """Print the results of a sweep so far: decoding R² by method and session, means by subject, tests, missing jobs.

    Of a search: its best values and trials. Nothing is written. The exit code is 1 if something is missing or failed.
    """
    from raydistill.sweep.config.reading import is_search, load_sweep, with_trials

    if is_search(file):
        return print_results(file, on_disk(runs), set_, "json" if json_ else "csv" if csv else "table")
    set_ = with_trials(file, set_, tune)
    config = load_sweep(file, set_)
    from raydistill.evaluation.results import to_csv
    from raydistill.evaluation.terminal import render
    from raydistill.sweep.answering.commands import nothing_scored
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.planning.runs_folder import RunsFolder

    opened = OpenSweep(config, RunsFolder.at(runs).fetched(), overrides=set_)
    planned = opened.plan()
    collected = opened.collect(planned)
    if json_:
        print(json.dumps(collected.to_json(), indent=1))
    elif csv:
        print(to_csv(collected), end="")
    elif collected.scores or collected.baselines or collected.failed:
        render(collected, console())
    else:
        say(nothing_scored(opened.name, file, runs, set_, planned))
    return 1 if collected.failed or collected.missing else 0


def report(
    file: SweepOrSearchFile,
    *,
    out: Annotated[Path, Parameter(help="The page to write, ending in .html."), ON_DISK],
    runs: Runs = RUNS,
    tune: Tune = None,
    set_: Overrides = (),
):
    """Write the results of a sweep or a search so far as one self-contained HTML page, with tables and figures."""
    from raydistill.sweep.config.reading import is_search, load_sweep, with_trials

    check_ending("--out", out, ".html")
    if is_search(file):
        write_page(file, out, on_disk(runs), set_)
        return
    set_ = with_trials(file, set_, tune)
    config = load_sweep(file, set_)
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.answering.report import write_report
    from raydistill.sweep.planning.runs_folder import RunsFolder

    write_report(OpenSweep(config, RunsFolder.at(runs).fetched(), overrides=set_), file, out)
    print(out)


def run(
    key: Annotated[str, Parameter(help="Key of the job, or its beginning; `raydistill plan --json` lists the keys.")],
    *,
    runs: Runs = RUNS,
    address: Address = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], Parameter(help="auto: use the CPU.")] = "auto",
    max_hours: MaxHours = None,
    max_wait: MaxWait = None,
):
    """Run one job of an earlier sweep in the foreground, for example to see why it failed. KEY may be a prefix."""
    from raydistill.sweep.running.deadline import Deadline

    deadline = Deadline.after(max_hours)
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.running.driver import run_single_job
    from raydistill.sweep.running.options import RunOptions

    folder = RunsFolder.at(runs).fetched()
    job, store = folder.find_job(key)
    say(f"{job.name} reads the store {without_password(store)}, which its job.json names")
    options = RunOptions(address=address, device=device, deadline=deadline, max_wait_s=seconds_of(max_wait))
    job = run_single_job(folder, key, options, say)
    say(f"{job.name} is done: {folder.job_folder(job.key)}")


def ui(
    *,
    runs: Runs = RUNS,
    port: Annotated[int, Parameter(help="Port on 127.0.0.1.")] = 5000,
):
    """Serve the MLflow UI of a runs folder on 127.0.0.1 until Ctrl-C."""
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.tracking.server import serve

    serve(RunsFolder.at(runs).path, port)

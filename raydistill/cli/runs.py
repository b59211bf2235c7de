"""Commands on the runs folder: check it, clean it, archive it, send it to MLflow, and write notes into it."""

import contextlib
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from raydistill.cli.options import ON_DISK, RUNS, RUNS_ON_DISK, Overrides, Runs, RunsOnDisk, SweepFile, Tune
from raydistill.cli.output import say
from raydistill.errors import ConfigError

UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def verify(
    *,
    runs: Runs = RUNS,
    store: Annotated[str | None, Parameter(help="Session store to check as well: a folder, or a URI.")] = None,
):
    """Read every file of every finished job, and of a store, and compare it with its digest.

    Prints one line per problem, and exits with 1 if there is one.
    """
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.planning.verify import number_of_jobs, problems_of_documents, problems_of_jobs

    folder = RunsFolder.at(runs).fetched(everything=True)
    if store is None and not folder.path.is_dir():
        raise ConfigError(f"--runs {runs}: there is no such folder; name the runs folder to check")
    problems = 0
    for problem in (*problems_of_jobs(folder), *problems_of_documents(folder)):
        print(problem)
        problems += 1
    finished, unfinished = number_of_jobs(folder)
    checked = f"{finished} job{'s' if finished != 1 else ''}"
    if unfinished:
        say(f"{unfinished} unfinished job{'s' if unfinished != 1 else ''} not checked")
    if store is not None:
        from raydistill.store.store import Store

        for problem in Store(store).verify():
            print(problem)
            problems += 1
        checked += f" and the store {store}"
    say(f"{checked}: {problems or 'no'} problem{'s' if problems != 1 else ''}")
    return 1 if problems else 0


def gc(
    *,
    runs: RunsOnDisk = RUNS_ON_DISK,
    delete: Annotated[
        bool, Parameter(help="Delete what is listed. By default nothing is deleted.", negative="")
    ] = False,
):
    """List what no sweep or search of a runs folder needs, with sizes: jobs, replaced folders, old checkpoints.

    A sweep needs the jobs of its last run and those that they start from; a search the jobs of its trials. Nothing is
    deleted without --delete.
    """
    from raydistill.sweep.planning import unused
    from raydistill.sweep.planning.runs_folder import RunsFolder

    folder = RunsFolder(runs)
    for problem in unused.unknown(folder):
        say(f"note: {problem}; every job is kept, because it may be needed")
    with folder.exclusive_lock() if delete else contextlib.nullcontext():
        found = list(unused.unused(folder))
        for item in found:
            print(f"{_size(item.size):>9}  {item.path}  {item.reason}")
            if delete:
                unused.delete(item)
    total = f"{len(found)} folder{'s' if len(found) != 1 else ''}, {_size(sum(item.size for item in found))}"
    say(f"{total}{' deleted' if delete else '; `--delete` deletes them' if found else ''}")


def archive(
    file: SweepFile,
    *,
    to: Annotated[Path, Parameter(help="Runs folder that receives the jobs; created if it does not exist."), ON_DISK],
    runs: RunsOnDisk = RUNS_ON_DISK,
    set_: Overrides = (),
):
    """Copy the finished jobs and the results of a sweep to a runs folder of their own, and check every copy.

    The other commands read the archive as any runs folder (`--runs`). The jobs stay where they are; `raydistill gc`
    deletes those that are no longer needed.
    """
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.config.reading import load_sweep
    from raydistill.sweep.planning.archive import archive as copy
    from raydistill.sweep.planning.runs_folder import RunsFolder

    opened = OpenSweep(load_sweep(file, set_), RunsFolder(runs), overrides=set_)
    planned = opened.plan()
    store = Path(opened.store) if opened.config.recordings and not opened.lacks_recordings else None
    jobs = copy(planned, opened.runs, RunsFolder(to), store)
    say(f"{len(jobs)} of {len(planned.jobs)} jobs copied to {to} and checked; {len(planned.todo)} are not done")


def track(
    file: SweepFile,
    *,
    to: Annotated[
        str | None,
        Parameter(
            help="Address of MLflow: a server or a database. By default MLFLOW_TRACKING_URI, or the runs folder."
        ),
    ] = None,
    runs: Runs = RUNS,
    tune: Tune = None,
    set_: Overrides = (),
):
    """Send what a runs folder has of a sweep to MLflow: jobs with their curves, scores, tests, figures.

    The sweep may be running; nothing is run, and the runs folder is only read. What is there already is not sent
    again. The exit code is 2 if MLflow does not take everything. A user and password are given by
    MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.config.reading import load_sweep, with_trials
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.tracking.location import choose

    if to is not None:
        choose(to)
    set_ = with_trials(file, set_, tune)
    opened = OpenSweep(load_sweep(file, set_), RunsFolder.at(runs).fetched(), overrides=set_)
    from raydistill.sweep.answering.tracking import log_as_it_is

    planned, receipt = log_as_it_is(opened, say)
    if receipt is None:
        return 2
    done, left = len(planned.jobs) - len(planned.todo), len(planned.todo)
    later = f"; {left} are not done: run the same command again later" if left else ""
    say(f"{done} of {len(planned.jobs)} jobs of {opened.name} are in {receipt.place}{later}")
    return 0


def note(
    what: Annotated[str, Parameter(help="Sweep file, or key of a job (its beginning is enough).")],
    text: Annotated[str | None, Parameter(help="Text of the note; replaces an earlier one, and '' removes it.")] = None,
    /,
    *,
    tag: Annotated[
        tuple[str, ...],
        Parameter(
            help="Tag as name=value; may be repeated; an empty value removes it.", negative="", show_default=False
        ),
    ] = (),
    runs: RunsOnDisk = RUNS_ON_DISK,
    set_: Overrides = (),
):
    """Write a note or tags on a sweep or a job, which results, page and MLflow show. Prints the note."""
    from raydistill.sweep.planning.notes import write_note
    from raydistill.sweep.planning.runs_folder import RunsFolder

    folder = RunsFolder(runs)
    if Path(what).suffix in (".yaml", ".yml"):
        from raydistill.sweep.config.reading import load_sweep
        from raydistill.sweep.planning.variants import variant_name

        target = {"sweep": variant_name(load_sweep(Path(what), set_).name, set_)}
    else:
        target = {"job": folder.find_job(what)[0].key}
    print(write_note(folder, **target, text=text, tags=list(tag)).in_words())


def _size(n_bytes: int) -> str:
    for unit, name in UNITS:
        if n_bytes >= unit:
            return f"{n_bytes / unit:.1f} {name}"
    return f"{n_bytes} B"

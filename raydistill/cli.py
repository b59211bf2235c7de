"""The command line: parse, call, print. Results go to stdout, progress and messages to stderr.

Exit codes: 0 all done; 1 some jobs or recordings failed, the others finished; 2 the input was wrong;
130 interrupted, all finished work kept.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError
from rich.console import Console

from raydistill import __version__
from raydistill.config.names import PICTURES, check_ending
from raydistill.errors import RaydistillError

app = App(
    name="raydistill",
    help="Distillation from spikes to LFP, from recordings to statistics.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # told below, with what is kept
)

SweepFile = Annotated[Path, Parameter(help="Sweep file (YAML).")]
Runs = Annotated[Path, Parameter(help="Folder of jobs, results and MLflow runs.")]
Address = Annotated[
    str | None, Parameter(help="Address of the Ray cluster; by default a local Ray is started and stopped.")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Parameter(help="auto: use CUDA if the cluster has a GPU when the jobs start."),
]
SweepOverrides = Annotated[
    tuple[str, ...],
    Parameter(
        name="--set",
        help="Override a value of the sweep file, such as --set training.epochs=5; may be repeated.",
        negative="",
        show_default=False,
    ),
]
Overrides = Annotated[
    tuple[str, ...], Parameter(name="--set", help="Override a value: --set training.epochs=5.", negative="")
]
Only = Annotated[
    tuple[str, ...],
    Parameter(
        help="Only this method, and the jobs that it starts from; may be repeated.", negative="", show_default=False
    ),
]
Sessions = Annotated[str, Parameter(help="Only sessions whose names match this pattern, such as MonkeyI_*.")]
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON.", negative="")]

RUNS = Path("runs")


@app.command
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
    max_hours: Annotated[
        float | None, Parameter(help="Stop after this many hours, as if by Ctrl-C (finished jobs are kept).")
    ] = None,
    set_: SweepOverrides = (),
):
    """Run the jobs of a sweep that are not done, then compare the methods. Run it again to continue after a stop."""
    from raydistill.sweep.config.sweep import load_sweep

    config = load_sweep(file, set_)
    from raydistill.evaluation.terminal import render
    from raydistill.sweep.answering.conclude import concluded
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.planning.runs_folder import RunsFolder

    opened = OpenSweep(config, RunsFolder(runs))
    results = concluded(opened)
    if results is None:
        from raydistill.sweep.planning.selection import Selection
        from raydistill.sweep.running.driver import run_sweep
        from raydistill.sweep.running.options import RunOptions
        from raydistill.sweep.running.progress import SweepProgress

        options = RunOptions(
            address=address,
            device=device,
            selection=Selection(only, sessions),
            fail_fast=fail_fast,
            max_hours=max_hours,
        )
        with SweepProgress(opened.runs) as progress:
            results = run_sweep(opened, progress, options)
    render(results, _console())
    print(
        f"\nresults and figures   {opened.folder}\n"
        f"every job and curve   raydistill ui --runs {runs}\n"
        f"the numbers as JSON   raydistill results {file} --json",
        file=sys.stderr,
    )
    return 1 if results.failed else 0


@app.command
def plan(
    file: SweepFile,
    /,
    *more: Annotated[Path, Parameter(help="More sweep files; jobs that they share are counted once.")],
    runs: Runs = RUNS,
    only: Only = (),
    sessions: Sessions = "*",
    set_: SweepOverrides = (),
    json_: AsJson = False,
):
    """List the jobs of one or several sweeps: done, missing, stale or failed, and why. Nothing is run."""
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.config.sweep import load_sweep
    from raydistill.sweep.planning.plan import lines, merged
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.planning.selection import Selection, narrow

    folder, selection = RunsFolder(runs), Selection(only, sessions)
    catalogues: dict[str, list] = {}
    sweeps = [OpenSweep(load_sweep(each, set_), folder, catalogues) for each in (file, *more)]
    planned = merged([narrow(each.plan(), selection) for each in sweeps])
    if json_:
        print(json.dumps(planned.to_json(), indent=1))
    else:
        print(*lines(planned), sep="\n")


@app.command
def results(
    file: Path,
    *,
    runs: Runs = RUNS,
    set_: Overrides = (),
    json_: AsJson = False,
    csv: Annotated[bool, Parameter(help="Print the scores as CSV.", negative="")] = False,
):
    """Decoding R² by method, session and seed, means by subject, and the tests, of the jobs done so far."""
    from raydistill.sweep.config.sweep import load_sweep

    config = load_sweep(file, set_)
    from raydistill.evaluation.results import to_csv
    from raydistill.evaluation.terminal import render
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.planning.runs_folder import RunsFolder

    opened = OpenSweep(config, RunsFolder(runs))
    found = opened.collect(opened.plan())
    if json_:
        print(json.dumps(found.to_json(), indent=1))
    elif csv:
        print(to_csv(found), end="")
    elif found.scores or found.baselines or found.failed:
        render(found, _console())
    else:
        _say(f"no job of {config.name} is done in {runs}; run `raydistill sweep {file}` first")
    return 1 if found.failed else 0


@app.command
def report(file: Path, *, out: Path, runs: Runs = RUNS, set_: Overrides = ()):
    """One offline page of a sweep: answer, tables, figures, statistics, failures, costs, how to reproduce it."""
    from raydistill.sweep.config.sweep import load_sweep

    config = load_sweep(file, set_)
    check_ending("--out", out, ".html")
    from raydistill.sweep.answering.report import write_report
    from raydistill.sweep.planning.runs_folder import RunsFolder

    write_report(config, file, set_, RunsFolder(runs), out)
    print(out)


@app.command
def search(
    file: Annotated[Path, Parameter(help="Search file (YAML); it names the sweep file and the job.")],
    *,
    runs: Runs = RUNS,
    address: Address = None,
    device: Device = "auto",
    set_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            help="Override a value of the search file, such as --set trials=50; may be repeated.",
            negative="",
            show_default=False,
        ),
    ] = (),
    json_: AsJson = False,
):
    """Search for better values of one job by its R² on the validation folds. Run it again to continue after a stop."""
    from raydistill.sweep.config.search import load_search

    config = load_search(file, set_)
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.running.options import RunOptions
    from raydistill.sweep.running.progress import SweepProgress
    from raydistill.sweep.searching.driver import run_search
    from raydistill.sweep.searching.result import render

    folder = RunsFolder(runs)
    with SweepProgress(folder) as progress:
        result = run_search(config, file, folder, progress, RunOptions(address=address, device=device))
    if json_:
        print(json.dumps(result.to_json(), indent=1))
    else:
        render(result, _console())


@app.command
def run(
    key: Annotated[str, Parameter(help="Key of the job, or its beginning; `raydistill plan --json` lists the keys.")],
    *,
    runs: Runs = RUNS,
    address: Address = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], Parameter(help="auto: use the CPU.")] = "auto",
):
    """Run one job of an earlier sweep in the foreground, for example to see why it failed. KEY may be a prefix."""
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.running.driver import run_single_job
    from raydistill.sweep.running.options import RunOptions

    folder = RunsFolder(runs)
    job = run_single_job(folder, key, RunOptions(address=address, device=device))
    _say(f"{job.name} is done: {folder.job_folder(job.key)}")


@app.command
def synth(
    folder: Path,
    *,
    layout: Annotated[
        Literal["nwb", "makin", "flint", "gallego", "neurotask", "paper"],
        Parameter(help="How the files are laid out; paper: all of the paper's sessions, in miniature."),
    ] = "nwb",
    scale: Annotated[
        Literal["tiny", "small"] | None,
        Parameter(help="Of --layout paper: sessions of half a minute (tiny, the default) or of two minutes."),
    ] = None,
    set_: Overrides = (),
):
    """Write synthetic recordings with known latents into FOLDER (docs/synthetic-recordings.md)."""
    if layout == "paper":
        from raydistill.simulation.corpus import corpus_config, write_corpus

        paths = write_corpus(folder, corpus_config(scale or "tiny", set_))
    else:
        from raydistill.config.load import build_from
        from raydistill.config.synthetic import SyntheticConfig
        from raydistill.errors import ConfigError
        from raydistill.simulation.layouts import write_layout

        if scale is not None:
            raise ConfigError(f"--scale {scale} belongs to --layout paper alone; sizes of other layouts go with --set")
        paths = write_layout(layout, build_from(SyntheticConfig, set_), folder)
    for path in paths:
        print(path, flush=True)


@app.command
def ingest(
    source: str,
    *,
    store: str,
    folder: Annotated[Path | None, Parameter(help="Where a manifest's files lie, if not beside it.")] = None,
    dataset: Annotated[
        Literal["makin", "flint", "gallego", "neurotask", "nwb"] | None,
        Parameter(help="Of a folder, only the recordings of this layout."),
    ] = None,
    dry_run: Annotated[
        bool, Parameter(help="List what is there, what is missing, what would be done.", negative="")
    ] = False,
    workers: Annotated[int | None, Parameter(help="Recordings read at once; by default one a core.")] = None,
    address: Address = None,
    set_: Overrides = (),
):
    """Read recordings (a manifest, an NWB file or its URI, a folder) into the session store STORE, in parallel."""
    from raydistill.recordings.discover import plan_sources

    planned = plan_sources(source, folder, set_, dataset)
    if dry_run:
        from raydistill.recordings.dry_run import dry_run as lines

        print(*lines(planned, store), sep="\n")
        return 0
    from raydistill.recordings.ingest import ingest_with_ray
    from raydistill.recordings.progress import telling

    with telling(len(planned)) as report:
        outcome = ingest_with_ray(planned, store, workers=workers, address=address, report=report)
    _say(f"{len(outcome.made)} made, {len(outcome.skipped)} unchanged, {len(outcome.failed)} failed; store {store}")
    if not outcome.failed:
        return 0
    return 1 if outcome.made or outcome.skipped else 2


@app.command
def sessions(*, store: str, json_: AsJson = False):
    """The sessions of a store."""
    from raydistill.store.show import render, to_json
    from raydistill.store.store import Store

    entries = Store(store).entries()
    if json_:
        print(json.dumps([to_json(e) for e in entries], indent=1))
    else:
        render(entries, _console())


@app.command
def inspect(session: str, *, store: str, out: Path):
    """A picture of one session: raster, LFP, behavior."""
    from raydistill.store.store import Store

    opened = Store(store)
    entry = opened.entry(session)
    from raydistill.evaluation.figures.recording import session_picture

    check_ending("--out", out, *PICTURES)
    out.parent.mkdir(parents=True, exist_ok=True)
    session_picture(entry, opened.read(entry), out.with_suffix(""))
    print(out)


@app.command
def export(session: str, *, store: str, nwb: Path):
    """Write one session of a store as an NWB 2 file."""
    from raydistill.decode.nwb_export import write_session_nwb
    from raydistill.store.store import Store

    opened = Store(store)
    entry = opened.entry(session)
    print(write_session_nwb(entry, opened.read(entry), nwb))


@app.command
def import_(
    file: Path,
    *,
    metadata: Annotated[Path, Parameter(help="CSV of the checkpoint's sessions: subject_session,d_input.")],
    out: Annotated[Path, Parameter(help="Folder for model.safetensors and model.json.")],
):
    """Take in a checkpoint that the paper's authors released; no code in it is run."""
    from raydistill.models.files import SPEC, save_model
    from raydistill.models.released.released import import_checkpoint

    if (out / SPEC).exists():
        raise RaydistillError(f"--out {out}: holds a model already; name another folder")
    imported = import_checkpoint(file, metadata)
    out.mkdir(parents=True, exist_ok=True)
    save_model(imported.model, out)
    for note in imported.notes:
        _say(f"note: {note}")
    print(out)


@app.command
def decode(
    model: Path,
    *,
    session: str,
    store: str,
    as_: Annotated[
        str | None, Parameter(name="--as", help="Session of the model whose embeddings stand for this one's.")
    ] = None,
    behavior: Annotated[tuple[str, ...], Parameter(help="Columns to decode; by default all.", negative="")] = (),
    out: Annotated[
        Path | None, Parameter(help="Latents and decoded behavior of every bin: .parquet, or .nwb with the session.")
    ] = None,
    picture: Annotated[Path | None, Parameter(help="Draw decoded over recorded behavior: .png, .pdf or .svg.")] = None,
    json_: AsJson = False,
):
    """Run a trained model on a session of a store: behavior read from its latents, and how well."""
    from raydistill.decode.command import decode as run
    from raydistill.decode.command import in_words

    told = run(model, session, store, as_, behavior, out, picture)
    print(json.dumps(told, indent=1) if json_ else in_words(told))
    for made in (out, picture):
        if made is not None:
            _say(str(made))


@app.command
def ui(
    *,
    runs: Runs = RUNS,
    port: Annotated[int, Parameter(help="Port on 127.0.0.1.")] = 5000,
):
    """Serve the MLflow UI of a runs folder on 127.0.0.1 until Ctrl-C."""
    from raydistill.tracking.server import serve

    serve(runs, port)


@app.command
def bench(
    what: Literal["ingest", "train", "load", "stream-vs-memory", "checkpoint", "workers", "sweep", "evaluate"],
    *,
    minutes: Annotated[float, Parameter(help="ingest: length of the recording that is made and ingested.")] = 1.0,
    segments: Annotated[int, Parameter(help="train: segments in a batch.")] = 8,
    bins: Annotated[int, Parameter(help="train: bins of a segment, each of two patches.")] = 500,
    precision: Annotated[Literal["fp32", "bf16"], Parameter(help="train")] = "bf16",
    compiled: Annotated[bool, Parameter(name="--compile", help="train: with torch.compile.", negative="")] = False,
    device: Annotated[Literal["cpu", "cuda"], Parameter(help="train")] = "cpu",
    sessions: Annotated[
        int | None, Parameter(help="load, stream-vs-memory, workers: random sessions in the store, of equal size.")
    ] = None,
    json_: AsJson = False,
):
    """What a part of raydistill costs on this machine, beside what the machine could do at best."""
    from raydistill.bench.choose import run

    training = {"segments": segments, "bins": bins, "precision": precision, "compiled": compiled, "device": device}
    report = run(what, _say, sessions, minutes, **training)
    if json_:
        print(json.dumps(report.to_json(), indent=1))
    else:
        for name, value in report.figures.items():
            print(f"{name:<28} {value:10.4g}")


@app.command
def doctor(*, runs: Runs = RUNS):
    """What is installed, what is missing, which attention and device will be used."""
    from raydistill.doctor import examine

    checks = examine(runs)
    for check in checks:
        print(f"{check.state:<8} {check.name:<22} {check.detail}")
    return 1 if any(check.state == "missing" for check in checks) else 0


def _console() -> Console:
    """For results on stdout: as wide as the terminal, or wide enough for a file."""
    return Console(width=None if sys.stdout.isatty() else 140)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> None:
    """Entry point of the `raydistill` command."""
    try:
        code = app(argv, exit_on_error=False, print_error=False, result_action="return_value")
    except (RaydistillError, CycloptsError) as err:
        _say(f"raydistill: {err}")
        sys.exit(2)
    except OSError as err:  # no permission, no space, no such folder
        _say(f"raydistill: {err.filename or 'a file'}: {err.strerror or err}; nothing finished is lost")
        sys.exit(2)
    except KeyboardInterrupt as err:
        _say(f"raydistill: {str(err) or 'interrupted'}; finished work is kept, the same command goes on")
        sys.exit(130)
    sys.exit(code or 0)

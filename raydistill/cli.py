"""The command line: parse, call, print. Results are written to stdout, progress and messages to stderr.

Exit codes: 0 success; 1 some jobs or recordings failed and the others finished; 2 invalid input; 130 interrupted,
finished work is kept.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import App, Parameter
from cyclopts.exceptions import CycloptsError
from rich.console import Console

from raydistill import __version__
from raydistill.bench.choose import Benchmark
from raydistill.config.names import PICTURES, check_ending
from raydistill.errors import RaydistillError
from raydistill.recordings.layouts import FOLDER_LAYOUTS

if TYPE_CHECKING:
    FolderLayout: TypeAlias = str
    WrittenLayout: TypeAlias = str
else:  # the choices that cyclopts offers
    FolderLayout = Literal[FOLDER_LAYOUTS]
    WrittenLayout = Literal[(*FOLDER_LAYOUTS, "paper")]

app = App(
    name="raydistill",
    help="Distillation from spikes to LFP, from recordings to statistics.",
    version=__version__,
    suppress_keyboard_interrupt=False,  # main() reports an interrupt
)


def _set(example: str) -> Parameter:
    """The option --set of one command, with an example that is valid for it."""
    text = f"Override one setting, for example --set {example}; can be repeated."
    return Parameter(name="--set", help=text, negative="", show_default=False)


Runs = Annotated[Path, Parameter(help="Folder for jobs, results and MLflow runs.")]
Address = Annotated[
    str | None, Parameter(help="Address of a Ray cluster. By default a local Ray is started, and stopped at the end.")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Parameter(help="auto: use CUDA if the cluster has a GPU when the sweep starts."),
]
StoreUri = Annotated[str, Parameter(name="--store", help="Session store: a folder, or a URI (file://, s3://, gs://).")]
Overrides = Annotated[tuple[str, ...], _set("training.epochs=5")]
SearchOverrides = Annotated[tuple[str, ...], _set("trials=50")]
SynthOverrides = Annotated[tuple[str, ...], _set("duration_s=60")]
IngestOverrides = Annotated[tuple[str, ...], _set("ingest.bin_width_ms=20")]
Only = Annotated[
    tuple[str, ...], Parameter(help="A method, with what it starts from; may be given again.", negative="")
]
Sessions = Annotated[str, Parameter(help="Pattern of the sessions to run on, such as MonkeyI_*.")]
AsJson = Annotated[bool, Parameter(name="--json", help="Print the result as JSON.", negative="")]

RUNS = Path("runs")


@app.command
def sweep(
    file: Path,
    *,
    runs: Runs = RUNS,
    address: Address = None,
    device: Device = "auto",
    only: Only = (),
    sessions: Sessions = "*",
    fail_fast: Annotated[
        bool,
        Parameter(
            help="End with the first failure; by default it stops only what depends on it.", negative="--keep-going"
        ),
    ] = False,
    max_hours: Annotated[float | None, Parameter(help="Stop after so many hours, as by Ctrl-C.")] = None,
    set_: Overrides = (),
):
    """Run what is missing of a sweep, then compare; the same command again goes on where it stopped."""
    from raydistill.sweep.config.sweep import load_sweep

    config = load_sweep(file, set_)
    from raydistill.evaluation.terminal import render
    from raydistill.sweep.answering.conclude import concluded
    from raydistill.sweep.planning.runs_folder import RunsFolder

    folder = RunsFolder(runs)
    results = concluded(config, folder)
    if results is None:
        from raydistill.sweep.planning.plan import Choice
        from raydistill.sweep.running.driver import How, run_sweep
        from raydistill.sweep.running.progress import Progress

        how = How(
            address=address, device=device, choice=Choice(only, sessions), fail_fast=fail_fast, max_hours=max_hours
        )
        with Progress(folder) as progress:
            results = run_sweep(config, folder, progress, how)
    render(results, _console())
    print(
        f"\nresults and figures   {runs / 'sweeps' / config.name}\n"
        f"every job and curve   raydistill ui --runs {runs}\n"
        f"the numbers as JSON   raydistill results {file} --json",
        file=sys.stderr,
    )
    return 1 if results.failed else 0


@app.command
def plan(
    file: Path,
    /,
    *more: Path,
    runs: Runs = RUNS,
    only: Only = (),
    sessions: Sessions = "*",
    set_: Overrides = (),
    json_: AsJson = False,
):
    """The jobs of a sweep, or of several together, each done, missing, stale or failed, and why. Starts nothing."""
    from raydistill.sweep.config.sweep import load_sweep
    from raydistill.sweep.planning.plan import Choice, lines, narrow, together
    from raydistill.sweep.planning.plan import plan as make_plan
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.planning.sessions import known_entries, store_uri

    folder, stores, plans = RunsFolder(runs), {}, []
    for config in (load_sweep(each, set_) for each in (file, *more)):
        uri = store_uri(config, folder)
        stores[uri] = stores.get(uri) or known_entries(config, folder)  # a store that several share is read once
        plans.append(narrow(make_plan(config, stores[uri], folder), Choice(only, sessions)))
    planned = together(plans)
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
    from raydistill.sweep.answering.collect import collect
    from raydistill.sweep.planning.plan import plan as make_plan
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.planning.sessions import known_entries

    folder = RunsFolder(runs)
    found = collect(config, make_plan(config, known_entries(config, folder), folder), folder)
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
    file: Path,
    *,
    runs: Runs = RUNS,
    address: Address = None,
    device: Device = "auto",
    set_: SearchOverrides = (),
    json_: AsJson = False,
):
    """Search better values for a job by its validation folds; the same command again goes on where it stopped."""
    from raydistill.sweep.config.search import load_search

    config = load_search(file, set_)
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.running.driver import How
    from raydistill.sweep.running.progress import Progress
    from raydistill.sweep.searching.driver import render, run_search

    folder = RunsFolder(runs)
    with Progress(folder) as progress:
        found = run_search(config, file, folder, progress, How(address=address, device=device))
    if json_:
        print(json.dumps(found.to_json(), indent=1))
    else:
        render(found, _console())


@app.command
def run(
    key: str,
    *,
    runs: Runs = RUNS,
    address: Address = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], Parameter(help="auto: cpu.")] = "auto",
):
    """One job of an earlier sweep, in the foreground, by its key or how that begins; to see why it failed."""
    from raydistill.sweep.planning.runs_folder import RunsFolder
    from raydistill.sweep.running.driver import How, run_alone

    job = run_alone(RunsFolder(runs), key, How(address=address, device=device))
    _say(f"{job.name} is done: {runs / 'jobs' / job.key}")


@app.command
def synth(
    folder: Annotated[Path, Parameter(help="Folder to write the files into; it is created.")],
    *,
    layout: Annotated[
        WrittenLayout,
        Parameter(help="Format of the files; paper: a small version of all sessions of the paper."),
    ] = "nwb",
    scale: Annotated[
        Literal["tiny", "small"] | None,
        Parameter(help="For --layout paper: sessions of about 0.6 min (tiny, the default) or 2 min (small)."),
    ] = None,
    set_: SynthOverrides = (),
):
    """Write synthetic recordings with known latents into FOLDER (docs/synthetic-recordings.md)."""
    if layout == "paper":
        from raydistill.simulation.corpus import corpus_config, write_corpus

        paths = write_corpus(folder, corpus_config(scale or "tiny", set_))
    else:
        from raydistill.errors import ConfigError
        from raydistill.simulation.layouts import layout_config, write_layout

        if scale is not None:
            raise ConfigError(f"--scale {scale} applies to --layout paper only; use --set for the size of others")
        paths = write_layout(layout, layout_config(layout, set_), folder)
    for path in paths:
        print(path, flush=True)


@app.command
def ingest(
    source: Annotated[
        str, Parameter(help="A manifest (.yaml), an NWB file or its URI, or a folder to search for recordings.")
    ],
    *,
    store: Annotated[str, Parameter(help="Path or URI of the session store; it is created if it does not exist.")],
    folder: Annotated[
        Path | None, Parameter(help="For a manifest: the folder of its files, if not the folder of the manifest.")
    ] = None,
    dataset: Annotated[
        FolderLayout | None, Parameter(help="For a folder: read only the recordings with this layout.")
    ] = None,
    dry_run: Annotated[
        bool,
        Parameter(help="List the recordings found, what is missing and what would be done; read none.", negative=""),
    ] = False,
    workers: Annotated[
        int | None, Parameter(help="Maximum number of recordings read at the same time; by default one per CPU core.")
    ] = None,
    address: Address = None,
    set_: IngestOverrides = (),
):
    """Read recordings into a session store, in parallel. Recordings already stored and unchanged are skipped."""
    from raydistill.recordings.discover import plan_sources

    recordings = plan_sources(source, folder, set_, dataset)
    if dry_run:
        from raydistill.recordings.dry_run import dry_run as lines

        print(*lines(recordings, store), sep="\n")
        return 0
    from raydistill.recordings.ingest import ingest_with_ray
    from raydistill.recordings.progress import progress_reporter

    with progress_reporter(len(recordings)) as report:
        result = ingest_with_ray(recordings, store, workers=workers, address=address, report=report)
    _say(f"{len(result.stored)} stored, {len(result.skipped)} unchanged, {len(result.failed)} failed; store {store}")
    if not result.failed:
        return 0
    return 1 if result.stored or result.skipped else 2


@app.command
def sessions(*, store: StoreUri, json_: AsJson = False):
    """List the sessions of a store."""
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
def export(
    session: Annotated[str, Parameter(help="Name of the session; `raydistill sessions` lists them.")],
    *,
    store: Annotated[str, Parameter(help="Path or URI of the session store.")],
    nwb: Annotated[Path, Parameter(help="The file to write, such as session.nwb.")],
):
    """Write one session of a store as an NWB 2 file."""
    from raydistill.decode.nwb_export import write_session_nwb
    from raydistill.store.store import Store

    opened = Store(store)
    entry = opened.entry(session)
    print(write_session_nwb(entry, opened.read(entry), nwb))


@app.command
def import_(
    file: Annotated[Path, Parameter(help="Released checkpoint (a file of torch.save).")],
    *,
    metadata: Annotated[
        Path, Parameter(help="CSV of the checkpoint's sessions, with the columns subject_session and d_input.")
    ],
    out: Annotated[Path, Parameter(help="New folder for model.safetensors and model.json.")],
):
    """Convert a released checkpoint of the cross-modal distillation paper. No code in the file is run."""
    from raydistill.models.files import SPEC, save_model
    from raydistill.models.released.released import import_checkpoint

    if (out / SPEC).exists():
        raise RaydistillError(f"--out {out}: this folder already contains a model; name another folder")
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
def ui(*, runs: Runs = RUNS, port: int = 5000):
    """The MLflow UI for this runs folder, on 127.0.0.1."""
    from raydistill.tracking.tracker import serve

    serve(runs, port)


@app.command
def bench(
    what: Annotated[Benchmark, Parameter(help="The part to benchmark.")],
    *,
    minutes: Annotated[
        float | None, Parameter(help="ingest: length of the recording that is written and ingested (default 1).")
    ] = None,
    segments: Annotated[int | None, Parameter(help="train: segments per batch (default 8).")] = None,
    bins: Annotated[int | None, Parameter(help="train: bins per segment, of two patches each (default 500).")] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        Parameter(help="train: auto (the default) is bf16 where the device multiplies in it, else fp32."),
    ] = None,
    compile_: Annotated[
        bool | None, Parameter(name="--compile", help="train: compile the model with torch.compile.", negative="")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None,
        Parameter(help="train: auto (the default) is cuda where this machine has a GPU, else cpu."),
    ] = None,
    sessions: Annotated[
        int | None,
        Parameter(help="load, stream-vs-memory, workers, sweep: number of random sessions in the store."),
    ] = None,
    json_: AsJson = False,
):
    """Benchmark one part of raydistill and compare it with this machine's peak."""
    from raydistill.bench.choose import run

    options = {"minutes": minutes, "segments": segments, "bins": bins, "precision": precision, "compile": compile_}
    report = run(what, _say, options | {"device": device, "sessions": sessions})
    if json_:
        print(json.dumps(report.to_json(), indent=1))
    else:
        print(f"{report.what} on {report.device}, {report.threads} threads, {report.precision}")
        for name, value in report.figures.items():
            print(f"{name:<28} {value:10.4g}")


@app.command
def doctor(*, runs: Runs = RUNS):
    """Check packages, device, memory and folders, and show which attention will be used."""
    from raydistill.doctor import examine

    checks = examine(runs)
    for check in checks:
        print(f"{check.state:<8} {check.name:<22} {check.detail}")
    return 1 if any(check.state == "missing" for check in checks) else 0


def _console() -> Console:
    """Console for results on stdout, as wide as the terminal, or 140 columns for a file or pipe."""
    return Console(width=None if sys.stdout.isatty() else 140)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(argv: list[str] | None = None) -> None:
    """Entry point of the `raydistill` command.

    Args:
        argv: arguments without the program's name; None: those of the process.
    """
    try:
        code = app(argv, exit_on_error=False, print_error=False, result_action="return_value")
    except (RaydistillError, CycloptsError) as err:
        _say(f"raydistill: {err}")
        sys.exit(2)
    except OSError as err:  # no permission, no space, no such folder
        _say(f"raydistill: {err.filename or 'a file'}: {err.strerror or err}; finished work is kept")
        sys.exit(2)
    except KeyboardInterrupt as err:
        _say(f"raydistill: {str(err) or 'interrupted'}; finished work is kept; run the same command again to continue")
        sys.exit(130)
    sys.exit(code or 0)

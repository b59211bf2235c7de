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


SweepFile = Annotated[Path, Parameter(help="Sweep file (YAML).")]
Runs = Annotated[Path, Parameter(help="Folder for jobs, results and MLflow runs.")]
Address = Annotated[
    str | None, Parameter(help="Address of a Ray cluster. By default a local Ray is started, and stopped at the end.")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Parameter(help="auto: use CUDA if the cluster has a GPU when the jobs start."),
]
StoreUri = Annotated[str, Parameter(name="--store", help="Session store: a folder, or a URI (file://, s3://, gs://).")]
Overrides = Annotated[tuple[str, ...], _set("training.epochs=5")]
SearchOverrides = Annotated[tuple[str, ...], _set("trials=50")]
SynthOverrides = Annotated[tuple[str, ...], _set("duration_s=60")]
IngestOverrides = Annotated[tuple[str, ...], _set("ingest.bin_width_ms=20")]
Only = Annotated[
    tuple[str, ...],
    Parameter(
        help="Only this method, and the jobs that it starts from; may be repeated.", negative="", show_default=False
    ),
]
Sessions = Annotated[str, Parameter(help="Only sessions whose names match this pattern, such as MonkeyI_*.")]
AsJson = Annotated[bool, Parameter(name="--json", help="Print the result as JSON.", negative="")]

SessionName = Annotated[str, Parameter(help="Name of the session; `raydistill sessions` lists them.")]
StoreOfSession = Annotated[str, Parameter(help="Folder or URI of the session store.")]

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
    set_: Overrides = (),
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
    set_: Overrides = (),
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
    file: SweepFile,
    *,
    runs: Runs = RUNS,
    set_: Overrides = (),
    json_: Annotated[
        bool, Parameter(name="--json", help="Print all results as JSON, without tables.", negative="")
    ] = False,
    csv: Annotated[
        bool, Parameter(help="Print one line per score as CSV: method, session, seed, R².", negative="")
    ] = False,
):
    """Print the results of a sweep so far: decoding R² by method and session, means by subject, and tests."""
    from raydistill.sweep.config.sweep import load_sweep

    config = load_sweep(file, set_)
    from raydistill.evaluation.results import to_csv
    from raydistill.evaluation.terminal import render
    from raydistill.sweep.answering.opened import OpenSweep
    from raydistill.sweep.planning.runs_folder import RunsFolder

    opened = OpenSweep(config, RunsFolder(runs))
    collected = opened.collect(opened.plan())
    if json_:
        print(json.dumps(collected.to_json(), indent=1))
    elif csv:
        print(to_csv(collected), end="")
    elif collected.scores or collected.baselines or collected.failed:
        render(collected, _console())
    else:
        _say(f"no job of {config.name} is done in {runs}; run `raydistill sweep {file}` first")
    return 1 if collected.failed else 0


@app.command
def report(
    file: SweepFile,
    *,
    out: Annotated[Path, Parameter(help="The page to write, ending in .html.")],
    runs: Runs = RUNS,
    set_: Overrides = (),
):
    """Write the results of a sweep so far as one self-contained HTML page, with figures, tests and costs."""
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
    set_: SearchOverrides = (),
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
def inspect(
    session: SessionName,
    *,
    store: StoreOfSession,
    out: Annotated[
        Path,
        Parameter(
            help="The picture to write: .png, .pdf or .svg. All three and the data as CSV are saved side by side."
        ),
    ],
):
    """Draw spikes, LFP and behavior of one stored session."""
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
    model: Annotated[Path, Parameter(help="Folder of the model: that of a job, RUNS/jobs/KEY, or of `import`.")],
    *,
    session: SessionName,
    store: StoreOfSession,
    as_: Annotated[
        str | None,
        Parameter(
            name="--as",
            help="Session that the model was trained on, whose embeddings it uses for SESSION. Needed if SESSION was "
            "not in its training.",
        ),
    ] = None,
    behavior: Annotated[
        tuple[str, ...],
        Parameter(
            help="Behavior column to decode; may be repeated. Default: all columns, or those of the model's own head.",
            negative="",
            show_default=False,
        ),
    ] = (),
    out: Annotated[
        Path | None,
        Parameter(
            help="File for the latents and decoded behavior of every bin: .parquet, or .nwb, which also contains the "
            "recorded session."
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        Parameter(help="Picture of decoded over recorded behavior to write, ending in .png, .pdf or .svg."),
    ] = None,
    json_: Annotated[bool, Parameter(name="--json", help="Print R² and its scope as JSON.", negative="")] = False,
):
    """Decode behavior from one stored session with a trained model and report R²."""
    from raydistill.decode.command import decode as run
    from raydistill.decode.command import summary_line

    about = run(model, session, store, as_, behavior, out, picture)
    print(json.dumps(about, indent=1) if json_ else summary_line(about))
    for file in (out, picture):
        if file is not None:
            _say(str(file))


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

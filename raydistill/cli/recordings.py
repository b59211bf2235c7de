"""Commands on recordings and the session store."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import Parameter

from raydistill.cli.options import (
    ABOVE_ZERO,
    ON_DISK,
    Address,
    AsJson,
    IngestOverrides,
    MemoryGb,
    Overwrite,
    SessionName,
    StoreUri,
    SynthOverrides,
)
from raydistill.cli.output import console, say
from raydistill.config.names import PICTURES, check_ending
from raydistill.recordings.layouts import folder_layouts

if TYPE_CHECKING:
    FolderLayout: TypeAlias = str
    WrittenLayout: TypeAlias = str
else:  # the choices that cyclopts offers
    FolderLayout = Literal[folder_layouts()]
    WrittenLayout = Literal[(*folder_layouts(), "paper")]


def synth(
    folder: Annotated[Path, Parameter(help="Folder to write the files into; it is created."), ON_DISK],
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


def new_manifest(
    files: Annotated[
        tuple[Path, ...],
        Parameter(
            help="HDF5, MATLAB, NPZ, NPY or NWB files, or folders of spike sorters; several can be one session.",
            negative="",
        ),
    ],
    *,
    out: Annotated[
        Path | None, Parameter(help="The manifest to write, such as lab.yaml; by default it is printed."), ON_DISK
    ] = None,
    memory_gb: MemoryGb = None,
):
    """Look into files and write a manifest for `ingest`, with reasons for its guesses and questions to answer."""
    from raydistill.errors import ConfigError

    if not files:
        raise ConfigError("name at least one file")
    if out is not None:
        check_ending("--out", out, ".yaml", ".yml")
        if out.exists():
            raise ConfigError(f"--out {out} exists; choose another name, or remove it first")
    text = _manifest_of(files, Path() if out is None else out.parent, memory_gb)
    if out is None:
        print(text, end="")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "x", encoding="utf-8") as file:
        file.write(text)
    print(out)
    say(f"{text.count('QUESTION:')} questions and {text.count('FILL_IN  #')} values to fill in; then ingest {out}")


def _manifest_of(files: tuple[Path, ...], folder: Path, memory_gb: float | None) -> str:
    from raydistill.recordings.child import Item, read_in_child
    from raydistill.recordings.guard import Guard

    item, guard = Item(files=tuple(map(str, files)), folder=str(folder)), Guard(memory_gb=memory_gb)
    (text,) = read_in_child("manifest", [item], guard, lambda name, seconds: say(f"reading {name} ({seconds:.0f} s)"))
    if isinstance(text, Exception):
        raise text
    return text


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
        int | None,
        Parameter(help="Maximum number of recordings read at the same time; by default one per CPU core."),
        ABOVE_ZERO,
    ] = None,
    address: Address = None,
    max_hours: Annotated[
        float | None,
        Parameter(help="Stop after this many hours; recordings that are stored by then are kept."),
        ABOVE_ZERO,
    ] = None,
    memory_gb: MemoryGb = None,
    set_: IngestOverrides = (),
):
    """Read recordings into a session store, in parallel. Recordings already stored and unchanged are skipped."""
    from raydistill.sweep.running.deadline import Deadline

    deadline = Deadline.after(max_hours)
    from raydistill.recordings.planning.discover import plan

    planned = plan(source, folder, set_, dataset)
    for line in (*planned.notes, *planned.unsearched):
        say(line)
    if dry_run:
        from raydistill.recordings.planning.dry_run import dry_run as lines
        from raydistill.recordings.planning.dry_run import expected_failures

        failures = expected_failures(planned.recordings)
        print(*lines(planned.recordings, store, failures), sep="\n", flush=True)
        for cause in failures.values():
            say(cause)
        return _ingest_code(len(planned.recordings) - len(failures), len(failures) + len(planned.unsearched))
    from raydistill.recordings.guard import Guard
    from raydistill.recordings.ingest import ingest_with_ray
    from raydistill.recordings.progress import progress_reporter

    with progress_reporter(len(planned.recordings)) as show:
        left = len(planned.recordings)

        def report(result) -> None:
            nonlocal left
            show.result(result)
            left -= 1
            if left:
                deadline.check()

        result = ingest_with_ray(
            planned.recordings,
            store,
            workers=workers,
            address=address,
            report=report,
            report_wait=show.wait,
            tell=show.line,
            guard=Guard(memory_gb=memory_gb),
        )
    say(f"{len(result.stored)} stored, {len(result.skipped)} unchanged, {len(result.failed)} failed; store {store}")
    return _ingest_code(len(result.stored) + len(result.skipped), len(result.failed) + len(planned.unsearched))


def _ingest_code(made: int, lacking: int) -> int:
    """The exit code of an ingest: 0 if nothing is lacking, 2 if nothing was made."""
    return 0 if not lacking else 1 if made else 2


def sessions(*, store: StoreUri, json_: AsJson = False):
    """List the sessions of a store."""
    from raydistill.store.show import draws_of, render, to_json
    from raydistill.store.store import Store

    entries = Store(store).entries()
    if json_:
        draws = draws_of(entries)
        print(json.dumps([to_json(e, draws[e.recorded]) for e in entries if e.draw == 1], indent=1))
    else:
        render(entries, console())


def inspect(
    session: SessionName,
    *,
    store: StoreUri,
    out: Annotated[
        Path,
        Parameter(
            help="The picture to write: .png, .pdf or .svg. All three and the data as CSV are saved side by side."
        ),
        ON_DISK,
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


def export(
    session: Annotated[str, Parameter(help="Name of the session; `raydistill sessions` lists them.")],
    *,
    store: Annotated[str, Parameter(help="Path or URI of the session store.")],
    nwb: Annotated[Path, Parameter(help="The file to write, ending in .nwb."), ON_DISK],
    overwrite: Overwrite = False,
):
    """Write one session of a store as an NWB 2 file. `raydistill ingest FILE` makes the same session of it again."""
    from raydistill.decode.nwb_export import write_session_nwb
    from raydistill.store.store import Store

    check_ending("--nwb", nwb, ".nwb")
    opened = Store(store)
    print(write_session_nwb(opened, opened.entry(session), nwb, overwrite=overwrite))

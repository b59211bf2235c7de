"""Commands on single models."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from raydistill.cli.options import ON_DISK, Overwrite, SessionName, StoreUri
from raydistill.cli.output import say
from raydistill.cli.streaming import STORED, Live
from raydistill.errors import RaydistillError

if TYPE_CHECKING:
    from raydistill.models.released.released import Imported


def import_(
    file: Annotated[Path, Parameter(help="Released checkpoint (a file of torch.save).")],
    *,
    kind: Annotated[
        Literal["crossmodal", "brant", "barista"],
        Parameter(
            help="crossmodal: of the cross-modal distillation paper. brant: the encoder over patches of BRANT. "
            "barista: of BaRISTA."
        ),
    ] = "crossmodal",
    metadata: Annotated[
        Path | None,
        Parameter(
            help="Of `--kind crossmodal`: CSV of the checkpoint's sessions, with the columns subject_session and "
            "d_input. Of `--kind barista`, which does not need it: CSV of their channels (docs/methods.md)."
        ),
    ] = None,
    channels: Annotated[
        Path | None, Parameter(help="Of `--kind brant`: file of the encoder over channels (also of torch.save).")
    ] = None,
    out: Annotated[Path, Parameter(help="New folder for model.safetensors and model.json."), ON_DISK],
):
    """Convert a released checkpoint. No code in the file is run."""
    from raydistill.models.files import save_model
    from raydistill.models.spec_file import SPEC

    if (out / SPEC).exists():
        raise RaydistillError(f"--out {out}: this folder already contains a model; name another folder")
    imported = _imported(file, kind, {"--metadata": metadata, "--channels": channels})
    out.mkdir(parents=True, exist_ok=True)
    save_model(imported.model, out)
    for note in imported.notes:
        say(f"note: {note}")
    print(out)


def _imported(file: Path, kind: str, others: Mapping[str, Path | None]) -> "Imported":
    """The model in a checkpoint of this kind, which reads one of the other files and no more."""
    from raydistill.models.barista.published import import_barista
    from raydistill.models.brant.checkpoint import import_brant
    from raydistill.models.released.released import import_checkpoint

    option = "--channels" if kind == "brant" else "--metadata"
    other = others[option]
    _refuse(f"--kind {kind} reads no other file", {name: path for name, path in others.items() if name != option})
    if kind == "barista":
        return import_barista(file, other)
    if other is None:
        raise RaydistillError(f"--kind {kind} also needs {option} FILE; `raydistill import --help` says what it has")
    return import_brant(file, other) if kind == "brant" else import_checkpoint(file, other)


def decode(
    model: Annotated[
        Path,
        Parameter(
            help="Folder of the model: that of a job, RUNS/jobs/KEY, or of `import`; or a key in the folder runs. The "
            "beginning of a key is enough."
        ),
    ],
    *,
    session: SessionName,
    store: StoreUri,
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
        ON_DISK,
    ] = None,
    picture: Annotated[
        Path | None,
        Parameter(help="Picture of decoded over recorded behavior to write, ending in .png, .pdf or .svg."),
        ON_DISK,
    ] = None,
    overwrite: Overwrite = False,
    stream: Annotated[
        bool,
        Parameter(
            help="Decode the scored segments bin by bin, as they would have arrived, and report R² and latency. Needs "
            "a causal model (`model: {causal: true}`).",
            negative="",
        ),
    ] = False,
    live: Live = STORED,
    json_: Annotated[bool, Parameter(name="--json", help="Print R² and its scope as JSON.", negative="")] = False,
):
    """Decode behavior from one stored session with a trained model and report R²."""
    from raydistill.decode.command import decode as run
    from raydistill.decode.command import summary_line

    written = {"--out": out, "--picture": picture}
    if stream and live.source is not None:
        _refuse("--from prints decoded behavior as it comes", written | {"--json": json_, "--overwrite": overwrite})
        from raydistill.stream.command import decode_live

        decode_live(model, session, store, as_, behavior, live.place(), say)
        return
    if live.source is not None:
        raise RaydistillError("--from needs --stream")
    _refuse("a stored session is decoded, and not what arrives (--stream --from SOURCE)", live.given)
    if stream:
        from raydistill.stream.command import replayed

        _refuse("--stream reports R² and latency and writes no file", written | {"--overwrite": overwrite})
        report = replayed(model, session, store, as_, behavior, say)
        print(json.dumps(report.to_json(), indent=1) if json_ else f"{session}: {report.in_words()}")
        return
    about = run(model, session, store, as_, behavior, out, picture, overwrite)
    print(json.dumps(about, indent=1) if json_ else summary_line(about))
    for file in (out, picture):
        if file is not None:
            say(str(file))


def _refuse(why: str, options: Mapping[str, object]) -> None:
    """Refuse the options that were given and would have no effect."""
    given = [name for name, value in options.items() if value not in (None, False)]
    if given:
        raise RaydistillError(f"{why}; omit {' and '.join(given)}")

"""Commands on single models."""

import json
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from raydistill.cli.options import ABOVE_ZERO, ON_DISK, Overwrite, SessionName, StoreUri
from raydistill.cli.output import say
from raydistill.errors import RaydistillError


def import_(
    file: Annotated[Path, Parameter(help="Released checkpoint (a file of torch.save).")],
    *,
    metadata: Annotated[
        Path, Parameter(help="CSV of the checkpoint's sessions, with the columns subject_session and d_input.")
    ],
    out: Annotated[Path, Parameter(help="New folder for model.safetensors and model.json."), ON_DISK],
):
    """Convert a released checkpoint of the cross-modal distillation paper. No code in the file is run."""
    from raydistill.models.files import save_model
    from raydistill.models.released.released import import_checkpoint
    from raydistill.models.spec_file import SPEC

    if (out / SPEC).exists():
        raise RaydistillError(f"--out {out}: this folder already contains a model; name another folder")
    imported = import_checkpoint(file, metadata)
    out.mkdir(parents=True, exist_ok=True)
    save_model(imported.model, out)
    for note in imported.notes:
        say(f"note: {note}")
    print(out)


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
    from_: Annotated[
        str | None,
        Parameter(
            name="--from",
            allow_leading_hyphen=True,
            help="With --stream: decode what arrives instead of the stored segments. - reads one line of numbers per "
            "sample; lsl:NAME and zmq:ADDRESS need `pip install 'raydistill[lsl]'` or `[zmq]`.",
        ),
    ] = None,
    to: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="With --from: where decoded behavior goes: - (standard output), lsl:NAME or zmq:ADDRESS.",
        ),
    ] = "-",
    rate_hz: Annotated[
        float | None,
        ABOVE_ZERO,
        Parameter(
            help="With --from: rate of raw LFP samples, which are filtered as in the store (`filters: {causal: "
            "true}`). By default z-scored bins arrive."
        ),
    ] = None,
    timeout_s: Annotated[
        float, ABOVE_ZERO, Parameter(help="With --from: end after this many seconds without a sample.")
    ] = 10.0,
    json_: Annotated[bool, Parameter(name="--json", help="Print R² and its scope as JSON.", negative="")] = False,
):
    """Decode behavior from one stored session with a trained model and report R²."""
    from raydistill.decode.command import decode as run
    from raydistill.decode.command import summary_line

    if from_ is not None and not stream:
        raise RaydistillError("--from needs --stream")
    if stream:
        if out or picture:
            raise RaydistillError("--stream reports R² and latency and writes no file; omit --out and --picture")
        from raydistill.stream.command import Place, decode_live, replayed

        if from_ is not None:
            place = Place(source=from_, target=to, rate_hz=rate_hz, timeout_s=timeout_s)
            decode_live(model, session, store, as_, behavior, place, say)
            return
        report = replayed(model, session, store, as_, behavior)
        print(json.dumps(report.to_json(), indent=1) if json_ else f"{session}: {report.in_words()}")
        return
    about = run(model, session, store, as_, behavior, out, picture, overwrite)
    print(json.dumps(about, indent=1) if json_ else summary_line(about))
    for file in (out, picture):
        if file is not None:
            say(str(file))


def deploy(
    model: Annotated[Path, Parameter(help="Folder of a causal model, as for `decode`.")],
    *,
    session: SessionName,
    store: StoreUri,
    out: Annotated[Path, Parameter(help="New folder for decoder.onnx and decoder.json."), ON_DISK],
    as_: Annotated[
        str | None, Parameter(name="--as", help="Session that the model was trained on, whose embeddings it uses.")
    ] = None,
    behavior: Annotated[
        tuple[str, ...], Parameter(help="Behavior column to decode; may be repeated.", negative="", show_default=False)
    ] = (),
    rate_hz: Annotated[
        float | None,
        ABOVE_ZERO,
        Parameter(help="Rate of raw LFP samples: also write the coefficients of the causal filters."),
    ] = None,
):
    """Write one step of a causal model as ONNX, for a program without torch (examples/run_decoder.py)."""
    from raydistill.stream.command import deployed

    say(deployed(model, session, store, as_, behavior, out, rate_hz))
    print(out)


def send(
    *,
    session: SessionName,
    store: StoreUri,
    to: Annotated[
        str,
        Parameter(
            allow_leading_hyphen=True,
            help="- (standard output), lsl:NAME or zmq:ADDRESS, such as zmq:tcp://127.0.0.1:5555.",
        ),
    ],
    signal: Annotated[Literal["lfp", "spikes"], Parameter(help="The signal to send.")] = "lfp",
    speed: Annotated[float, ABOVE_ZERO, Parameter(help="How many times faster than recorded.")] = 1.0,
):
    """Send a stored session bin by bin, as an acquisition system would, to try `decode --stream --from` without one."""
    from raydistill.stream.command import send as run

    run(session, store, signal, to, speed, say)

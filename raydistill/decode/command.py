"""`raydistill decode`: score a trained model on one session, and write its latents, decoded behavior and a picture."""

from pathlib import Path

from raydistill.config.names import PICTURES, check_ending
from raydistill.decode.decoder import (
    Decoder,
    decode_session,
    draw_in_words,
    is_decoded,
    open_decoder,
    write_parquet,
)
from raydistill.errors import counted
from raydistill.files import check_may_write
from raydistill.store.store import Store


def decode(
    model: Path,
    session: str,
    store: str,
    embeddings_of: str | None,
    behavior: tuple[str, ...],
    out: Path | None,
    picture: Path | None,
    overwrite: bool = False,
) -> dict:
    """Score the model, and write `out` and `picture` if they are given.

    Args:
        overwrite: replace an existing `out` if raydistill wrote it.
    Returns:
        What `raydistill decode --json` prints: R², and the model, session and protocol that it belongs to.
    Raises:
        RaydistillError: `out` or `picture` has an unknown extension, `out` exists already, or as `open_decoder`;
            nothing is written then.
    """
    if out is not None:
        check_ending("--out", out, ".parquet", ".nwb")
        _check_target(out, overwrite)
    if picture is not None:
        check_ending("--picture", picture, *PICTURES)
    opened = Store(store)
    decoder = open_decoder(model, opened, session, embeddings_of, behavior)
    if picture is not None:
        from raydistill.evaluation.figures.trajectories import DrawnModel, trajectories

        rows = {"decoded": DrawnModel(segments=decoder.score.segments, r2=decoder.score.decoding.r2)}
        trajectories(session, decoder.columns, rows, picture.with_suffix(""))
    if out is not None:
        _write(decoder, opened, out, overwrite)
    return decoder.about


def _check_target(out: Path, overwrite: bool) -> None:
    if out.suffix == ".parquet":
        check_may_write(out, overwrite, is_decoded)
        return
    from raydistill.decode.nwb_export import check_target

    check_target(out, overwrite)


def _write(decoder: Decoder, store: Store, out: Path, overwrite: bool) -> None:
    decoded = decode_session(decoder, store)
    if out.suffix == ".parquet":
        write_parquet(decoder, decoded, out)
        return
    from raydistill.decode.nwb_export import Reading, write_session_nwb

    reading = Reading(latents=decoded.latents, behavior=decoded.columns(decoder), about=decoder.about)
    write_session_nwb(store, decoder.entry, out, reading=reading, overwrite=overwrite)


def summary_line(about: dict) -> str:
    """What `decode` returns, as one line of text."""
    axes = ", ".join(f"{name} {value:.3f}" for name, value in about["r2_per_axis"].items())
    other = f"; by least squares {about['r2_least_squares']:.3f}" if "r2_least_squares" in about else ""
    draw = draw_in_words(about["draw"], about["draws"])
    scope = f"over {counted(about['n_test'], 'bin')}, {about['protocol']} protocol{other}{draw}"
    return f"{about['session']}: R² {about['r2']:.3f} ({axes}) {scope}"

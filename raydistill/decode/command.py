"""`raydistill decode`: score a trained model on one session, and write its latents, decoded behavior and a picture."""

from pathlib import Path

from raydistill.config.names import PICTURES, check_ending
from raydistill.decode.decoder import Decoder, decode_session, open_decoder, write_parquet
from raydistill.store.store import Store


def decode(
    model: Path,
    session: str,
    store: str,
    embeddings_of: str | None,
    behavior: tuple[str, ...],
    out: Path | None,
    picture: Path | None,
) -> dict:
    """Score the model, and write `out` and `picture` if they are given.

    Returns:
        What `raydistill decode --json` prints: R², and the model, session and protocol that it belongs to.
    Raises:
        RaydistillError: `out` or `picture` has an unknown extension, or as `open_decoder`; nothing is written then.
    """
    if out is not None:
        check_ending("--out", out, ".parquet", ".nwb")
    if picture is not None:
        check_ending("--picture", picture, *PICTURES)
    opened = Store(store)
    decoder = open_decoder(model, opened, session, embeddings_of, behavior)
    if picture is not None:
        from raydistill.evaluation.figures.trajectories import trajectories

        rows = {"decoded": (decoder.score.segments, decoder.score.decoding.r2)}
        trajectories(session, decoder.columns, rows, picture.with_suffix(""))
    if out is not None:
        _write(decoder, opened, out)
    return decoder.about


def _write(decoder: Decoder, store: Store, out: Path) -> None:
    decoded = decode_session(decoder, store)
    if out.suffix == ".parquet":
        write_parquet(decoder, decoded, out)
        return
    from raydistill.decode.nwb_export import Reading, write_session_nwb

    reading = Reading(latents=decoded.latents, behavior=decoded.columns(decoder), about=decoder.about)
    write_session_nwb(decoder.entry, decoded.segments, out, reading)


def summary_line(about: dict) -> str:
    """What `decode` returns, as one line of text."""
    axes = ", ".join(f"{name} {value:.3f}" for name, value in about["r2_per_axis"].items())
    other = f"; by least squares {about['r2_least_squares']:.3f}" if "r2_least_squares" in about else ""
    scope = f"over {about['n_test']} bins, {about['protocol']} protocol{other}"
    return f"{about['session']}: R² {about['r2']:.3f} ({axes}) {scope}"

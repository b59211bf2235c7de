"""`raydistill decode`: a trained model on one session, as figures, a picture and a file."""

from pathlib import Path

from raydistill.config.names import PICTURES, check_ending
from raydistill.decode.decoder import Decoder, decode_session, open_decoder, write_parquet
from raydistill.store.store import Store


def decode(
    model: Path,
    session: str,
    store: str,
    known: str | None,
    behavior: tuple[str, ...],
    out: Path | None,
    picture: Path | None,
) -> dict:
    """R² and what it rests on, as `--json` prints it; `out` and `picture` are written where they are given.

    Raises:
        RaydistillError: a file of another kind, or what `open_decoder` raises; nothing is written then.
    """
    if out is not None:
        check_ending("--out", out, ".parquet", ".nwb")
    if picture is not None:
        check_ending("--picture", picture, *PICTURES)
    opened = Store(store)
    decoder = open_decoder(model, opened, session, known, behavior)
    if picture is not None:
        from raydistill.evaluation.figures.trajectories import trajectories

        shown = {"decoded": (decoder.sequences, decoder.told["r2"])}
        trajectories(session, decoder.columns, shown, picture.with_suffix(""))
    if out is not None:
        _write(decoder, opened, out)
    return decoder.told


def _write(decoder: Decoder, store: Store, out: Path) -> None:
    decoded = decode_session(decoder, store)
    if out.suffix == ".parquet":
        write_parquet(decoder, decoded, out)
        return
    from raydistill.decode.nwb_export import Reading, write_session_nwb

    columns = dict(zip(decoder.columns, decoded.behavior.T, strict=True))
    reading = Reading(latents=decoded.latents, behavior=columns, about=decoder.told)
    write_session_nwb(decoder.entry, decoded.segments, out, reading)


def in_words(told: dict) -> str:
    """One line."""
    axes = ", ".join(f"{name} {value:.3f}" for name, value in told["r2_per_axis"].items())
    other = f"; by least squares {told['r2_least_squares']:.3f}" if "r2_least_squares" in told else ""
    rest = f"over {told['n_test']} bins, {told['protocol']} protocol{other}"
    return f"{told['session']}: R² {told['r2']:.3f} ({axes}) {rest}"

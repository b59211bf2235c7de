"""`raydistill decode --stream`: a stored session decoded bin by bin."""

from pathlib import Path

from raydistill.decode.decoder import open_decoder
from raydistill.store.store import Store
from raydistill.stream.decoder import StreamDecoder
from raydistill.stream.replay import Replay, replay


def replayed(model: Path, session: str, store: str, embeddings_of: str | None, behavior: tuple[str, ...]) -> Replay:
    """Decode the scored segments of a session bin by bin.

    Raises:
        RaydistillError: as `open_decoder`, or the model is not causal.
    """
    opened = Store(store)
    return replay(StreamDecoder(open_decoder(model, opened, session, embeddings_of, behavior)), opened)

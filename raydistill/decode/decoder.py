"""A trained model on one session of a store: what `raydistill decode` reports and writes.

Axes: N bins of all segments of the session, in time order; D width of the model, K behavior columns.
"""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from raydistill.errors import DataError, suggest
from raydistill.evaluation.folds import behavior_of
from raydistill.evaluation.session_scores import SessionScore, score_model
from raydistill.models.columns import check_columns, signals_of
from raydistill.models.families import FAMILIES
from raydistill.models.files import load_model
from raydistill.models.inputs import inputs_of
from raydistill.models.latents import encode
from raydistill.models.model import Model
from raydistill.store.angles import angle_unit, angles, stored_columns
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment, bin_centres_s
from raydistill.store.show import draws_of
from raydistill.store.store import Store


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoder:
    """A model and the session that it decodes, scored."""

    model: Model
    entry: Entry
    columns: tuple[str, ...]
    """The K behavior columns that it decodes."""
    score: SessionScore
    about: dict
    """What `raydistill decode --json` prints: R², and the model, session and protocol that it belongs to."""

    @property
    def column_indices(self) -> list[int]:
        """(K,) places of the columns among the behavior columns of the session."""
        return [self.entry.behavior.index(name) for name in self.columns]


def open_decoder(
    folder: Path, store: Store, session: str, embeddings_of: str | None, behavior: tuple[str, ...]
) -> Decoder:
    """Load a model and score it on a session.

    A model with a behavior head decodes by this head, any other by least squares fitted on the training segments of
    the session (paper, Fig. 5).

    Args:
        folder: of the model.
        session: name in the store.
        embeddings_of: session of the model whose space embeddings are used for `session`; None: its own.
        behavior: columns to decode, an angle for its cosine and sine; empty: all columns of the session, or those of
            the model's head.
    Raises:
        CheckpointError: there is no readable model in `folder`.
        DataError: the store or the model lacks the session, its channels differ from those of `embeddings_of`, or a
            column is unknown or is not one of the head's.
    """
    model, entry = _load(folder, store, session, embeddings_of)
    columns = stored_columns(behavior, entry.circular) or tuple(model.spec.behavior or entry.behavior)
    for column in columns:
        if column not in entry.behavior:
            raise DataError(f'session {session} has no behavior "{column}"{suggest(column, entry.behavior)}')
    if model.spec.behavior and columns != tuple(model.spec.behavior):
        raise DataError(
            f"the model has a behavior head, which decodes {', '.join(model.spec.behavior)} "
            f"and not {', '.join(columns)}; omit `--behavior`"
        )
    score = score_model(model, store, entry, columns)
    about: dict[str, Any] = {"model": str(folder), "session": session, "as": embeddings_of or session}
    about |= {"protocol": entry.rules, "draw": entry.draw, "draws": draws_of(store.entries())[entry.recorded]}
    about |= {name: value for name, value in score.metrics().items() if name in _REPORTED}
    return Decoder(model=model, entry=entry, columns=columns, score=score, about=about)


def draw_in_words(draw: int, draws: int) -> str:
    """Which draw of the folds was scored, to follow the scope of a score; empty if the store has only one."""
    return f"; draw {draw} of the {draws} draws of its folds alone" if draws > 1 else ""


_REPORTED = ("r2_least_squares", "r2", "r2_per_axis", "n_test")


@dataclass(frozen=True, kw_only=True, eq=False)
class DecodedSession:
    """Every bin of a session."""

    segments: list[Segment]
    """Without spikes and LFP."""
    latents: np.ndarray
    """(N, D) float32."""
    behavior: np.ndarray
    """(N, K) float32, decoded, in the units of the recording."""

    def columns(self, decoder: Decoder) -> dict[str, np.ndarray]:
        """Name -> (N,) decoded values, those of angles after their cosine and sine."""
        return _named(decoder, self.behavior)


def decode_session(decoder: Decoder, store: Store) -> DecodedSession:
    """Latents and decoded behavior of every bin in all folds."""
    entry, model = decoder.entry, decoder.model
    inputs = inputs_of(model.spec, [entry])
    segments: list[Segment] = []

    def encoded() -> Iterator[Segment]:
        for segment in store.stream(entry, signals=(*inputs.signals, "behavior")):
            segments.append(dataclasses.replace(segment, spikes=None, lfp=None))
            yield segment

    latents = torch.cat(list(encode(model, encoded(), inputs)))  # (T, D) each -> (N, D)
    behavior = entry.normalisation["behavior"].undo(decoder.score.predict(latents), decoder.column_indices)
    return DecodedSession(segments=segments, latents=latents.numpy(), behavior=behavior)


def write_parquet(decoder: Decoder, decoded: DecodedSession, path: Path) -> Path:
    """Write one row per bin, in time order.

    Columns: time_s at the centre of the bin, segment, split, each behavior column as recorded and as decoded
    (velocity_x and velocity_x_decoded, in the units of the recording), each angle of which the cosine and sine are
    decoded (hd and hd_decoded, from 0 to its period), and latent_000 to the last latent. The file's metadata holds what
    `raydistill decode --json` prints, and the units.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    entry, segments = decoder.entry, decoded.segments
    table = {
        "time_s": bin_centres_s(segments, entry.bin_width_ms),
        "segment": _per_bin(segments, [s.number for s in segments]),
        "split": _per_bin(segments, [s.split for s in segments]),
    }
    z_scored = np.concatenate([behavior_of(s, entry, decoder.columns) for s in segments])
    recorded = _named(decoder, entry.normalisation["behavior"].undo(z_scored, decoder.column_indices))
    for name, values in decoded.columns(decoder).items():
        table |= {name: recorded[name], f"{name}_decoded": values}
    table |= {f"latent_{d:03d}": latent for d, latent in enumerate(decoded.latents.T)}
    units = {name: entry.behavior_units[k] for name, k in zip(decoder.columns, decoder.column_indices, strict=True)}
    units |= {name: angle_unit(period) for name, period in entry.circular.items() if name in recorded}
    metadata = {"raydistill": json.dumps(decoder.about | {"units": units})}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table).replace_schema_metadata(metadata), path)
    return path


def is_decoded(path: Path) -> bool:
    """Whether `write_parquet` wrote a file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return b"raydistill" in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def _named(decoder: Decoder, behavior: np.ndarray) -> dict[str, np.ndarray]:
    """Name -> (N,) values of the decoder's columns (N, K), and of angles of which it decodes cosine and sine."""
    columns = dict(zip(decoder.columns, behavior.T, strict=True))
    return columns | angles(columns, decoder.entry.circular)


def _per_bin(segments: Sequence[Segment], values: Sequence[int] | Sequence[str]) -> np.ndarray:
    """(N,) the value of each segment, repeated for its bins."""
    return np.repeat(np.array(values), [s.n_bins for s in segments])


def _load(folder: Path, store: Store, session: str, embeddings_of: str | None) -> tuple[Model, Entry]:
    """The model, reading the session as `embeddings_of`, and the session's entry in the store."""
    model, entry = load_model(folder), store.entry(session)
    columns = entry.n_columns
    for modality in signals_of(model.spec):
        if not columns[modality]:
            raise DataError(f"the model reads {modality}, which session {session} does not have")
    if problem := FAMILIES[model.spec.family].why_not(model.spec.config, entry):
        raise DataError(f"session {session} {problem}")
    if embeddings_of is not None:
        # Sorted units have no order that two sessions could share, so their number tells nothing.
        check_columns(model.spec, embeddings_of, columns, f"session {session} of the store", only=("lfp",))
        model.use_embeddings_of(session, embeddings_of)
    elif session not in model.spec.sessions and not model.spec.reads_any_session:
        sessions = ", ".join(sorted(model.spec.sessions))
        raise DataError(
            f"the model was not trained on session {session}; give `--as` one of the sessions whose embeddings it "
            f"should use: {sessions}"
        )
    else:
        check_columns(model.spec, session, columns, f"session {session} of the store")
    return model, entry

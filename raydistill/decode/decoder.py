"""A trained model on any session of a store: what `raydistill decode` tells and writes.

Axes: N bins of all segments of the session, one after another in time; D width, K behavior columns.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from raydistill.errors import DataError, suggest
from raydistill.evaluation.latents import latents_of, score_by_head, score_by_least_squares
from raydistill.evaluation.sequences import Keeper, Sequences
from raydistill.feed.tokens import Inputs
from raydistill.models.crossmodal.model import CrossModalModel
from raydistill.models.files import load_model
from raydistill.models.inputs import inputs_of
from raydistill.store.catalogue import Entry
from raydistill.store.session import Segment, bin_centres_s
from raydistill.store.store import Store


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoder:
    """A model on a session, ready to read behavior from it."""

    model: CrossModalModel
    entry: Entry
    inputs: Inputs
    columns: tuple[str, ...]
    """K of them."""
    told: dict
    """What `raydistill decode --json` prints: R² and what it rests on."""
    sequences: Sequences
    """Of the scored segments."""
    read: Callable[[torch.Tensor], np.ndarray]
    """From latents (n, D) to behavior (n, K), z-scored."""


def open_decoder(folder: Path, store: Store, session: str, known: str | None, behavior: tuple[str, ...]) -> Decoder:
    """The model with its own head where it has one, else with least squares fitted on the session's train (Fig. 5).

    Args:
        folder: of the model.
        known: the session of the model whose space embeddings stand for this one's; None: its own.
        behavior: columns to decode; none given: all of the session, or those of the model's head.
    Raises:
        CheckpointError, DataError: no such model or session, its patches are not those of `known`, or the head does
            not give these columns.
    """
    model, entry = _opened(folder, store, session, known)
    inputs, keeper = inputs_of(model.spec, [entry]), Keeper(entry.bin_width_ms)
    columns = behavior or model.spec.behavior or entry.behavior
    for column in columns:
        if column not in entry.behavior:
            raise DataError(f'session {session} has no behavior "{column}"{suggest(column, entry.behavior)}')
    told = {"model": str(folder), "session": session, "as": known or session, "protocol": entry.protocol}
    if model.spec.behavior:
        if tuple(columns) != tuple(model.spec.behavior):
            raise DataError(f"the model's own head gives {', '.join(model.spec.behavior)}; leave `--behavior` out")
        found = score_by_head(model, inputs, store, entry, keeper)
        told["r2_least_squares"] = score_by_least_squares(model, inputs, store, entry, columns).r2
        read, sequences = lambda latents: model.behavior(latents).numpy(), keeper.sequences(lambda outputs: outputs)
    else:
        found = score_by_least_squares(model, inputs, store, entry, columns, keeper)
        predict = found.decoder.predict
        read, sequences = lambda latents: predict(latents.numpy()), keeper.sequences(predict)
    told |= {"r2": found.r2, "r2_per_axis": found.r2_per_axis, "n_test": found.n_test}
    return Decoder(
        model=model,
        entry=entry,
        inputs=inputs,
        columns=tuple(columns),
        told=told,
        sequences=sequences,
        read=read,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Decoded:
    """All of a session."""

    segments: list[Segment]
    latents: np.ndarray
    """(N, D) float32."""
    behavior: np.ndarray
    """(N, K) float32, decoded, in the units of the recording."""


def decode_session(decoder: Decoder, store: Store) -> Decoded:
    """Latents and decoded behavior of every bin in every fold."""
    entry = decoder.entry
    segments = sorted(store.read(entry), key=lambda s: s.number)
    with torch.no_grad():
        latents = torch.cat(list(latents_of(decoder.model, segments, decoder.inputs)))
        behavior = decoder.read(latents)
    behavior = entry.normalisation["behavior"].undo(behavior, [entry.behavior.index(name) for name in decoder.columns])
    return Decoded(segments=segments, latents=latents.numpy(), behavior=behavior)


def write_parquet(decoder: Decoder, decoded: Decoded, path: Path) -> Path:
    """A row a bin, in time order: time_s at its centre, segment, split, recorded and decoded behavior in its units
    (velocity_x and velocity_x_decoded), latent_000 and on. The file's metadata says what `decode --json` does, and the
    units.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    entry, segments = decoder.entry, decoded.segments
    columns = {
        "time_s": bin_centres_s(segments, entry.bin_width_ms),
        "segment": np.concatenate([np.full(s.n_bins, s.number) for s in segments]),
        "split": np.concatenate([np.full(s.n_bins, s.split) for s in segments]),
    }
    places = [entry.behavior.index(name) for name in decoder.columns]
    recorded = np.concatenate([s.behavior[:, places] for s in segments])
    recorded = entry.normalisation["behavior"].undo(recorded, places)
    for k, name in enumerate(decoder.columns):
        columns |= {name: recorded[:, k], f"{name}_decoded": decoded.behavior[:, k]}
    columns |= {f"latent_{d:03d}": latent for d, latent in enumerate(decoded.latents.T)}
    units = {name: entry.behavior_units[k] for name, k in zip(decoder.columns, places, strict=True)}
    about = json.dumps(decoder.told | {"units": units})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns).replace_schema_metadata({"raydistill": about}), path)
    return path


def _opened(folder: Path, store: Store, session: str, known: str | None) -> tuple[CrossModalModel, Entry]:
    model, entry = load_model(folder), store.entry(session)
    needed = {"spikes": entry.n_units, "lfp": entry.n_channels}
    for modality in ("spikes", "lfp") if model.spec.modality == "multimodal" else (model.spec.modality,):
        if not needed[modality]:
            raise DataError(f"the model reads {modality}, which session {session} does not have")
    if known is not None:
        trained = model.spec.provenance.get("normalisation", {}).get(known, {}).get("lfp")
        if trained and needed["lfp"] != (channels := len(trained["mean"])):
            raise DataError(
                f"session {session} has {needed['lfp']} channels, but {known}, for which the model was trained, "
                f"{channels}: a frozen model knows a channel by its number"
            )
        model.tokenizer.space.aliases[session] = known
    elif session not in model.spec.sessions:
        there = ", ".join(sorted(model.spec.sessions))
        raise DataError(
            f"the model was not trained on session {session}; name one of its own as `--as` to stand for it: {there}"
        )
    return model, entry

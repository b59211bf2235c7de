"""A trained model on any session of a store: what `raydistill decode` tells and writes."""

from pathlib import Path

import numpy as np

from raydistill.errors import DataError, suggest
from raydistill.evaluation.latents import latents_of, score_by_head, score_by_least_squares
from raydistill.models.files import load_model
from raydistill.models.neural import NeuralModel, inputs_of
from raydistill.store.catalogue import Entry
from raydistill.store.store import Store


def decoded(folder: Path, store: Store, session: str, known: str | None, behavior: tuple[str, ...]) -> dict:
    """How well behavior is read from a model's latents of a session, as in Fig. 5: least squares fitted on its train.

    Args:
        folder: of the model.
        known: the session of the model whose space embeddings stand for this one's; None: its own.
        behavior: columns to decode; none given: all of the session.
    Raises:
        CheckpointError, DataError: no such model or session, or the session's patches are not those of `known`.
    """
    model, entry = _opened(folder, store, session, known)
    inputs = inputs_of(model.spec, [entry])
    for column in behavior:
        if column not in entry.behavior:
            raise DataError(f'session {session} has no behavior "{column}"{suggest(column, entry.behavior)}')
    found = score_by_least_squares(model, inputs, store, entry, behavior or entry.behavior)
    told = {"model": str(folder), "session": session, "as": known or session, "protocol": entry.protocol}
    told |= {"r2": found.r2, "r2_per_axis": found.r2_per_axis, "n_test": found.n_test}
    if model.spec.behavior:
        told["r2_of_head"] = score_by_head(model, inputs, store, entry).r2
    return told


def write_latents(folder: Path, store: Store, session: str, known: str | None, out: Path) -> Path:
    """An .npz of every segment in time order, one after another.

    latents (bins, D) float32, time_s (bins,) at bin centres, split (bins,) words, behavior (bins, K) z-scored.
    """
    model, entry = _opened(folder, store, session, known)
    segments = store.read(entry)
    latents = [x.numpy() for x in latents_of(model, segments, inputs_of(model.spec, [entry]))]
    width_s = entry.bin_width_ms / 1000
    arrays = {
        "latents": np.concatenate(latents),
        "time_s": np.concatenate([s.start_s + (np.arange(s.n_bins) + 0.5) * width_s for s in segments]),
        "split": np.concatenate([np.full(s.n_bins, s.split) for s in segments]),
    }
    if entry.behavior:
        arrays["behavior"] = np.concatenate([s.behavior for s in segments])
    out = out if out.suffix == ".npz" else out.with_name(out.name + ".npz")
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(out, "wb") as file:
        np.savez(file, **arrays)
    return out


def _opened(folder: Path, store: Store, session: str, known: str | None) -> tuple[NeuralModel, Entry]:
    model, entry = load_model(folder), store.entry(session)
    needed = {"spikes": entry.n_units, "lfp": entry.n_channels}
    for modality in ("spikes", "lfp") if model.spec.modality == "multimodal" else (model.spec.modality,):
        if not needed[modality]:
            raise DataError(f"the model reads {modality}, which session {session} does not have")
    if known is not None:
        model.tokenizer.space.aliases[session] = known
    elif session not in model.spec.sessions:
        there = ", ".join(sorted(model.spec.sessions))
        raise DataError(
            f"the model was not trained on session {session}; name one of its own as `--as` to stand for it: {there}"
        )
    return model, entry

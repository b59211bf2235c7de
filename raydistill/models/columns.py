"""The units and channels on which a model was trained.

A model identifies units and LFP channels by their number. Patches are padded, so that a signal with a column too many
or too few would often be read without an error, as another recording.
"""

from collections.abc import Mapping
from typing import Any

from raydistill.config.plain import from_plain
from raydistill.errors import CheckpointError, DataError
from raydistill.models.spec import ModelSpec
from raydistill.store.catalogue import Normalisation

WORDS = {"spikes": "units", "lfp": "channels"}
"""Signal -> what its columns are."""


def signals_of(spec: ModelSpec) -> tuple[str, ...]:
    """The signals that a model reads: spikes, lfp, or both."""
    return ("spikes", "lfp") if spec.modality == "multimodal" else (spec.modality,)


def normalisation_of(spec: ModelSpec, session: str) -> dict[str, Normalisation]:
    """Signal -> mean and SD of each column of a session on which the model was trained.

    Empty for a session that is unknown, and for models that do not record them, such as imported ones.

    Raises:
        CheckpointError: model.json holds something else in this place.
    """
    stored = spec.provenance.get("normalisation", {})
    try:
        return {name: from_plain(Normalisation, values) for name, values in stored.get(session, {}).items()}
    except (AttributeError, ValueError) as err:
        raise CheckpointError(
            f"model.json: `provenance.normalisation` of session {session} is damaged: {err}"
        ) from None


def columns_of(spec: ModelSpec, session: str) -> dict[str, int]:
    """Signal -> number of its columns in a session on which the model was trained.

    Empty for a session that is unknown, and for models that record no numbers.

    Raises:
        CheckpointError: model.json holds something else in this place.
    """
    columns = {name: len(norm.mean) for name, norm in normalisation_of(spec, session).items() if name in WORDS}
    imported: Any = spec.provenance.get("columns", {})  # an imported model records numbers of columns only
    if not isinstance(imported, dict) or not all(type(n) is int and n > 0 for n in imported.values()):
        raise CheckpointError("model.json: `provenance.columns` is damaged: it must map sessions to numbers from 1")
    if not columns and session in imported:
        columns = {name: imported[session] for name in signals_of(spec)}
    return columns


def check_columns(
    spec: ModelSpec, session: str, columns: Mapping[str, int], given: str, only: tuple[str, ...] = ("spikes", "lfp")
) -> None:
    """Raise DataError unless the signals have as many columns as those of a session on which the model was trained.

    Args:
        session: of the model. Sessions without recorded numbers pass.
        columns: signal -> number of its columns.
        given: what has these columns, for the message.
        only: the signals to check.
    """
    trained = columns_of(spec, session)
    for signal in signals_of(spec):
        if signal in only and signal in trained and columns[signal] != (expected := trained[signal]):
            raise DataError(
                f"{given} has {columns[signal]} {WORDS[signal]}, but {session}, which the model was trained on, has "
                f"{expected}; a model identifies {WORDS[signal]} by number, so both need the same"
            )

"""Imported models in a sweep: jobs that copy a finished model, and the sessions that it may decode."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from raydistill.errors import ConfigError, DataError, suggest
from raydistill.files import sha256_of
from raydistill.models.columns import check_columns, signals_of
from raydistill.models.spec_file import SPEC
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.methods import MethodConfig
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.job_folder import WEIGHTS
from raydistill.sweep.planning.spec import ImportedSpec


def imported_job(sweep: SweepConfig, name: str, config: JobConfig) -> Job:
    """The job that copies the model of a line into the runs folder.

    Raises:
        ConfigError: the folder has no readable model.
    """
    spec, folder = sweep.imported_spec(config), Path(str(config.imported))
    if not (folder / WEIGHTS).is_file():
        raise ConfigError(f"{sweep.name}: jobs.{name}.imported: {folder} has no {WEIGHTS}; import the model again")
    return Job(
        name=f"{name}/imported",
        kind="imported",
        folder=str(folder.absolute()),
        spec=ImportedSpec(
            family=spec.family,
            model=spec.config,
            files={file: sha256_of(folder / file) for file in (SPEC, WEIGHTS)},
            reads=tuple(config.trained_with or signals_of(spec)),
            uses_labels=config.supervision != "none" or bool(spec.behavior),
            predicted_behavior=spec.behavior,
        ),
    )


def decoded_by_imported(
    sweep: SweepConfig, method: str, decoder: MethodConfig, entries: Iterable[Entry]
) -> Iterator[tuple[Entry, MethodConfig]]:
    """Each session that an imported model decodes, and how: as itself, or as the session of the model that `as` names.

    Raises:
        ConfigError: the model does not know the session, or knows it with another number of channels.
    """
    spec, at = sweep.imported_spec(sweep.jobs[decoder.job]), f"{sweep.name}: methods.{method}"
    if decoder.as_ and decoder.as_ not in spec.sessions:
        raise ConfigError(
            f"{at}: {decoder.job} was not trained on session {decoder.as_}{suggest(decoder.as_, spec.sessions)}"
        )
    for entry in entries:
        known = decoder.as_ or entry.recorded
        if known not in spec.sessions and not spec.reads_any_session:
            raise ConfigError(
                f"{at}: {decoder.job} was not trained on session {known}; decode sessions on which it was trained, or "
                f"give one of its sessions as `as`: {', '.join(sorted(spec.sessions))}"
            )
        try:
            check_columns(spec, known, entry.n_columns, f"session {entry.session}")
        except DataError as err:
            raise ConfigError(f"{at}: {err}") from None
        is_other = known != entry.session and known in spec.sessions
        yield entry, replace(decoder, as_=known if is_other else None)

"""Options that several commands share."""

import math
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from raydistill.config.addresses import FORM, is_mistyped
from raydistill.errors import ConfigError


def _check_above_zero(kind, value) -> None:
    if value is not None and not 0 < value < float("inf"):
        raise ValueError("it must be above 0.")


def _check_not_empty(kind, value) -> None:
    if not all(value if isinstance(value, tuple) else [value]):
        raise ValueError("it must not be empty; leave it out for all.")


def _check_memory(kind, value) -> None:
    if value is not None and not 0.5 <= value < 1e6:  # the libraries that read files need some themselves
        raise ValueError("it must be from 0.5 to 1,000,000 GB.")


def _check_folder(kind, value) -> None:
    if value is not None and is_mistyped(str(value)):  # a path has lost one of the slashes of an address
        raise ValueError("it must be on a disk; in an object store may be a session store, and the runs of a sweep.")


def _check_address(kind, value) -> None:
    if not value.strip():
        raise ValueError("it must name a folder.")
    if is_mistyped(value):
        raise ValueError(f"it must be a folder, or the address of one ({FORM}).")


def _check_runs(kind, value) -> None:
    _check_address(kind, value)
    if "://" in value and not value.startswith(("file://", "s3://", "gs://")):
        raise ValueError(f"it must be a folder, or the address of one ({FORM}).")


ON_DISK = Parameter(validator=_check_folder)
"""A path that is written."""
ABOVE_ZERO = Parameter(validator=_check_above_zero)
"""A number or count of which none makes no sense."""


def _set(example: str) -> Parameter:
    """The option --set of one command, with an example that is valid for it."""
    text = f"Override one setting, for example --set {example}; can be repeated."
    return Parameter(name="--set", help=text, negative="", show_default=False)


SweepFile = Annotated[Path, Parameter(help="Sweep file (YAML).")]
SweepOrSearchFile = Annotated[Path, Parameter(help="Sweep or search file (YAML).")]
RunsOnDisk = Annotated[Path, Parameter(help="Folder for jobs, results and MLflow runs."), ON_DISK]
Runs = Annotated[
    str,
    Parameter(
        help="Folder for jobs, results and MLflow runs, or its address in an object store (s3://, gs://).",
        validator=_check_runs,
    ),
]
Address = Annotated[
    str | None, Parameter(help="Address of a Ray cluster. By default a local Ray is started, and stopped at the end.")
]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Parameter(help="auto: use CUDA if the cluster has a GPU when the jobs start."),
]
StoreUri = Annotated[
    str, Parameter(help="Session store: a folder, or a URI (file://, s3://, gs://).", validator=_check_address)
]
Overrides = Annotated[tuple[str, ...], _set("training.epochs=5")]
SearchOverrides = Annotated[tuple[str, ...], _set("trials=50")]
SynthOverrides = Annotated[tuple[str, ...], _set("duration_s=60")]
IngestOverrides = Annotated[tuple[str, ...], _set("ingest.bin_width_ms=20")]
Only = Annotated[
    tuple[str, ...],
    Parameter(
        help="Only this method, and the jobs that it starts from; may be repeated.",
        negative="",
        show_default=False,
        validator=_check_not_empty,
    ),
]
Sessions = Annotated[
    str,
    Parameter(help="Only sessions whose names match this pattern, such as MonkeyI_*.", validator=_check_not_empty),
]
MaxHours = Annotated[
    float | None,
    Parameter(help="Stop after this many hours; trainings save a checkpoint, from which the same command continues."),
    ABOVE_ZERO,
]
MaxWait = Annotated[
    float | None,
    Parameter(
        help="Stop after so many minutes in which the cluster has no room for a job; by default it waits for nodes "
        "without a limit, and says for what."
    ),
    ABOVE_ZERO,
]
Tune = Annotated[
    int | None,
    Parameter(
        help="Before the comparison, try this many settings for every method, scored on validation folds. "
        "The same as --set tune=N, also for the other commands."
    ),
]
MemoryGb = Annotated[
    float | None,
    Parameter(
        help="Memory in GB that reading one recording may take, at least 0.5; by default 1.75 and 64 times the size of "
        "its files.",
        validator=_check_memory,
    ),
]
AsJson = Annotated[bool, Parameter(name="--json", help="Print the result as JSON.", negative="")]

Overwrite = Annotated[
    bool,
    Parameter(help="Replace an existing file that raydistill wrote; any other file is never overwritten.", negative=""),
]
SessionName = Annotated[str, Parameter(help="Name of the session; `raydistill sessions` lists them.")]

RUNS = "runs"
RUNS_ON_DISK = Path(RUNS)


def on_disk(runs: str) -> Path:
    """The runs folder of a command that does not work on an object store."""
    if "://" in runs.removeprefix("file://"):
        raise ConfigError(f"--runs {runs}: searches and their results are on a disk; give a folder")
    return Path(runs.removeprefix("file://"))


def seconds_of(minutes: float | None) -> float:
    """Seconds of a limit in minutes; infinite without one."""
    return math.inf if minutes is None else minutes * 60

"""The files of one job's folder.

job.json            the job, its store, its provenance, and the sha256 of the weights that it started from
model.safetensors, model.json, metrics.json, history.jsonl    the results of the job
scored_segments.npz, scored_units.npz    what figures and intervals need of the scored segments
card.md             the model card: what was trained, on what, and how well it decodes, in words
checkpoints/        while the job trains
failure.json, error.log    after a failure
_SUCCESS            written last: the size and sha256 of every file
.owner              the process that writes into the folder, while it does
"""

import math
import shutil
from pathlib import Path

from raydistill.evaluation.measure import measure_of
from raydistill.files import read_mapping
from raydistill.marker import MARKER, damage, marked_digest, write_marker
from raydistill.ownership import check_owner

JOB, METRICS, FAILURE, LOG, WEIGHTS = "job.json", "metrics.json", "failure.json", "error.log", "model.safetensors"
CARD = "card.md"


def is_complete(folder: Path) -> bool:
    """Whether the job is finished and its folder undamaged, as far as `problem_of` sees without reading large files."""
    return (folder / MARKER).exists() and not problem_of(folder)


def problem_of(folder: Path, everything: bool = False) -> str:
    """What is wrong with the folder of a finished job; "" if nothing is.

    Args:
        everything: read large files too, instead of comparing only their sizes.
    """
    if problem := damage(folder, everything):
        return problem
    if (folder / METRICS).exists() and (problem := invalid_metric(read_mapping(folder / METRICS))):
        return f"{METRICS} is damaged: {problem}"
    if (folder / JOB).exists() and (read_mapping(folder / JOB) or {}).get("key", folder.name) != folder.name:
        return f"{JOB} belongs to another job"
    return ""


_SHARES = ("accuracy", "balanced_accuracy", "largest_class")
_SCORES = ("r2", "valid_r2", "auc", "valid_auc", *_SHARES)
_COUNTS = ("epoch", "best_epoch", "workers", "n_test_segments", "test_s")
_OF_CLOCK = ("clock_r2", "skill_over_clock", "r2_other_trials", "r2_with_clock")
_MAPPINGS = ("correlation_per_axis", "settings", "fit", "fit.chosen", "fit.valid_r2", "neural")
"""Parts that tables and cards read as mappings, those of `fit` within it."""
_MAPPINGS_OF_NUMBERS = ("settings", "fit.valid_r2")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong_part(metrics: dict) -> str:
    """Which part of a metrics.json, other than its scores, is not what tables, cards and MLflow read; "" if none is."""
    for name in (*_COUNTS, *_OF_CLOCK):
        if name in metrics and not _is_number(metrics[name]):
            return f"`{name}` is {metrics[name]!r}"
    for name in _MAPPINGS:
        outer, _, inner = name.rpartition(".")
        part = (metrics.get(outer) or {} if outer else metrics).get(inner)
        if part is not None and not isinstance(part, dict):
            return f"`{name}` is not a mapping"
        if name in _MAPPINGS_OF_NUMBERS and (odd := [k for k, v in (part or {}).items() if not _is_number(v)]):
            return f"`{name}.{odd[0]}` is {(part or {})[odd[0]]!r}"
    for task, scores in (metrics.get("neural") or {}).items():
        if not isinstance(scores, dict) or not all(map(_is_number, scores.values())):
            return f"`neural.{task}` is {scores!r}"
    note = (metrics.get("fit") or {}).get("note")
    return "" if note is None or isinstance(note, str) else f"`fit.note` is {note!r}"


def _is_label(label: object) -> bool:
    """Whether the part of metrics.json about a decoded label is what `LabelScore.metrics` writes."""
    if not isinstance(label, dict) or not isinstance(missing := label.get("missing"), dict):
        return False
    words = [label.get("name"), label.get("of"), *(name for names in missing.values() for name in names)]
    return all(isinstance(word, str) for word in words)


def invalid_metric(metrics: dict | None) -> str:
    """What is wrong with the content of a metrics.json; "" if every number that tables and pages read is one."""
    if metrics is None:
        return "it is not a mapping"
    numbers = {name: metrics[name] for name in (*_SCORES, "seconds") if name in metrics}
    for parts in ("r2_per_axis", "auc_per_class"):
        if not isinstance(metrics.get(parts, {}), dict):
            return f"`{parts}` is not a mapping"
        numbers |= {f"{parts}.{name}": value for name, value in metrics.get(parts, {}).items()}
    if "auc" in metrics and not _is_label(metrics.get("label")):
        return f"`label` is {metrics.get('label')!r}"
    for key in ("r2_interval", "auc_interval"):
        if (interval := metrics.get(key)) is not None:
            if not isinstance(interval, list) or len(interval) != 2:
                return f"`{key}` is {interval!r}"
            numbers |= {f"{key}.low": interval[0], f"{key}.high": interval[1]}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return f"`{name}` is {value!r}"
        if name.startswith(("r2", "valid_r2")) and value > 1 + 1e-9:
            return f"`{name}` is {value}, and no R² is above 1"
        if name.startswith(("auc", "valid_auc", *_SHARES)) and not 0 <= value <= 1:
            return f"`{name}` is {value}, and must be from 0 to 1"
    return _wrong_part(metrics)


def missing_metric(metrics: dict | None, label: str | None) -> str:
    """The first number that the score of a job needs and its metrics.json lacks; "" if it has all of them.

    Args:
        label: that the job decodes; None: it decodes behavior.
    """
    measure = measure_of(label)
    needed = (measure.key, measure.parts, *(_SHARES if label else ()))
    return next((name for name in needed if name not in (metrics or {})), "")


def mark_complete(folder: Path) -> None:
    """Remove the files that only an unfinished job needs, then write the marker."""
    check_owner(folder)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for name in (FAILURE, LOG):
        (folder / name).unlink(missing_ok=True)
    check_owner(folder)
    write_marker(folder)


def weights_digest(folder: Path) -> str | None:
    """The sha256 of a finished job's weights ("" if it has none); None if the job is not finished."""
    return marked_digest(folder, WEIGHTS)


def digests_at_start(folder: Path) -> dict[str, str | None] | None:
    """Key -> sha256 of the weights that the job started from; None if the job has never started."""
    digests = (read_mapping(folder / JOB) or {}).get("started_from")
    return digests if isinstance(digests, dict) else None


def newest_checkpoint(folder: Path) -> str:
    """The place in the training at which its newest checkpoint was saved, as text; "" if there is no checkpoint.

    The place is read from a name such as epoch-000012-step-000040, without torch.
    """
    places = [p.name.split("-") for p in folder.glob("checkpoints/epoch-*-step-*")]
    places = [parts for parts in places if len(parts) == 4 and parts[1].isdecimal() and parts[3].isdecimal()]
    if not places:
        return ""
    epoch, step = max((int(parts[1]), int(parts[3])) for parts in places)
    return f"epoch {epoch}" + (f" and {step} steps" if step else "")

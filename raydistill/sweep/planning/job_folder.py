"""The files of one job's folder.

job.json            the job, its store, its provenance, and the sha256 of the weights that it started from
model.safetensors, model.json, metrics.json, history.jsonl    the results of the job
checkpoints/        while the job trains
failure.json, error.log    after a failure
_SUCCESS            written last: the size of every file, and the sha256 of the job's weights
"""

import json
import shutil
from pathlib import Path

from raydistill.files import sha256_of, write_json

MARKER, FAILURE, LOG, WEIGHTS = "_SUCCESS", "failure.json", "error.log", "model.safetensors"


def is_complete(folder: Path) -> bool:
    """Whether the marker exists and every file has the size that the marker gives."""
    try:
        sizes = json.loads((folder / MARKER).read_text())["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def mark_complete(folder: Path) -> None:
    """Remove the files that only an unfinished job needs, then write the marker."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for name in (FAILURE, LOG):
        (folder / name).unlink(missing_ok=True)
    files = [p for p in folder.iterdir() if p.is_file() and not p.name.startswith((".", MARKER))]
    weights = folder / WEIGHTS
    write_json(
        folder / MARKER,
        {
            "sizes": {p.name: p.stat().st_size for p in sorted(files)},
            "weights": sha256_of(weights) if weights.exists() else "",
        },
    )


def weights_digest(folder: Path) -> str | None:
    """The sha256 of a finished job's weights ("" if it has none); None if the job is not finished."""
    return _value(folder / MARKER, "weights")


def digests_at_start(folder: Path) -> dict[str, str | None] | None:
    """Key -> sha256 of the weights that the job started from; None if the job has never started."""
    return _value(folder / "job.json", "started_from")


def newest_checkpoint(folder: Path) -> str:
    """The place in the training at which its newest checkpoint was saved, as text; "" if there is no checkpoint.

    The place is read from a name such as epoch-000012-step-000040, without torch.
    """
    names = [p.name for p in folder.glob("checkpoints/epoch-*-step-*")]
    if not names:
        return ""
    _, epoch, _, step = max(names).split("-")
    return f"epoch {int(epoch)}" + (f" and {int(step)} steps" if int(step) else "")


def _value(file: Path, name: str):
    try:
        return json.loads(file.read_text())[name]
    except (OSError, ValueError, KeyError):
        return None

"""A model on disk: weights as safetensors, its specification as JSON; no pickle is written or read."""

import json
import re
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from raydistill.errors import CheckpointError, one_line
from raydistill.files import write_atomically, write_json
from raydistill.marker import damage_of
from raydistill.models.families import build_model
from raydistill.models.model import Model
from raydistill.models.spec_file import SPEC, spec_from_json, spec_to_json
from raydistill.ownership import check_owner

WEIGHTS, CARD = "model.safetensors", "card.md"
DEFAULT_JOBS = Path("runs/jobs")
"""Where a key without a folder is looked up."""
_KEY, _SHORT_KEY = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{4,64}")


def save_model(model: Model, folder: Path) -> None:
    """Write model.safetensors and model.json into `folder`; each file is complete or absent."""
    check_owner(folder)
    write_atomically(folder / WEIGHTS, save({n: w.detach().contiguous().cpu() for n, w in model.state_dict().items()}))
    write_json(folder / SPEC, spec_to_json(model.spec))


def load_model(folder: Path) -> Model:
    """The model in `folder`, on the CPU, in evaluation mode.

    In the folder of a job, the files must be those that the job wrote, to the last bit.

    Args:
        folder: of a model; of a job (RUNS/jobs/KEY) the beginning of the key is enough, and a key without a folder is
            that of a job in the folder runs.
    Raises:
        CheckpointError: there is no such folder, the key is the beginning of several, or a file is missing or corrupt.
    """
    folder = _of_short_key(folder)
    path = folder / SPEC
    if not path.exists():
        raise CheckpointError(
            f"{folder}: there is no {SPEC} in this folder; give that of a training (RUNS/jobs/KEY) or of import"
        )
    if problem := damage_of(folder, SPEC, WEIGHTS):
        raise CheckpointError(f"{folder}: {problem}; run the sweep of this job again, which makes it new")
    try:
        model = build_model(spec_from_json(json.loads(path.read_text())))
        path = folder / WEIGHTS
        model.load_state_dict(load_file(path))
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, RecursionError, SafetensorError) as err:
        cause = " ".join(str(err).split())[:200]  # torch writes one line per weight
        raise CheckpointError(
            f"{path} is missing or corrupt ({cause}); delete its folder and run its job again"
        ) from None
    return model.eval()


def read_card(folder: Path) -> str:
    """The model card in `folder`, as Markdown; "" if the folder is not that of a job.

    Args:
        folder: as of `load_model`.
    Raises:
        CheckpointError: the card of a job is damaged.
    """
    folder = _of_short_key(folder)
    if problem := damage_of(folder, CARD):
        raise CheckpointError(f"{folder}: {problem}; run the sweep of this job again, which makes it new")
    path = folder / CARD
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else ""
    except (OSError, ValueError) as err:
        raise CheckpointError(f"{path}: cannot be read ({one_line(err)})") from None


def _of_short_key(folder: Path) -> Path:
    """The folder itself if it exists; otherwise that of the job whose key begins with its name."""
    if folder.exists() or not _SHORT_KEY.fullmatch(folder.name):
        return folder
    jobs = DEFAULT_JOBS if folder.parent == Path() else folder.parent
    found = sorted(path for path in jobs.glob(f"{folder.name}*") if _KEY.fullmatch(path.name))
    if len(found) > 1:
        raise CheckpointError(f'"{folder.name}" is the beginning of {len(found)} keys in {jobs}; give more digits')
    if not found:
        raise CheckpointError(
            f"{jobs}: no key of a job begins with {folder.name}; `raydistill plan SWEEP` lists the keys of a sweep; "
            "for another runs folder, give RUNS/jobs/KEY"
        )
    return found[0]

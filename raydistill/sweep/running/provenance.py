"""The versions, hardware and data with which a result was computed. None of it enters a job's key."""

import platform
from importlib.metadata import version

import torch

from raydistill.config.plain import to_plain
from raydistill.feed.pieces import Pieces
from raydistill.models.layers.precision import has_bf16
from raydistill.store.catalogue import Entry
from raydistill.sweep.planning.code import present_code
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.pieces import usual_segment


def provenance() -> dict:
    """Versions of software, and hardware."""
    versions = present_code() | {"ray": version("ray")}
    machine = {"python": platform.python_version(), "machine": platform.machine(), "system": platform.system()}
    cuda = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    bf16 = has_bf16("cuda" if cuda else "cpu")
    return versions | machine | cuda | {"threads": torch.get_num_threads(), "bf16": bf16}


def model_provenance(job: Job, entries: list[Entry]) -> dict:
    """The origin of a model, which is stored in its model.json."""
    return {
        "job": job.name,
        "key": job.key,
        "data": {e.session: e.content for e in entries},
        "protocol": " and ".join(sorted({e.protocol for e in entries})),
        "segment_bins": {e.session: _segment_bins(job, e) for e in entries},
        "normalisation": {
            e.session: {name: to_plain(norm) for name, norm in e.normalisation.items() if name != "behavior"}
            for e in entries
        },
    } | provenance()


def _segment_bins(job: Job, entry: Entry) -> int:
    """Bins of the segments on which a job is trained, or of their longest piece."""
    n_bins = usual_segment(entry)
    recipe = job.training_spec.training
    if recipe is None or recipe.piece_s is None:
        return n_bins
    return Pieces(seconds=recipe.piece_s, bin_width_ms=entry.bin_width_ms).longest(n_bins)

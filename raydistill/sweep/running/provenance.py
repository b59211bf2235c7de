"""The versions, hardware and data with which a result was computed. None of it enters a job's key."""

from importlib.metadata import version

from raydistill.config.plain import to_plain
from raydistill.feed.pieces import Pieces
from raydistill.store.catalogue import Entry
from raydistill.sweep.planning.code import present_code
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.pieces import usual_segment
from raydistill.training.hardware import hardware


def provenance(machine: dict | None = None) -> dict:
    """Versions of software, and the machine on which a job is computed; None: that of this process."""
    return _software() | (machine or hardware())


def model_provenance(job: Job, entries: list[Entry]) -> dict:
    """The origin of a model, which is stored in its model.json, without the machine on which it is computed."""
    return {
        "job": job.name,
        "key": job.key,
        "data": {e.session: e.content for e in entries},
        "protocol": " and ".join(sorted({e.rules for e in entries})),
        "segment_bins": {e.session: _segment_bins(job, e) for e in entries},
        "normalisation": {
            e.session: {name: to_plain(norm) for name, norm in e.normalisation.items() if name != "behavior"}
            for e in entries
        },
    } | _software()


def _software() -> dict:
    return present_code() | {"ray": version("ray")}


def _segment_bins(job: Job, entry: Entry) -> int:
    """Bins of the segments on which a job is trained, or of their longest piece."""
    n_bins = usual_segment(entry)
    recipe = job.training_spec.training
    if recipe is None or recipe.piece_s is None:
        return n_bins
    return Pieces(seconds=recipe.piece_s, bin_width_ms=entry.bin_width_ms).longest(n_bins)

"""Small jobs for tests of planning and running."""

from raydistill.config.objectives import MaskedAutoencoding
from raydistill.config.training import Recipe
from raydistill.files import write_json
from raydistill.models.crossmodal.config import PRESETS, configure
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.spec import TrainingSpec


def make_job(key, *depends_on, session="s", name=None, **changes):
    """A training that starts from the jobs with the keys `depends_on`."""
    spec = TrainingSpec(
        family="crossmodal",
        model=configure(PRESETS["tiny"], "lfp", "linear", predictor=True),
        objective=MaskedAutoencoding(mask_ratio=0.6),
        training=Recipe(),
        sessions={},
        seed=changes.get("seed", 0),
        teachers={source: source for source in depends_on} or None,
    )
    fields = {"kind": "train", "session": session, "seed": 0} | changes
    return Job(key=key, name=name or key, spec=spec, **fields)


def finished_job(runs: RunsFolder, seed, *sources):
    """A job with the key of its specification, finished, with weights and metrics."""
    job = make_job("", *sources, name=f"line/s/seed{seed}", seed=seed)
    folder = runs.open_job(job, {})
    (folder / "model.safetensors").write_bytes(bytes(range(256)))
    write_json(folder / "metrics.json", {"r2": 0.5, "seconds": 1.0})
    mark_complete(folder)
    return job

"""Small jobs for tests of planning and running."""

from raydistill.config.objectives import MaskedAutoencoding
from raydistill.config.training import Recipe
from raydistill.models.crossmodal.config import PRESETS, configure
from raydistill.sweep.planning.job import Job
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

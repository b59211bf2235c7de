"""A job: one training or evaluation, named by what determines its answer."""

from dataclasses import asdict, dataclass

DONE, MISSING, STALE, FAILED = STATES = ("done", "missing", "stale", "failed")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training or evaluation; `spec` alone determines its result."""

    key: str
    name: str
    """Job of the sweep file, session and seed, such as teacher/S1_02/seed0."""
    kind: str
    """pretrain, finetune, train, distill, evaluate or baseline."""
    method: str | None
    session: str | None
    subject: str | None
    seed: int | None
    spec: dict
    depends_on: tuple[str, ...] = ()
    workers: int = 1
    checkpoint_every: int = 10

    @property
    def is_pretraining(self) -> bool:
        """One model over many sessions, on Ray Train workers."""
        return self.session is None

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, tree: dict) -> "Job":
        return cls(**(tree | {"depends_on": tuple(tree["depends_on"])}))

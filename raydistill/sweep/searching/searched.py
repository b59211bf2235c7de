"""The searched job: the jobs of a point on all sessions and seeds, and the identity that their keys give the point."""

import functools
from dataclasses import dataclass

from raydistill.config.fingerprint import canonical, fingerprint
from raydistill.errors import ConfigError
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.search import Search
from raydistill.sweep.config.searched_job import narrowed
from raydistill.sweep.config.space import Values
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.job import Job, parameters


@dataclass(frozen=True)
class SearchedJob:
    """The job of a search on the sessions of a store."""

    search: Search
    entries: list[Entry]
    """The sessions of the store."""

    def jobs(self, values: Values) -> list[Job]:
        """The jobs with these values, one per session and seed, or one pretraining.

        Raises:
            RaydistillError: the values contradict each other or the rest of the sweep.
        """
        line = self.search.config.job
        jobs = expand(narrowed(self.search.sweep_with(values), line), self.entries)
        return [job for job in jobs if job.line == line]

    @functools.cached_property
    def own_jobs(self) -> list[Job]:
        """The jobs with the sweep's own values."""
        return self.jobs({})

    def identity(self, jobs: list[Job]) -> str:
        """The identity of a point: equal for points whose scores are equal because their jobs are."""
        columns = self.search.sweep.columns if jobs[0].is_pretraining else ()  # a pretraining's key names none
        return fingerprint([sorted(job.key for job in jobs), columns])

    def parameters(self, jobs: list[Job]) -> int:
        """Number of parameters of the largest model; the models differ only in the embeddings of their sessions."""
        entries = {e.session: e for e in self.entries}
        return max(parameters(job, [entries[s] for s in job.spec.sessions]) for job in jobs)

    def fingerprint(self) -> str:
        """The identity of the study: its space and sampler, the job with the sweep's own values, and its data."""
        config = self.search.config
        sampling = [config.sampler, config.seed, config.objectives, canonical(config.halving)]
        return fingerprint([canonical(self.search.space), sampling, self.identity(self.own_jobs)])

    def sources(self) -> list[str]:
        """Keys of the jobs that any point starts or learns from."""
        dimensions = self.search.space.dimensions
        named = [name for name in ("finetune", "start", "distill") if name in dimensions]
        variants: list[Values] = [{}]
        for name in named:
            variants += [{name: value} for value in dimensions[name].values()]
        keys: dict[str, None] = {}
        for values in variants:
            try:
                keys |= dict.fromkeys(key for job in self.jobs(values) for key in job.depends_on)
            except ConfigError:
                continue  # as a point, it will be pruned with this reason
        return list(keys)

"""The draws of the folds over which a sweep repeats its jobs (`splits.repeats`, store/draws.py).

Every job on `each` session runs once per draw. So does a pretraining, if one of its sessions is decoded with its help:
otherwise it would have been trained on segments on which a later draw tests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raydistill.config.names import draw_name
from raydistill.errors import ConfigError
from raydistill.store.catalogue import Entry
from raydistill.sweep.config.sweep import SweepConfig

Groups = Mapping[str, list[Entry]]
"""Group of the sweep -> its sessions, with their first draw."""


@dataclass(frozen=True, kw_only=True)
class Draws:
    """The sessions of a sweep in each draw of their folds."""

    numbers: range
    """The draws, from 1."""
    shared: frozenset[str]
    """Lines of `jobs` with a pretraining that all draws have in common."""
    sweep: str
    """Its name, for messages."""
    groups: Groups
    stored: Mapping[str, Entry]
    """Name in the store -> session."""

    @classmethod
    def of(cls, sweep: SweepConfig, groups: Groups, entries: Iterable[Entry]) -> "Draws":
        """The draws of the sessions that the sweep decodes."""
        stored = {e.session: e for e in entries}
        counts: dict[str, int] = {}
        for e in stored.values():
            counts[e.recorded] = max(counts.get(e.recorded, 0), e.draw)
        most = max((counts[session] for session in _decoded(sweep, groups)), default=1)
        return cls(
            numbers=range(1, most + 1), shared=_shared(sweep, groups), sweep=sweep.name, groups=groups, stored=stored
        )

    def trained_on(self, line: str, draw: int) -> int:
        """The draw whose folds train the jobs of a line: the first for a pretraining that all draws share."""
        return 1 if line in self.shared else draw

    def sessions(self, group: str, draw: int) -> list[Entry]:
        """The sessions of a group in one draw.

        Raises:
            ConfigError: a session lacks this draw, or was ingested again without it.
        """
        return [self._session(first, draw) for first in self.groups[group]]

    def _session(self, first: Entry, draw: int) -> Entry:
        entry = self.stored.get(draw_name(first.session, draw))
        if entry is None or entry.fingerprint != first.fingerprint:
            what = "lacks" if entry is None else "was ingested again without"
            raise ConfigError(
                f"{self.sweep}: session {first.session} {what} draw {draw} of its folds, and other sessions have "
                f"{len(self.numbers)}; ingest all sessions of the sweep with the same `splits.repeats`"
            )
        return entry


def _decoded(sweep: SweepConfig, groups: Groups) -> set[str]:
    """The sessions with jobs or scores of their own."""
    of_methods = [d.each for method in sweep.methods for d in sweep.decoders(method) if d.each]
    of_jobs = [job.group for job in sweep.jobs.values() if not job.is_one_model]
    return {e.session for group in (*of_methods, *of_jobs) for e in groups[group]}


def _shared(sweep: SweepConfig, groups: Groups) -> frozenset[str]:
    """The lines with a pretraining on no session that is decoded with its help, and whose sources are such lines."""
    again: set[str] = set()
    pretrainings = [(line, config) for line, config in sweep.sources_first() if config.is_pretraining]
    for line, config in pretrainings:
        own = {e.session for e in groups[config.group]}
        if again & {config.source, config.distill} or own & _decoded_with(line, sweep, groups):
            again.add(line)
    return frozenset(line for line, _ in pretrainings if line not in again)


def _decoded_with(line: str, sweep: SweepConfig, groups: Groups) -> set[str]:
    """The sessions of the jobs and methods that use the model of a line, directly or not."""
    users = {line}
    for name, config in sweep.sources_first():
        if users & {config.source, config.distill}:
            users.add(name)
    decoders = [d for method in sweep.methods for d in sweep.decoders(method) if d.each and d.job in users]
    lines = [sweep.jobs[name].group for name in users if not sweep.jobs[name].is_one_model]
    return {e.session for group in (*lines, *(d.each for d in decoders if d.each)) for e in groups[group]}

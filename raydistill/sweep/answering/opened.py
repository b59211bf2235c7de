"""A sweep file and the runs folder it is used with: the entry point to its sessions, its jobs and its results."""

import dataclasses
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from raydistill.store.catalogue import Entry
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.sessions import known_entries, lacks_recordings, store_uri
from raydistill.sweep.planning.variants import variant_name
from raydistill.sweep.tuning.plan import planned

if TYPE_CHECKING:
    from raydistill.evaluation.results import Results


@dataclass(frozen=True)
class OpenSweep:
    """A sweep over the sessions of its store. Sessions are read once and jobs are expanded once, when first needed."""

    config: SweepConfig
    runs: RunsFolder
    catalogues: dict[str, list[Entry]] = field(default_factory=dict)
    """Store -> its sessions, filled when first needed. Several sweeps may share this mapping, to read a store once."""
    overrides: tuple[str, ...] = ()
    """Values of `--set`, which `config` already contains."""

    @property
    def name(self) -> str:
        """Name of the sweep, or of its variant with these overrides."""
        return variant_name(self.config.name, self.overrides)

    def reopened(self) -> "OpenSweep":
        """The same sweep, whose sessions are read again."""
        return OpenSweep(self.config, self.runs, overrides=self.overrides)

    def replanned(self) -> "OpenSweep":
        """The same sweep, whose jobs are expanded again: with the settings that its trials have chosen by now."""
        return OpenSweep(self.config, self.runs, self.catalogues, self.overrides)

    @property
    def folder(self) -> Path:
        """The folder for results and figures."""
        return self.runs.sweep_folder(self.name)

    @property
    def store(self) -> str:
        """Absolute path or URI of the store."""
        return store_uri(self.config, self.runs)

    @property
    def lacks_recordings(self) -> bool:
        """Whether synthetic recordings have to be generated before any job can run."""
        return lacks_recordings(self.config, self.runs)

    @property
    def entries(self) -> list[Entry]:
        """The sessions of the store, or those that will be generated into it."""
        if self.store not in self.catalogues:
            self.catalogues[self.store] = known_entries(self.config, self.runs)
        return self.catalogues[self.store]

    @property
    def jobs(self) -> list[Job]:
        """The jobs of the sweep, whatever their states."""
        return self._planned.jobs

    @property
    def protocol(self) -> str:
        """Protocol of the splits, such as corrected; several joined by "and"."""
        return self._planned.protocol

    def plan(self) -> Plan:
        """The jobs, with their states at the time of the call.

        Raises:
            ConfigError: the sweep does not fit the sessions.
        """
        return self._expanded() if self.config.tuning else self._planned.refreshed(self.runs)

    def collect(self, plan: Plan) -> "Results":
        """The results of the jobs that are done according to `plan`."""
        # Imported here: planning does not need evaluation and tracking, which take longer to import.
        from raydistill.sweep.answering.collect import collect

        results = collect(self.config, plan, self.runs)
        if self.name == self.config.name:
            return results
        variant = f"{self.name} is {self.config.name} with {' '.join(f'--set {text}' for text in self.overrides)}"
        return dataclasses.replace(results, notes=(variant, *results.notes))

    @functools.cached_property
    def _planned(self) -> Plan:
        return self._expanded()

    def _expanded(self) -> Plan:
        return planned(self.config, self.entries, self.runs, self.name)

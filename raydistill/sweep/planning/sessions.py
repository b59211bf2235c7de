"""The sessions a sweep runs on: those of its store, or synthetic ones that it makes for itself."""

import dataclasses
import os

from raydistill.config.fingerprint import fingerprint
from raydistill.simulation.simulate import session_names
from raydistill.store.catalogue import Entry
from raydistill.store.store import CATALOGUE, Store
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.runs_folder import RunsFolder


def store_uri(sweep: SweepConfig, runs: RunsFolder) -> str:
    """The store that the sweep names, or one in the runs folder named after the recordings it describes."""
    if sweep.recordings is None:
        # Workers run in folders of their own, where a relative path would be another one.
        return sweep.store if "://" in sweep.store else os.path.abspath(sweep.store)
    return str(runs.path.absolute() / "stores" / fingerprint(sweep.recordings)[:16])


def known_entries(sweep: SweepConfig, runs: RunsFolder) -> list[Entry]:
    """The sessions to plan over: those of the store, or, before they are made, those that will be."""
    return _promised(sweep) if missing_recordings(sweep, runs) else Store(store_uri(sweep, runs)).entries()


def missing_recordings(sweep: SweepConfig, runs: RunsFolder) -> bool:
    """Whether the sweep describes recordings that its store does not hold yet."""
    if sweep.recordings is None:
        return False
    store = Store(store_uri(sweep, runs))
    there = {e.session for e in store.entries()} if store.folder.exists(CATALOGUE) else set()
    return not there.issuperset(name for name, _ in session_names(sweep.recordings.synthetic))


def _promised(sweep: SweepConfig) -> list[Entry]:
    """Entries of the sessions to be made: enough to plan with, under provisional content."""
    synthetic, ingest = sweep.recordings.synthetic, sweep.recordings.ingest
    n_bins = int(synthetic.duration_s * 1000 / ingest.bin_width_ms)
    columns = ("position_x", "position_y", "velocity_x", "velocity_y")
    return [
        Entry(
            session=session,
            subject=subject,
            dataset="synthetic",
            task="reaching",
            region="",
            bin_width_ms=ingest.bin_width_ms,
            n_segments=0,
            n_bins=n_bins,
            n_units=synthetic.max_units,
            n_channels=synthetic.max_channels,
            behavior=columns,
            behavior_units=(),
            splits={},
            aligned=False,
            protocol=ingest.protocol,
            normalisation={},
            config=dataclasses.asdict(ingest),
            fingerprint="",
            content=fingerprint(["not recorded yet", sweep.recordings, session]),
            sources={},
            parts=(),
        )
        for session, subject in session_names(synthetic)
    ]

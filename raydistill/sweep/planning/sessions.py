"""The sessions that a sweep runs on: those of its store, or synthetic ones that the sweep generates itself."""

import dataclasses
import os
from typing import Literal

from raydistill.config.fingerprint import fingerprint
from raydistill.config.names import draw_name
from raydistill.object_store import below
from raydistill.simulation.electrodes import array_sizes, electrode_table
from raydistill.simulation.simulate import DIRECTIONS, session_names
from raydistill.store.catalogue import Entry
from raydistill.store.labels import StoredLabel
from raydistill.store.listing import CATALOGUE
from raydistill.store.store import Store
from raydistill.store.table import SIGNALS
from raydistill.sweep.config.sweep import Recordings, SweepConfig
from raydistill.sweep.planning.runs_folder import RunsFolder


def store_uri(sweep: SweepConfig, runs: RunsFolder) -> str:
    """The store that the sweep names, or the store in the runs folder for the recordings that it describes."""
    if sweep.recordings is not None:
        name = f"stores/{fingerprint(sweep.recordings)[:16]}"
        return below(runs.uri, name) if runs.uri else str(runs.path.absolute() / name)
    assert sweep.store is not None, "a sweep has a store or recordings"
    # Workers run in other working directories, where a relative path would name another folder.
    return sweep.store if "://" in sweep.store else os.path.abspath(sweep.store)


def known_entries(sweep: SweepConfig, runs: RunsFolder) -> list[Entry]:
    """The sessions to plan with: those of the store, or, before synthetic ones are generated, their descriptions."""
    if sweep.recordings is not None and lacks_recordings(sweep, runs):
        return _expected(sweep.recordings)
    return Store(store_uri(sweep, runs)).entries()


def lacks_recordings(sweep: SweepConfig, runs: RunsFolder) -> bool:
    """Whether the sweep describes synthetic recordings that its store does not hold yet."""
    if sweep.recordings is None:
        return False
    store = Store(store_uri(sweep, runs))
    stored = {e.session for e in store.entries()} if store.folder.exists(CATALOGUE) else set()
    return not stored.issuperset(name for name, _ in session_names(sweep.recordings.synthetic))


def _expected(recordings: Recordings) -> list[Entry]:
    """Catalogue entries of sessions that will be generated: enough to plan with, with provisional content hashes."""
    synthetic, ingest = recordings.synthetic, recordings.ingest
    n_bins = int(synthetic.duration_s * 1000 / ingest.bin_width_ms)
    of: Literal["segments", "bins"] = "segments" if ingest.splits.by == "trials" else "bins"
    columns = ("position_x", "position_y", "velocity_x", "velocity_y")
    electrodes = electrode_table(array_sizes(synthetic.max_channels, synthetic.arrays))
    return [
        Entry(
            session=draw_name(session, draw),
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
            labels={
                "direction": StoredLabel(column=0, classes=tuple(sorted(DIRECTIONS)), of=of),
                "movement": StoredLabel(column=1, classes=("moving", "still"), of=of),
            },
            splits={},
            aligned=False,
            protocol=ingest.protocol,
            normalisation={},
            config=dataclasses.asdict(ingest),
            fingerprint="",
            content="",
            contents={name: fingerprint(["not recorded yet", recordings, session, draw, name]) for name in SIGNALS},
            sources={},
            lfp_channels=electrodes,
            parts=(),
        )
        for session, subject in session_names(synthetic)
        for draw in range(1, ingest.splits.repeats + 1)
    ]

"""Generating the synthetic recordings that a sweep describes, and ingesting them into its store."""

import ray

from raydistill.config.fingerprint import fingerprint
from raydistill.errors import DataError
from raydistill.recordings.ingest import ingest
from raydistill.recordings.recording import Recording
from raydistill.simulation.simulate import generate_session, session_names
from raydistill.simulation.writers.nwb import SOURCE, write_nwb
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.running.progress import SweepProgress


def make_recordings(sweep: OpenSweep, progress: SweepProgress) -> None:
    """Write one NWB file per session, in parallel, and ingest the files like any others. Ray must be running.

    Raises:
        DataError: a recording cannot be ingested.
    """
    recordings = sweep.config.recordings
    assert recordings is not None, "the sweep describes recordings"
    folder = sweep.runs.path.absolute() / "recordings" / fingerprint(recordings.synthetic)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    files = {session: folder / f"{session}.nwb" for session, _ in session_names(recordings.synthetic)}
    progress.stage(f"generating {len(files)} synthetic recordings in {folder}")

    @ray.remote(num_cpus=1)
    def generate(number, file):
        write_nwb(generate_session(recordings.synthetic, number), file)

    ray.get([generate.remote(i, file) for i, file in enumerate(files.values()) if not file.exists()])
    progress.stage(f"ingesting them into the store {sweep.store}")
    outcome = ingest(
        [
            Recording(
                name=session,
                path=file,
                source=SOURCE,
                config=recordings.ingest,
            )
            for session, file in files.items()
        ],
        sweep.store,
    )
    if outcome.failed:
        raise DataError(next(iter(outcome.failed.values())))

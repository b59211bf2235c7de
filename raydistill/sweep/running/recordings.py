"""Generating the synthetic recordings that a sweep describes, and ingesting them into its store."""

import ray

from raydistill.cluster.room import Need
from raydistill.cluster.waiting import ClusterWatch, Wanted, check_possible
from raydistill.config.fingerprint import fingerprint
from raydistill.errors import DataError
from raydistill.recordings.ingest import READING, ingest
from raydistill.recordings.recording import Recording
from raydistill.simulation.simulate import generate_session, session_names
from raydistill.simulation.writers.nwb import SOURCE, write_nwb
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.running.progress import SweepProgress

LOOK_S = 1.0
"""Seconds between two looks at the cluster."""
_GENERATING = Wanted("the generation of recordings", Need(1))


def make_recordings(sweep: OpenSweep, progress: SweepProgress, cluster: ClusterWatch) -> None:
    """Write one NWB file per session, in parallel, and ingest the files like any others. Ray must be running.

    Raises:
        RaydistillError: Ray will never have a CPU for it.
        DataError: a recording cannot be ingested.
        KeyboardInterrupt: a CPU was waited for too long.
    """
    check_possible(_GENERATING)
    recordings = sweep.config.recordings
    assert recordings is not None, "the sweep describes recordings"
    folder = sweep.runs.path.absolute() / "recordings" / fingerprint(recordings.synthetic)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    files = {session: folder / f"{session}.nwb" for session, _ in session_names(recordings.synthetic)}
    progress.stage(f"generating {len(files)} synthetic recordings in {folder}")

    @ray.remote(num_cpus=1)
    def generate(number, file):
        write_nwb(generate_session(recordings.synthetic, number), file)

    left = [generate.remote(i, file) for i, file in enumerate(files.values()) if not file.exists()]
    while left:
        cluster.look([_GENERATING])
        ended, left = ray.wait(left, num_returns=len(left), timeout=LOOK_S)
        ray.get(ended)  # raises their errors
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
        watch=lambda: cluster.look([READING]),
    )
    if outcome.failed:
        raise DataError(next(iter(outcome.failed.values())))

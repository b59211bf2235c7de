"""The jobs of all sweeps of the paper, and how long each of them takes, without recordings and without running any."""

from pathlib import Path

from raydistill.config.fingerprint import fingerprint
from raydistill.errors import ConfigError
from raydistill.simulation.corpus import PlannedSession, planned_sessions
from raydistill.simulation.electrodes import array_sizes, electrode_table
from raydistill.store.catalogue import Entry
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.job import Job
from raydistill.sweep.planning.runs_folder import RunsFolder

SHARED = "include/paper.yaml"
"""The file that every sweep of the paper includes."""
SEGMENT_S = 5.0
ELECTRODES = 96
TRAIN_SHARE = 0.8
"""Of the segments of a session."""


def catalogue_jobs(folder: Path, minutes: float) -> list[Job]:
    """The jobs of the paper's sweeps without imported or fitted models, each once and after those that it depends on.

    Args:
        folder: the sweep files.
        minutes: length of every session.

    Raises:
        ConfigError: there is no such file, or one is invalid.
    """
    entries, jobs = [_entry(planned, minutes) for planned in planned_sessions()], dict[str, Job]()
    files = [file for file in sorted(folder.glob("*.yaml")) if SHARED in file.read_text()]
    if not files:
        raise ConfigError(
            f"--sweeps {folder}: no sweep there includes {SHARED}; give the folder `sweeps` of the checkout"
        )
    for file in files:
        config = load_sweep(file)
        # Models of others are not there to be read, and of how long a fit takes there is no measurement.
        if any(job.imported or job.is_fitted for job in config.jobs.values()):
            continue
        sweep = OpenSweep(config, RunsFolder(Path("there-are-none")))
        sweep.catalogues[sweep.store] = entries
        jobs |= {job.key: job for job in sweep.jobs}
    return list(jobs.values())


def _entry(planned: PlannedSession, minutes: float) -> Entry:
    """A session as the store would describe it."""
    has_power = planned.layout == "gallego"
    bin_ms, bands = (30.0, 9) if has_power else (10.0, 1)
    segments = max(20, int(minutes * 60 / SEGMENT_S))  # fewer would leave a fold empty
    train = int(segments * TRAIN_SHARE)
    scored = segments - train
    signals = ("spikes", "behavior", *(["lfp"] if planned.has_lfp else []))
    return Entry(
        session=planned.session,
        subject=planned.subject,
        dataset=planned.dataset,
        task="reaching",
        region="",
        bin_width_ms=bin_ms,
        n_segments=segments,
        n_bins=int(minutes * 60 * 1000 / bin_ms),
        n_units=96,
        n_channels=ELECTRODES * bands if planned.has_lfp else 0,
        lfp_bands=bands,
        # The recordings of LFP power have arrays in M1 and PMd, by which models may name channels.
        lfp_channels=electrode_table(array_sizes(ELECTRODES, 2)) if has_power and planned.has_lfp else None,
        behavior=("velocity_x", "velocity_y"),
        behavior_units=("cm/s", "cm/s"),
        splits={"train": train, "valid": scored // 2, "test": scored - scored // 2},
        aligned=False,
        protocol="corrected",
        normalisation={},
        config={"splits": {"segment_s": SEGMENT_S}},
        fingerprint="",
        content="",
        contents={name: fingerprint([planned.session, name]) for name in signals},
        sources={},
        parts=(),
    )

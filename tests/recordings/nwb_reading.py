"""What the NWB reader makes of a file, with settings as they are given on the command line."""

from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.preprocessing.session import to_session

BEHAVIOR = "processing/behavior/Position"
LFP = "processing/ecephys/LFP/ElectricalSeries"


def plan(path, *settings):
    """The recording of one NWB file; settings such as "lfp=null" or "ingest.bin_width_ms=20"."""
    overrides = [text if text.startswith("ingest.") else f"defaults.{text}" for text in settings]
    (recording,) = plan_sources(path, overrides=overrides)
    return recording


def read(path, *settings, check=lambda raw: raw):
    """What `check` makes of the Raw while the file is open."""
    with open_raw(path, plan(path, *settings).source, 10.0) as raw:
        return check(raw)


def session_and_notes(path, *settings):
    recording = plan(path, "ingest.bin_width_ms=20", *settings)
    with open_raw(path, recording.source, 20.0) as raw:
        return to_session(recording, raw, {})


def made(path, *settings):
    return session_and_notes(path, *settings)[0]

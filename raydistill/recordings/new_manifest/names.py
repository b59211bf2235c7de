"""What the names of variables say about them."""

import re

SPIKES = set(
    [
        "spike",
        "spikes",
        "spk",
        "spks",
        "spiketime",
        "spiketimes",
        "spikecount",
        "spikecounts",
        "raster",
        "rasters",
        "count",
        "counts",
        "unit",
        "units",
        "neuron",
        "neurons",
        "neural",
        "mua",
        "sua",
        "psth",
        "sorted",
    ]
)
LFP = set(
    [
        "lfp",
        "lfps",
        "ecog",
        "eeg",
        "ieeg",
        "seeg",
        "field",
        "fieldpotential",
        "voltage",
        "voltages",
        "raw",
        "wideband",
        "broadband",
        "csc",
        "bandpower",
        "bandpowers",
    ]
)
BEHAVIOR = set(
    [
        "pos",
        "position",
        "positions",
        "xy",
        "x",
        "y",
        "z",
        "vel",
        "velocity",
        "velocities",
        "vx",
        "vy",
        "vz",
        "px",
        "py",
        "acc",
        "acceleration",
        "hand",
        "cursor",
        "finger",
        "fingers",
        "wrist",
        "kin",
        "kinematic",
        "kinematics",
        "speed",
        "head",
        "hd",
        "heading",
        "headdir",
        "angle",
        "angles",
        "direction",
        "force",
        "forces",
        "torque",
        "emg",
        "joint",
        "joints",
        "behavior",
        "behaviour",
        "behav",
        "tracking",
        "paw",
        "wheel",
        "pupil",
        "eye",
        "gaze",
        "running",
        "treadmill",
        "location",
        "yaw",
        "led",
    ]
)
DESCRIPTIONS = set(["grad", "elec", "opto", "cfg", "hdr"])
"""Structs in which FieldTrip keeps where sensors are and what was done, next to the signals."""
LETTERS = set(["x", "y", "z"])
"""Of coordinates; of a matrix with many columns they say nothing, as data are often called X and Y."""
TRIAL = set(["trial", "trials", "tr", "trialnum", "trialnumber", "trialid", "triallabel", "triallabels"])
TIME = set(
    [
        "t",
        "time",
        "times",
        "timestamp",
        "timestamps",
        "ts",
        "stamps",
        "stamp",
        "tstamp",
        "tstamps",
        "tvec",
        "timebase",
        "timevec",
        "clock",
    ]
)
START = set(["start", "starts", "onset", "onsets", "on", "begin", "begins", "beg", "starttime", "starttimes"])
STOP = set(["stop", "stops", "end", "ends", "off", "offset", "offsets", "stoptime", "stoptimes", "endtime", "endtimes"])
IDS = set(
    [
        "unit",
        "units",
        "id",
        "ids",
        "cluster",
        "clusters",
        "clu",
        "neuron",
        "neurons",
        "cell",
        "cells",
        "unitid",
        "unitids",
        "owner",
        "label",
        "labels",
    ]
)
RATE = set(
    [
        "fs",
        "fsample",
        "sfreq",
        "srate",
        "sr",
        "samplerate",
        "samplingrate",
        "samplefreq",
        "samplingfreq",
        "freq",
        "frequency",
        "rate",
        "hz",
        "sampling",
    ]
)
BIN = set(["bin", "binsize", "binwidth", "bins", "dt", "bw"])
BANDS = set(["band", "bands", "power", "powers", "bandpower", "bandpowers", "spectral"])
SUBJECT = set(["subject", "animal", "monkey", "participant", "patient", "mouse", "rat"])
UNITS_OF_TIME = {
    **dict.fromkeys(["s", "sec", "secs", "second", "seconds"], "s"),
    **dict.fromkeys(["ms", "msec", "millisecond", "milliseconds"], "ms"),
    **dict.fromkeys(["us", "usec", "microsecond", "microseconds"], "us"),
    **dict.fromkeys(["sample", "samples", "samp", "idx", "index", "indices", "inds"], "samples"),
}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_FULL_NAMES = {"pos": "position", "vel": "velocity", "acc": "acceleration"}


def words(name: str) -> list[str]:
    """The words in a name, lower case: spikeTimes_ms -> spike, times, ms."""
    return [word.lower() for word in _WORD.findall(name)]


def own_words(path: str) -> set[str]:
    """The words in the last part of a path that is not a number or pattern, and that part as a whole."""
    parts = [part for part in path.split("/") if words(part)]
    return {*words(parts[-1]), "".join(words(parts[-1]))} if parts else set()


def all_words(path: str) -> set[str]:
    """The words in all parts of a path."""
    return {word for part in path.split("/") for word in (*words(part), "".join(words(part)))}


def is_description(path: str) -> bool:
    """Whether a path leads into a struct that describes sensors, and holds no signals."""
    return bool({part.lower() for part in path.split("/")[:-1]} & DESCRIPTIONS)


def says(path: str, vocabulary: set[str]) -> bool:
    """Whether the last part of a path holds one of these words."""
    return bool(own_words(path) & vocabulary)


def time_unit_of(path: str, attribute: str = "") -> str | None:
    """The unit of time that a name, or an attribute that states a unit, ends with; None: it states none."""
    stated = UNITS_OF_TIME.get(attribute.strip().lower())
    last = words(path.split("/")[-1])
    return stated or (UNITS_OF_TIME.get(last[-1]) if len(last) > 1 else None)


def column_names(path: str, n: int) -> list[str]:
    """Names for n columns of behavior from that of their variable."""
    name = path.split("/")[-1].replace("*", "")
    name = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "behavior"
    full = _FULL_NAMES.get(name.lower(), name)
    if n == 1:
        return [full]
    by_letter = n <= 3 and full.lower() not in ("x", "y", "z")
    return [f"{full}_{'xyz'[i] if by_letter else i}" for i in range(n)]

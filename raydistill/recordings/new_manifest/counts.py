"""Which variables are spike counts per bin, as a matrix, or one per trial."""

from raydistill.recordings.new_manifest.axes import orientation, tensor_axes, trial_orientation
from raydistill.recordings.new_manifest.findings import Findings
from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.names import (
    BEHAVIOR,
    IDS,
    LETTERS,
    LFP,
    SPIKES,
    TIME,
    TRIAL,
    is_description,
    says,
)
from raydistill.recordings.new_manifest.text import Line
from raydistill.recordings.new_manifest.values import is_counts


def is_counts_array(look: Look) -> bool:
    """Whether it holds small whole numbers from 0 in the shape of a matrix, or a matrix per trial."""
    if is_description(look.path):
        return False
    behavior = BEHAVIOR - LETTERS if look.is_wide else BEHAVIOR
    if says(look.path, behavior | LFP | TRIAL | TIME | IDS - SPIKES) and not says(look.path, SPIKES):
        return False
    if look.kind == "cell":
        parts = look.elements
        return look.of == "matrices" and all(p.seen is not None and is_counts(p.seen) for p in parts)
    is_array = look.is_number and len(look.shape) in (2, 3) and sum(size >= 2 for size in look.shape) >= 2
    is_named_vector = look.is_vector and says(look.path, {"counts", "count", "raster", "spikecounts"})
    if not (is_array or is_named_vector):
        return False
    if look.seen is None:
        return look.kind == "sparse" or says(look.path, SPIKES)
    return is_counts(look.seen)


def counts_line(found: Findings, look: Look) -> Line:
    found.use(look, "spikes")
    found.needs_bins = True
    parts = look.elements if look.kind == "cell" else (look,)
    found.is_raster = all(p.seen is not None and p.seen.high <= 1 for p in parts)
    size = " x ".join(map(str, look.shape))
    if look.kind == "cell":
        return _trial_counts(found, look)
    seen = f"{look.seen.range}" if look.seen is not None else "values that were not looked at"
    if len(look.shape) == 3:
        axes, asks = tensor_axes(look, found.looks, "units")
        found.in_trials = True
        found.n_trials = look.shape[axes.index("trials")]
        found.trial_lengths = (look.shape[axes.index("time")],) * found.n_trials
        counts = Line(key="counts", value=look.path, guess=f"{size} {seen}: spike counts per bin, trial and unit")
        return Line(key="spikes", value=found.section(look, counts, Line(key="axes", value=axes, questions=(asks,))))
    n, width, transpose = orientation(look, found.looks, "units")
    found.bins, found.in_trials = n, False
    counts = Line(
        key="counts",
        value=look.path,
        guess=f"{size} {seen}: spike counts in {n} bins of {width} unit{'s' * (width > 1)}",
    )
    return Line(key="spikes", value=found.section(look, counts, transpose))


def _trial_counts(found: Findings, look: Look) -> Line:
    n = len(look.shapes)
    lengths, width, transpose = trial_orientation(look, "units")
    found.n_trials, found.trial_lengths, found.in_trials = n, lengths, True
    high = max(p.seen.high for p in look.elements if p.seen is not None)
    counts = Line(
        key="counts",
        value=look.path,
        guess=f"{n} matrices of {width} columns, whole numbers from 0 to {high:g}: spike counts per bin, one per trial",
    )
    return Line(key="spikes", value=found.section(look, counts, transpose))

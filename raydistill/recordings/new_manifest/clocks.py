"""On which clock a signal is: time stamps, a rate, or one value per bin."""

from collections.abc import Sequence

from raydistill.recordings.new_manifest.findings import Findings
from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.names import START, STOP, TIME, own_words, says
from raydistill.recordings.new_manifest.scalars import known_bin_width, rate_for
from raydistill.recordings.new_manifest.text import Line, number, placeholder
from raydistill.recordings.new_manifest.time_units import clock_unit

_MOST_BACK = 0.01
"""Time stamps of which a smaller part runs back are still time stamps."""
_WAY_OUT = "Then use the part before or after with `interval`, or save the parts as separate files"


def clock(found: Findings, look: Look, n: int, vocabulary: set[str], what: str) -> list[Line]:
    """The lines that give the clock of a signal of n samples; none if it has one value per bin.

    Args:
        vocabulary: words for this kind of signal.
        what: its section, for placeholders.
    """
    stamps = _stamps(found, look, n)
    if stamps is not None:
        found.use(stamps, "clock")
        found.sampled.append((look.path, n, None))
        assert stamps.seen is not None
        kind = " ascending" * stamps.seen.is_ascending
        why = f"{n}{kind} {stamps.seen.range}, as many as {look.path} has samples"
        doubt = "" if stamps.seen.is_ascending else f"{stamps.path} runs back: was its clock set back? {_WAY_OUT}"
        return [Line(key="times", value=stamps.path, guess=why).asking(doubt), *clock_unit(found, stamps)]
    rate, why, asks = rate_for(found, look, vocabulary)
    ratio = n / found.bins if found.bins else 0.0
    if ratio == 1:
        found.sampled.append((look.path, n, None))
        return []
    doubts = _disagreement(found, n, rate) if rate is not None else ""
    if rate is not None and not (asks and doubts):  # a number that may belong to another signal, and does not fit
        found.sampled.append((look.path, n, rate))
        return [Line(key="rate_hz", value=rate, guess=why, questions=tuple(filter(None, (*asks, doubts))))]
    width, _ = known_bin_width(found)
    if ratio > 1 and ratio == round(ratio) and width:
        rate = round(1000 * ratio / width, 6)
        found.sampled.append((look.path, n, rate))
        return [Line(key="rate_hz", value=rate, guess=f"{ratio:g} samples per bin of {number(width)} ms")]
    found.sampled.append((look.path, n, None))
    return [placeholder("rate_hz", f"the sampling rate of {what} ({look.path}) in Hz", _hint(found, n, ratio), doubts)]


def trial_clock(found: Findings, look: Look, lengths: Sequence[int], vocabulary: set[str], what: str) -> list[Line]:
    """As `clock`, for a signal with so many samples in each trial."""
    bins = found.trial_lengths
    if bins and tuple(lengths) == tuple(bins):
        return []
    rate, why, asks = rate_for(found, look, vocabulary)
    if rate is not None:
        return [Line(key="rate_hz", value=rate, guess=why, questions=asks)]
    if not bins and found.n_trials is None:
        asks_bins = "or leave out rate_hz and give bin_width_ms"
        return [placeholder("rate_hz", f"the sampling rate of {what} ({look.path}) in Hz, {asks_bins}")]
    ratios = {a / b for a, b in zip(lengths, bins, strict=True) if b} if len(lengths) == len(bins) else set()
    ratio = ratios.pop() if len(ratios) == 1 else 0.0
    width, _ = known_bin_width(found)
    if ratio > 1 and width:
        return [Line(key="rate_hz", value=1000 * ratio / width, guess=f"{ratio:g} samples per bin of {width:g} ms")]
    hint = f"each trial has {ratio:g} samples per bin: {_by_width(ratio)}" if ratio > 1 else ""
    return [placeholder("rate_hz", f"the sampling rate of {what} ({look.path}) in Hz", hint)]


def _hint(found: Findings, n: int, ratio: float) -> str:
    if ratio > 1 and ratio == round(ratio):
        return f"it has {ratio:g} samples per bin: {_by_width(ratio)}"
    if found.duration_s:
        return (
            f"{n} samples in {found.duration_s:.6g} s, the last time of {found.duration_of}, would be about "
            f"{n / found.duration_s:.5g} Hz"
        )
    return ""


def _by_width(ratio: float) -> str:
    return ", ".join(f"{1000 * ratio / width:g} Hz for bins of {width} ms" for width in (10, 20, 50))


def _disagreement(found: Findings, n: int, rate: float) -> str:
    """A question if the signal would last much longer or shorter than others."""
    if not found.duration_s or 0.8 < n / rate / found.duration_s < 1.25:
        return ""
    return (
        f"{n} samples at {number(rate)} Hz last {n / rate:.6g} s, but {found.duration_of} ends at "
        f"{found.duration_s:.6g} s; is the rate right, and the unit of those times?"
    )


def is_clock(look: Look, n: int) -> bool:
    """Whether a vector can hold the time stamps of n samples."""
    seen = look.seen
    if not look.is_vector or look.size != n or seen is None or says(look.path, START | STOP):
        return False
    if not seen.is_ascending and not (says(look.path, TIME) and seen.back_share < _MOST_BACK):
        return False
    moves = seen.n_changes >= 0.5 * (seen.n - 1)
    return moves and (says(look.path, TIME) or seen.is_uniform or not seen.is_integer)


def _stamps(found: Findings, look: Look, n: int) -> Look | None:
    """The time stamps of a signal: those nearest to it by name and place."""
    parent = look.path.rpartition("/")[0]

    def fit(other: Look) -> int:
        shared = own_words(other.path) & own_words(look.path)
        return 2 * len(shared) + says(other.path, TIME) + (other.path.rpartition("/")[0] == parent)

    fitting = [
        o
        for o in found.looks
        if o is not look
        and o.file == look.file
        and is_clock(o, n)
        and found.used.get((o.file, o.path), "clock") == "clock"
    ]
    return max(fitting, key=fit) if fitting else None

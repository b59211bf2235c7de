"""Single numbers that state a rate or the width of bins, and whose signals they describe."""

from collections.abc import Iterator

from raydistill.recordings.new_manifest.findings import Findings
from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.names import BEHAVIOR, BIN, LFP, RATE, SPIKES, own_words, says, words
from raydistill.recordings.new_manifest.text import Line, number, placeholder

_MODALITIES = LFP | BEHAVIOR | SPIKES - {"unit", "units"}
_SPIKE_RATE = 5000
"""Spikes are timed by samples of at least this rate in Hz."""


def rate_for(found: Findings, look: Look, vocabulary: set[str]) -> tuple[float | None, str, tuple[str, ...]]:
    """The rate in Hz that the files state for a signal (None: none), why it was chosen, and questions.

    Args:
        vocabulary: words for this kind of signal.
    """
    for name, texts in look.attributes.items():
        value = _positive(texts[0]) if texts else None
        if value is not None and set(words(name)) & RATE:
            return value, f"its attribute {name}", ()
    stated = sorted(_rates(found, look, vocabulary), key=lambda item: -item[0])
    if not stated:
        return None, "", ()
    best, path, value = stated[0]
    _use(found, path, "rate")
    others = sorted({f"{p} = {number(v)}" for _, p, v in stated[1:] if v != value})
    asks = f"is {path} the rate of {look.path}?" if best < 2 else ""
    asks += f" There are also {', '.join(others)}" if others and best < 3 else ""
    return value, f"{path} is {number(value)}", (asks.strip(),) if asks else ()


def _rates(found: Findings, look: Look, vocabulary: set[str]) -> Iterator[tuple[int, str, float]]:
    """How well it fits, path and value of each number that could be the rate."""
    parent = look.path.rpartition("/")[0]
    for other in found.looks:
        value = other.scalar
        if value is None or not 0 < value < 1e6 or not says(other.path, RATE) or says(other.path, BIN):
            continue
        named = own_words(other.path) & (_MODALITIES | vocabulary) - RATE
        if named and not named & (vocabulary | own_words(look.path)):
            continue
        if vocabulary >= SPIKES and value < _SPIKE_RATE and not named:
            continue
        beside = other.file == look.file and parent != "" and other.path.rpartition("/")[0] == parent
        yield 3 * bool(named) + 2 * beside + (other.file == look.file and not vocabulary & BEHAVIOR), other.path, value


def _use(found: Findings, path: str, what: str) -> None:
    for look in found.looks:
        if look.path == path and look.scalar is not None:
            found.use(look, what)


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < 1e6 else None


def known_bin_width(found: Findings) -> tuple[float | None, str]:
    """The width of bins in ms that a single number states, and its path."""
    for look in found.looks:
        value, named = look.scalar, own_words(look.path)
        if value is None or not named & BIN or value <= 0 or named & {"n", "num", "number"}:
            continue
        if named & {"ms", "msec"} or value >= 1:
            return value, f"{look.path} is {number(value)}, taken as milliseconds"
        return round(value * 1000, 9), f"{look.path} is {number(value)}, taken as seconds"
    return None, ""


def bin_width_line(found: Findings) -> Line:
    """The line `bin_width_ms`."""
    value, why = known_bin_width(found)
    if value is not None:
        _use(found, why.rpartition(" is ")[0], "bins")
        return Line(key="bin_width_ms", value=value, guess=why, questions=("is this the width of the bins?",))
    for path, n, rate in found.sampled:
        ratio = n / found.bins if found.bins else 0
        if rate and ratio >= 1 and ratio == round(ratio):
            return Line(
                key="bin_width_ms",
                value=round(1000 * ratio / rate, 9),
                guess=f"{path} has {ratio:g} samples per bin, at {number(rate)} Hz",
            )
    hint = ""
    if found.bins and found.duration_s:
        hint = f"{found.bins} bins in {found.duration_s:.6g} s ({found.duration_of}) would be about "
        hint += f"{1000 * found.duration_s / found.bins:.4g} ms"
    rates = [look for look in found.left if look.scalar is not None and look.scalar > 0 and says(look.path, RATE)]
    if rates and not hint:
        told = [
            f"{look.path} is {number(look.scalar or 0)}, that of {1000 / (look.scalar or 1):.6g} ms" for look in rates
        ]
        hint = f"a rate in Hz could be that of the bins: {'; '.join(told)}"
    return placeholder("bin_width_ms", "the width of the bins of these arrays in ms", hint)

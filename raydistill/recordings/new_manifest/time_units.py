"""The unit of times, which no file states and every manifest needs."""

from raydistill.recordings.new_manifest.findings import Findings
from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.names import SPIKES, time_unit_of
from raydistill.recordings.new_manifest.scalars import rate_for
from raydistill.recordings.new_manifest.text import Line, placeholder
from raydistill.recordings.new_manifest.values import time_unit_guess

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def clock_unit(found: Findings, look: Look, is_spikes: bool = False, is_duration: bool = True) -> list[Line]:
    """`time_unit`, and `rate_hz` for sample numbers, of times like these. Asks, as values do not state their unit."""
    seen = look.seen
    if seen is None:
        return [placeholder("time_unit", "s, ms, us, or samples (then with rate_hz)")]
    stated = time_unit_of(look.path, look.unit)
    again = (look.file, look.path) in found.asked
    found.asked.add((look.file, look.path))
    unit, why = (stated, "its name or attribute says so") if stated else time_unit_guess(seen, is_spikes)
    asks = "" if stated or again else "is this the unit of time? Otherwise: s, ms, us, or samples with rate_hz"
    line = Line(key="time_unit", value=unit, guess="as above" if again else why, questions=(asks,) if asks else ())
    if unit == "samples":
        return [line, rate_of_samples(found, look)]
    if is_duration and not seen.begins_late:
        found.lasts(seen.high * _SECONDS[unit], look.path)
    return [line]


def rate_of_samples(found: Findings, look: Look) -> Line:
    """The `rate_hz` of sample numbers."""
    rate, why, asks = rate_for(found, look, SPIKES | {"samples", "raw"})
    if rate is None:
        return placeholder("rate_hz", f"the rate in Hz at which the samples of {look.path} are counted, such as 30000")
    if look.seen is not None and not look.seen.begins_late:
        found.lasts(look.seen.high / rate, look.path)
    return Line(key="rate_hz", value=rate, guess=why, questions=asks)

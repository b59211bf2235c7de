"""The sections of one session, from all of its files."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from raydistill.errors import DataError
from raydistill.recordings.new_manifest.findings import Findings
from raydistill.recordings.new_manifest.looks import Look
from raydistill.recordings.new_manifest.names import SUBJECT, says
from raydistill.recordings.new_manifest.scalars import bin_width_line
from raydistill.recordings.new_manifest.signals import behavior, lfp
from raydistill.recordings.new_manifest.spikes import spikes
from raydistill.recordings.new_manifest.text import Line, Section, choice, placeholder
from raydistill.recordings.new_manifest.trials import trials
from raydistill.recordings.readers import arrays, nwb
from raydistill.recordings.recording import as_name

_MOST_UNUSED = 40


@dataclass(frozen=True, kw_only=True)
class FileContent:
    """What was seen in a file or folder."""

    file: str
    """As the manifest names it."""
    kind: str
    """arrays, sorter or nwb."""
    looks: tuple[Look, ...] = ()
    """Its variables, if it holds arrays."""
    spikes: Line | None = None
    """What a file that states what it holds has as spikes, and so on."""
    lfp: Line | None = None
    has_single_channel: bool = False
    """Whether this LFP is of one channel."""
    behavior: Line | None = None
    trials: Line | None = None
    others: tuple[Line, ...] = ()
    unused: tuple[str, ...] = ()
    states_subject: bool = False
    last_s: float | None = None
    """The last time in the file in seconds."""
    words: frozenset[str] = field(default_factory=frozenset)
    """Names of what it holds, by which files with the same content are recognised."""


@dataclass(frozen=True, kw_only=True)
class SessionGuess:
    """The lines of one session, and what its files hold besides."""

    lines: tuple[Line, ...]
    unused: tuple[str, ...]


def session_of(contents: Sequence[FileContent]) -> SessionGuess:
    """The guesses for a session from one or several files.

    Raises:
        DataError: they hold no array of numbers.
    """
    looks = [look for content in contents for look in content.looks]
    stating = [content for content in contents if content.kind != arrays.LAYOUT.name]
    if not stating and not any((look.is_number or look.kind == "cell") and look.size > 1 for look in looks):
        raise DataError(f"{contents[0].file}: holds no array of numbers{_only(looks)}, so there is nothing to describe")
    if not looks and not any(c.spikes or c.lfp or c.behavior or c.trials for c in contents):
        seen = "; ".join(text for content in contents for text in content.unused[:3])
        only = f", only {seen}" if seen else ""
        raise DataError(f"{contents[0].file}: holds no spikes, LFP or behavior{only}, so there is nothing to describe")
    found = Findings(looks=looks, one_file=len(contents) == 1)
    for content in stating:
        if content.spikes or content.lfp or content.behavior or content.trials:
            found.files.append(content.file)
        if content.last_s:
            found.lasts(content.last_s, content.file)
    sections = {key: _stated(stating, key) for key in ("spikes", "lfp", "behavior", "trials")}
    if sections["spikes"] is None:
        sections["spikes"] = spikes(found)
    found.has_single_channel = any(content.has_single_channel for content in stating)
    sections["lfp"] = sections["lfp"] or lfp(found)
    sections["behavior"] = sections["behavior"] or behavior(found)
    others = [line for content in stating for line in content.others]
    if sections["trials"] is None:
        made = trials(found)
        sections["trials"] = made[0] if made else None
        others += made[1:]
    if sections["spikes"] is None and sections["lfp"] is None and not any(c.kind == nwb.LAYOUT.name for c in stating):
        what = "the path of the spikes, or `spikes: {times: PATH}`, or `lfp` instead; see what the file holds below"
        sections["spikes"] = placeholder("spikes", what)
    lines = [*_subject(found, stating), *([bin_width_line(found)] if found.needs_bins else [])]
    lines += _settings(found, sections["lfp"], sections["trials"])
    lines += [line for line in sections.values() if line is not None]
    return SessionGuess(lines=(*lines, *others), unused=(*_unused(found), *(u for c in stating for u in c.unused)))


def _only(looks: Sequence[Look]) -> str:
    names = [f"{look.path} ({look.described or look.kind})" for look in looks[:3]]
    return f", only {', '.join(names)}" if names else ""


def _stated(stating: Sequence[FileContent], key: str) -> Line | None:
    """The section of the first file that states it, with a question if there are others."""
    lines = [(content, line) for content in stating if (line := getattr(content, key)) is not None]
    if not lines:
        return None
    others = ", ".join(content.file for content, _ in lines[1:])
    return lines[0][1].asking(f"{others} could be the {key}, too" if others else "")


def _subject(found: Findings, stating: Sequence[FileContent]) -> list[Line]:
    if any(content.states_subject for content in stating):
        return []
    for look in found.looks:
        if look.text.strip() and says(look.path, SUBJECT):
            found.use(look, "subject")
            return [Line(key="subject", value=as_name(look.text.strip()), guess=f"the text {look.path}")]
    return [placeholder("subject", "the name of the animal or person")]


def _settings(found: Findings, lfp_line: Line | None, trials_line: Line | None) -> list[Line]:
    """The line `ingest`: what defaults would do that not every lab wants."""
    values: dict[str, object] = {}
    asks = []
    if found.needs_bins and found.is_raster:
        values["bin_width_ms"] = 10
        asks.append("no bin of the file holds more than one spike; shall bins of the session be wider?")
    if found.in_trials or (trials_line is not None and trials_line.is_active):
        values["splits"] = {"by": "trials"}
        asks.append(
            "shall only trials be used, each as a whole? By default the recording is cut by time, in 10-s parts"
        )
    if lfp_line is not None and "bands" not in _active_keys(lfp_line):
        if found.has_single_channel:
            return [_without_average(values, asks)]
        values["filters"] = {"common_average": False}
        asks.append(
            "by default a notch at 60 Hz and a band-pass of 0.05 to 50 Hz filter the LFP, and the mean of all channels "
            "is subtracted. Shall the mean be kept? `filters: null` leaves the LFP as it is"
        )
    return [Line(key="ingest", value=values, questions=tuple(asks), is_active=False)] if values else []


def _without_average(options: dict[str, object], asks: Sequence[str]) -> Line:
    """The line `ingest` for LFP of one channel, which minus its mean over channels would be 0; the rest are options."""
    filters = Line(
        key="filters",
        value={"common_average": False},
        guess="one channel has no common average",
        questions=(
            "by default a notch at 60 Hz and a band-pass of 0.05 to 50 Hz filter the LFP; `filters: null` leaves it as "
            "it is",
        ),
    )
    others = (choice(key, value, ask) for (key, value), ask in zip(options.items(), asks, strict=True))
    return Line(key="ingest", value=Section((filters, *others)))


def _active_keys(line: Line) -> set[str]:
    sections = line.value if isinstance(line.value, list) else [line.value]
    return {inner.key for section in sections for inner in getattr(section, "lines", ()) if inner.is_active}


def _unused(found: Findings) -> list[str]:
    """Each variable that is not used, in a few words."""
    left = found.left
    lines = []
    for look in left[:_MOST_UNUSED]:
        seen = f", {look.seen.range}" if look.seen is not None and look.size > 1 else ""
        value = f" ({look.scalar:.6g})" if look.scalar is not None else f' "{look.text[:40]}"' if look.text else ""
        place = "" if found.one_file else f"{look.file}: "
        inside = f", first {look.elements[0].described}" if look.elements and look.elements[0].described else ""
        lines.append(f"{place}{look.path}: {look.described or look.kind}{inside}{value}{seen}")
    return [*lines, *([f"and {len(left) - _MOST_UNUSED} more"] if len(left) > _MOST_UNUSED else [])]

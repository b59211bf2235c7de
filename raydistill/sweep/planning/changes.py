"""Why a job has another key than at the last run of its sweep, in words."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LISTED = 3
"""Number of differences that a reason names; the others are counted."""
SIGNALS = {"lfp": "LFP"}
"""Signals whose name in a message is another one."""


Contents = Mapping[str, Mapping[str, str]]
"""Session -> signal -> sha256 of what a job can read of it."""


@dataclass(frozen=True)
class SessionChanges:
    """The sessions of a sweep at its last run and now: in which groups they are, and what they hold."""

    groups: Mapping[str, str] = field(default_factory=dict)
    """Line of `jobs` -> its group of sessions."""
    before: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Session -> groups, of the jobs on one session at the last run."""
    now: Mapping[str, frozenset[str]] = field(default_factory=dict)
    contents_before: Contents = field(default_factory=dict)
    contents_now: Contents = field(default_factory=dict)

    @classmethod
    def of(
        cls, groups: Mapping[str, str], names: tuple[Iterable[str], Iterable[str]], contents: tuple[Contents, Contents]
    ) -> "SessionChanges":
        """From the names of the jobs, such as teacher/S1_02/seed0, and the contents, each at the last run and now."""
        before, now = (_groups_by_session(groups, of_run) for of_run in names)
        return cls(groups, before, now, *contents)

    def joined(self, session: str, line: str) -> str:
        """What happened to a session that is new in the jobs of a line."""
        left = self.before.get(session, frozenset()) - self.now.get(session, frozenset())
        if left and line in self.groups:
            return f"{session} left {' and '.join(sorted(left))} and joined {self.groups[line]}"
        return f"{session} was added"

    def left(self, session: str, line: str) -> str:
        """What happened to a session that is no longer in the jobs of a line."""
        joined = self.now.get(session, frozenset()) - self.before.get(session, frozenset())
        group = self.groups.get(line, "the sessions")
        return f"{session} left {group}" + (f" and joined {' and '.join(sorted(joined))}" if joined else "")

    def changed(self, session: str, reads: Sequence[str]) -> str:
        """The signals of a session that changed, of those that a job reads."""
        old, new = self.contents_before.get(session, {}), self.contents_now.get(session, {})
        known = [signal for signal in reads if signal in old and signal in new and old[signal] != new[signal]]
        names = [SIGNALS.get(signal, signal) for signal in known or reads or ["values"]]
        # If the contents at the last run are not known, one of the signals has changed, or several.
        return f"{(' and ' if known else ' or ').join(names)} of {session} changed"


def _groups_by_session(groups: Mapping[str, str], names: Iterable[str]) -> dict[str, frozenset[str]]:
    by_session = defaultdict(set)
    for name in names:
        line, _, rest = name.partition("/")
        session, slash, _ = rest.partition("/")
        if slash and line in groups:  # a pretraining is named line/seed0
            by_session[session].add(groups[line])
    return {session: frozenset(of_session) for session, of_session in by_session.items()}


def difference(before: dict, now: dict, line: str, sessions: SessionChanges) -> str:
    """The differences of two specifications as JSON data, in words.

    Args:
        before: that of the job with the same name at the last run; anything that a file may hold.
        now: that of the job.
        line: the line of `jobs` from which the job comes.
    """
    if "name" not in before:
        return "run by an earlier version of raydistill, whose jobs had other specifications"
    listed = [*_sessions(before, now, line, sessions), *dict.fromkeys(_settings(before, now))]
    more = f" and {len(listed) - LISTED} more changes" if len(listed) > LISTED else ""
    return "; ".join(listed[:LISTED]) + more


def _sessions(before: dict, now: dict, line: str, sessions: SessionChanges) -> list[str]:
    new: dict = now["sessions"]
    old = before.get("sessions")
    old = old if isinstance(old, dict) else {}
    joined = [sessions.joined(session, line) for session in sorted(new.keys() - old.keys())]
    left = [sessions.left(session, line) for session in sorted(old.keys() - new.keys())]
    both = sorted(session for session in new.keys() & old.keys() if new[session] != old[session])
    return [*joined, *left, *(sessions.changed(session, now.get("reads") or []) for session in both)]


def _settings(old: dict, new: dict, path: str = "") -> list[str]:
    """The settings that differ, except the sessions."""
    found: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        a, b, setting = old.get(name), new.get(name), f"{path}.{name}" if path else name
        if a == b or setting == "sessions":
            continue
        if setting in ("weights", "trained", "teachers"):
            found.append("a job that it starts from has changed")
        elif isinstance(a, dict) and isinstance(b, dict):
            found += _settings(a, b, setting)
        else:
            found.append(f"{setting} {a} -> {b}")
    return found

"""Notes and tags that users give to sweeps and jobs; they change no result and no key.

runs/notes.json    {"sweeps": {name: note}, "jobs": {key: note}}, where a note is {"text": ..., "tags": {name: value}}
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from raydistill.config.names import check_name
from raydistill.errors import ConfigError, DataError
from raydistill.files import read_mapping, write_json
from raydistill.locks import held_by_one
from raydistill.sweep.planning.runs_folder import RunsFolder

FILE = "notes.json"
LONGEST = 2000
"""Characters of a text or of the value of a tag."""
WAIT_S = 10.0
"""How long a command that changes notes waits for another one."""


@dataclass(frozen=True)
class Note:
    """A text and tags; false if it is empty."""

    text: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.text or self.tags)

    def in_words(self) -> str:
        """The note as one line of text."""
        tags = ", ".join(f"{name}={value}" for name, value in sorted(self.tags.items()))
        return " ".join(f"{self.text}{f' [{tags}]' if tags else ''}".split())

    def to_tags(self) -> dict[str, str]:
        """The note as tags of an MLflow run."""
        return {f"note.{name}": value for name, value in self.tags.items()} | ({"note": self.text} if self.text else {})


@dataclass(frozen=True)
class Notes:
    """All notes of a runs folder."""

    sweeps: dict[str, Note]
    jobs: dict[str, Note]

    def of_sweep(self, name: str) -> Note:
        """The note of a sweep or variant."""
        return self.sweeps.get(name, Note())

    def of_job(self, key: str) -> Note:
        """The note of a job."""
        return self.jobs.get(key, Note())


def read_notes(runs: RunsFolder) -> Notes:
    """The notes of a runs folder; what is damaged is left out."""
    tree = read_mapping(runs.path / FILE) or {}
    return Notes(_notes_of(tree.get("sweeps")), _notes_of(tree.get("jobs")))


def are_damaged(runs: RunsFolder) -> bool:
    """Whether there are notes of which `read_notes` leaves some out."""
    if not (runs.path / FILE).exists():
        return False
    tree = read_mapping(runs.path / FILE)
    parts = [tree.get("sweeps", {}), tree.get("jobs", {})] if tree is not None else []
    return not parts or any(not isinstance(part, dict) or len(_notes_of(part)) < len(part) for part in parts)


@contextlib.contextmanager
def changing_notes(runs: RunsFolder) -> Iterator[Notes]:
    """The notes of a runs folder, to be changed in the block and written after it, by one process at a time.

    Raises:
        DataError: notes are damaged, and would be lost; or another process does not finish changing them.
    """
    lock, holder = runs.path / ".notes.lock", runs.path / ".notes.owner"
    refusal = f"{runs.path / FILE} is being changed by another command; try again"
    with held_by_one(lock, holder, lambda who: DataError(f"{refusal} ({who})" if who else refusal), WAIT_S):
        if are_damaged(runs):
            raise DataError(
                f"{runs.path / FILE} is damaged, and writing it would lose the notes in it; repair it, or delete it to "
                "start without notes"
            )
        notes = read_notes(runs)
        yield notes
        if notes != read_notes(runs):
            write_json(runs.path / FILE, {"sweeps": _to_json(notes.sweeps), "jobs": _to_json(notes.jobs)})


def _notes_of(tree: Any) -> dict[str, Note]:
    notes = {}
    for name, note in tree.items() if isinstance(tree, dict) else ():
        if isinstance(note, dict):
            tags: Any = note.get("tags")
            tags = tags if isinstance(tags, dict) else {}
            notes[name] = Note(str(note.get("text", "")), {str(tag): str(value) for tag, value in tags.items()})
    return notes


def write_note(runs: RunsFolder, *, sweep: str = "", job: str = "", text: str | None, tags: list[str]) -> Note:
    """Change the note of a sweep or of a job, and return it.

    Args:
        sweep: name of the sweep, or "".
        job: key of the job, or "".
        text: replaces the text; None: it stays; "" removes it.
        tags: name=value; an empty value removes the tag.
    Raises:
        ConfigError: a tag is not name=value, or a text is too long.
        DataError: notes are damaged, or another process is changing them.
    """
    with changing_notes(runs) as notes:
        before = notes.of_sweep(sweep) if sweep else notes.of_job(job)
        changed = dict(before.tags)
        for tag in tags:
            name, equals, value = tag.partition("=")
            if not equals:
                raise ConfigError(f'--tag takes name=value, such as figure=3; got "{tag}"')
            changed[check_name(name, "tag")] = value
        note = Note(before.text if text is None else text, {name: value for name, value in changed.items() if value})
        if max(map(len, (note.text, *note.tags.values()))) > LONGEST:
            raise ConfigError(f"a note or the value of a tag may have up to {LONGEST} characters")
        (notes.sweeps if sweep else notes.jobs)[sweep or job] = note
    return note


def _to_json(notes: dict[str, Note]) -> dict:
    return {name: {"text": note.text, "tags": dict(note.tags)} for name, note in notes.items() if note}

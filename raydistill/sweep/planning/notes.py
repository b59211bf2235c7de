"""Notes and tags that users give to sweeps and jobs; they change no result and no key.

runs/notes.json    {"sweeps": {name: note}, "jobs": {key: note}}, where a note is {"text": ..., "tags": {name: value}}
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raydistill.config.names import check_name
from raydistill.errors import ConfigError
from raydistill.files import read_mapping, write_json
from raydistill.sweep.planning.runs_folder import RunsFolder

FILE = "notes.json"
LONGEST = 2000
"""Characters of a text or of the value of a tag."""


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
    """
    notes = read_notes(runs)
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
    write_json(runs.path / FILE, {"sweeps": to_json(notes.sweeps), "jobs": to_json(notes.jobs)})
    return note


def to_json(notes: dict[str, Note]) -> dict:
    return {name: {"text": note.text, "tags": dict(note.tags)} for name, note in notes.items() if note}

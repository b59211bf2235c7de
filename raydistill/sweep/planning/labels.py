"""Labels that a sweep decodes: whether its sessions agree on what an example of them is."""

from collections.abc import Iterable

from raydistill.errors import ConfigError
from raydistill.store.catalogue import Entry


def check_same_examples(sweep_name: str, label: str, entries: Iterable[Entry]) -> None:
    """Refuse sessions of which some have a class per segment and others a class per bin: their scores are no means.

    Raises:
        ConfigError: they differ.
    """
    of: dict[str, str] = {}
    for entry in entries:
        of.setdefault(entry.labels[label].of, entry.session)
    if len(of) > 1:
        raise ConfigError(
            f'{sweep_name}: behavior.labels: "{label}" belongs to whole segments in session {of["segments"]} and to '
            f"single bins in session {of['bins']}, so their scores cannot be averaged; ingest both with the same "
            "`splits`, or leave one of them out"
        )

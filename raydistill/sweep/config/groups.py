"""A group of sessions, by the conditions that a sweep file gives."""

from dataclasses import dataclass

from raydistill.errors import ConfigError, suggest
from raydistill.papers.table import PAPER_OF_GROUP
from raydistill.sweep.config.job import Modality


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionGroup:
    """The sessions of the store that meet all conditions of the group."""

    named: str | None = None
    """Only sessions of this group, which a paper defines, such as paper_held_out."""
    names: tuple[str, ...] = ()
    """Only these sessions."""
    subjects: tuple[str, ...] = ()
    """Only sessions of these subjects."""
    datasets: tuple[str, ...] = ()
    """Only sessions of these datasets."""
    modality: Modality | None = None
    """Only sessions that have this signal."""
    except_: str | None = None
    """Only sessions that are not in this other group of the sweep."""

    def __post_init__(self):
        if self.named is not None and self.named not in PAPER_OF_GROUP:
            raise ConfigError(
                f'no paper defines a group "{self.named}"{suggest(self.named, PAPER_OF_GROUP)}', ("named",)
            )

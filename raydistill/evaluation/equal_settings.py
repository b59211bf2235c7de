"""A method with the patch, dropout or epochs of the method that it is compared with: a row beside the comparison."""

from collections.abc import Mapping
from dataclasses import dataclass

from raydistill.evaluation.tuning import Setting


@dataclass(frozen=True, kw_only=True, slots=True)
class EqualSettings:
    """One such row."""

    method: str
    """The method that is trained with other settings."""
    other: str
    """The method whose settings these are."""
    values: Mapping[str, Setting]
    """Setting, such as model.lfp_patch -> the value of the other method, of those in which the two differ."""
    own: Mapping[str, Setting]
    """Setting -> the method's own value."""
    problem: str = ""
    """Why there is no such row: the values contradict other settings of the method."""

    @property
    def title(self) -> str:
        """The name of the row in tables."""
        return f"{self.method} (settings of {self.other})"

    def to_json(self) -> dict:
        """What `raydistill results --json` has of the row in addition to its scores."""
        return {
            "row": self.title,
            "method": self.method,
            "other": self.other,
            "values": dict(self.values),
            "own": dict(self.own),
            "problem": self.problem,
        }

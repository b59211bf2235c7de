"""Settings in which two compared methods differ although the comparison is not about them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class DifferentSettings:
    """The settings of two compared methods that differ because of the preset or the sweep."""

    better: str
    worse: str
    figure: str | None = None
    """Figure of a paper whose jobs are compared; None: all jobs are."""
    values: dict[str, tuple[str, str]]
    """Setting -> its value in `better` and in `worse`; of several values, all."""

    def to_json(self) -> dict:
        """As JSON data."""
        values = {name: list(pair) for name, pair in self.values.items()}
        return {"figure": self.figure, "better": self.better, "worse": self.worse, "settings": values}

    def in_words(self) -> str:
        """One sentence."""
        listed = ", ".join(f"{name} {better} against {worse}" for name, (better, worse) in self.values.items())
        return f"Settings differ between {self.better} and {self.worse}: {listed}."

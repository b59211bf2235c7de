"""What the scores of a sweep are: R² of behavior, or AUC of a label. A sweep has one of them, and never both."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A number that is higher for a better decoder, and at most 1."""

    key: str
    """Its name in metrics.json and in `results --json`; that of the validation fold is `valid_` and this name."""
    symbol: str
    """Its name in texts and figures."""
    tracked: str
    """Its name in MLflow, which refuses some characters."""
    chance: float
    """What a decoder has that knows nothing."""
    nothing: str
    """What `chance` means, in a few words."""
    target: str
    """What is decoded."""
    parts: str
    """The name in metrics.json of the scores of which this one is the mean: of behavior columns, or of classes."""

    @property
    def scale(self) -> str:
        """What high and low values mean, in a few words."""
        return f"1 is perfect and {self.nothing}"


R2 = Measure(
    key="r2",
    symbol="R²",
    tracked="R2",
    chance=0.0,
    nothing="0 is no better than the mean",
    target="behavior",
    parts="r2_per_axis",
)


def auc_of(label: str) -> Measure:
    """The AUC of a label."""
    return Measure(
        key="auc",
        symbol="AUC",
        tracked="AUC",
        chance=0.5,
        nothing="0.5 is chance",
        target=f'the label "{label}"',
        parts="auc_per_class",
    )


def measure_of(label: str | None) -> Measure:
    """The measure of a sweep that decodes this label, or behavior columns if it is None."""
    return R2 if label is None else auc_of(label)

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
    scale: str
    """What high and low values mean, in a few words."""
    nothing: str
    """What `chance` means, in a few words."""
    target: str
    """What is decoded."""


R2 = Measure(
    key="r2",
    symbol="R²",
    tracked="R2",
    chance=0.0,
    scale="1 is perfect and 0 is no better than the mean",
    nothing="0 is no better than the mean",
    target="behavior",
)


def auc_of(label: str) -> Measure:
    """The AUC of a label."""
    return Measure(
        key="auc",
        symbol="AUC",
        tracked="AUC",
        chance=0.5,
        scale="1 is perfect and 0.5 is chance",
        nothing="0.5 is chance",
        target=f'the label "{label}"',
    )


def measure_of(label: str | None) -> Measure:
    """The measure of a sweep that decodes this label, or behavior columns if it is None."""
    return R2 if label is None else auc_of(label)

"""The methods of a sweep that decodes a label: AUC, and the shares of examples that are decoded as their class."""

from dataclasses import asdict

from raydistill.evaluation.metric_rows import MetricRow, metric_rows
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import Score

TITLE = "AUC and accuracy"
NAMES = ("auc", "accuracy", "balanced_accuracy", "largest_class")
COLUMNS = ("AUC", "accuracy", "balanced accuracy", "largest class")
EXPLANATION = (
    "AUC: of each class against all others, averaged over classes; 0.5 is chance. Accuracy: the share of examples "
    "whose most probable class is theirs; balanced: its mean over classes. Largest class: the accuracy of always "
    "naming the most frequent class."
)


def label_rows(results: Results) -> list[MetricRow]:
    """A row for each figure and method with a score of a label, in the order of the scores."""
    return metric_rows(results, NAMES, _metrics_of)


def _metrics_of(score: Score) -> dict[str, float | None] | None:
    return None if score.label is None else {"auc": score.value} | asdict(score.label)

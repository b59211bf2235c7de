"""The names under which MLflow shows metrics: it sorts them by name, so scores come first, and durations last."""

import re

_NAMES = {
    "r2": "R2",
    "valid_r2": "R2 validation",
    "test_r2": "R2 test",
    "clock_r2": "R2 of the clock",
    "skill_over_clock": "R2 skill over the clock",
    "r2_other_trials": "R2 on other trials",
    "r2_with_clock": "R2 with the clock",
    "r2_least_squares": "R2 by least squares",
    "auc": "AUC",
    "valid_auc": "AUC validation",
    "auc_logistic": "AUC by logistic regression",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Accuracy balanced",
    "largest_class": "Accuracy of the largest class",
    "test_s": "size/test_s",
}
_SIZES = ("n_", "parameters")
_DURATIONS = ("seconds", "workers", "tokens_per_s")


def metric_name(key: str) -> str:
    """The name of a metric of a job: R2..., signals/..., size/..., training/... or wall time/...

    A name with a capital, or with a group of its own, is kept.
    """
    if key in _NAMES:
        return _NAMES[key]
    if key[:1].isupper() or "/" in key:  # a capital: of a session, an axis or another method
        return allowed_name(key)
    if key in _DURATIONS or key.endswith("_s"):
        return allowed_name(f"wall time/{key}")
    return allowed_name(f"{'size' if key.startswith(_SIZES) else 'training'}/{key}")


def allowed_name(key: str) -> str:
    """`key` with every character replaced that MLflow refuses in a name; names of behavior columns may have any."""
    return re.sub(r"[^\w.:/ -]", "_", key)

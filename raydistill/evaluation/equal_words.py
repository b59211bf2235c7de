"""What rows with equal settings show, in sentences."""

import numpy as np

from raydistill.evaluation.equal_settings import EqualSettings
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import r2_in_common
from raydistill.evaluation.tuning import settings_in_words


def equal_sentences(results: Results) -> list[str]:
    """One sentence per row that has a score, or that cannot have one."""
    return [sentence for row in results.equal if (sentence := _sentence(row, results))]


def _sentence(row: EqualSettings, results: Results) -> str:
    values = settings_in_words(row.values)
    if row.problem:
        return f"{row.method} cannot have the {values} of {row.other}: {row.problem}"
    scores = r2_in_common(results.all_scores, row.title, row.method, row.other)
    if not scores[0]:
        return ""
    equal, own, other = (float(np.mean([of_row[session] for session in sorted(of_row)])) for of_row in scores)
    return (
        f"With the {values} of {row.other}, {row.method} has R² {equal:.3f} ({own:.3f} with its own "
        f"{settings_in_words(row.own)}); {row.other} has {other:.3f}, a difference of {other - equal:+.3f} at equal "
        "settings."
    )

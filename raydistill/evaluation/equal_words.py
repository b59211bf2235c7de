"""What rows with equal settings show, in sentences."""

from collections.abc import Mapping, Sequence

import numpy as np

from raydistill.evaluation.equal_settings import EqualSettings
from raydistill.evaluation.results import Results, unique
from raydistill.evaluation.scores import Score, means_in_common
from raydistill.evaluation.tuning import Setting, settings_in_words


def equal_sentences(results: Results) -> list[str]:
    """One sentence per row that cannot have a score, and per figure in which a row has one."""
    refused = unique(
        f"{row.method} cannot have the {settings_in_words(row.values)} of {row.other}: {row.problem}"
        for row in results.equal
        if row.problem
    )
    trained = [row for row in results.equal if not row.problem]
    by_title = {row.title: [other for other in trained if other.title == row.title] for row in trained}
    sentences = [
        f"{panel.figure}: {sentence}" if panel.figure else sentence
        for rows in by_title.values()
        for panel in results.figures
        if (sentence := _sentence(rows, results.part(panel).all_scores, results.measure.symbol))
    ]
    return [*refused, *sentences]


def _sentence(rows: Sequence[EqualSettings], scores: Sequence[Score], symbol: str) -> str:
    """What a row, whose settings may differ between the draws of the folds, shows over these scores; empty if none.

    Args:
        symbol: of the measure of the scores.
    """
    row = rows[0]
    means = means_in_common(scores, row.title, row.method, row.other)
    if not means[0]:
        return ""
    equal, own, other = (float(np.mean([of_row[session] for session in sorted(of_row)])) for of_row in means)
    own_values = _in_words([row.own for row in rows])
    return (
        f"With the {_in_words([row.values for row in rows], row.other)}, {row.method} has {symbol} {equal:.3f} "
        f"({own:.3f} with its own{own_values and ' ' + own_values}); {row.other} has {other:.3f}, "
        f"a difference of {other - equal:+.3f} at equal settings."
    )


def _in_words(values: Sequence[Mapping[str, Setting]], owner: str = "") -> str:
    """The values, and whose they are; their names alone, or nothing, if each draw of the folds has its own."""
    texts = unique(map(settings_in_words, values))
    if len(texts) == 1:
        return f"{texts[0]} of {owner}" if owner else texts[0]
    names = unique(name.rpartition(".")[2] for of_draw in values for name in of_draw)
    return f"{' and '.join(names)} that {owner} has in each draw" if owner else ""

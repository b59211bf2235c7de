"""The cards of the methods of a sweep: what their jobs share, and what the sweep as a whole says about them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from raydistill.evaluation.card import Card, merged
from raydistill.evaluation.results import Results
from raydistill.evaluation.scores import mean_by_session
from raydistill.evaluation.sentences import origins_of
from raydistill.store.catalogue import Entry
from raydistill.sweep.answering.card import card_of, provenance_of
from raydistill.sweep.planning.job import DONE
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder


def method_cards(plan: Plan, results: Results, entries: Sequence[Entry], runs: RunsFolder) -> dict[str, Card]:
    """Method -> its card, for the methods that have a score, in the order of their scores.

    Raises:
        DataError: a job.json or metrics.json is missing or damaged.
    """
    by_session, jobs = {e.session: e for e in entries}, {job.key: job for job in plan.jobs}
    methods, cards = dict.fromkeys(s.method for s in results.scores), defaultdict[str, list[Card]](list)
    for planned in plan.planned:
        job = planned.job
        if planned.state == DONE and job.method in methods and job.kind not in ("control", "baseline"):
            own = [by_session[session] for session in job.spec.sessions]
            cards[job.method].append(card_of(job, jobs, own, runs.metrics(job.key), provenance_of(job, runs)))
    return {
        method: merged(method, _summary(method, results), cards[method], tuple(_limits(method, results)))
        for method in methods
        if cards[method]
    }


def _summary(method: str, results: Results) -> str:
    n_models = sum(s.method == method for s in results.scores)
    sessions = mean_by_session(results.scores, method)
    if not sessions:
        return f"{n_models} models without a finite score."
    n = len(sessions)
    means = "; ".join(_means(method, results))
    return f"{n_models} models, each scored on one of {n} session{'s' if n != 1 else ''}: {means}."


def _means(method: str, results: Results) -> Iterator[str]:
    """The mean score of a method, in each figure of a paper that shows it."""
    for panel in results.figures:
        if panel.has(method) and (means := mean_by_session(results.part(panel).scores, method)):
            count = f"{len(means)} session{'s' if len(means) != 1 else ''}"
            over = f"{count} of {panel.figure}" if panel.figure else "sessions"
            yield f"mean {results.measure.symbol} {np.mean(list(means.values())):.3f} over {over}"


def _limits(method: str, results: Results) -> Iterator[str]:
    """What only the sweep as a whole can tell."""
    yield from (b.in_words() for b in results.below if b.method == method)
    yield from origins_of(method, results)
    chosen = [
        tuned.in_words() for tuned in (results.tuning.methods if results.tuning else ()) if tuned.method == method
    ]
    if chosen:
        yield f"Its settings were chosen by scores on validation folds. {'. '.join(chosen)}."
    subjects = {s.subject for s in results.scores if s.method == method}
    if len(subjects) == 1:
        yield f"All of its sessions are of one subject, {next(iter(subjects))}."

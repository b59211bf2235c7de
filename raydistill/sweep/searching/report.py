"""`raydistill report` for a search: collects the content of its page, and writes the page."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from raydistill.config.load import override, read_yaml
from raydistill.config.yaml_files import dump_yaml
from raydistill.evaluation.report import embedded, picture, rendered
from raydistill.files import write_atomically
from raydistill.sweep.answering.commands import command
from raydistill.sweep.answering.report import data_file, header_of, versions_of
from raydistill.sweep.config.search import FROM_COMMAND_LINE, Search
from raydistill.sweep.config.space import Dimension, Range
from raydistill.sweep.planning.code import makers_of
from raydistill.sweep.searching.draw import CAPTIONS, draw
from raydistill.sweep.searching.opened import OpenSearch
from raydistill.sweep.searching.result import SearchResult, TriedValues, in_words, last_name, short
from raydistill.sweep.searching.rows import STATES, TrialRow, trial_rows

OBJECTIVES = {
    "valid_r2": "maximise the mean R² on the validation folds",
    "parameters": "minimise the number of parameters",
}
SAMPLERS = {"tpe": "Optuna's TPE", "random": "random points", "grid": "every point of the grid"}


def write_report(opened: OpenSearch, path: Path, out: Path, overrides: Sequence[str] = ()) -> None:
    """Write the page of a search, with all trials so far, to `out`; nothing is written into the runs folder.

    Args:
        path: the search file, as the user named it.
        overrides: values of `--set`, which the search already contains.
    Raises:
        RaydistillError: no trial of the search ran to its last epoch.
    """
    with tempfile.TemporaryDirectory() as scratch:
        narrow = Path(scratch) / "narrow"
        drawn = draw(opened.points, opened.result, Path(scratch))
        draw(opened.points, opened.result, narrow, narrow=True)
        figures = {file.stem: file for file in drawn if file.suffix == ".svg"}
        pictures = [
            picture(figures[name], narrow, caption, data_file(figures[name], opened.folder))
            for name, caption in CAPTIONS.items()
            if name in figures
        ]
        page = rendered("search.html", _page(opened, path, out, overrides) | {"figures": embedded(pictures)})
    write_atomically(out, page.encode())


def _page(opened: OpenSearch, path: Path, out: Path, overrides: Sequence[str]) -> dict:
    """The values of the template, by the names that it uses, without the figures."""
    search, result, rows = opened.search, opened.result, trial_rows(opened.points)
    best = next(row for row in rows if row.state == "complete")
    config = search.config
    return {
        "name": search.name,
        "question": header_of(path).get("Question", f"Better values for the job {config.job} of {config.sweep}"),
        "answer": answer(result),
        "notes": notes(opened),
        "failed": len(result.failed),
        "front": [
            {
                "parameters": f"{p.parameters:,}",
                "valid_r2": p.valid_r2,
                "cells": _cells(search.all_own_values | p.values),
            }
            for p in result.front
        ],
        "columns": [last_name(name) for name in search.space.dimensions],
        "counts": counts(rows),
        "trials": [_trial(row, row is best) for row in rows],
        "reasons": reasons(rows),
        "states": {state: STATES[state] for state in dict.fromkeys(row.state for row in rows)},
        "facts": facts(opened),
        "space": [
            {"name": name} | _dimension(dimension) | {"own": short(search.all_own_values[name])}
            for name, dimension in search.space.dimensions.items()
        ],
        "commands": "\n".join(
            [
                command("search", path, opened.runs.path, overrides),
                command("report", path, opened.runs.path, overrides, "--out", str(out)),
            ]
        ),
        "versions": versions_of(opened.keys_done, opened.runs),
        "sweep": _configuration(search, path, overrides),
    }


def answer(result: SearchResult) -> str:
    """The result in one or two sentences."""
    best, own = result.best, result.default
    if result.front:
        smallest, largest = result.front[0], result.front[-1]
        if len(result.front) == 1:
            return (
                "One trial has both the fewest parameters and the highest validation R²: "
                f"{in_words(best.values)}, with {best.parameters:,} parameters and {_scores(best)}{_compared(own)}."
            )
        return (
            f"The Pareto front has {len(result.front)} points, from {smallest.parameters:,} parameters with a "
            f"validation R² of {_r2(smallest.valid_r2)} ({in_words(smallest.values)}) to {largest.parameters:,} "
            f"parameters with {_r2(largest.valid_r2)} ({in_words(largest.values)}){_compared(own)}."
        )
    if own is not None and best.values == own.values:
        return f"No other values are better than the sweep's own: {in_words(best.values)}, with {_scores(best)}."
    return f"The best values are {in_words(best.values)}, with {_scores(best)}{_compared(own)}."


def _compared(own: TriedValues | None) -> str:
    return "; the sweep's own values have no score" if own is None else f"; the sweep's own values have {_scores(own)}"


def _scores(tried: TriedValues) -> str:
    test = "" if tried.test_r2 is None else f" (test R² {_r2(tried.test_r2)})"
    return f"a validation R² of {_r2(tried.valid_r2)}{test}"


def _r2(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def notes(opened: OpenSearch) -> list[str]:
    """What a reader of the answer has to know, one sentence each."""
    result, points = opened.result, opened.points
    sentences = []
    if result.exhausted:
        sentences.append("The space is exhausted: every point has been tried or is invalid.")
    elif not points.finished:
        sentences.append(
            f"The search is not finished: {len(points.results)} points have ended, of at most {points.most} that are "
            "tried. The first command below continues it."
        )
    if len(makers_of(opened.keys_done, opened.runs)) > 1:
        sentences.append(
            "Several versions of the code made the compared jobs; they are listed at the end of this page."
        )
    if result.taken_over:
        sentences.append(f"{result.taken_over} of the points were taken over from earlier studies of this search.")
    return sentences


def counts(rows: Sequence[TrialRow]) -> str:
    """How many points are in which state, in one sentence."""
    numbers = {state: sum(row.state == state for row in rows) for state in STATES}
    return f"{len(rows)} points: {', '.join(f'{n} {state}' for state, n in numbers.items() if n)}."


def reasons(rows: Sequence[TrialRow]) -> list[dict[str, str]]:
    """Why trials failed or were pruned, and where others were taken over from, each once with the numbers of trials."""
    trials = defaultdict[tuple[str, str], list[str]](list)
    for row in rows:
        if row.note:
            trials[row.state, row.note].append(str(row.number))
    return [{"state": state, "reason": note, "trials": ", ".join(n)} for (state, note), n in trials.items()]


def facts(opened: OpenSearch) -> dict[str, str]:
    """Name -> what was searched, on which data, and how."""
    search, jobs = opened.search, opened.searched.own_jobs
    config, epochs = search.config, jobs[0].training_spec.epochs
    sessions = sorted({session for job in jobs for session in job.spec.sessions})
    rungs = config.halving.rungs(epochs)[:-1] if config.halving else []
    halving = (
        f"at epochs {', '.join(map(str, rungs))} the best 1 of {config.halving.part} continue"
        if config.halving and rungs
        else "none: every trial runs to its end"
    )
    return {
        "job": f"{config.job} of {config.sweep}, on each of its sessions and seeds",
        "sessions": f"{len(sessions)}: {', '.join(sessions)}",
        "seeds of the job": ", ".join(dict.fromkeys(str(job.seed) for job in jobs if job.seed is not None)) or "none",
        "epochs": str(epochs),
        "objectives": "; ".join(OBJECTIVES[name] for name in config.objectives),
        "trials": f"at most {config.trials} points",
        "sampler": f"{SAMPLERS[config.sampler]}, seed {config.seed}",
        "early stopping": halving,
        "study": opened.points.study.study_name,
    }


def _trial(row: TrialRow, is_best: bool) -> dict:
    roles = [role for role, holds in (("best", is_best), ("sweep's own", row.is_reference)) if holds]
    return {
        "number": row.number,
        "role": ", ".join(roles),
        "state": row.state,
        "cells": _cells(row.values),
        "valid_r2": row.valid_r2,
        "epoch": row.epoch if row.epoch is not None else "–",
        "parameters": f"{row.parameters:,}" if row.parameters is not None else "–",
    }


def _cells(values) -> list[str]:
    return [short(value) for value in values.values()]


def _dimension(dimension: Dimension) -> dict[str, str]:
    """The values and the condition of a dimension in words."""
    condition = " and ".join(f"{name} is {_either(allowed)}" for name, allowed in dimension.when.items())
    if not isinstance(dimension, Range):
        return {"values": ", ".join(map(short, dimension.choices)), "condition": condition}
    step = f" in steps of {dimension.step:g}" if dimension.step else ""
    log = ", on a logarithmic scale" if dimension.log else ""
    return {"values": f"{dimension.low:g} to {dimension.high:g}{step}{log}", "condition": condition}


def _either(values) -> str:
    return " or ".join(map(short, values))


def _configuration(search: Search, path: Path, overrides: Sequence[str]) -> str:
    """The search file as YAML with overrides applied, and below it the job in its sweep."""
    tree = read_yaml(path)
    for text in overrides:
        if text.partition("=")[0].strip() not in FROM_COMMAND_LINE:
            override(tree, text)
    return (
        f"{dump_yaml(json.loads(json.dumps(tree)))}\n# the job in {search.config.sweep}\n"
        f"{dump_yaml({'jobs': {search.config.job: search.job_in_file}})}"
    )

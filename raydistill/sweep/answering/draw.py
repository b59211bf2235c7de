"""The figures of a sweep; a figure without data is omitted."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from raydistill.config.names import recorded_and_draw
from raydistill.errors import DataError
from raydistill.evaluation.measure import R2
from raydistill.evaluation.results import Results, unique
from raydistill.evaluation.scored_segments import read_segments
from raydistill.papers.targets import Panel
from raydistill.sweep.answering.delays import delays_of
from raydistill.sweep.answering.representations import shared_segments, typical_scores, typical_session
from raydistill.sweep.config.methods import pairs
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.training.history import read_history

_AT_LEAST = "Scores and means below -1 are drawn at -1; the data file has them."
CAPTIONS = {
    "published": "Decoding {score} of each session of the figure, by subject and over all sessions. A dot is the mean "
    "over seeds and draws of the folds of one session, a bar the mean over sessions. Open diamonds are the numbers "
    f"that the paper prints. {_AT_LEAST}",
    "session_dots": "Decoding {score} of each session, by subject and method. A dot is the mean over seeds and draws "
    "of the folds of one session, the bar through it their SD. A bar across is the mean over the sessions of a subject "
    "that has several. Grey lines are means of the baselines; of more than four, those of each signal that "
    f"see most (past, future and clock). {_AT_LEAST}",
    "paired_differences": "Comparisons of two methods. A thin line joins their scores for one session and seed; the "
    "thick line is the mean. Below: the mean difference with its interval, and p of the one-sided signed-rank test. "
    f"{_AT_LEAST}",
    "gain_by_control": "Where the gain of a distilled method comes from. Grey: the methods that it is compared with. "
    "Orange: its controls, whose teacher cannot tell what the spikes of the same moment tell. Blue: the method. A dot "
    f"is the mean over seeds and draws of the folds of one session, a bar the mean over sessions. {_AT_LEAST}",
    "tuning_trials": "Settings that were tried before the comparison. A dot is the mean {score} of one trial over the "
    "validation folds of the sessions; the diamond has the settings of the sweep file, the blue dot the chosen ones.",
    "trajectories": "Behavior as decoded by each method (in colour) over recorded behavior, in the first scored "
    "seconds of one session: that with the median {score} of the first method. Each method is shown by the seed "
    "whose {score} is nearest to its mean in this session.",
    "tsne": "t-SNE of the latents of the scored segments, for all models together: by model and by subject.",
    "sizes": "Mean decoding {score} over sessions against the number of parameters of the model; bars are the SD over "
    "sessions.",
    "latency": "Mean decoding {score} over sessions against how late a decoder answers, because it reads some later "
    "bins. Methods of one network are joined; on the right are those that read whole segments. Grey lines are the "
    "baselines that read the past alone.",
    "learning_curves": "Training and validation loss of the pretraining jobs. The ring marks the best epoch, whose "
    "model is used.",
}
"""Kind of figure -> its caption, with the name of the measure left open."""

Drawing = Callable[..., dict[str, Path]]
"""(path without extension, narrow=) -> extension -> file."""


def caption(stem: str, symbol: str) -> str:
    """The caption of a figure, from the name of its file without extension: its kind, and the published figure.

    Args:
        symbol: of the measure of the sweep.
    """
    kind, _, figure = stem.partition("-")
    words = CAPTIONS[kind].replace("{score}", symbol)
    return f"{figure.replace('_', ' ')}: {words}" if figure else words


def draw(
    sweep: SweepConfig, planned: Plan, runs: RunsFolder, results: Results, folder: Path, narrow: Path | None = None
) -> list[Path]:
    """Draw the figures of the sweep into `folder`; returns all files written.

    Args:
        narrow: folder for the forms of the figures that are as wide as a phone, whose files are not returned.
    """
    drawn: list[Path] = []
    for name, drawing in _drawings(sweep, planned, runs, results).items():
        drawn += drawing(folder / name).values()
        if narrow is not None:
            drawing(narrow / name, narrow=True)
    return drawn


def _drawings(sweep: SweepConfig, planned: Plan, runs: RunsFolder, results: Results) -> dict[str, Drawing]:
    """Name of a figure -> the function that draws it; a sweep that answers published figures has a set for each."""
    # Imported here because importing matplotlib takes half a second, also for commands without figures.
    from raydistill.evaluation.figures.learning import learning_curves
    from raydistill.evaluation.figures.tuning import tuning_trials

    drawings: dict[str, Drawing | None] = {}
    for panel in results.figures:
        end = f"-{_file_name(panel.figure)}" if panel.figure else ""
        while f"published{end}" in drawings:  # two names that differ in signs which file names lack
            end += "_"
        drawings |= {f"{kind}{end}": drawing for kind, drawing in _of_figure(results, panel, planned).items()}
    if results.scores:
        if results.tuning and any(tuned.scored for tuned in results.tuning.methods):
            drawings["tuning_trials"] = partial(tuning_trials, results.tuning)
        if results.measure == R2:
            drawings["trajectories"] = _trajectories(runs, results)
    drawings["tsne"] = _tsne(sweep, runs, results) if sweep.align else None
    pretrainings = {job.name: runs.job_folder(job.key) for job in planned.without_trials().jobs if job.is_pretraining}
    histories = {name: read_history(path) for name, path in pretrainings.items()}
    if histories := {name: lines for name, lines in histories.items() if lines}:
        drawings["learning_curves"] = partial(learning_curves, histories)
    return {name: drawing for name, drawing in drawings.items() if drawing}


def _of_figure(results: Results, panel: Panel, planned: Plan) -> dict[str, Drawing | None]:
    """Kind of figure -> the function that draws it with the sessions and methods of one published figure."""
    from raydistill.evaluation.figures.controls import gain_by_control
    from raydistill.evaluation.figures.latency import latency
    from raydistill.evaluation.figures.methods import session_dots
    from raydistill.evaluation.figures.pairs import paired_differences
    from raydistill.evaluation.figures.published import published_figure
    from raydistill.evaluation.figures.sizes import sizes

    part = results.part(panel)
    if not part.scores:
        return {}
    drawings: dict[str, Drawing | None] = {}
    if panel.figure:
        drawings["published"] = partial(published_figure, results, panel)
    else:
        drawings["session_dots"] = partial(session_dots, part)
    if part.comparisons or not panel.figure:
        drawings["paired_differences"] = partial(paired_differences, part)
    if part.controls:
        drawings["gain_by_control"] = partial(gain_by_control, part)
    parameters = parameters_of(planned, panel)
    if parameters and max(parameters.values()) >= 2 * min(parameters.values()):
        drawings["sizes"] = partial(sizes, part, parameters)
    delays = {name: delay for name, delay in delays_of(planned).items() if not delay.network or panel.has(name)}
    if (
        results.measure == R2
        and len({delay.ms for delay in delays.values() if delay.network and delay.ms is not None}) > 1
    ):
        drawings["latency"] = partial(latency, part, delays)
    return drawings


def _file_name(figure: str) -> str:
    """The name of a published figure as a part of a file name."""
    return re.sub(r"[^\w.]+", "_", figure)


def _trajectories(runs: RunsFolder, results: Results) -> Drawing | None:
    from raydistill.evaluation.figures.trajectories import DrawnModel, trajectories

    session = typical_session(results.scores, results.panels[0])
    scores = typical_scores(session, results.scores) if session is not None else {}
    if session is None or not scores:
        return None
    columns = next(list(s.per_part or ()) for s in scores.values())
    models = {
        method: DrawnModel(segments=read_segments(runs.job_folder(s.job)), r2=s.value, seed=s.seed)
        for method, s in scores.items()
    }
    return partial(trajectories, session, columns, models)


def _tsne(sweep: SweepConfig, runs: RunsFolder, results: Results) -> Drawing | None:
    from raydistill.evaluation.figures.latents import embed, tsne

    methods = unique(method for pair in pairs(sweep.align, "align", sign="~") for method in pair)
    try:
        shared = shared_segments(methods, results.scores, runs, results.panels[0])
    except DataError:  # the notes of the results mention it already
        return None
    return partial(tsne, embed(shared.vectors), shared.sessions, shared.subjects)


def parameters_of(planned: Plan, panel: Panel) -> dict[str, int]:
    """Method -> number of parameters of its largest model on a session of one figure."""
    by_key = {p.job.key: p.parameters for p in planned.planned if p.parameters}
    largest: dict[str, int] = {}
    for job in planned.jobs:
        size = by_key.get(job.key) or by_key.get(getattr(job.spec, "trained", ""))
        shown = job.session and panel.shows(recorded_and_draw(job.session)[0])
        if job.method and shown and panel.has(job.method) and size:
            largest[job.method] = max(largest.get(job.method, 0), size)
    return largest

"""The figures of a sweep; a figure without data is omitted."""

from pathlib import Path

from raydistill.errors import DataError
from raydistill.evaluation.results import Results, unique
from raydistill.sweep.answering.representations import decoded_behavior, shared_segments, typical_session
from raydistill.sweep.config.sweep import SweepConfig, pairs
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.training.history import read_history

CAPTIONS = {
    "session_dots": "Decoding R² of each session, by subject and method. A dot is the mean over seeds of one session, "
    "its bar the SD over seeds. Black bars are means over the sessions of a subject, grey lines those of the "
    "baselines; of more than four, those of each signal that see most (past, future and clock).",
    "paired_differences": "Comparisons of two methods. A line joins their scores for one session and seed; black is "
    "the mean. Below: the mean difference and the one-sided signed-rank test.",
    "gain_by_control": "Where the gain of a distilled method comes from. Grey: the methods that it is compared with. "
    "Orange: its controls, whose teacher cannot tell what the spikes of the same moment tell. Blue: the method. A dot "
    "is the mean over seeds of one session, a bar the mean over sessions.",
    "tuning_trials": "Settings that were tried before the comparison. A dot is the mean R² of one trial over the "
    "validation folds of the sessions; the diamond has the settings of the sweep file, the blue dot the chosen ones.",
    "trajectories": "Recorded behavior, and behavior decoded by each method, in the first scored seconds of one "
    "session. It is the session with the median R² of the first method.",
    "tsne": "t-SNE of the latents of the scored segments, for all models together: by model and by subject.",
    "sizes": "Mean decoding R² over sessions against the number of parameters of the model; bars are the SD over "
    "sessions.",
    "learning_curves": "Training and validation loss of the pretraining jobs. The ring marks the best epoch, whose "
    "model is used.",
}
"""File name of a figure -> its caption."""


def draw(sweep: SweepConfig, planned: Plan, runs: RunsFolder, results: Results, folder: Path) -> list[Path]:
    """Draw the figures of the sweep into `folder`; returns all files written."""
    # Imported here because importing matplotlib takes half a second, also for commands without figures.
    from raydistill.evaluation.figures.controls import gain_by_control
    from raydistill.evaluation.figures.learning import learning_curves
    from raydistill.evaluation.figures.methods import paired_differences, session_dots
    from raydistill.evaluation.figures.sizes import sizes
    from raydistill.evaluation.figures.tuning import tuning_trials

    drawn: list[Path] = []
    if results.scores:
        drawn += session_dots(results, folder / "session_dots").values()
        drawn += paired_differences(results, folder / "paired_differences").values()
        if results.controls:
            drawn += gain_by_control(results, folder / "gain_by_control").values()
        if results.tuning and any(tuned.scored for tuned in results.tuning.methods):
            drawn += tuning_trials(results.tuning, folder / "tuning_trials").values()
        drawn += _trajectories(planned, runs, results, folder / "trajectories")
    if sweep.align:
        drawn += _tsne(sweep, runs, results, folder / "tsne")
    parameters = _parameters(planned)
    if results.scores and parameters and max(parameters.values()) >= 2 * min(parameters.values()):
        drawn += sizes(results, parameters, folder / "sizes").values()
    pretrainings = {job.name: runs.job_folder(job.key) for job in planned.without_trials().jobs if job.is_pretraining}
    histories = {name: read_history(path) for name, path in pretrainings.items()}
    if histories := {name: lines for name, lines in histories.items() if lines}:
        drawn += learning_curves(histories, folder / "learning_curves").values()
    return drawn


def _trajectories(planned: Plan, runs: RunsFolder, results: Results, path: Path) -> list[Path]:
    from raydistill.evaluation.figures.trajectories import trajectories

    session = typical_session(results.scores, results.panels[0])
    if session is None:
        return []
    columns = next(list(s.r2_per_axis or ()) for s in results.scores if s.session == session)
    return list(trajectories(session, columns, decoded_behavior(session, results.scores, runs), path).values())


def _tsne(sweep: SweepConfig, runs: RunsFolder, results: Results, path: Path) -> list[Path]:
    from raydistill.evaluation.figures.latents import tsne

    methods = unique(method for pair in pairs(sweep.align, "align", sign="~") for method in pair)
    try:
        shared = shared_segments(methods, results.scores, runs, results.panels[0])
    except DataError:  # the notes of the results mention it already
        return []
    return list(tsne(shared.vectors, shared.sessions, shared.subjects, path).values())


def _parameters(planned: Plan) -> dict[str, int]:
    """Method -> number of parameters of its largest model."""
    by_key = {p.job.key: p.parameters for p in planned.planned if p.parameters}
    largest: dict[str, int] = {}
    for job in planned.jobs:
        size = by_key.get(job.key) or by_key.get(getattr(job.spec, "trained", ""))
        if job.method and size:
            largest[job.method] = max(largest.get(job.method, 0), size)
    return largest

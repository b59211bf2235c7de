"""The figures of a sweep, as far as it has what they show."""

from pathlib import Path

from raydistill.errors import DataError
from raydistill.evaluation.results import Results, unique
from raydistill.sweep.answering.representations import decoded_behavior, represented, typical_session
from raydistill.sweep.config.sweep import SweepConfig, pairs
from raydistill.sweep.planning.plan import Plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.training.history import read_history

CAPTIONS = {
    "session_dots": "Decoding R² of every session by subject and method: a dot is a session, mean over seeds, its bar "
    "the SD over seeds; black bars are means over a subject's sessions, grey lines those of the baselines.",
    "paired_differences": "Every comparison: a line joins the two methods on one session and seed; black are the "
    "means. Beneath, the mean difference and the one-sided signed-rank test.",
    "trajectories": "Behavior as recorded and as decoded by each method, on the first scored seconds of a typical "
    "session: the one where the first method's R² is its median.",
    "tsne": "t-SNE of the scored sequences, all models together, by model and by subject.",
    "sizes": "Mean decoding R² over sessions against the size of the model; bars are SD over sessions.",
    "learning_curves": "Training and validation loss of the pretrainings; the ring is the epoch that was kept.",
}
"""File name of a figure -> what it shows."""


def draw(sweep: SweepConfig, planned: Plan, runs: RunsFolder, results: Results, folder: Path) -> list[Path]:
    """Every figure in all its formats; what was drawn."""
    # Imported here: matplotlib takes half a second, which a command without figures need not wait for.
    from raydistill.evaluation.figures.learning import learning_curves
    from raydistill.evaluation.figures.methods import paired_differences, session_dots
    from raydistill.evaluation.figures.sizes import sizes

    drawn = []
    if results.scores:
        drawn += session_dots(results, folder / "session_dots").values()
        drawn += paired_differences(results, folder / "paired_differences").values()
        drawn += _trajectories(planned, runs, results, folder / "trajectories")
    if sweep.align:
        drawn += _tsne(sweep, runs, results, folder / "tsne")
    parameters = _parameters(planned)
    if results.scores and parameters and max(parameters.values()) >= 2 * min(parameters.values()):
        drawn += sizes(results, parameters, folder / "sizes").values()
    pretrainings = {job.name: runs.job_folder(job.key) for job in planned.jobs if job.is_pretraining}
    histories = {name: read_history(path) for name, path in pretrainings.items()}
    if histories := {name: lines for name, lines in histories.items() if lines}:
        drawn += learning_curves(histories, folder / "learning_curves").values()
    return drawn


def _trajectories(planned: Plan, runs: RunsFolder, results: Results, path: Path) -> list[Path]:
    from raydistill.evaluation.figures.trajectories import trajectories

    session = typical_session(results.scores, results.panels[0])
    if session is None:
        return []
    columns = next(s.r2_per_axis for s in results.scores if s.session == session)
    return list(trajectories(session, list(columns), decoded_behavior(session, results.scores, runs), path).values())


def _tsne(sweep: SweepConfig, runs: RunsFolder, results: Results, path: Path) -> list[Path]:
    from raydistill.evaluation.figures.latents import tsne

    methods = unique(method for pair in pairs(sweep.align, "align", sign="~") for method in pair)
    try:
        shown = represented(methods, results.scores, runs, results.panels[0])
    except DataError:  # said among the notes already
        return []
    return list(tsne(shown.vectors, shown.sessions, shown.subjects, path).values())


def _parameters(planned: Plan) -> dict[str, int]:
    """Method -> parameters of its largest model."""
    own = {p.job.key: p.parameters for p in planned.planned if p.parameters}
    found: dict[str, int] = {}
    for job in planned.jobs:
        size = own.get(job.key) or own.get(getattr(job.spec, "trained", ""))
        if job.method and size:
            found[job.method] = max(found.get(job.method, 0), size)
    return found

"""Latents of segments as points in a plane (docs/methods.md, Representations)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from raydistill.evaluation.figures.style import (
    ONE_COLUMN,
    TWO_COLUMNS,
    legend_columns,
    look,
    look_of_subject,
    marker,
    save,
    styled,
)

PERPLEXITY = 30
MAX_POINTS = 5000  # of all methods together; above it, a seeded sample of the segments is drawn


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """Segments in the latents of several methods, as points in one plane."""

    drawn: np.ndarray
    """(n,) the segments that are drawn, of N."""
    points: dict[str, np.ndarray]
    """Method -> (n, 2)."""


def embed(vectors: Mapping[str, np.ndarray]) -> Plane:
    """t-SNE of all models together.

    Args:
        vectors: method -> (N, D), whose rows are the same segments.
    """
    from sklearn.manifold import TSNE

    drawn = np.arange(len(next(iter(vectors.values()))))
    if len(drawn) * len(vectors) > MAX_POINTS:
        drawn = np.sort(np.random.default_rng(0).permutation(drawn)[: MAX_POINTS // len(vectors)])
    stacked = np.concatenate([x[drawn] for x in vectors.values()])  # (methods * n, D)
    perplexity = min(PERPLEXITY, (len(stacked) - 1) / 3)
    flat = TSNE(2, init="pca", perplexity=perplexity, random_state=0).fit_transform(stacked)
    points = flat.reshape(len(vectors), len(drawn), 2)  # (methods * n, 2) -> (methods, n, 2)
    return Plane(drawn=drawn, points=dict(zip(vectors, points, strict=True)))


@styled
def tsne(
    plane: Plane,
    session_of: Sequence[str] | np.ndarray,
    subject_of: Sequence[str] | np.ndarray,
    path: Path,
    narrow: bool = False,
) -> dict[str, Path]:
    """A plane twice: coloured by model and by subject.

    Args:
        session_of: (N,) session of each segment.
        subject_of: (N,) subject of each segment.
        path: without extension.
        narrow: as wide as a phone.
    """
    drawn, points = plane.drawn, np.stack(list(plane.points.values()))  # (methods, n, 2)
    sessions, subjects = np.asarray(session_of), np.asarray(subject_of)
    figure = Figure(figsize=(ONE_COLUMN, 6.4) if narrow else (TWO_COLUMNS, 3.4))
    by_model, by_subject = figure.subplots(2, 1) if narrow else figure.subplots(1, 2)
    for m, xy in enumerate(points):
        by_model.scatter(*xy.T, s=5, linewidths=0, alpha=0.6, **look(m))
    subject_names = list(dict.fromkeys(subjects[drawn]))
    for g, subject in enumerate(subject_names):
        of_subject = subjects[drawn] == subject
        by_subject.scatter(*points[:, of_subject].reshape(-1, 2).T, s=6, linewidths=0, alpha=0.6, **look_of_subject(g))
    for ax, title, names, look_of in (
        (by_model, "by model", list(plane.points), look),
        (by_subject, "by subject", subject_names, look_of_subject),
    ):
        ax.set_title(title, loc="left")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlabel("t-SNE 1")
        ax.set_ylabel("t-SNE 2")
        handles = [marker(name, look_of(i)) for i, name in enumerate(names)]
        columns = legend_columns(handles, ONE_COLUMN)
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=columns)
    rows = [
        (method, subjects[i], sessions[i], *xy)
        for method, of_method in plane.points.items()
        for i, xy in zip(drawn, of_method, strict=True)
    ]
    return save(figure, path, ("method", "subject", "session", "tsne_1", "tsne_2"), rows, narrow)

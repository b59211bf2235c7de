"""Latents of segments as points in a plane (docs/methods.md, Representations)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from raydistill.evaluation.figures.style import TWO_COLUMNS, legend_columns, look, marker, save, styled

PERPLEXITY = 30
MAX_POINTS = 5000  # of all methods together; above it, a seeded sample of the segments is drawn


@styled
def tsne(
    vectors: Mapping[str, np.ndarray],
    session_of: Sequence[str] | np.ndarray,
    subject_of: Sequence[str] | np.ndarray,
    path: Path,
) -> dict[str, Path]:
    """t-SNE of all models together, coloured by model and by subject.

    Args:
        vectors: method -> (N, D), whose rows are the same segments.
        session_of: (N,) session of each segment.
        subject_of: (N,) subject of each segment.
        path: without extension.
    """
    from sklearn.manifold import TSNE

    sessions, subjects = np.asarray(session_of), np.asarray(subject_of)
    drawn = np.arange(len(sessions))
    if len(drawn) * len(vectors) > MAX_POINTS:
        drawn = np.sort(np.random.default_rng(0).permutation(drawn)[: MAX_POINTS // len(vectors)])
    stacked = np.concatenate([x[drawn] for x in vectors.values()])  # (methods * N, D)
    perplexity = min(PERPLEXITY, (len(stacked) - 1) / 3)
    embedded = TSNE(2, init="pca", perplexity=perplexity, random_state=0).fit_transform(stacked)
    points = embedded.reshape(len(vectors), len(drawn), 2)  # (methods * N, 2) -> (methods, N, 2)

    figure = Figure(figsize=(TWO_COLUMNS, 3.4))
    by_model, by_subject = figure.subplots(1, 2)
    for m, xy in enumerate(points):
        by_model.scatter(*xy.T, s=5, linewidths=0, alpha=0.6, **look(m))
    subject_names = list(dict.fromkeys(subjects[drawn]))
    for g, subject in enumerate(subject_names):
        of_subject = subjects[drawn] == subject
        by_subject.scatter(*points[:, of_subject].reshape(-1, 2).T, s=5, linewidths=0, alpha=0.6, **look(g))
    for ax, title, names in ((by_model, "by model", list(vectors)), (by_subject, "by subject", subject_names)):
        ax.set_title(title, loc="left")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_xlabel("t-SNE 1")
        ax.set_ylabel("t-SNE 2")
        handles = [marker(i, name) for i, name in enumerate(names)]
        columns = legend_columns(handles, TWO_COLUMNS / 2)
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=columns)
    rows = [
        (method, subjects[i], sessions[i], *xy)
        for method, of_method in zip(vectors, points, strict=True)
        for i, xy in zip(drawn, of_method, strict=True)
    ]
    return save(figure, path, ("method", "subject", "session", "tsne_1", "tsne_2"), rows)

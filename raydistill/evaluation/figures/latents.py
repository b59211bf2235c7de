"""Sequences as points of a plane: do the models put the same sequences in the same place (spec D4)?"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from raydistill.evaluation.figures.style import TWO_COLUMNS, legend_columns, look, marker, save, styled

PERPLEXITY = 30
MOST = 5000  # points; beyond, a seeded choice of sequences


@styled
def tsne(vectors: Mapping[str, np.ndarray], sessions: Sequence[str], subjects: Sequence[str], path: Path):
    """t-SNE of all models together, coloured by model and by subject.

    Args:
        vectors: method -> (N, D), row by row the same sequences.
        sessions: (N,) of each sequence.
        subjects: (N,) of each sequence.
    """
    from sklearn.manifold import TSNE

    sessions, subjects = np.asarray(sessions), np.asarray(subjects)
    chosen = np.arange(len(sessions))
    if len(chosen) * len(vectors) > MOST:
        chosen = np.sort(np.random.default_rng(0).permutation(chosen)[: MOST // len(vectors)])
    stacked = np.concatenate([x[chosen] for x in vectors.values()])  # (methods * N, D)
    perplexity = min(PERPLEXITY, (len(stacked) - 1) / 3)
    made = TSNE(2, init="pca", perplexity=perplexity, random_state=0).fit_transform(stacked)
    places = made.reshape(len(vectors), len(chosen), 2)  # (methods * N, 2) -> (methods, N, 2)

    figure = Figure(figsize=(TWO_COLUMNS, 3.4))
    by_model, by_subject = figure.subplots(1, 2)
    for m, xy in enumerate(places):
        by_model.scatter(*xy.T, s=5, linewidths=0, alpha=0.6, **look(m))
    known = list(dict.fromkeys(subjects[chosen]))
    for g, subject in enumerate(known):
        own = subjects[chosen] == subject
        by_subject.scatter(*places[:, own].reshape(-1, 2).T, s=5, linewidths=0, alpha=0.6, **look(g))
    for ax, title, names in ((by_model, "by model", list(vectors)), (by_subject, "by subject", known)):
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
        for method, points in zip(vectors, places, strict=True)
        for i, xy in zip(chosen, points, strict=True)
    ]
    return save(figure, path, ("method", "subject", "session", "tsne_1", "tsne_2"), rows)

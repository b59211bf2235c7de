"""Where the clusters of a spike sorter were recorded: the channel on which each is largest, and its position."""

from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.files.npy import load_npy
from raydistill.recordings.readers.sorter_tables import Labels
from raydistill.store.channels import ChannelTable, channel_table

POSITIONS = ("templates.npy", "templates_ind.npy", "channel_map.npy", "channel_positions.npy", "channel_shanks.npy")
_WHOLE = ("templates_ind.npy", "channel_map.npy", "channel_shanks.npy")


def positions(folder: Path, clusters: list[int], labels: Labels) -> ChannelTable | None:
    """The peak channel of each cluster: as its table of clusters says, else that of its template.

    Args:
        clusters: numbers of the clusters to describe.
        labels: see `read_labels`; `ch`, `sh` and `depth` are used.

    Raises:
        DataError: a file is damaged.
    """
    arrays = {name: _numbers(folder / name, name in _WHOLE) for name in POSITIONS if (folder / name).is_file()}
    peaks = _peak_rows(folder, clusters, arrays)
    mapped = np.ravel(arrays["channel_map.npy"]).tolist() if "channel_map.npy" in arrays else None
    places, shanks = arrays.get("channel_positions.npy"), arrays.get("channel_shanks.npy")
    if places is not None and (places.ndim != 2 or places.shape[1] < 2):
        raise DataError(f"channel_positions.npy has the shape {places.shape}; (channels, 2) is needed")
    columns: dict[str, list] = {name: [] for name in ("electrode", "array", "x_um", "y_um")}
    for cluster in clusters:
        row = peaks.get(cluster)  # of channel_map and channel_positions
        channel = _number(labels, "ch", cluster)
        if channel is not None and mapped is not None:
            row = mapped.index(int(channel)) if int(channel) in mapped else None
        elif channel is None and row is not None:
            channel = mapped[row] if mapped is not None and row < len(mapped) else row
        place = places[row] if places is not None and row is not None and row < len(places) else (None, None)
        shank = np.ravel(shanks)[row] if shanks is not None and row is not None and row < shanks.size else None
        columns["electrode"].append("" if channel is None else str(int(channel)))
        columns["array"].append(labels.get("sh", {}).get(cluster) or ("" if shank is None else str(int(shank))))
        columns["x_um"].append(place[0])
        columns["y_um"].append(place[1] if place[1] is not None else _number(labels, "depth", cluster))
    if not any(columns["electrode"]) and all(depth is None for depth in columns["y_um"]):
        return None
    return channel_table(len(clusters), **columns)


def _numbers(path: Path, is_whole: bool) -> np.ndarray:
    """The numbers in a file. Raises DataError if they are no real numbers, or not whole if they must be."""
    values = load_npy(path)
    if values.dtype.kind not in "uif":
        raise DataError(f"{path.name} holds {values.dtype} values, not real numbers")
    if is_whole and values.dtype.kind == "f" and not np.all(np.isfinite(values) & (values == np.round(values))):
        raise DataError(f"{path.name} must hold whole numbers")
    return values


def _number(labels: Labels, column: str, cluster: int) -> float | None:
    try:
        return float(labels[column][cluster])
    except (KeyError, ValueError):
        return None


def _peak_rows(folder: Path, clusters: list[int], arrays: dict[str, np.ndarray]) -> dict[int, int]:
    """Cluster -> row of the channel on which the template of most of its spikes has the largest range."""
    templates = arrays.get("templates.npy")
    if templates is None:
        return {}
    if templates.ndim != 3:
        raise DataError(f"templates.npy has the shape {templates.shape}; (templates, samples, channels) is needed")
    sparse = arrays.get("templates_ind.npy")  # the channels of each template, if it lists only some
    if sparse is not None and sparse.shape != (templates.shape[0], templates.shape[2]):
        raise DataError(f"templates_ind.npy has the shape {sparse.shape}; (templates, channels) is needed")
    rows: dict[int, int] = {}
    for cluster, template in _main_templates(folder, clusters).items():
        if 0 <= template < len(templates) and np.isfinite(templates[template]).all():
            peak = int(np.argmax(np.ptp(templates[template], axis=0)))
            row = peak if sparse is None else int(sparse[template, peak])
            if row >= 0:  # the channels of a sparse template may be filled up with -1
                rows[cluster] = row
    return rows


def _main_templates(folder: Path, clusters: list[int]) -> dict[int, int]:
    """Cluster -> template of most of its spikes. Curation merges and splits clusters, but not templates."""
    if not (folder / "spike_templates.npy").is_file() or not (folder / "spike_clusters.npy").is_file():
        return {cluster: cluster for cluster in clusters}
    owners, templates = (np.ravel(_numbers(folder / f"spike_{name}.npy", True)) for name in ("clusters", "templates"))
    if len(owners) != len(templates):
        raise DataError(f"spike_templates.npy has {len(templates)} entries but there are {len(owners)} spikes")
    pairs, counts = np.unique(np.stack([owners, templates], axis=1).astype(np.int64), axis=0, return_counts=True)
    order = np.argsort(counts, kind="stable")  # the last entry of a cluster is the most frequent
    main = dict(pairs[order].tolist())
    return {cluster: main[cluster] for cluster in clusters if cluster in main}

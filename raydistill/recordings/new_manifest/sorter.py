"""What the folder of a spike sorter holds."""

from collections import Counter
from pathlib import Path

import numpy as np

from raydistill.errors import DataError
from raydistill.recordings.files.npy import load_npy
from raydistill.recordings.new_manifest.parts import FileContent
from raydistill.recordings.new_manifest.text import Line, Section, choice, placeholder
from raydistill.recordings.readers import sorter as sorter_layout
from raydistill.recordings.readers.sorter import NOISE
from raydistill.recordings.readers.sorter_tables import read_labels, read_rate


def sorter_content(folder: Path, name: str, one_file: bool) -> FileContent:
    """The spikes of a folder with spike_times.npy.

    Raises:
        DataError: a file of the folder is damaged.
    """
    try:
        times = np.ravel(load_npy(folder / "spike_times.npy"))
        labels, rate = read_labels(folder), read_rate(folder)
    except DataError as err:
        raise DataError(f"{folder.name}: {err}") from err
    if not len(times) or times.dtype.kind not in "uif":
        raise DataError(f"{folder.name}: spike_times.npy holds no spike times")
    last = float(times.max())
    if rate is None:
        what = "the rate in Hz of the sorted recording, such as 30000"
        line = placeholder("rate_hz", what, f"the last of {len(times)} spikes is at sample {last:.0f}")
    else:
        line = Line(key="rate_hz", value=rate, guess=f"sample_rate in params.py; {len(times)} spikes")
    file = () if one_file else (Line(key="file", value=name),)
    return FileContent(
        file=name,
        kind=sorter_layout.LAYOUT.name,
        spikes=Line(key="spikes", value=Section((*file, line)), guess="spike_times.npy, as sorters write it for Phy"),
        others=tuple(_filter(labels)),
        last_s=last / rate if rate else None,
        words=frozenset({"spike_times.npy"}),
    )


def _filter(labels: dict[str, dict[int, str]]) -> list[Line]:
    stated = (name for name in ("group", "KSLabel") if set(labels.get(name, {}).values()) - {NOISE})
    column = next(stated, None)
    if column is None:
        return []
    counts = Counter(labels[column].values())
    told = ", ".join(f"{n} {label}" for label, n in counts.most_common())
    asks = f"use only clusters with some labels? {column}: {told}. By default all are used that are not noise"
    best = "good" if "good" in counts else next(label for label, _ in counts.most_common() if label != NOISE)
    return [choice("unit_filter", {"column": column, "keep": [best]}, asks)]

"""Which files are one session together, and which are one session each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raydistill.recordings.files.nodes import natural
from raydistill.recordings.new_manifest.parts import FileContent

_ALIKE = 0.7
"""Files that share this part of their names of variables have the same content."""


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """The files of each session."""

    sessions: list[list[FileContent]]
    question: str
    """What to ask about it; empty for a single file."""


def grouped(contents: Sequence[FileContent], is_complete: Callable[[FileContent], bool]) -> Grouping:
    """Sort files into sessions by what they hold.

    Args:
        is_complete: whether a file may be a session of its own.
    """
    if len(contents) == 1:
        return Grouping(sessions=[[contents[0]]], question="")
    clusters = _clusters(contents)
    most = max(map(len, clusters))
    if most == 1 and sum(map(is_complete, contents)) > 1:
        asks = (
            "one session per file, as guessed because several hold spikes and other signals? If they are parts of one "
            "session, move the sections of one below those of the other, each with its `file`"
        )
        return Grouping(sessions=[[content] for content in contents], question=asks)
    if most == 1:
        asks = (
            "one session from all files, as guessed because they hold different things? If they are separate "
            "recordings, run new-manifest on each"
        )
        return Grouping(sessions=[list(contents)], question=asks)
    if len(clusters) == 1:
        asks = "one session per file, as guessed because all hold the same variables? Are all of one subject?"
        return Grouping(sessions=[[content] for content in contents], question=asks)
    even = [cluster for cluster in clusters if len(cluster) == most]
    rows = [sorted(cluster, key=lambda content: natural(content.file)) for cluster in even]
    sessions = [list(files) for files in zip(*rows, strict=True)]
    rest = [content for cluster in clusters if len(cluster) < most for content in cluster]
    asks = f"do these belong together: {'; '.join(' + '.join(c.file for c in files) for files in sessions)}?"
    if rest:
        asks += f" And is each of {', '.join(c.file for c in rest)} a session of its own?"
    return Grouping(sessions=[*sessions, *([content] for content in rest)], question=asks)


def _clusters(contents: Sequence[FileContent]) -> list[list[FileContent]]:
    clusters: list[list[FileContent]] = []
    for content in contents:
        fitting = (cluster for cluster in clusters if _are_alike(cluster[0], content))
        cluster = next(fitting, None)
        if cluster is None:
            clusters.append([content])
        else:
            cluster.append(content)
    return clusters


def _are_alike(a: FileContent, b: FileContent) -> bool:
    if a.kind != b.kind:
        return False
    shared, all_of_them = len(a.words & b.words), len(a.words | b.words)
    return a.words == b.words or shared >= _ALIKE * all_of_them

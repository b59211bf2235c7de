"""A search over a small store whose points are planned but not trained, for tests of what is tried next."""

from pathlib import Path

from raydistill.store.store import Store
from raydistill.sweep.config.search import load_search
from raydistill.sweep.searching.points import Points
from raydistill.sweep.searching.searched import SearchedJob
from raydistill.sweep.searching.study import open_study, take_over
from tests.sweep.baseline_sweep import write_sweep

SEARCH = """name: small
sweep: sweep.yaml
job: ss_lfp
halving: null
"""


class SmallSearch:
    """A folder with a store, a sweep whose model has 2 layers, width 64 and 4 heads, and a search."""

    def __init__(self, folder: Path):
        self.folder, self.runs = folder, folder / "runs"
        write_sweep(folder)

    def edit(self, old: str, new: str) -> None:
        """Change the sweep file."""
        text = (self.folder / "sweep.yaml").read_text()
        assert old in text
        (self.folder / "sweep.yaml").write_text(text.replace(old, new))

    def searched(self, space: str, *lines: str, overrides=()) -> SearchedJob:
        """The searched job with this space, and further lines of the search file."""
        lines = tuple(line for line in SEARCH.splitlines() if line.split(":")[0] not in "".join(lines)) + lines
        (self.folder / "search.yaml").write_text("\n".join([*lines, f"space: {space}", ""]))
        search = load_search(self.folder / "search.yaml", overrides)
        return SearchedJob(search, Store(search.sweep.store).entries())

    def points(self, space: str, *lines: str, expired=lambda: False) -> Points:
        """The points of the search, as a new process sees them."""
        searched = self.searched(space, *lines)
        study = open_study(searched, self.runs)
        self.taken = take_over(study, searched, self.runs)
        return Points(study, searched, expired)


def finish(points: Points, score=lambda values: 0.5, fails=lambda values: False) -> list[dict]:
    """Try points one after another until none is left; returns their values in the order in which they were tried."""
    tried = []
    while point := points.next():
        tried.append(point.values)
        if fails(point.values):
            points.fail(point, "TrainingError: the loss is not finite")
        else:
            points.end(point, valid_r2=score(point.values), epoch=3, complete=True)
    return tried

"""The tables of runs that MLflow's UI opens: saved views of an experiment, kept in its tags.

A view says which runs are listed, by which metric they are sorted and which columns are shown. The names of the tags
and of the settings are those of MLflow's UI, which reads them when its address has the key of a view.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

METHODS, JOBS = "methods", "jobs"
"""Keys of the views of a sweep: one run per method, and one run per job."""
_RUN_NAME, _CREATED = "attributes.`Run Name`", "runDateAndNestInfo"
"""Names of columns that MLflow always shows."""
_TAG = "mlflow.sharedViewState."
_LONGEST, _MOST = 4500, 50
"""Characters of a tag, of which MLflow takes 5000, and columns."""
_WIDEST = 320


@dataclass(frozen=True)
class View:
    """A table of runs, sorted by its first metric, the largest first."""

    key: str
    name: str
    query: str
    """Which runs are listed, as MLflow's search writes it."""
    columns: Sequence[tuple[str, str]]
    """(metrics, params or tags; name), in the order in which they are shown. The runs have at least one metric."""

    def to_tag(self) -> tuple[str, str]:
        """(name, value) of the tag of the experiment; columns at the end are left out if the value is too long."""
        columns = list(self.columns)[:_MOST]
        while len(value := self._value(columns)) > _LONGEST:
            columns.pop()
        return _TAG + self.key, value

    def _value(self, columns: Sequence[tuple[str, str]]) -> str:
        shown = {f"{kind}.`{name}`": _width(kind, name) for kind, name in columns}
        state = {
            "searchFilter": self.query,
            "orderByKey": next(column for column in shown if column.startswith("metrics.")),
            "orderByAsc": False,
            "selectedColumns": list(shown),
            "columnOrder": [_RUN_NAME, _CREATED, *shown],
            "columnWidths": {_RUN_NAME: 260, _CREATED: 140, **shown},
        }
        # The number is a time for the order of the views; a constant one keeps the tag the same when it is set again.
        return json.dumps({"name": self.name, "createdAt": int(self.key == METHODS), "state": json.dumps(state)})


def address(experiment: str, tags: Mapping[str, str]) -> str:
    """The address of an experiment in MLflow's UI, from its root: the table of methods, or of jobs before it exists."""
    view = next((key for key in (METHODS, JOBS) if _TAG + key in tags), None)
    # Without the kind of work, MLflow shows its page for language models.
    options = {"workflowType": "machine_learning", "viewStateShareKey": view}
    return f"/#/experiments/{experiment}/runs?{urlencode({name: text for name, text in options.items() if text})}"


def tag_of(key: str) -> str:
    """The name of the tag of a view."""
    return _TAG + key


def metrics_of(names: Iterable[str]) -> list[tuple[str, str]]:
    """Columns of these metrics, each once."""
    return [("metrics", name) for name in dict.fromkeys(names)]


def _width(kind: str, name: str) -> int:
    """The width of a column in which its heading can be read, and the name of a method or session."""
    return min(max(90 if kind == "metrics" else 130, 8 * len(name) + 30), _WIDEST)

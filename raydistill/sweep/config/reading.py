"""From a sweep file and the files that it includes to its configuration."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from raydistill.config.addresses import is_mistyped
from raydistill.config.load import Where, include, load, located, override, read_yaml
from raydistill.errors import ConfigError
from raydistill.sweep.config.sweep import SweepConfig


def load_sweep(path, overrides=()) -> SweepConfig:
    """The sweep in a file, with included files, then overrides ("path=value") applied.

    Raises:
        ConfigError: a file cannot be read, or a key or value is invalid.
    """
    for text in overrides:
        if text.partition("=")[0].strip().split(".")[0] == "include":
            raise ConfigError(
                "--set include: files are included before --set applies; write `include` in the sweep file"
            )
    return load(SweepConfig, path, overrides, _include_shared)


@contextlib.contextmanager
def lines_named(path: Path, overrides: Iterable[str] = ()) -> Iterator[None]:
    """Put the file and line into a ConfigError that is raised later than `load_sweep`, about a value of the sweep."""
    try:
        yield
    except ConfigError as err:
        if not err.at:
            raise
        tree = read_yaml(path)
        _include_shared(tree, path)
        for text in overrides:
            override(tree, text)
        raise located(err, tree, Where(str(path))) from None


def with_trials(path: Path, overrides: Iterable[str], trials: int | None) -> tuple[str, ...]:
    """The overrides of a command, with its option --tune as one of them; None leaves `tune` as the file has it."""
    if trials is None:
        return tuple(overrides)
    key = "tune.trials" if isinstance(read_sweep(path).get("tune"), dict) else "tune"
    return (*overrides, f"{key}={trials}")


def read_sweep(path: Path):
    """The mappings of a sweep file, with included files applied."""
    tree = read_yaml(path)
    _include_shared(tree, path)
    return tree


def is_search(path: Path) -> bool:
    """Whether a file is a search and not a sweep. Raises ConfigError if it cannot be read."""
    return _is_search(read_yaml(path))


def _is_search(tree) -> bool:
    return "space" in tree and "jobs" not in tree


def _include_shared(tree, path: Path) -> None:
    """Apply the files under `include` in place, without the jobs that the sweep does not need."""
    if _is_search(tree):
        raise ConfigError(f"{path}: this is a search, not a sweep; run it with `raydistill search {path}`")
    shared = tree.get("include") or []
    for file in shared if isinstance(shared, list) else [shared]:
        include(tree, path.parent / str(file))
    _resolve_store(tree, path)
    jobs = tree.get("jobs")
    if not isinstance(jobs, dict):
        return
    _resolve_imported(jobs, path)
    included = getattr(jobs, "included", {})
    to_visit, needed = [*(name for name in jobs if name not in included), *_names_in(tree.get("methods"))], set()
    while to_visit:
        name = to_visit.pop()
        if name in jobs and name not in needed:
            needed.add(name)
            to_visit += _names_in(jobs[name])
    for name in included:
        if name not in needed:
            del jobs[name]


def _resolve_store(tree, path: Path) -> None:
    """Turn a relative `store`, which is relative to the file that names it, into a path from the working folder."""
    store = tree.get("store")
    if isinstance(store, str) and store and "://" not in store and not is_mistyped(store):
        file = getattr(tree, "included", {}).get("store", (path, None))[0]
        tree["store"] = os.path.normpath(Path(file).parent / store)


def _resolve_imported(jobs, path: Path) -> None:
    """Turn the folders of imported models, which are relative to the file that names them, as `_resolve_store` does."""
    for name, job in jobs.items():
        folder = job.get("imported") if isinstance(job, dict) else None
        if isinstance(folder, str) and folder:
            file = getattr(jobs, "included", {}).get(name, (path, None))[0]
            job["imported"] = os.path.normpath(Path(file).parent / folder)


def _names_in(tree) -> list[str]:
    """Every string among the values of a YAML tree; some of them are names of jobs."""
    if isinstance(tree, dict | list):
        return [name for value in (tree.values() if isinstance(tree, dict) else tree) for name in _names_in(value)]
    return [tree] if isinstance(tree, str) else []

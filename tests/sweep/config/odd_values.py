"""Configuration files with a value replaced by one that nobody means, for tests that none ends in a traceback.

`python -m tests.sweep.config.odd_values 5000` counts how many of 5000 are refused, and prints every other error.
"""

import copy
import functools
import io
import math
import random
import resource
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

from ruamel.yaml import YAML

from raydistill.errors import RaydistillError
from raydistill.recordings.planning.manifest import read_manifest
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.sessions import known_entries
from tests.papers.test_crossmodal import corpus
from tests.paths import EXAMPLES, SWEEPS
from tests.sweep.planning.test_plan import make_entry

ODD = [
    *(math.nan, math.inf, -math.inf, -1, 0, 1, 2, -0.0, 0.5, 1e22, 10**22, 2**31, 2**63, 1e308),
    *("", " ", "x", "x" * 5000, "../x", "/dev/zero", "a > b", "1", "null", "{}", "\u2028", "s3://k:v@b"),
    *([], {}, None, True, False, [None], [""], [[]], [[[["x"]]]], [1, 1], [-1], ["x", "x"], [{}], list(range(50))),
    *({"": 1}, {1: 2}, {None: None}, {True: 1}, {"a": {"b": []}}, {"name": "x"}, {"low": 0}),
]
SWEEP_FILES = sorted(f for f in SWEEPS.glob("*.yaml") if not f.name.startswith("search_"))
MEMORY = 4 << 30
MANIFEST_FILES = sorted(EXAMPLES.glob("*.yaml"))


def mutated(tree, rng):
    """A copy of a tree with one of its values replaced, removed, doubled, or under another key."""
    tree = copy.deepcopy(tree)
    places = list(_places(tree))
    node, key = rng.choice(places)
    change = rng.random()
    if change < 0.8:
        node[key] = copy.deepcopy(rng.choice(ODD))
    elif change < 0.9:
        del node[key]
    elif isinstance(node, dict):
        node[rng.choice(["x", 5, "", None, True, "x" * 3000])] = node.pop(key)
    else:
        node.append(copy.deepcopy(node[key]))
    return tree


def _places(node):
    for key, value in list(node.items()) if isinstance(node, dict) else list(enumerate(node)):
        yield node, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _text(tree):
    text = io.StringIO()
    YAML(typ="safe").dump(tree, text)
    return text.getvalue()


@functools.cache
def paper_entries():
    """The sessions of the paper, as a store has them."""
    made = []
    for stored in corpus():
        subject = stored.session.split("_")[0]
        other = {"dataset": stored.dataset, "subject": subject, "behavior": ("velocity_x", "velocity_y")}
        made.append(make_entry(stored.session, n_units=30, n_channels=20, **other))
    return made


def plan_mutated_sweep(file, seed, folder):
    """Plan a shipped sweep with a mutation. Returns the message of its refusal, or None."""
    rng = random.Random(f"{file.name} {seed}")
    tree = YAML(typ="safe").load(file)
    for _ in range(rng.choice([1, 1, 1, 2])):
        tree = mutated(tree, rng)
    path = folder / file.name
    path.write_text(_text(tree), encoding="utf-8")
    if not (folder / "include").exists():
        (folder / "include").symlink_to(SWEEPS / "include")
    runs = RunsFolder(folder / "runs")
    try:
        sweep = load_sweep(path, ["store=store"] if file.stem.startswith("hippocampus") else [])
        plan(sweep, paper_entries() if sweep.store else known_entries(sweep, runs), runs)
    except RaydistillError as err:
        return str(err)
    return None


def plan_mutated_manifest(file, seed, folder):
    """Plan the recordings of a shipped manifest with a mutation. Returns the message of its refusal, or None."""
    rng = random.Random(f"{file.name} {seed}")
    tree = mutated(YAML(typ="safe").load(file), rng)
    path = folder / file.name
    path.write_text(_text(tree), encoding="utf-8")
    try:
        read_manifest(path)
    except RaydistillError as err:
        return str(err)
    return None


def main(count):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))  # a value that fills the memory is an error as well
    outcomes = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(count):
            sweep_turn = seed % 4 < 3
            file = SWEEP_FILES[seed % len(SWEEP_FILES)] if sweep_turn else MANIFEST_FILES[seed % len(MANIFEST_FILES)]
            examine = plan_mutated_sweep if sweep_turn else plan_mutated_manifest
            try:
                message = examine(file, seed, Path(folder))
                outcomes["accepted" if message is None else "refused"] += 1
            except Exception as err:
                outcomes["other errors"] += 1
                last = traceback.extract_tb(err.__traceback__)[-1]
                print(f"{file.name} {seed}: {type(err).__name__}: {str(err)[:150]} ({last.filename}:{last.lineno})")
    print(dict(outcomes))


if __name__ == "__main__":
    main(int(sys.argv[1]))

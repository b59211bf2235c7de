"""Faults of all kinds at seeded moments of a sweep, a search and an ingest: what comes out is right, or is told.

    python -m tests.faults.soak --faults 100

Each fault has a folder of its own. The command is run again until it ends with 0; every number that it then has must
equal that of an undisturbed run.
"""

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.faults.killing import descendants
from tests.faults.soak.kinds import KINDS, Run, end_server
from tests.faults.soak.tasks import TASKS, Numbers, Task, bring, prepare

LIMIT_S = 400
"""Of one command; what takes longer waits for something."""
TRIES = 4


@dataclass(frozen=True)
class Undisturbed:
    """A task without a fault."""

    numbers: Numbers
    seconds: float
    lines: int
    """Lines on the terminal."""


@dataclass(frozen=True)
class Outcome:
    """How a fault ended: `at once`, `same command`, `wrong`, or `not applied`."""

    state: str
    detail: str
    extra_lines: int = 0
    """Lines on the terminal beyond those of an undisturbed run, in the command that was disturbed."""
    seconds: float = 0.0


def wait(run: Run) -> int | None:
    """The exit code of the command; None if it had to be killed."""
    assert run.process is not None
    try:
        return run.process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        for pid in (*descendants(run.pid), run.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        run.process.wait()
        return None


def undisturbed(task: Task, prepared: Path, folder: Path) -> Undisturbed:
    bring(task, prepared, folder)
    run, started = Run(task, folder), time.monotonic()
    run.start()
    code = wait(run)
    assert code == 0, f"{task.name} ends with {code}: {(folder / 'log.txt').read_text()[-2000:]}"
    seconds = time.monotonic() - started
    return Undisturbed(task.numbers(folder), seconds, len((folder / "log.txt").read_text().splitlines()))


def disturb(name: str, task: Task, prepared: Path, folder: Path, right: Undisturbed, seed: int) -> Outcome:
    """Run the task in `folder` with one fault of the kind `name`."""
    rng, kind = random.Random(f"{name} {seed}"), KINDS[name]
    run = Run(task, folder)
    folder.mkdir(parents=True)
    if not kind.setup(run):
        return Outcome("not applied", "this machine cannot have it")
    bring(task, prepared, folder)
    started = time.monotonic()
    run.start()
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.process.wait(rng.uniform(0.02, 0.95) * right.seconds)
    at_s = time.monotonic() - started
    applied = run.runs() and kind.fault(run, rng)
    code = wait(run)
    text = (run.folder / "log.txt").read_text()
    extra = len(text.splitlines()) - right.lines
    tracebacks = text.count("Traceback")
    outcome = _until_right(run, code, right)
    told = f"at {at_s:.0f} s, exit {code}" + (f", {tracebacks} tracebacks" if tracebacks else "")
    end_server(run)
    state, detail = outcome if applied else ("not applied", "")
    if outcome[0] == "wrong":
        state, detail = outcome
    return Outcome(state, f"{told}{detail}", extra, time.monotonic() - started)


def _until_right(run: Run, code: int | None, right: Undisturbed) -> tuple[str, str]:
    """Run the same command again until it ends with 0 and all numbers are there."""
    codes, tried = [code], 0
    while True:
        if code is None:
            return "wrong", f": did not end within {LIMIT_S} s ({codes})"
        numbers = _numbers(run)
        different = [n for n, value in numbers.items() if n in right.numbers and right.numbers[n] != value]
        different += [n for n in numbers if n not in right.numbers]
        if different and code == 0:
            first = different[0]
            return "wrong", f": {first} is {numbers[first]}, not {right.numbers.get(first)} ({codes})"
        if code == 0 and numbers.keys() == right.numbers.keys():
            return ("at once" if not tried else "same command"), (f", then {codes[1:]}" if tried else "")
        if tried == TRIES:
            missing = sorted(right.numbers.keys() - numbers.keys())
            return "wrong", f": still without {missing[:3]} after {codes}"
        run.undo.close()
        run.start()
        code, tried = wait(run), tried + 1
        codes.append(code)


def _numbers(run: Run) -> Numbers:
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if "MLFLOW_TRACKING_URI" in run.environment:
        os.environ["MLFLOW_TRACKING_URI"] = run.environment["MLFLOW_TRACKING_URI"]
    try:
        return run.task.numbers(run.folder)
    except Exception:  # the folder is damaged, which the same command has to mend
        return {}
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI", None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=100, help="how many faults are to be applied")
    parser.add_argument("--first", type=int, default=0, help="number of the first fault, to continue an earlier run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    arguments = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="raydistill-soak-"))
    prepared = root / "prepared"
    prepared.mkdir()
    prepare(prepared)
    rights = {name: undisturbed(task, prepared, root / name) for name, task in TASKS.items()}
    for name, right in rights.items():
        print(
            f"{name} undisturbed: {right.seconds:.0f} s, {right.lines} lines, {len(right.numbers)} numbers", flush=True
        )
    outcomes = []
    for number in itertools.count(arguments.first):
        name = arguments.kinds[number % len(arguments.kinds)]
        allowed = KINDS[name].tasks
        task = TASKS[allowed[(number // len(arguments.kinds)) % len(allowed)]]
        folder = root / f"fault-{number}"
        outcome = disturb(name, task, prepared, folder, rights[task.name], arguments.seed + number)
        outcomes.append(outcome)
        print(
            f"{number:>3} {name} ({task.name}): {outcome.state}: {outcome.detail}, {outcome.extra_lines:+} lines, "
            f"{outcome.seconds:.0f} s",
            flush=True,
        )
        if outcome.state != "wrong":
            _remove(folder)
        applied = sum(outcome.state != "not applied" for outcome in outcomes)
        if applied == arguments.faults or len(outcomes) == 2 * arguments.faults:
            break
    states = Counter(outcome.state for outcome in outcomes)
    print(", ".join(f"{n} {state}" for state, n in states.items()))
    print(f"most lines beyond those of an undisturbed run: {max(o.extra_lines for o in outcomes)}; kept in {root}")
    return 1 if states["wrong"] else 0


def _remove(folder: Path) -> None:
    for place in (folder, folder.with_name(f"{folder.name}-moved")):
        for inside in ("runs", "store"):
            subprocess.run(["umount", place / inside], capture_output=True)
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())

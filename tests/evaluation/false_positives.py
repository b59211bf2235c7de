"""How often does a sweep find a gain where there is none? Small sweeps over recordings without shared information.

    python -m tests.evaluation.false_positives --sweeps 200

The LFP of these recordings holds nothing of spikes or behavior, so that no student can gain from its teacher. A sweep
trains and scores every job, and compares the student with LFP-only training and with its controls.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from scipy.signal import lfilter
from scipy.stats import binomtest

from raydistill.config.recordings import IngestConfig, Splits
from raydistill.evaluation.comparisons import Comparison
from raydistill.evaluation.statistics import ALPHA
from raydistill.store.session import Session
from raydistill.store.store import Store
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import JobContext, run_session_job

SESSIONS, SEEDS, BINS = 6, (0, 1), 1500
SWEEP = f"""name: nothing
preset: tiny
seeds: {list(SEEDS)}
sessions: {{every: {{modality: lfp}}}}
model: {{width: 16, layers: 1, heads: 2, predictor_width: 16, predictor_heads: 2}}
training: {{epochs: 4, warmup_epochs: 1}}
jobs:
  teacher: {{train: spikes, each: every}}
  distilled: {{distill: teacher, into: lfp, each: every}}
  ss_lfp: {{train: lfp, each: every}}
methods: {{Distilled LFP: distilled, MS-Spike: teacher, SS-LFP: ss_lfp}}
compare: [Distilled LFP > SS-LFP]
controls: [shuffled_teacher]
baselines: []
"""


def write_recordings(folder: Path, seed: int) -> Store:
    """A store of sessions whose spikes follow a smooth velocity, and whose LFP is smooth noise of its own."""
    store = Store(str(folder / "store"))
    config = IngestConfig(bin_width_ms=20, splits=Splits(segment_s=1, parent_s=2))
    for number in range(SESSIONS):
        rng = np.random.default_rng([seed, number])
        velocity, lfp = _smooth(rng, 2), _smooth(rng, 6)
        spikes = rng.poisson(np.exp(velocity @ rng.normal(0, 0.5, (2, 8)) - 1)).clip(0, 255)
        session = Session.from_arrays(
            f"s{number}",
            subject="simulated",
            bin_width_ms=20.0,
            spikes=spikes,
            lfp=lfp,
            behavior=velocity,
            behavior_names=("vx", "vy"),
            behavior_units=("cm/s", "cm/s"),
        )
        store.write(session, config, f"{seed:064x}")
    store.publish()
    return store


def _smooth(rng: np.random.Generator, columns: int) -> np.ndarray:
    """(BINS, columns) of an autoregressive process with unit variance and a time constant of 10 bins."""
    return np.sqrt(1 - 0.9**2) * lfilter([1], [1, -0.9], rng.normal(size=(BINS + 100, columns)), axis=0)[100:]


Row = tuple[str, float, float, float, float, bool]


def run_sweep(seed: int) -> list[Row]:
    """One sweep: (comparison, mean R² of the first method, mean difference, p over pairs, p over sessions, whether
    neither method is better than the mean) of each comparison."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = write_recordings(folder, seed)
        path = folder / "sweep.yaml"
        path.write_text(f"{SWEEP}store: {store.uri}\n")
        opened = OpenSweep(load_sweep(path), RunsFolder(folder / "runs"))
        for job in opened.plan().jobs:
            run_session_job(job, JobContext(opened.runs, store.uri))
        results = opened.collect(opened.plan())
    return [_row(c) for c in (*results.comparisons, *(test.gain for test in results.controls))]


def _row(c: Comparison) -> Row:
    assert c.test.n == SESSIONS * len(SEEDS) and c.session_level.n == SESSIONS, "a job is missing"
    name = f"{c.better} > {c.worse}"
    return name, c.means[0], c.mean_difference, c.test.p, c.session_level.p, c.decodes_nothing


def summary(rows: list[Row]) -> Iterator[str]:
    """Per comparison: how often p was below 0.05, with the interval of the share, and how often both methods decoded
    nothing, in which case the verdict calls no difference a gain."""
    by_comparison = defaultdict(list)
    for name, *numbers in rows:
        by_comparison[name].append(numbers)
    for name, numbers in by_comparison.items():
        r2, differences, *ps, nothing = np.array(numbers, dtype=float).T
        yield (
            f"{name}: mean R² of the first {r2.mean():+.3f}, mean difference {differences.mean():+.4f}, SD over sweeps "
            f"{differences.std(ddof=1):.4f}; both decode nothing in {nothing.sum():.0f} of {len(r2)}"
        )
        for what, p in zip(("session-seed pairs", "sessions"), ps, strict=True):
            k, n = int((p < ALPHA).sum()), len(p)
            low, high = binomtest(k, n).proportion_ci(method="exact")
            yield f"  p < {ALPHA} over {what}: {k} of {n} ({k / n:.3f}, 95 % interval {low:.3f} to {high:.3f})"


def main() -> None:
    """Run the sweeps in parallel, and print the summary after every tenth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first sweep")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    rows: list[Row] = []
    with ProcessPoolExecutor(arguments.processes) as pool:
        for n, of_sweep in enumerate(
            pool.map(run_sweep, range(arguments.first, arguments.first + arguments.sweeps)), 1
        ):
            rows += of_sweep
            if n % 10 == 0:
                print(f"{n} sweeps", *summary(rows), sep="\n", flush=True)


if __name__ == "__main__":
    main()

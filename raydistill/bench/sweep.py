"""`bench sweep`: a sweep of many small jobs on single sessions, and the same sweep again when all jobs are done.

The jobs themselves are so short that the overhead per job is what is measured.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from raydistill.bench import Report, versions
from raydistill.bench.many import measure_many
from raydistill.sweep.answering.conclude import concluded
from raydistill.sweep.answering.opened import OpenSweep
from raydistill.sweep.config.reading import load_sweep
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.driver import run_sweep
from raydistill.sweep.running.options import RunOptions
from raydistill.sweep.running.progress import SweepProgress

_SWEEP = """
name: bench
recordings:
  synthetic: {{subjects: 2, sessions_per_subject: {per_subject}, duration_s: 80, min_units: 20, max_units: 30}}
  ingest: {{bin_width_ms: 20, filters: {{lowpass_hz: 25}}, splits: {{segment_s: 1, parent_s: 2}}}}
preset: tiny
seeds: {seeds}
behavior: [velocity_x, velocity_y]
training: {{epochs: {epochs}}}
sessions:
  all: {{modality: lfp}}
jobs:
  ss_lfp: {{train: lfp, each: all}}
  ss_spikes: {{train: spikes, each: all}}
methods: {{SS-LFP: ss_lfp, SS-Spike: ss_spikes}}
compare: [SS-Spike > SS-LFP]
baselines: [ridge_on_spikes, ridge_on_lfp]
"""


def bench_sweep(
    *,
    sessions: int = 8,
    seeds: int = 4,
    epochs: int = 5,
    listed: int = 200,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """One run of 2 x sessions x seeds trainings and 2 x sessions baselines in a temporary folder.

    `own_s_per_job`: mean time of a job in its process. `overhead_s_per_job`: the further time per job for which a core
    is taken. `busy_share`: CPU utilisation of this machine from the first job to the last. `again_s`: time of the same
    sweep when all jobs are done. `many_...`: the commands that read, with `listed` sessions (`measure_many`).
    """
    with TemporaryDirectory(prefix="raydistill-bench-") as folder:
        file = Path(folder) / "bench.yaml"
        file.write_text(_SWEEP.format(per_subject=max(1, sessions // 2), seeds=list(range(seeds)), epochs=epochs))
        sweep = OpenSweep(load_sweep(file), RunsFolder(Path(folder) / "runs"))
        say(f"a sweep of {2 * sessions * (seeds + 1)} jobs")
        with SweepProgress(sweep.runs) as progress:
            run_sweep(sweep, progress, RunOptions(device="cpu"))
        cost = json.loads((sweep.folder / "cost.json").read_text())
        say("the same sweep again")
        started = time.monotonic()
        if concluded(OpenSweep(sweep.config, sweep.runs)) is None:
            raise AssertionError("the sweep has something left to do")
        again_s = time.monotonic() - started
    jobs = sum(line["jobs"] for line in cost["lines"])
    return Report(
        what="sweep",
        device="cpu",
        threads=1,
        precision="fp32",
        figures={
            "jobs": jobs,
            "wall_s": cost["wall_s"],
            "own_s_per_job": sum(line["seconds"] for line in cost["lines"]) / jobs,
            "overhead_s_per_job": cost["overhead_s_per_job"],
            "busy_share": cost["busy_share"],
            "again_s": again_s,
            **measure_many(listed, say),
        },
        versions=versions("ray", "torch", "mlflow"),
    )

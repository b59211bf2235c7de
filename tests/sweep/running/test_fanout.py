"""Jobs share a GPU if their shares add up to at most one. Ray counts one GPU, which need not exist."""

import json
import os
import subprocess
import sys

PROGRAM = """
import json, sys, time
from pathlib import Path
import ray
from ray import tune
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.fanout import Dealer, Resources, jobs_at_once, run_tune
from raydistill.sweep.running.execute import JobContext


class Jobs(Dealer):
    def __init__(self, n, room):
        super().__init__(metric="begun", mode="max")
        self.left, self.room, self.seen = n, room, []

    def suggest(self, trial_id):
        if not self.left:
            return tune.search.Searcher.FINISHED
        self.left -= 1
        return {"here": sys.argv[1] + "-begun-" + str(self.room), "room": self.room}

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.seen.append([result["begun"], result["ended"], result["gpu"]])


def job(config):
    begun, here = time.time(), Path(config["here"])
    here.mkdir(exist_ok=True)
    (here / str(begun)).touch()
    while len(list(here.iterdir())) < config["room"] and time.time() < begun + 60:
        time.sleep(0.02)  # until as many jobs run as should fit
    time.sleep(1)
    (gpu,) = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    tune.report({"begun": begun, "ended": time.time(), "gpu": gpu})


ray.init(num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
context, found = JobContext(RunsFolder(Path(sys.argv[1])), "", "cuda"), {}
for share in (0.5, 0.6):
    resources = Resources(cpus=1, gpu=share)
    jobs = Jobs(3, jobs_at_once(context, resources))
    run_tune(job, jobs, 3, context, resources)
    found[share] = {"room": jobs.room, "seen": jobs.seen}
print(json.dumps(found))
"""


def test_jobs_share_a_gpu_up_to_the_sum_of_their_shares(tmp_path):
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    for share, at_once in ((0.5, 2), (0.6, 1)):
        found = json.loads(done.stdout.splitlines()[-1])[str(share)]
        assert {gpu for *_, gpu in found["seen"]} == {"0"} and len(found["seen"]) == 3
        most = max(sum(begun <= at < ended for begun, ended, _ in found["seen"]) for at, *_ in found["seen"])
        assert most == found["room"] == min(at_once, os.cpu_count())

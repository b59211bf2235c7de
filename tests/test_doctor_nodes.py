"""What the doctor says about the nodes of a cluster."""

import pytest

from raydistill.cluster.nodes import NodeAnswer
from raydistill.doctor_nodes import look, problems_of
from raydistill.shared_place import SharedPlace
from tests.buckets import serving
from tests.cluster.nodes import running
from tests.commands import raydistill
from tests.sweep.baseline_sweep import write_sweep

HERE = {"versions": {"python": "3.11.7", "torch": "2.13.0", "code": "3fa9c1d20b7e"}}
ABOUT = {"runs": "/shared/runs", "store": "/shared/store"}
WHOLE = HERE | {
    "sees": True,
    "wrote": ".doctor-1",
    "cannot_write": "",
    "free": 50 * 2**30,
    "store": "",
    "devices": {"gpus": 1, "device": "NVIDIA L4"},
}


def problems(answer=None, *, seen=True, **changes):
    answer = answer or NodeAnswer("10.0.0.2", 1, WHOLE | changes)
    return list(problems_of(answer, HERE, ABOUT, seen))


def test_whole_node_has_no_problem():
    assert problems() == []


@pytest.mark.parametrize(
    ("changes", "fault", "mend"),
    [
        ({"versions": HERE["versions"] | {"torch": "2.12.0"}}, "torch 2.12.0, but the driver 2.13.0", "same version"),
        ({"versions": HERE["versions"] | {"code": "aaaaaaaaaaaa"}}, "sources of raydistill (aaaaaaaaaaaa)", "install"),
        ({"sees": False}, "does not see what the driver writes to /shared/runs", "mount the same disk"),
        ({"cannot_write": "Read-only file system"}, "cannot write to /shared/runs (Read-only", "mount it writable"),
        ({"seen": False}, "the driver does not see it in 5 s", "mount the same disk"),
        ({"store": "Access Denied"}, "cannot read the store /shared/store (Access Denied)", "credentials"),
        ({"devices": {"gpus": 0, "device": "CPU"}}, "Ray counts 1 GPU, but torch sees 0 (CPU)", "install a driver"),
        ({"free": 2**30}, "1.0 GiB free in /shared/runs", "raydistill gc"),
    ],
)
def test_problem_of_a_node_is_one_line_with_its_mend(changes, fault, mend):
    (line,) = problems(**changes)
    assert fault in line and mend in line.split(":", 1)[1] and "\n" not in line


@pytest.mark.parametrize(
    ("ahead_s", "doubt_s", "lines"), [(-30.0, 0.1, ["30.0 s behind"]), (30.0, 0.1, ["30.0 s ahead of"]), (3.0, 2.0, [])]
)
def test_clock_is_told_of_when_it_is_surely_wrong(ahead_s, doubt_s, lines):
    found = problems(NodeAnswer("10.0.0.2", 1, WHOLE, ahead_s=ahead_s, doubt_s=doubt_s))
    assert [text in line for text, line in zip(lines, found, strict=True)] == [True] * len(lines)


def test_node_without_the_folder_does_not_make_it(tmp_path):
    about = {"runs": str(tmp_path / "runs"), "store": None, "probe": ".p", "own": ".p-1", "gpus": 0}
    found = look(about)
    assert not found["sees"] and found["cannot_write"] == "No such file or directory"
    assert not (tmp_path / "runs").exists()


def test_node_without_access_to_the_object_store_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("RAYDISTILL_CACHE", str(tmp_path))
    with serving() as bucket:
        place = SharedPlace(bucket.uri("runs"))
        assert place.write(".p") == ""
        about = {"runs": bucket.uri("runs"), "store": None, "probe": ".p", "own": ".p-1", "gpus": 0}
        whole = look(about)
        assert whole["sees"] and whole["cannot_write"] == "" and whole["free"] > 0 and place.waits_for(".p-1")
        bucket.fault = "denied"
        refused = look(about)
        bucket.fault = ""
        place.delete([".p", ".p-1"])
        assert place.store.list() == {}
    assert list(problems_of(NodeAnswer("10.0.0.2", 0, WHOLE | {"devices": {"gpus": 0}}), HERE, about, True)) == []
    answer = NodeAnswer("10.0.0.2", 0, WHOLE | {"devices": {"gpus": 0}, "cannot_write": refused["cannot_write"]})
    (line,) = problems_of(answer, HERE, about, False)
    assert line.startswith("cannot read and write s3://lab/runs (s3://lab/runs: access is denied")
    assert not refused["sees"] and line.endswith("give the node credentials or a role that may")


def test_store_is_read_on_the_nodes_alone(tmp_path):
    done = raydistill("doctor", "--store", "there-is-none", cwd=tmp_path, check=2)
    assert "--address" in done.stderr and len(done.stderr.splitlines()) == 1


def test_doctor_of_a_cluster_names_the_node_whose_gpu_is_not_there(tmp_path):
    write_sweep(tmp_path)
    with running() as cluster:
        whole = raydistill("doctor", "--address", cluster.address, "--store", "store", cwd=tmp_path, check=0)
        (line,) = whole.stdout.splitlines()
        assert line.startswith("ok       node ") and "GiB free" in line and "attention" in line
        cluster.add()
        done = raydistill("doctor", "--address", cluster.address, "--store", "no-store", cwd=tmp_path, check=1)
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["missing", "node"]] * 3
    assert sum("cannot read the store" in line for line in lines) == 2
    assert sum("Ray counts 1 GPU, but torch sees 0" in line for line in lines) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shared.yaml", "store", "sweep.yaml"]

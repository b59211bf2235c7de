"""How much work a cluster has room for, counted by hand."""

import sys

import pytest
from ruamel.yaml import YAML

from raydistill.cluster.growth import node_types
from raydistill.cluster.room import UNKNOWN, Machine, Need, Room, room
from tests.paths import ROOT


def test_node_holds_work_until_its_scarcest_part_is_full():
    node = Machine(cpus=8, gpus=1)
    assert node.holds(Need(1)) == 8
    assert node.holds(Need(3)) == 2
    assert node.holds(Need(1, 0.25)) == 4
    assert node.holds(Need(0.5, 0.1)) == 10
    assert node.holds(Need(4, 0.25)) == 2
    assert node.holds(Need(1, 2)) == 0


def test_node_of_another_pool_holds_nothing():
    need = Need(1, not_in="sessions")
    assert [Machine(4, pool=pool).holds(need) for pool in ("sessions", "pretraining", "")] == [0, 4, 4]


def test_work_that_does_not_fit_one_node_does_not_fit_two():
    assert Room((Machine(2), Machine(2))).now(Need(3)) == 0
    assert Room((Machine(2), Machine(2))).now(Need(1)) == 4


def test_cluster_that_can_grow_has_room_later():
    growing = Room((Machine(0),), (Machine(4, 1, most=3),))
    need = Need(1, 0.5)
    assert (growing.now(need), growing.grown(need)) == (0, 6)
    assert growing.grown(Need(5)) == 0
    assert Room((Machine(0),), (Machine(4, most=sys.maxsize),)).grown(Need(1)) > 1000


@pytest.mark.parametrize(
    ("need", "text"), [(Need(1), "1 CPU"), (Need(2, 0.25), "2 CPUs and 0.25 GPU"), (Need(1, 2), "1 CPU and 2 GPUs")]
)
def test_need_reads_as_words(need, text):
    assert str(need) == text


def test_room_of_a_local_ray_is_its_one_node(local_ray):
    assert room() == Room((Machine(cpus=6),))


def test_types_of_nodes_are_those_of_the_cluster_file_without_its_head():
    config = YAML(typ="safe").load((ROOT / "cluster.yaml").read_text())
    assert sorted(node_types(config), key=str) == [
        ({"CPU": 4, "GPU": 1}, "sessions", 12),
        ({"CPU": 48, "GPU": 4}, "pretraining", 1),
    ]
    assert node_types({}) == []


def test_cluster_that_may_start_nodes_of_unknown_size_has_room_for_everything():
    growing = Room((Machine(0),), (UNKNOWN,))
    assert growing.grown(Need(96, 8)) >= 64 and growing.left_by([(Need(1, 1), 4)], Need(1, 0.25)) > 0
    assert str(growing) == "0 CPUs and 0 GPUs, and can start others"


def test_work_is_asked_for_until_all_nodes_that_may_start_have_some():
    assert Room((Machine(0),), (Machine(2, most=3),)).asked_for(Need(1)) == 6
    assert Room((Machine(2), Machine(1))).asked_for(Need(1)) == 3
    assert Room((Machine(0),)).asked_for(Need(1)) == 1  # nodes may join
    assert Room((Machine(4),), (UNKNOWN,)).asked_for(Need(1)) == 16
    assert Room((Machine(0),), (UNKNOWN,)).asked_for(Need(1)) == 8


def test_room_left_others_is_what_they_leave():
    gpu_job, worker = Need(1, 0.25, not_in="pretraining"), Need(1, 1, not_in="sessions")
    server = Room((Machine(64, gpus=8),))
    assert server.left_by([], gpu_job) == 32
    assert server.left_by([(worker, 4)], gpu_job) == 16
    assert server.left_by([(worker, 4), (worker, 4)], gpu_job) == 0
    assert server.left_by([(worker, 9)], gpu_job) == -1
    assert Room((Machine(2),)).left_by([(Need(1), 1)], Need(1)) == 1


def test_room_left_others_keeps_small_machines_free():
    worker, job = Need(1, 1), Need(1, 0.25)
    cluster = Room((Machine(0),), (Machine(4, gpus=1, most=12), Machine(48, gpus=4, most=1)))
    assert cluster.left_by([(worker, 4)], job) == 12 * 4


def test_room_left_others_is_that_of_their_pools():
    nodes = Room((Machine(8, gpus=2, pool="pretraining"), Machine(4, gpus=1, pool="sessions")))
    worker, job = Need(1, 1, not_in="sessions"), Need(1, 0.25, not_in="pretraining")
    assert nodes.left_by([(worker, 2)], job) == 4
    assert nodes.left_by([(worker, 3)], job) == -1

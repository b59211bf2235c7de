"""A node of the cluster is lost during a pretraining: training continues with the remaining workers.

    python -m tests.faults.losing_node

starts a cluster of two nodes on this machine, trains on one to three workers, removes the second node after some
epochs, and compares the losses with those of the same training on one worker.
"""

import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import ray
from ray.cluster_utils import Cluster

from raydistill.cluster import connected
from raydistill.config.engine import EngineConfig
from raydistill.training.distributed import train_on_workers
from raydistill.training.history import read_history
from tests.training.test_distributed import distributed, make_store

EPOCHS, LOST_AFTER = 40, 8


def count_workers() -> int:
    """Number of Ray Train workers on all nodes."""
    processes = psutil.Process().children(recursive=True)
    return sum("RayTrainWorker" in "".join(p.cmdline()) for p in processes if p.is_running())


def train(training, scratch: Path, watch=lambda: None) -> dict:
    [(_, outcome)] = train_on_workers([training], scratch, watch)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="raydistill-node-") as root:
        folder = Path(root)
        store = make_store(folder / "store")
        recipe = dataclasses.replace(distributed(store, folder / "unused", 1).recipe, epochs=EPOCHS, patience=EPOCHS)
        alone, elastic = (
            dataclasses.replace(
                distributed(store, folder / name, 1, engine=EngineConfig(checkpoint_every=1)), recipe=recipe
            )
            for name in ("alone", "elastic")
        )
        with connected():
            train(alone, folder / "ray")
        elastic = dataclasses.replace(elastic, workers=(1, 3))
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
        node = cluster.add_node(num_cpus=2)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        lost: list[tuple[float, int, int]] = []

        def lose_the_node():
            epochs = len(read_history(elastic.folder))
            if epochs >= LOST_AFTER and not lost:
                lost.append((time.time(), epochs, count_workers()))
                cluster.remove_node(node, allow_graceful=False)

        result = train(elastic, folder / "ray", lose_the_node)
        ray.shutdown()
        cluster.shutdown()
        ((at, epoch, before),) = lost
        one, many = (read_history(t.folder) for t in (alone, elastic))
        resumed_at = next(line["time"] for line in many[epoch:] if line["time"] > at)
        differences = np.abs(
            [[a[k] - b[k] for k in ("train_loss", "valid_loss")] for a, b in zip(one, many, strict=True)]
        )
        print(f"{before} workers until the node was lost at epoch {epoch}, {result['workers']} afterwards")
        print(f"the next epoch was done {resumed_at - at:.0f} s later; {len(many)} epochs in total")
        print(f"losses differ by at most {differences.max():.1e} from those with one worker")
        assert (before, result["workers"]) == (3, 2) and differences.max() < 1e-5


if __name__ == "__main__":
    main()

"""Reading part files for training: in this process, or through Ray Data from a worker of Ray Train."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby

from raydistill.errors import DataError
from raydistill.store.catalogue import Entry, Part
from raydistill.store.session import Segment
from raydistill.store.store import Store
from raydistill.store.table import segments_from_table

TASKS, PARTS_PER_TASK = 4, 4  # of Ray Data: no fewer tasks where there are so many parts, and no more parts in one
AHEAD = 4  # part files that are being read while one is used

Reader = Callable[[list[Part]], Iterator[list[Segment]]]
"""The segments of each part, part after part in the order given, each in stored order."""


def read_directly(store: Store, entries: list[Entry]) -> Reader:
    """Reads with pyarrow in this process, a few parts ahead."""
    owner = _owners(entries)

    def read(parts):
        with ThreadPoolExecutor(AHEAD) as pool:
            waiting = deque()
            for part in parts:
                waiting.append((pool.submit(store.table, part, owner[part.path]), owner[part.path]))
                if len(waiting) > AHEAD:
                    yield _segments(*waiting.popleft())
            while waiting:
                yield _segments(*waiting.popleft())

    return read


def _segments(future, entry):
    return segments_from_table(future.result(), entry)


def read_through_ray(store: Store, entries: list[Entry]) -> Reader:
    """Reads through Ray Data, whose tasks decode the files wherever the cluster has a core to spare.

    A dataset a worker, not one split among all: `streaming_split` either drops what does not divide evenly or lets
    one worker starve, and which segments a worker trains on has to follow from the catalogue alone.
    """
    owner = _owners(entries)

    def read(parts):
        from pyarrow import ArrowException
        from ray.exceptions import RayError

        wanted = iter(parts)
        opened: dict[str, list[Segment]] = {}
        part = next(wanted, None)
        try:
            for table in _dataset(store, parts).iter_batches(batch_size=None, batch_format="pyarrow"):
                for path, rows in _by_part(table):
                    opened.setdefault(path, []).extend(segments_from_table(rows, owner[path]))
                while part is not None and len(opened.get(part.path, ())) == len(part.numbers):
                    yield sorted(opened.pop(part.path), key=lambda s: s.number)
                    part = next(wanted, None)
        except (RayError, ArrowException, OSError) as err:
            for one in parts:  # Ray tells that a file cannot be read, but not in a way to show; reading it does
                store.table(one, owner[one.path])
            raise DataError(f"store {store.uri}: Ray Data could not read it ({type(err).__name__})") from err
        if part is not None:
            raise DataError(
                f"store {store.uri}: {part.path} gave {len(opened.get(part.path, ()))} of its {len(part.numbers)} "
                f"segments; ingest session {owner[part.path].session} again"
            )

    return read


def _by_part(table):
    """(path, rows) of each part in a block that may hold several; its rows lie together, and are not copied."""
    start = 0
    for path, run in groupby(table.column("path").to_pylist()):
        n_rows = len(list(run))
        yield path, table.slice(start, n_rows)
        start += n_rows


def _owners(entries: list[Entry]) -> dict[str, Entry]:
    return {part.path: entry for entry in entries for part in entry.parts}


def _dataset(store: Store, parts: list[Part]):
    """A Ray Data dataset of the rows of `parts`, in their order, each row with the path of its part."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    # Measured on two cores: a dozen small parts take 7 s through the newer reader, 0.4 s through this one.
    context.use_datasource_v2 = False
    tasks = max(min(len(parts), TASKS), -(-len(parts) // PARTS_PER_TASK))
    return ray.data.read_parquet(
        [p.path for p in parts],
        filesystem=store.folder.filesystem,
        partitioning=None,
        include_paths=True,
        # Reading waits for the disk. With a whole CPU a task, workers that hold all others would starve it.
        num_cpus=0.25,
        # By default Ray would cut a part into several blocks, each of which costs the reader 20 ms.
        override_num_blocks=tasks,
        # Ray ends idle processes beyond one a CPU. At a quarter of a CPU each, tasks would start more than that anew
        # for every dataset: measured on two cores, 336 MB of parts took 5 to 13 s, and 2.1 s with this limit.
        concurrency=max(1, min(tasks, int(ray.cluster_resources().get("CPU", 1)))),
    )

"""Which benchmark a name stands for; each is imported when it is wanted."""

from collections.abc import Callable

from raydistill.bench import Report


def run(what: str, say: Callable[[str], None], sessions: int | None, minutes: float, **training) -> Report:
    """The report of one benchmark.

    Args:
        sessions: of the store that some of them make; None: as many as they like.
        minutes: ingest: length of the recording.
        training: options of `train` alone.
    """
    store = {} if sessions is None else {"sessions": sessions}
    match what:
        case "ingest":
            from raydistill.bench.ingest import bench_ingest

            return bench_ingest(minutes=minutes, say=say)
        case "train":
            from raydistill.bench.train import bench_train

            return bench_train(**training, say=say)
        case "load":
            from raydistill.bench.load import bench_load

            return bench_load(**store, say=say)
        case "stream-vs-memory":
            from raydistill.bench.streaming import bench_streaming

            return bench_streaming(**store, say=say)
        case "checkpoint":
            from raydistill.bench.checkpoint import bench_checkpoint

            return bench_checkpoint(say=say)
        case "workers":
            from raydistill.bench.workers import bench_workers

            return bench_workers(**store, say=say)
        case "sweep":
            from raydistill.bench.sweep import bench_sweep

            return bench_sweep(**store, say=say)
        case "evaluate":
            from raydistill.bench.evaluate import bench_evaluate

            return bench_evaluate(say=say)
    raise ValueError(what)

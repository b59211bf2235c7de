"""The benchmarks by name, and the options that each of them takes. A benchmark is imported when it is run."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

from raydistill.bench import Report
from raydistill.errors import ConfigError

Benchmark = Literal[
    "ingest", "train", "load", "stream-vs-memory", "checkpoint", "workers", "sweep", "evaluate", "latency", "schedule"
]

OPTIONS: dict[str, tuple[str, ...]] = {
    "ingest": ("minutes",),
    "latency": ("bins",),
    "train": ("segments", "bins", "precision", "compile", "device", "family"),
    "load": ("sessions",),
    "stream-vs-memory": ("sessions",),
    "workers": ("sessions",),
    "sweep": ("sessions", "listed"),
    "schedule": ("sweeps", "minutes"),
}
"""Benchmark -> its options; a benchmark that is not listed takes none."""


def run(what: Benchmark, say: Callable[[str], None], options: Mapping[str, Any]) -> Report:
    """The report of one benchmark.

    Args:
        say: receives one line about each stage.
        options: name (without the dashes) -> value; None: the benchmark's default.

    Raises:
        ConfigError: an option of another benchmark is given, or a value is invalid.
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    for name in chosen:
        if name not in OPTIONS.get(what, ()):
            raise ConfigError(_refusal(what, name))
    return _run(what, say, chosen)


def _refusal(what: str, option: str) -> str:
    owners = " and ".join(f"`bench {name}`" for name, options in OPTIONS.items() if option in options)
    allowed = ", ".join(f"--{name}" for name in OPTIONS.get(what, ())) or "no option but --json"
    return f"--{option} is an option of {owners}; `bench {what}` takes {allowed}"


def _run(what: Benchmark, say: Callable[[str], None], options: dict[str, Any]) -> Report:
    match what:
        case "ingest":
            from raydistill.bench.ingest import bench_ingest

            return bench_ingest(**options, say=say)
        case "train":
            from raydistill.bench.train import bench_train

            compiled = options.pop("compile", False)
            return bench_train(**options, compiled=compiled, say=say)
        case "load":
            from raydistill.bench.load import bench_load

            return bench_load(**options, say=say)
        case "stream-vs-memory":
            from raydistill.bench.streaming import bench_streaming

            return bench_streaming(**options, say=say)
        case "checkpoint":
            from raydistill.bench.checkpoint import bench_checkpoint

            return bench_checkpoint(say=say)
        case "workers":
            from raydistill.bench.workers import bench_workers

            return bench_workers(**options, say=say)
        case "sweep":
            from raydistill.bench.sweep import bench_sweep

            return bench_sweep(**options, say=say)
        case "evaluate":
            from raydistill.bench.evaluate import bench_evaluate

            return bench_evaluate(say=say)
        case "latency":
            from raydistill.bench.latency import bench_latency

            return bench_latency(**options, say=say)
        case "schedule":
            from raydistill.bench.schedule import bench_schedule

            return bench_schedule(**options, say=say)
    raise ValueError(f"`what` must be one of {', '.join(get_args(Benchmark))}, got {what!r}")

"""Commands on this machine: benchmarks and checks."""

import json
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from raydistill.bench.choose import Benchmark
from raydistill.cli.options import ABOVE_ZERO, RUNS, Address, AsJson, Runs
from raydistill.cli.output import say
from raydistill.errors import ConfigError, counted


def bench(
    what: Annotated[Benchmark, Parameter(help="The part to benchmark.")],
    *,
    minutes: Annotated[
        float | None,
        Parameter(
            help="ingest, schedule: length of the recording that is written and ingested (default 1), or of every "
            "session of the sweeps (default 10)."
        ),
        ABOVE_ZERO,
    ] = None,
    segments: Annotated[int | None, Parameter(help="train: segments per batch (default 8)."), ABOVE_ZERO] = None,
    bins: Annotated[
        int | None,
        Parameter(
            help="train, latency: bins per segment, of two patches each (default 500), or per model (default 2000)."
        ),
        ABOVE_ZERO,
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"] | None,
        Parameter(help="train: auto (the default) is bf16 where the device multiplies in it, else fp32."),
    ] = None,
    compile_: Annotated[
        bool | None, Parameter(name="--compile", help="train: compile the model with torch.compile.", negative="")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"] | None,
        Parameter(help="train: auto (the default) is cuda where this machine has a GPU, else cpu."),
    ] = None,
    family: Annotated[
        Literal["transformer", "mamba"] | None,
        Parameter(help="train: the network, a transformer (the default) or state-space layers of equal size."),
    ] = None,
    sessions: Annotated[
        int | None,
        Parameter(help="load, stream-vs-memory, workers, sweep: number of random sessions in the store."),
        ABOVE_ZERO,
    ] = None,
    listed: Annotated[
        int | None, Parameter(help="sweep: sessions of the store with which the commands that read are timed.")
    ] = None,
    sweeps: Annotated[
        str | None, Parameter(help="schedule: folder with the sweep files of the paper (default sweeps).")
    ] = None,
    json_: AsJson = False,
):
    """Benchmark one part of raydistill and compare it with this machine's peak."""
    from raydistill.bench.choose import run

    options: dict[str, Any] = {
        "minutes": minutes,
        "segments": segments,
        "bins": bins,
        "precision": precision,
        "compile": compile_,
    }
    options |= {"device": device, "family": family, "sessions": sessions, "listed": listed, "sweeps": sweeps}
    report = run(what, say, options)
    if json_:
        print(json.dumps(report.to_json(), indent=1))
    else:
        print(f"{report.what} on {report.device}, {counted(report.threads, 'thread')}, {report.precision}")
        for name, value in report.figures.items():
            print(f"{name:<28} {value:10.4g}")


def doctor(
    *,
    runs: Runs = RUNS,
    address: Address = None,
    store: Annotated[str | None, Parameter(help="With --address: session store that every node must read.")] = None,
):
    """Check packages, device, memory and folders, and show which attention will be used.

    With --address, every node of that cluster is checked instead: its versions, whether it shares and can write the
    runs folder or the object store, its GPUs, free disk and clock.
    """
    from raydistill.doctor import examine
    from raydistill.sweep.planning.runs_folder import RunsFolder

    if store is not None and address is None:
        raise ConfigError("--store is read on the nodes of a cluster; give its --address, for example --address auto")
    if address:
        from raydistill.doctor_nodes import examine_cluster

        checks = examine_cluster(address, runs, store)
    else:
        checks = examine(RunsFolder.at(runs).path)
    for check in checks:
        print(f"{check.state:<8} {check.name:<22} {check.detail}")
    return 1 if any(check.state == "missing" for check in checks) else 0

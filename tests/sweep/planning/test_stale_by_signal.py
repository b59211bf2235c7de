"""A session that is ingested again with another LFP filter leaves the finished jobs that read no LFP as they are."""

import numpy as np
import pytest

from raydistill.config.load import Where, build
from raydistill.config.recordings import IngestConfig, LfpFilters
from raydistill.errors import DataError
from raydistill.files import write_json
from raydistill.recordings.python import add_session
from raydistill.store.store import Store
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.job import DONE
from raydistill.sweep.planning.job_folder import mark_complete
from raydistill.sweep.planning.plan import plan
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.running.execute import _entries
from tests.sweep.planning.test_plan import SWEEP


def ingest(store, common_average):
    for name in ("a_1", "a_2", "b_2"):
        rng = np.random.default_rng(0)
        add_session(
            store,
            name,
            subject=name[0],
            spikes=[np.sort(rng.uniform(0, 120, 600)) for _ in range(4)],
            lfp=rng.standard_normal((120_000, 3)),
            lfp_rate_hz=1000,
            behavior=rng.standard_normal((1200, 1)),
            behavior_rate_hz=10,
            behavior_names=("velocity",),
            config=IngestConfig(filters=LfpFilters(common_average=common_average)),
            overwrite=True,
            report=lambda line: None,
        )


def test_another_lfp_filter_leaves_only_the_jobs_that_read_lfp_to_do(tmp_path):
    store, runs = Store(str(tmp_path / "store")), RunsFolder(tmp_path / "runs")
    sweep = build(SweepConfig, SWEEP, Where("sweep.yaml"))
    ingest(store, common_average=True)
    before = plan(sweep, store.entries(), runs)
    for job in before.jobs:
        folder = runs.open_job(job, {})
        (folder / "model.safetensors").write_bytes(b"weights")
        write_json(folder / "metrics.json", {"r2": 0.1, "r2_per_axis": {}})
        mark_complete(folder)
    assert all(p.state == DONE for p in before.refreshed(runs).planned)

    ingest(store, common_average=False)
    after = plan(sweep, store.entries(), runs)
    lines = {p.job.name.partition("/")[0] for p in after.planned}
    on_lfp, on_spikes = ({f"{name}_on_{s}" for name in ("ridge", "wide_ridge", "kalman")} for s in ("lfp", "spikes"))
    assert {p.job.name.partition("/")[0] for p in after.todo} == {"ss", "distilled"} | on_lfp
    assert lines == {"ms", "teacher", "ss", "distilled"} | on_lfp | on_spikes

    old = {job.name.partition("/")[0]: job for job in before.jobs}
    assert [e.session for e in _entries(store, old["teacher"])] == ["b_2"]
    with pytest.raises(DataError, match=r"session b_2 of the store .* has changed since planning"):
        _entries(store, old["ss"])

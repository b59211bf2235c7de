"""Shared parts of sweeps: what an included file says holds unless the sweep says otherwise, and complaints name it."""

import pytest

from raydistill.errors import RaydistillError
from raydistill.sweep.config.reading import load_sweep

SHARED = """store: runs/store
preset: tiny
seeds: [0, 1]
sessions: {held_out: {names: [a]}, pretraining: {except: held_out}}
jobs:
  ms: {pretrain: spikes, on: pretraining}
  ft: {finetune: ms, each: held_out}
  unneeded: {pretrain: lfp, on: pretraining}
"""
OWN = """name: s
include: parts/shared.yaml
seeds: 3
jobs:
  ss: {train: lfp, each: held_out}
methods: {MS-Spike: ft, SS-LFP: ss}
"""


@pytest.fixture
def load(tmp_path):
    def load(own=OWN, shared=SHARED, overrides=()):
        (tmp_path / "parts").mkdir(exist_ok=True)
        (tmp_path / "parts" / "shared.yaml").write_text(shared)
        (tmp_path / "s.yaml").write_text(own)
        return load_sweep(tmp_path / "s.yaml", overrides)

    return load


def test_included_values_hold_unless_the_sweep_has_its_own(load):
    sweep = load()
    assert (sweep.preset, sweep.seeds) == ("tiny", (3,))
    assert load(overrides=("preset=small", "jobs.ms.workers=2")).jobs["ms"].workers == 2


def test_included_job_that_nothing_needs_is_left_out(load):
    assert list(load().jobs) == ["ms", "ft", "ss"]
    assert list(load(OWN.replace("MS-Spike: ft, ", "")).jobs) == ["ss"]


def test_sweep_replaces_an_included_job_as_a_whole(load):
    sweep = load(OWN.replace("jobs:\n", "jobs:\n  ft: {train: spikes, each: held_out}\n"))
    assert sweep.jobs["ft"].train == "spikes" and sweep.jobs["ft"].finetune is None


def test_order_of_jobs_in_the_files_does_not_matter(load):
    sweep = load(OWN.replace("jobs:\n", "jobs:\n  student: {distill: ft, each: held_out}\n"))
    names = [name for name, _ in sweep.sources_first()]
    assert names.index("ms") < names.index("ft") < names.index("student")


@pytest.mark.parametrize(
    ("own", "shared", "message"),
    [
        (OWN, SHARED.replace("finetune: ms", "finetun: ms"), "parts/shared.yaml:7: unknown key"),
        (OWN.replace("train: lfp", "train: lpf"), SHARED, "s.yaml:5: `jobs.ss.train` must be one of"),
        (OWN, SHARED + "include: other.yaml\n", "shared.yaml:9: an included file cannot include another"),
        (OWN.replace("shared.yaml", "absent.yaml"), SHARED, "absent.yaml: no such file"),
    ],
)
def test_mistake_is_reported_with_its_file_and_line(load, own, shared, message):
    with pytest.raises(RaydistillError) as caught:
        load(own, shared)
    assert message in str(caught.value)


def test_store_is_relative_to_the_file_that_names_it_and_an_override_to_the_working_folder(load, tmp_path):
    assert load().store == str(tmp_path / "parts" / "runs" / "store")
    assert load(shared=SHARED.replace("runs/store", "../../x")).store == str(tmp_path.parent / "x")
    assert load(own=OWN + "store: other\n").store == str(tmp_path / "other")
    assert load(own=OWN + "store: s3://bucket/store\n").store == "s3://bucket/store"
    assert load(own=OWN + "store: /data/store\n").store == "/data/store"
    assert load(overrides=("store=elsewhere",)).store == "elsewhere"


def test_store_from_a_sweep_named_relative_to_the_working_folder_stays_relative(load, tmp_path, monkeypatch):
    load()
    monkeypatch.chdir(tmp_path)
    assert load_sweep("s.yaml").store == "parts/runs/store"


def test_include_by_an_override_is_refused_as_it_would_have_no_effect(load):
    with pytest.raises(RaydistillError, match="write `include` in the sweep file"):
        load(overrides=("include=parts/shared.yaml",))

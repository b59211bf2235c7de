"""The store of a sweep, and its sessions before they are generated."""

from raydistill.config.load import Where, build
from raydistill.sweep.config.sweep import SweepConfig
from raydistill.sweep.planning.expand import expand
from raydistill.sweep.planning.runs_folder import RunsFolder
from raydistill.sweep.planning.sessions import known_entries, lacks_recordings, store_uri
from tests.sweep.planning.test_plan import SWEEP

SYNTHETIC = {"subjects": 2, "sessions_per_subject": 2}


def make_sweep(**change):
    return build(SweepConfig, SWEEP | change, Where("sweep.yaml"))


def make_synthetic_sweep(**synthetic):
    groups = {"held_out": {"names": ["S1_02"]}, "pretraining": {"except": "held_out"}}
    change = {"store": None, "recordings": {"synthetic": SYNTHETIC | synthetic}, "sessions": groups}
    return make_sweep(**change, behavior=["velocity_x"])


def test_store_path_is_made_absolute_and_a_uri_is_not_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store_uri(make_sweep(store="my/store"), RunsFolder(tmp_path)) == str(tmp_path / "my" / "store")
    assert store_uri(make_sweep(store="s3://bucket/store"), RunsFolder(tmp_path)) == "s3://bucket/store"


def test_store_of_synthetic_recordings_depends_on_their_description(tmp_path):
    uris = {store_uri(make_synthetic_sweep(seed=seed), RunsFolder(tmp_path)) for seed in (0, 0, 1)}
    assert len(uris) == 2


def test_sessions_can_be_planned_before_they_are_generated(tmp_path):
    sweep = make_synthetic_sweep()
    assert lacks_recordings(sweep, RunsFolder(tmp_path))
    entries = known_entries(sweep, RunsFolder(tmp_path))
    assert [e.session for e in entries] == ["S1_01", "S1_02", "S2_01", "S2_02"]
    jobs = expand(sweep, entries)
    assert len({job.key for job in jobs}) == len(jobs) == 1 + 3 * 2 + 6
    assert not any(tmp_path.iterdir())

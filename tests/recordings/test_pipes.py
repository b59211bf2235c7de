"""A pipe or a device in place of a file ends each way of reading recordings in one line, and never hangs it."""

import os
import signal

import pytest

from raydistill.errors import ConfigError, DataError
from raydistill.recordings.ingest import ingest
from raydistill.recordings.new_manifest.command import new_manifest
from raydistill.recordings.planning.discover import plan, plan_sources
from raydistill.recordings.planning.dry_run import expected_failures

ARRAYS = "subject: m, bin_width_ms: 100, spikes: spikes"
MESSAGE = "a pipe or a device, not a file"


@pytest.fixture(autouse=True)
def alarm():
    """Ends a test that hangs."""

    def stop(signum, frame):
        raise TimeoutError("it reads what never ends")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


ODD = pytest.mark.parametrize("make", [pipe, device], ids=lambda make: make.__name__)


@ODD
def test_single_file_that_is_none_is_refused(make, tmp_path):
    make(tmp_path / "rec.nwb")
    with pytest.raises(DataError, match=MESSAGE):
        plan_sources(tmp_path / "rec.nwb")


@ODD
@pytest.mark.parametrize("name", ["rec.nwb", "rec.h5", "rec.mat", "rec.npz"])
def test_file_of_a_manifest_that_is_none_fails_alone(make, name, tmp_path, make_h5, manifest, local_ray):
    make(tmp_path / name)
    make_h5("good.h5")
    keys = "" if name.endswith(".nwb") else f", {ARRAYS}"
    path = manifest(f"sessions:\n  - {{file: {name}{keys}}}\n  - {{file: good.h5, {ARRAYS}}}\n")
    assert MESSAGE in expected_failures(plan_sources(path))["rec"]
    outcome = ingest(plan_sources(path), str(tmp_path / "store"))
    assert outcome.stored == ("good",) and MESSAGE in outcome.failed["rec"]


@ODD
def test_file_of_a_folder_that_is_none_is_named_and_the_others_are_found(make, tmp_path, make_nwb):
    make(tmp_path / "odd.nwb")
    with pytest.raises(DataError, match=MESSAGE):
        plan(tmp_path)
    make_nwb("good.nwb")
    planned = plan(tmp_path)
    assert [r.name for r in planned.recordings] == ["good"]
    (line,) = planned.unsearched
    assert line.startswith(f"{tmp_path / 'odd.nwb'}: {MESSAGE}")


@ODD
@pytest.mark.parametrize("name", ["rec.h5", "rec.nwb", "rec.mat"])
def test_new_manifest_of_no_file_is_refused(make, name, tmp_path):
    make(tmp_path / name)
    with pytest.raises(ConfigError, match=MESSAGE):
        new_manifest([tmp_path / name], tmp_path)


def test_pipe_inside_of_a_recording_that_is_a_folder_is_named(tmp_path):
    folder = tmp_path / "rec.nwb.zarr"
    folder.mkdir()
    (folder / ".zattrs").write_text('{"neurodata_type": "NWBFile"}')
    pipe(folder / "0.0")
    (recording,) = plan_sources(folder)
    assert f"0.0: {MESSAGE}" in expected_failures([recording])["rec"]


@ODD
def test_list_of_channels_that_is_no_file_is_refused(make, tmp_path, make_h5, manifest):
    make_h5("rec.h5")
    make(tmp_path / "channels.csv")
    spikes = "{counts: spikes, channels: channels.csv}"
    with pytest.raises(ConfigError, match="not a regular file"):
        plan_sources(manifest(f"sessions: [{{file: rec.h5, subject: m, bin_width_ms: 100, spikes: {spikes}}}]"))

"""NWB files on servers: what travels, how a file is known again, and each fault in one line."""

import gc
import os
import sys

import h5py
import pytest
from fsspec.asyn import get_loop

from raydistill.cli import main
from raydistill.config.synthetic import SyntheticConfig
from raydistill.errors import ConfigError, DataError
from raydistill.recordings import remote
from raydistill.recordings.ingest import ingest, ingest_one
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.remote import Remote
from raydistill.simulation.simulate import generate_session
from raydistill.simulation.writers.nwb import write_nwb
from raydistill.store.store import Store
from tests.buckets import s3_service
from tests.recordings.servers import Served, serving

NAMED = ("defaults.name=day1",)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A recording of 16 MB, most of it LFP."""
    truth = generate_session(SyntheticConfig(duration_s=120.0, min_channels=48, max_channels=50, lfp_rate_hz=2000), 0)
    return write_nwb(truth, tmp_path_factory.mktemp("recording") / "day1.nwb")


@pytest.fixture(scope="module")
def content(file):
    return file.read_bytes()


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch):
    monkeypatch.setattr(remote, "_WAITS_S", (0.01, 0.01, 0.01))


def ingested(uri, store, known=None, overrides=()):
    """What becomes of one file."""
    (recording,) = plan_sources(uri, overrides=(*NAMED, "ingest.min_rate_hz=0.01", *overrides))
    return ingest_one(recording, str(store), known)


def failure(uri, tmp_path, **options):
    result = ingested(uri, tmp_path / "store", **options)
    assert result.state == "failed" and "\n" not in result.cause
    return result.cause


def stored(store):
    (marked,) = (entry.fingerprint for entry in Store(str(store)).complete())
    Store(str(store)).publish()
    return marked, Store(str(store)).entry("day1")


# What is read


@pytest.mark.parametrize(("lfp", "share"), [("auto", 1.1), ("null", 0.35)])
def test_session_from_a_server_equals_the_local_one_and_only_what_is_asked_for_travels(
    file, content, tmp_path, lfp, share
):
    options = {"overrides": [f"defaults.lfp={lfp}"]}
    assert ingested(str(file), tmp_path / "local", **options).state == "stored"
    with serving(Served(content)) as served:
        assert ingested(served.uri, tmp_path / "remote", **options).state == "stored"
    local, there = stored(tmp_path / "local")[1], stored(tmp_path / "remote")[1]
    assert there.content == local.content and there.n_channels == local.n_channels
    assert there.sources == {"day1": f'ETag "v1", {len(content)} bytes'}
    assert served.sent < share * len(content)


def test_manifest_names_files_by_uri_and_others_by_their_folder(manifest, tmp_path):
    text = "folder: raw\nsessions:\n  - {file: 's3://lab/blobs/4c1', name: a}\n  - {file: b.nwb}\n"
    first, second = plan_sources(manifest(text))
    assert first.path == Remote("s3://lab/blobs/4c1") and first.name == "a"
    assert second.path == tmp_path / "raw" / "b.nwb"


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("https://lab.org/x/sub-1_ses%202.nwb", "sub-1_ses_2"),
        ("https://lab.org/blobs/4c1/f0e", "f0e"),
        ("https://lab.org/x/day1.nwb?version=a/b", "day1"),
        ("s3://lab/x/day1.nwb", "day1"),
    ],
)
def test_session_takes_the_last_component_of_a_uri_as_its_name(uri, name):
    (recording,) = plan_sources(uri)
    assert recording.name == name


def test_uri_of_another_scheme_is_refused_with_those_that_are_read():
    with pytest.raises(ConfigError, match=r"ftp://lab/x\.nwb: .*use one of http, https, s3"):
        plan_sources("ftp://lab/x.nwb")


def test_remote_file_is_shown_without_its_secrets():
    shown = str(Remote("https://me:secret@lab.org:8000/x/day1.nwb?X-Amz-Signature=secret"))
    assert shown == "https://lab.org:8000/x/day1.nwb"


def test_dry_run_asks_the_server_whether_the_file_is_there(content, tmp_path, capsys):
    with serving(Served(content)) as served:
        for uri, code in ((served.uri, "0"), (served.uri + "2", "2")):
            with pytest.raises(SystemExit, match=code):
                main(["ingest", uri, "--store", str(tmp_path / "store"), "--dry-run"])
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("day1 ") and "store, bins of" in first and first.endswith(served.uri)
    assert "fail: no file day12" in second and served.sent == 0


# How a file is known again


def test_file_is_known_by_its_etag_wherever_it_is_moved_to(content, tmp_path):
    with serving(Served(content)) as served:
        assert ingested(served.uri, tmp_path / "store").state == "stored"
    known, _ = stored(tmp_path / "store")
    with serving(Served(content), path="/elsewhere") as served:
        assert ingested(served.uri, tmp_path / "store", known).state == "skipped"
        assert served.sent == 0
        served.headers = {"ETag": '"v2"'}
        assert ingested(served.uri, tmp_path / "store", known).state == "stored"


@pytest.mark.parametrize(
    ("headers", "identity"),
    [
        ({"Last-Modified": "Mon, 05 Jan 2026 10:00:00 GMT"}, "Last-Modified Mon, 05 Jan 2026 10:00:00 GMT, 5 bytes"),
        ({"Last-Modified": "Mon, 05 Jan 2026 10:00:00 GMT", "ETag": '"a"'}, 'ETag "a", 5 bytes'),
        ({"Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww=="}, "Content-MD5 XrY7u+Ae7tCTyyK7j1rNww==, 5 bytes"),
    ],
)
def test_identity_is_the_best_mark_that_the_server_states(headers, identity):
    with serving(Served(b"12345", headers=headers)) as served:
        assert Remote(served.uri).identity() == identity


def test_server_that_states_nothing_but_a_size_is_refused(content, tmp_path):
    with serving(Served(content, headers={})) as served:
        assert "no ETag, checksum or Last-Modified, so that a changed file" in failure(served.uri, tmp_path)


# Faults


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"status": 404}, "the server has no such file"),
        ({"status": 403}, "the server denies access (403); check the URI and your credentials"),
        ({"status": 503}, "the server answers 503"),
        ({"ranges": False}, "the server sends only whole files; download it"),
        (
            {"ranges": False, "headers": {"ETag": "a", "Accept-Ranges": "none"}},
            "the server sends only whole files; download it",
        ),
    ],
    ids=["404", "403", "503", "no ranges", "no ranges, as stated"],
)
def test_fault_of_the_server_is_one_line_with_the_uri(content, tmp_path, options, cause):
    with serving(Served(content, **options)) as served:
        assert failure(served.uri, tmp_path) == f"{served.uri}: {cause}"


def test_server_that_is_not_there_is_one_line_with_the_uri(tmp_path):
    assert failure("http://127.0.0.1:1/x.nwb", tmp_path).startswith(
        "http://127.0.0.1:1/x.nwb: no answer from the server (Cannot connect to host 127.0.0.1:1"
    )


def test_connection_that_breaks_twice_is_retried(content, tmp_path):
    with serving(Served(content, drops=2)) as served:
        assert ingested(served.uri, tmp_path / "store").state == "stored"
        assert served.drops == 0


@pytest.mark.parametrize("breaks_after", [0, 5 << 20], ids=["opening", "reading LFP"])
def test_connection_that_breaks_for_good_fails_with_the_uri(content, tmp_path, breaks_after):
    with serving(Served(content, breaks_after=breaks_after)) as served:
        cause = failure(served.uri, tmp_path)
    assert cause.startswith(f"{served.uri}: the connection was interrupted (Not enough data")
    assert served.sent < breaks_after + (4 << 20)  # four tries of one block, half of each


@pytest.mark.timeout(60)
def test_garbage_with_hdf5_objects_in_it_does_not_stop_a_read(file, content):
    """The thread that fetches would wait for h5py, which waits for it (https://github.com/h5py/h5py/issues/2019)."""
    thresholds = gc.get_threshold()
    gc.set_threshold(10**9)
    try:
        with serving(Served(content)) as served, Remote(served.uri).opened() as remote_file:
            fetch = remote_file.cache.fetcher

            def fetch_amid_garbage(start, stop):
                Garbage(file)
                get_loop().call_soon_threadsafe(allocate)
                return fetch(start, stop)

            remote_file.cache.fetcher = fetch_amid_garbage
            with h5py.File(remote_file, "r") as opened:
                assert "units" in opened
    finally:
        gc.set_threshold(*thresholds)


class Garbage:
    """What pynwb leaves behind: only a collection finds it, and its end asks h5py for something."""

    def __init__(self, file):
        self.file, self.itself = h5py.File(file, "r"), self

    def __del__(self):
        bool(self.file)


def allocate():
    """Enough for a collection in this thread, where there is any."""
    gc.set_threshold(1)
    lists = [[] for _ in range(100)]
    gc.set_threshold(10**9)
    return lists


def test_remote_file_that_is_cut_off_is_an_error_with_the_uri(content, tmp_path):
    with serving(Served(content[: len(content) // 2])) as served:
        cause = failure(served.uri, tmp_path)
    assert cause.startswith(f"{served.uri}: not a readable NWB file (") and "truncated" in cause


def test_remote_file_that_is_shorter_than_the_server_says_is_an_error_with_the_uri(content, tmp_path):
    with serving(Served(content[: len(content) // 2], length=len(content))) as served:
        assert failure(served.uri, tmp_path).startswith(f"{served.uri}: the connection was interrupted (")


def test_one_remote_file_of_two_that_is_missing_leaves_the_other(content, manifest, tmp_path, local_ray):
    with serving(Served(content)) as served:
        lines = f"  - {{file: '{served.uri}', name: day1}}\n  - {{file: '{served.uri}2', name: day2}}\n"
        text = f"ingest: {{min_rate_hz: 0.01}}\ndefaults: {{lfp: null}}\nsessions:\n{lines}"
        outcome = ingest(plan_sources(manifest(text)), str(tmp_path / "store"))
    assert outcome.stored == ("day1",)
    assert outcome.failed == {"day2": f"{served.uri}2: the server has no such file"}


@pytest.mark.parametrize(("uri", "library"), [("https://lab.org/x", "aiohttp"), ("s3://lab/x", "botocore.session")])
def test_missing_extra_is_named_with_the_way_to_install_it(tmp_path, monkeypatch, uri, library):
    remote._anonymous.cache_clear()
    monkeypatch.setitem(sys.modules, library, None)
    assert failure(uri, tmp_path) == f"{uri}: files on servers need further packages: pip install 'raydistill[remote]'"


# S3


@pytest.fixture(scope="module")
def bucket(content):
    """An S3 service on this machine with a public file and a private one; gives the address of the service."""
    import boto3

    with s3_service() as port:
        address = f"http://127.0.0.1:{port}"
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
        client = boto3.client("s3", endpoint_url=address, **keys)
        client.create_bucket(Bucket="archive")
        client.put_object(Bucket="archive", Key="blobs/4c1/f0e", Body=content, ACL="public-read")
        client.put_object(Bucket="archive", Key="private.nwb", Body=content)
        yield address


@pytest.fixture
def s3(bucket, monkeypatch, tmp_path):
    """That service in the environment, with no credentials in sight."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket)
    remote._anonymous.cache_clear()
    yield monkeypatch.setenv
    remote._anonymous.cache_clear()


def test_public_bucket_is_read_without_credentials_and_equals_the_local_file(s3, file, tmp_path):
    assert ingested(str(file), tmp_path / "local").state == "stored"
    assert ingested("s3://archive/blobs/4c1/f0e", tmp_path / "remote").state == "stored"
    (known, entry), (_, local) = stored(tmp_path / "remote"), stored(tmp_path / "local")
    assert entry.content == local.content
    assert ingested("s3://archive/blobs/4c1/f0e", tmp_path / "remote", known).state == "skipped"


def test_private_file_is_read_with_the_credentials_of_the_environment_alone(s3, tmp_path):
    uri = "s3://archive/private.nwb"
    assert failure(uri, tmp_path) == f"{uri}: the server denies access (403); check the URI and your credentials"
    s3("AWS_ACCESS_KEY_ID", "key")
    s3("AWS_SECRET_ACCESS_KEY", "secret")
    remote._anonymous.cache_clear()
    assert ingested(uri, tmp_path / "store").state == "stored"


@pytest.mark.parametrize("uri", ["s3://archive/none.nwb", "s3://nobody/x.nwb"], ids=["key", "bucket"])
def test_object_that_is_not_there_is_one_line_with_the_uri(s3, tmp_path, uri):
    assert failure(uri, tmp_path) == f"{uri}: the server has no such file"


def test_same_object_has_one_identity_over_s3_and_https(s3, bucket):
    assert Remote("s3://archive/blobs/4c1/f0e").identity() == Remote(f"{bucket}/archive/blobs/4c1/f0e").identity()


def test_s3_service_that_is_not_there_is_one_line_with_the_uri(s3, tmp_path):
    s3("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert failure("s3://archive/x", tmp_path).startswith(
        "s3://archive/x: no answer from the server (Could not connect"
    )


def test_missing_file_is_a_data_error_for_those_who_open_it():
    with (
        serving(Served(b"")) as served,
        pytest.raises(DataError, match="no such file"),
        Remote(served.uri + "2").opened(),
    ):
        pass

"""A store in a bucket: what an ingest writes there over HTTP is read back, skipped when unchanged, and trained from."""

import socket

import numpy as np
import pytest

from raydistill.feed.reading import read_through_ray
from raydistill.recordings.ingest import ingest
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.store import Store


@pytest.fixture(scope="module")
def bucket():
    """An S3 service on this machine: `uri(path)` names a folder of its one bucket."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import S3FileSystem

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    keys = {"access_key": "key", "secret_key": "secret"}
    service = S3FileSystem(
        **keys, scheme="http", endpoint_override=f"127.0.0.1:{port}", region="us-east-1", allow_bucket_creation=True
    )
    service.create_dir("lab")
    yield lambda path: f"s3://key:secret@lab/{path}?scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1"
    server.stop()


def test_store_in_a_bucket_holds_what_was_ingested_and_skips_it_next_time(
    bucket,
    make_h5,
    manifest,
    binned,
    local_ray,
):
    make_h5()
    path = manifest(
        "sessions: [{file: rec.h5, subject: m, bin_width_ms: 100, spikes: spikes, lfp: lfp, "
        "behavior: {values: behavior, names_attribute: names}}]"
    )
    uri = bucket("store")
    assert ingest(plan_sources(path), uri).stored == ("rec",)
    assert ingest(plan_sources(path), uri).skipped == ("rec",)
    store = Store(uri)
    entry = store.entry("rec")
    spikes = np.concatenate([s.spikes for s in store.read(entry)])
    assert np.array_equal(spikes, binned["spikes"])
    assert not [name for name in store.folder.names("") if name.endswith(".tmp")]

    parts = list(entry.parts)
    read = list(read_through_ray(store, [entry])(parts))
    assert [[s.number for s in segments] for segments in read] == [list(part.numbers) for part in parts]

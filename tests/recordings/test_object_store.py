"""A store in a bucket: what an ingest writes there over HTTP is read back, skipped when unchanged, and trained from."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.buckets import serving

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}

# In a process of its own, because the workers of Ray have the environment, and so the keys, of the process that starts
# it, and no address may hold keys.
SCRIPT = """
import json, sys
import numpy as np
from raydistill.cluster import connected
from raydistill.feed.reading import read_through_ray
from raydistill.recordings.ingest import ingest
from raydistill.recordings.planning.discover import plan_sources
from raydistill.store.store import Store
from raydistill.store.table import SIGNALS

path, uri, out = sys.argv[1:]
with connected(None):
    outcomes = [ingest(plan_sources(path), uri) for _ in range(2)]
    store = Store(uri)
    entry = store.entry("rec")
    read = list(read_through_ray(store, [entry], ("spikes", "behavior"))(list(entry.parts)))
np.save(out, np.concatenate([s.spikes for s in store.read(entry)]))
print(json.dumps({
    "outcomes": [[o.stored, o.skipped, o.failed] for o in outcomes],
    "files": store.folder.names(""),
    "parts": [[p.path, p.numbers] for p in entry.parts],
    "read": [[s.number for s in segments] for segments in read],
    "signals": sorted({n for segments in read for s in segments for n in SIGNALS if getattr(s, n) is not None}),
    "spikes": sum(int(s.spikes.sum()) for segments in read for s in segments),
    "problems": store.verify(),
}))
"""


@pytest.fixture(scope="module")
def bucket():
    """An S3 service on this machine: `uri(path)` names a folder of its one bucket."""
    with serving() as served:
        yield served.uri


def test_store_in_a_bucket_holds_what_was_ingested_and_skips_it_next_time(bucket, make_h5, manifest, binned, tmp_path):
    make_h5()
    path = manifest(
        "sessions: [{file: rec.h5, subject: m, bin_width_ms: 100, spikes: spikes, lfp: lfp, "
        "behavior: {values: behavior, names_attribute: names}}]"
    )
    command = [sys.executable, "-c", SCRIPT, str(path), bucket("store"), str(tmp_path / "spikes.npy")]
    done = subprocess.run(command, env=os.environ | KEYS, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["outcomes"] == [[["rec"], [], {}], [[], ["rec"], {}]]
    assert np.array_equal(np.load(tmp_path / "spikes.npy"), binned["spikes"])
    names = ["segments/session=rec/session.json", "segments/session=rec/split.json", "sessions.parquet"]
    assert sorted(found["files"]) == sorted([*names, *(part for part, _ in found["parts"])])
    assert found["read"] == [numbers for _, numbers in found["parts"]]
    assert found["signals"] == ["behavior", "spikes"] and found["spikes"] == binned["spikes"].sum()
    assert found["problems"] == []

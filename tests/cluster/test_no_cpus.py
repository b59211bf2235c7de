"""A cluster that has no CPU, and never will: what would be waited for in vain is refused."""

import numpy as np
import pytest

from tests.cluster.nodes import running
from tests.commands import SWEEP, raydistill

MANIFEST = """ingest: {bin_width_ms: 20, filters: null}
sessions: [{file: a.npz, subject: a, spikes: spikes}]
"""


@pytest.fixture(scope="module")
def address():
    with running() as nodes:
        yield nodes.address


def test_recordings_that_could_never_be_made_or_read_are_refused(address, tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    refused = raydistill("sweep", "sweep.yaml", "--address", address, cwd=tmp_path, check=2)
    assert "the generation of recordings could never start, because it needs 1 CPU, but Ray has 0" in refused.stderr
    np.savez(tmp_path / "a.npz", spikes=np.zeros((5000, 3)))
    (tmp_path / "m.yaml").write_text(MANIFEST)
    refused = raydistill("ingest", "m.yaml", "--store", "store", "--address", address, cwd=tmp_path, check=2)
    assert "the reading of recordings could never start" in refused.stderr

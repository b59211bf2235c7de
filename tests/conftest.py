"""Fixtures shared by all tests: one local Ray for the whole run, and the folder of real recordings."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from raydistill.cluster import connected

# A runner that was started by nohup, or in the background, ignores these, and so would the commands that tests start.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("OMP_NUM_THREADS", "1")

# An example may take any time: on a busy machine a limit would fail tests at random.
settings.register_profile("raydistill", deadline=None)
settings.load_profile("raydistill")


TESTS = Path(__file__).parent
SLOW = ("training", "sweep", "faults", "end_to_end")


class SharingApart(LoadScopeScheduling):
    """Tests side by side: those that share what is slow to make run in one process."""

    def _split_scope(self, nodeid):
        file = nodeid.partition("::")[0]
        return "finished_sweep" if "finished_sweep" in Path(self.config.rootpath, file).read_text() else file


def pytest_xdist_make_scheduler(config, log):
    return SharingApart(config, log)


def pytest_collection_modifyitems(items):
    """The slow ones come first, so that none is left over at the end."""
    items.sort(key=lambda item: item.path.relative_to(TESTS).parts[0] not in SLOW)


@pytest.fixture(scope="session")
def local_ray():
    """A local Ray with the settings of every command, shared by the tests, on more CPUs than there are."""
    import ray

    with connected(cpus=6):
        yield ray


@pytest.fixture(scope="session")
def recordings():
    """The folder of real recordings, which cannot be distributed; tests that need them are skipped without it.

    RAYDISTILL_TEST_DATA names it; by default it is `shared/data` next to the checkout.
    """
    folder = Path(os.environ.get("RAYDISTILL_TEST_DATA", TESTS.parents[1] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs real recordings, and there is no folder {folder}; set RAYDISTILL_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def finished_sweep(tmp_path_factory):
    """The folder of a small sweep that ran without disturbance: sweep.yaml and runs/."""
    from tests.commands import SWEEP, raydistill

    folder = tmp_path_factory.mktemp("finished")
    (folder / "sweep.yaml").write_text(SWEEP)
    raydistill("sweep", "sweep.yaml", cwd=folder, check=0)
    return folder

"""Models in the folders of jobs: found by the beginning of a key, and refused if a bit has changed."""

from pathlib import Path

import pytest
import torch

from raydistill.errors import CheckpointError
from raydistill.marker import write_marker
from raydistill.models.families import build_model
from raydistill.models.files import load_model, save_model
from tests.small import make_spec
from tests.test_marker import flip


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    """The jobs folder of the default runs folder, with one model in the folder of a finished job."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "jobs" / ("abcd" + "0" * 60)
    save_model(build_model(make_spec()), folder)
    write_marker(folder)
    return folder.parent


def test_beginning_of_a_key_is_enough(jobs):
    expected = load_model(jobs / ("abcd" + "0" * 60)).state_dict()
    for name in ("abcd", "abcd00000000", jobs / "abcd0000"):
        found = load_model(Path(name)).state_dict()
        assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_key_of_no_job_or_of_several_is_refused(jobs):
    with pytest.raises(CheckpointError, match="no key of a job begins with abce"):
        load_model(Path("abce"))
    (jobs / ("abcd" + "1" * 60)).mkdir()
    with pytest.raises(CheckpointError, match='"abcd" is the beginning of 2 keys'):
        load_model(Path("abcd"))
    with pytest.raises(CheckpointError, match=r"there is no model\.json in this folder"):
        load_model(Path("elsewhere"))


@pytest.mark.parametrize("name", ["model.safetensors", "model.json"])
def test_flipped_bit_of_a_finished_job_is_refused(jobs, name):
    (folder,) = jobs.iterdir()
    size = (folder / name).stat().st_size
    flip(folder / name, size - 5)
    with pytest.raises(CheckpointError, match=f"{name} is damaged: its content is not the one that was written"):
        load_model(folder)

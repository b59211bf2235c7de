"""A file pulls nothing of this machine into a store: its links may lead to its own folder, or where the user allows."""

import json
import os

import h5py
import numpy as np
import pytest

from raydistill.errors import ConfigError, DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.new_manifest.command import new_manifest
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.planning.dry_run import expected_failures
from raydistill.store.store import Store

ENTRY = "subject: m, bin_width_ms: 100, spikes: spikes, lfp: lfp"


def external(file, secret):
    file["lfp"] = h5py.ExternalLink(str(secret), "/x")


def virtual(file, secret):
    layout = h5py.VirtualLayout((600, 4), dtype="f4")
    layout[:] = h5py.VirtualSource(str(secret), "x", (600, 4))
    file.create_virtual_dataset("lfp", layout)


def raw(file, secret):
    size = 600 * 4 * 4
    file.create_dataset("lfp", (600, 4), "f4", external=[(str(secret), os.path.getsize(secret) - size, size)])


KINDS = pytest.mark.parametrize("link", [external, virtual, raw], ids=lambda link: link.__name__)


@pytest.fixture
def secret(tmp_path, rng):
    path = tmp_path / "private" / "secret.h5"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["x"] = rng.standard_normal((600, 4)).astype("f4")
    return path


@pytest.fixture
def linking(tmp_path, rng):
    """Writes data/rec.h5, whose LFP is a link, and lab.yaml in the same folder; returns the manifest."""

    def make(link, secret, top="", folder="data"):
        path = tmp_path / folder / "rec.h5"
        path.parent.mkdir(exist_ok=True, parents=True)
        with h5py.File(path, "w") as file:
            file["spikes"] = rng.poisson(1, (600, 6)).astype(np.uint8)
            link(file, secret)
        manifest = tmp_path / folder / "lab.yaml"
        manifest.write_text(f"{top}ingest: {{filters: null}}\nsessions:\n  - {{file: rec.h5, {ENTRY}}}\n")
        return manifest

    return make


def result_of(manifest, tmp_path, overrides=()):
    (recording,) = plan_sources(manifest, overrides=overrides)
    return ingest_one(recording, str(tmp_path / "store"), None)


@KINDS
def test_link_out_of_the_folder_is_refused_by_ingest_dry_run_and_new_manifest(link, secret, linking, tmp_path):
    manifest = linking(link, secret)
    result = result_of(manifest, tmp_path)
    expected = f"rec.h5: it links to {secret}, outside of its folder; if that belongs to the recording, allow it with"
    assert result.state == "failed" and expected in result.cause and f"links: [{secret.parent}]" in result.cause
    assert expected in expected_failures(plan_sources(manifest))["rec"]
    with pytest.raises(DataError, match="outside of its folder"):
        new_manifest([manifest.parent / "rec.h5"], manifest.parent)
    assert not (tmp_path / "store" / "segments").exists()


@KINDS
@pytest.mark.parametrize("allowed", ["links: [../private]\n", "links: [../private/secret.h5]\n", "--set"])
def test_link_out_of_the_folder_is_followed_if_the_user_allows_it(link, allowed, secret, linking, tmp_path):
    in_file = "" if allowed == "--set" else allowed
    manifest = linking(link, secret, in_file)
    overrides = [f"links={secret.parent}"] if allowed == "--set" else []
    assert result_of(manifest, tmp_path, overrides).state == "stored"
    assert Store(str(tmp_path / "store")).entry("rec").n_channels == 4


def test_link_that_leads_up_is_followed_if_the_manifest_or_the_searched_folder_is_above(secret, linking, tmp_path):
    manifest = linking(external, "../private/secret.h5")
    assert result_of(manifest, tmp_path).state == "failed"
    above = tmp_path / "lab.yaml"
    above.write_text(manifest.read_text().replace("rec.h5", "data/rec.h5"))
    assert result_of(above, tmp_path).state == "stored"


def test_link_to_a_file_beside_that_is_a_symbolic_link_is_followed(secret, linking, tmp_path):
    manifest = linking(external, "probe.h5")
    (tmp_path / "data" / "probe.h5").symlink_to(secret)
    assert result_of(manifest, tmp_path).state == "stored"


@pytest.mark.parametrize("name", ["/dev/zero", "/dev/stdin"])
def test_device_that_a_file_links_to_is_never_opened(name, linking, tmp_path):
    def of_device(file, device):
        file.create_dataset("lfp", (600, 4), "f4", external=[(device, 0, 9600)])

    assert "outside of its folder" in result_of(linking(of_device, name), tmp_path).cause
    manifest = linking(of_device, name, "links: [/dev]\n")
    assert "which is a pipe or a device, not a file" in result_of(manifest, tmp_path).cause


def test_pipe_beside_the_file_that_it_links_to_is_never_opened(linking, tmp_path):
    manifest = linking(external, "probe.h5")
    os.mkfifo(tmp_path / "data" / "probe.h5")
    assert "which is a pipe or a device, not a file" in result_of(manifest, tmp_path).cause


def test_reference_to_an_object_with_values_in_another_file_is_refused(secret, tmp_path, rng):
    path = tmp_path / "data" / "rec.mat"
    path.parent.mkdir()
    with h5py.File(path, "w") as file:
        file["spikes"] = rng.poisson(1, (6, 600)).astype("f8")
        hidden = file.create_dataset("#refs#/a", (4, 600), "f4", external=[(str(secret), 2048, 9600)])
        cells = file.create_dataset("lfp", (1, 1), h5py.ref_dtype)
        cells[0, 0] = hidden.ref
        cells.attrs["MATLAB_class"] = np.bytes_("cell")
    manifest = tmp_path / "data" / "lab.yaml"
    entry = ENTRY.replace("lfp: lfp", "lfp: {values: 'lfp{1}', transpose: true}")
    manifest.write_text(f"sessions:\n  - {{file: rec.mat, {entry}}}\n")
    result = result_of(manifest, tmp_path)
    assert result.state == "failed" and "is a reference to values that are in another file" in result.cause


def test_link_of_a_zarr_file_out_of_its_folder_is_refused(make_nwb, tmp_path):
    pynwb, zarr_nwb = pytest.importorskip("pynwb"), pytest.importorskip("hdmf_zarr.nwb")
    target = tmp_path / "data" / "rec.nwb.zarr"
    target.parent.mkdir()
    with pynwb.NWBHDF5IO(make_nwb(), "r") as read, zarr_nwb.NWBZarrIO(str(target), "w") as write:
        write.export(src_io=read, write_args={"link_data": False})
    link = {"name": "x", "source": "../../private.zarr", "path": "/x", "object_id": None, "source_object_id": None}
    (target / "acquisition" / ".zattrs").write_text(json.dumps({"zarr_link": [link]}))
    (target / ".zmetadata").unlink(missing_ok=True)
    (recording,) = plan_sources(target)
    result = ingest_one(recording, str(tmp_path / "store"), None)
    assert (
        result.state == "failed" and f"it links to {tmp_path / 'private.zarr'}, outside of its folder" in result.cause
    )


def test_links_that_are_no_list_of_paths_are_refused_with_their_line(linking, secret):
    with pytest.raises(ConfigError, match=r"lab\.yaml:1: `?links"):
        plan_sources(linking(external, secret, "links: {a: 1}\n"))

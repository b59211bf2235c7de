"""NWB files in the Zarr format: the same file gives the same session as in HDF5, and no pickle is run."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings

import numcodecs
import numpy as np
import pynwb
import pytest
import zarr
from hdmf_zarr.nwb import NWBZarrIO
from numcodecs.registry import codec_registry

from raydistill.errors import ConfigError, DataError
from raydistill.recordings.ingest import ingest_one
from raydistill.recordings.layouts import open_raw
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.readers.nwb_parts.zarr import zarr_reader
from raydistill.store.store import Store


@pytest.fixture
def zarr_folder(make_nwb, tmp_path):
    """rec.nwb and the same content as the folder other/rec.nwb.zarr."""
    source, target = make_nwb(), tmp_path / "other" / "rec.nwb.zarr"
    target.parent.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pynwb.NWBHDF5IO(source, "r") as read, NWBZarrIO(str(target), "w") as write:
            write.export(src_io=read, write_args={"link_data": False})
    return target


def stored(source, tmp_path, name):
    """The entry and the segments of the one session of a source, stored."""
    (recording,) = plan_sources(source)
    store = Store(str(tmp_path / name))
    result = ingest_one(recording, store.uri, None)
    assert result.state == "stored", result.cause
    store.publish()
    (entry,) = store.entries()
    return entry, store.read(entry), result


def test_zarr_file_gives_the_session_of_the_hdf5_file(zarr_folder, tmp_path):
    expected, expected_segments, _ = stored(tmp_path / "rec.nwb", tmp_path, "a")
    entry, segments, _ = stored(zarr_folder, tmp_path, "b")
    assert (entry.session, entry.subject, entry.n_units, entry.n_channels) == ("rec", expected.subject, 8, 3)
    assert entry.content == expected.content
    assert entry.unit_channels == expected.unit_channels and entry.lfp_channels == expected.lfp_channels
    for own, other in zip(segments, expected_segments, strict=True):
        np.testing.assert_array_equal(own.spikes, other.spikes)
        np.testing.assert_array_equal(own.lfp, other.lfp)
        np.testing.assert_array_equal(own.behavior, other.behavior)


def test_zarr_file_is_found_in_a_folder_and_named_by_a_manifest(zarr_folder, manifest):
    zarr.open(str(zarr_folder.parent / "plain.zarr"), "w", shape=(3,), dtype="f4")[:] = 1
    (found,) = plan_sources(zarr_folder.parent)
    (named,) = plan_sources(manifest("sessions:\n  - {file: other/rec.nwb.zarr, lfp: null}\n"))
    assert (found.name, found.path) == (named.name, named.path) == ("rec", zarr_folder)


def test_zarr_file_is_read_again_when_a_chunk_has_changed(zarr_folder, tmp_path):
    (recording,) = plan_sources(zarr_folder)
    entry, _, _ = stored(zarr_folder, tmp_path, "a")
    assert ingest_one(recording, str(tmp_path / "a"), entry.fingerprint).state == "skipped"
    data = zarr.open(str(zarr_folder / "processing/behavior/Position/position/data"), "r+")
    data[10, 0] = 77.0
    assert ingest_one(recording, str(tmp_path / "a"), entry.fingerprint).state == "stored"


def test_zarr_file_without_some_chunks_is_told(zarr_folder, tmp_path):
    chunks = sorted(os.listdir(zarr_folder / "processing/behavior/Position/position/data"))
    os.remove(zarr_folder / "processing/behavior/Position/position/data" / next(c for c in chunks if c[0] != "."))
    _, _, result = stored(zarr_folder, tmp_path, "a")
    (note,) = [note for note in result.notes if "chunks" in note]
    assert "processing/behavior/Position/position/data are missing and read as 0; is the copy complete?" in note


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / ".zmetadata").write_text("{"),
        lambda f: [os.remove(f / name) for name in (".zmetadata", ".zgroup")],
        lambda f: [os.remove(f / name) for name in (".zmetadata", "units/spike_times/.zarray")],
    ],
)
def test_zarr_file_that_is_damaged_is_refused_in_one_line(damage, zarr_folder, tmp_path):
    (recording,) = plan_sources(zarr_folder)
    damage(zarr_folder)
    with (
        pytest.raises(DataError, match=r"rec\.nwb\.zarr: cannot be read as NWB 2 \("),
        open_raw(recording.path, recording.source, 10.0),
    ):
        pass


@pytest.mark.parametrize("cut", [2500, 4999, 17, 3])
def test_zarr_chunk_that_was_cut_off_is_refused_and_not_filled_from_memory(cut, zarr_folder, tmp_path):
    """Blosc stores noise as it is, and copies as many bytes as the header states, also from beyond the chunk."""
    folder = zarr_folder / "processing/behavior/Position/position/data"
    noise = np.random.default_rng(0).bytes(3000 * 2 * 8)
    (chunk,) = [file for file in folder.iterdir() if not file.name.startswith(".")]
    chunk.write_bytes(numcodecs.Blosc().encode(noise)[:cut])
    (recording,) = plan_sources(zarr_folder)
    result = ingest_one(recording, str(tmp_path / "store"), None)
    assert result.state == "failed"
    assert f"a chunk of {cut} bytes is not as long as it says; copy the file again" in result.cause


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"\2\0\0\0\1\0\0\0a", b"\1\0\0\0\2\0\0\0a", b"\xff\xff\xff\xff"])
def test_zarr_texts_that_are_fewer_or_shorter_than_their_chunk_says_are_refused(content, zarr_folder):
    with zarr_reader(zarr_folder), pytest.raises(DataError, match=f"a chunk of {len(content)} bytes is not as long"):
        numcodecs.get_codec({"id": "vlen-utf8"}).decode(content)


def test_zarr_codecs_are_those_of_numcodecs_again_after_reading(zarr_folder):
    texts = np.array(["a", "", "bcd"], dtype=object)
    before = dict(codec_registry)
    chunk = numcodecs.VLenUTF8().encode(texts)
    with zarr_reader(zarr_folder):
        assert list(numcodecs.get_codec({"id": "vlen-utf8"}).decode(chunk)) == ["a", "", "bcd"]
    assert codec_registry == before


@pytest.mark.parametrize("array", ["acquisition/LFP_probe0/data", "processing/behavior/Position/position/data"])
def test_zarr_chunk_that_cannot_be_decompressed_is_refused_in_one_line(array, zarr_folder, tmp_path):
    folder = zarr_folder / array
    if not folder.is_dir():
        (folder,) = [d.parent for d in zarr_folder.rglob(".zarray") if "LFP" in str(d) and d.parent.name == "data"]
    for chunk in folder.iterdir():
        if not chunk.name.startswith("."):
            chunk.write_bytes(chunk.read_bytes()[:16] + b"not a chunk" * 20)
    (recording,) = plan_sources(zarr_folder)
    result = ingest_one(recording, str(tmp_path / "store"), None)
    assert result.state == "failed" and result.cause.startswith("rec.nwb.zarr: ")
    assert "the file is damaged (" in result.cause and "Error" not in result.cause


def test_zarr_file_with_a_damaged_description_of_an_array_is_refused_in_one_line(zarr_folder, tmp_path):
    (recording,) = plan_sources(zarr_folder)
    (zarr_folder / "units/spike_times/.zarray").write_bytes(b"\xff{")
    result = ingest_one(recording, str(tmp_path / "store"), None)
    assert result.cause.startswith("rec.nwb.zarr: the description of an array or group in it is damaged (")


@pytest.mark.parametrize(
    ("key", "value"),
    [("shape", [-1]), ("shape", "text"), ("chunks", [[]]), ("chunks", [0]), ("order", ""), ("order", [])],
)
@pytest.mark.parametrize("is_consolidated", [True, False])
def test_zarr_array_that_is_described_as_none_can_be_is_refused(is_consolidated, key, value, zarr_folder, tmp_path):
    (recording,) = plan_sources(zarr_folder)
    name = "units/spike_times/.zarray"
    if is_consolidated:
        tree = json.loads((zarr_folder / ".zmetadata").read_text())
        tree["metadata"][name][key] = value
        (zarr_folder / ".zmetadata").write_text(json.dumps(tree))
    else:
        (zarr_folder / ".zmetadata").unlink()
        tree = json.loads((zarr_folder / name).read_text())
        (zarr_folder / name).write_text(json.dumps(tree | {key: value}))
    result = ingest_one(recording, str(tmp_path / "store"), None)
    assert result.cause.startswith(f"rec.nwb.zarr: the description of an array in it is damaged: {name} says shape=")
    assert f"{key}={value!r}" in result.cause


def test_zarr_references_are_read_and_other_pickles_refused(zarr_folder):
    path = zarr_folder / "general/extracellular_ephys/electrodes/group"
    before = codec_registry.get("pickle")
    with warnings.catch_warnings(), zarr_reader(zarr_folder) as reader:
        warnings.simplefilter("ignore")
        nwb = reader().read()
        assert [group.name for group in nwb.electrodes["group"][:]] == ["g", "g", "g"]
        array = zarr.open(str(path), "r")
        (path / "0").write_bytes(array.compressor.encode(pickle.dumps(os.getcwd)))
        with pytest.raises(DataError, match=r"asks for posix\.getcwd, which is never loaded"):
            array[:]
    assert codec_registry.get("pickle") is before


def test_zarr_file_without_the_package_names_what_to_install(zarr_folder):
    code = f"""
import sys
sys.modules["hdmf_zarr"] = None
from raydistill.recordings.planning.discover import plan_sources
from raydistill.recordings.layouts import open_raw
(recording,) = plan_sources({str(zarr_folder)!r})
try:
    open_raw(recording.path, recording.source, 10.0).__enter__()
except Exception as err:
    print(f"{{type(err).__name__}}: {{err}}")
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == (
        "DataError: rec.nwb.zarr: NWB files in the Zarr format need further packages: pip install 'raydistill[zarr]'"
    )


def test_zarr_file_that_is_missing_is_refused(tmp_path):
    with pytest.raises((ConfigError, DataError), match=r"none\.nwb\.zarr: no such file or folder"):
        plan_sources(tmp_path / "none.nwb.zarr")


def test_zarr_copy_has_the_same_fingerprint(zarr_folder, tmp_path):
    entry, _, _ = stored(zarr_folder, tmp_path, "a")
    copy = tmp_path / "copy" / "rec.nwb.zarr"
    shutil.copytree(zarr_folder, copy)
    (recording,) = plan_sources(copy)
    assert ingest_one(recording, str(tmp_path / "a"), entry.fingerprint).state == "skipped"

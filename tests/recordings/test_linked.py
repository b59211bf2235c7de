"""Files that HDF5 files link to: found without reading, wherever the link is."""

import os
import shutil

import h5py
import numpy as np
import pytest

from raydistill.recordings.content import content_of, sources
from raydistill.recordings.linked import linked_files


def holding(path, **links):
    """An HDF5 file of a small dataset and of external links: name -> (file, object)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(5)
        for name, (other, place) in links.items():
            file[name.replace("__", "/")] = h5py.ExternalLink(other, place)
    return path


def test_links_are_found_in_groups_through_other_files_and_where_no_file_is(tmp_path):
    main = holding(tmp_path / "a.nwb", x2=("b.nwb", "/x"), deep__inside__y=("raw/c.h5", "/x"), z=("gone.nwb", "/x"))
    holding(tmp_path / "b.nwb", back=("a.nwb", "/x"), on=("raw/d.h5", "/x"))
    holding(tmp_path / "raw" / "c.h5", own=("d.h5", "/x"))
    holding(tmp_path / "raw" / "d.h5", itself=("d.h5", "/x"))
    with h5py.File(main, "a") as file:
        file["soft"] = h5py.SoftLink("/deep/inside/y")
        file["loop/around"] = file["deep"]
        file["deep/up"] = file["loop"]
    names = ["raw/c.h5", "b.nwb", "gone.nwb", "raw/d.h5"]
    assert linked_files(main) == tuple(tmp_path / name for name in names)


def test_sources_of_virtual_and_raw_datasets_are_found(tmp_path):
    parts = [holding(tmp_path / f"part{i}.h5") for i in range(2)]
    np.arange(6, dtype=np.int16).tofile(tmp_path / "raw.bin")
    layout = h5py.VirtualLayout((2, 5), dtype=np.int64)
    for i, part in enumerate(parts):
        layout[i] = h5py.VirtualSource(part.name, "x", (5,))
    with h5py.File(tmp_path / "main.h5", "w") as file:
        file["own"] = np.zeros(5)
        file.create_virtual_dataset("both", layout)
        file.create_dataset("lfp/raw", (6,), np.int16, external=[(str(tmp_path / "raw.bin"), 0, 12)])
    assert linked_files(tmp_path / "main.h5") == (*parts, tmp_path / "raw.bin")


def test_link_is_followed_as_hdf5_does_it_when_the_file_is_itself_a_link_or_was_moved(tmp_path):
    real = holding(tmp_path / "store" / "main.nwb", x2=("probe.nwb", "/x"), x3=("/none/such/far.nwb", "/x"))
    for name in ("probe.nwb", "far.nwb"):
        holding(tmp_path / "store" / name)
    (tmp_path / "named").mkdir()
    os.symlink(real, tmp_path / "named" / "main.nwb")
    for main in (real, tmp_path / "named" / "main.nwb"):
        linked = linked_files(main)
        assert [os.path.realpath(path) for path in linked] == [
            str(tmp_path / "store" / name) for name in ("probe.nwb", "far.nwb")
        ]
        with h5py.File(main) as file:
            assert [os.path.realpath(file[n].file.filename) for n in ("x2", "x3")] == [str(p.resolve()) for p in linked]


@pytest.mark.parametrize("content", [b"", b"text", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 40])
def test_file_that_is_not_hdf5_links_to_nothing(content, tmp_path):
    (tmp_path / "a.mat").write_bytes(content)
    assert linked_files(tmp_path / "a.mat") == () == linked_files(tmp_path / "none.mat")


def test_damage_in_one_place_does_not_hide_a_link_elsewhere(tmp_path):
    main = holding(tmp_path / "a.h5", link=("b.h5", "/x"))
    with h5py.File(main) as file:
        place = h5py.h5o.get_info(file["x"].id).addr
    content = bytearray(main.read_bytes())
    content[place : place + 64] = bytes(64)
    main.write_bytes(content)
    with h5py.File(main) as file, pytest.raises(KeyError):
        file["x"]
    assert linked_files(main) == (tmp_path / "b.h5",)


def test_content_changes_with_linked_files_and_not_with_their_place(tmp_path):
    main = holding(tmp_path / "day" / "a.nwb", p=("probes/p.nwb", "/x"), q=("probes/q.nwb", "/x"))
    holding(tmp_path / "day" / "probes" / "p.nwb")
    first = content_of(main)
    assert first.missing == [tmp_path / "day" / "probes" / "q.nwb"]
    with h5py.File(holding(tmp_path / "day" / "probes" / "q.nwb"), "a") as file:
        file["x"][0] = 7
    complete = content_of(main)
    shutil.move(tmp_path / "day", tmp_path / "moved")
    moved = content_of(tmp_path / "moved" / "a.nwb")
    assert moved.identity == complete.identity != first.identity
    p, q = (tmp_path / "moved" / "probes" / f"{name}.nwb" for name in "pq")
    p.rename(tmp_path / "p")
    q.rename(p)
    (tmp_path / "p").rename(q)
    swapped = content_of(tmp_path / "moved" / "a.nwb")
    assert swapped.identity != moved.identity and set(swapped.identity) == set(moved.identity)


def test_sources_keep_files_of_one_name_in_different_folders(tmp_path):
    main = holding(tmp_path / "day" / "rec.h5", link=("lfp/rec.h5", "/x"))
    near, far = (
        holding(tmp_path / "day" / "lfp" / "rec.h5"),
        holding(tmp_path / "other" / "rec.h5", gone=("no.h5", "/")),
    )
    contents = [content_of(main), content_of(far)]
    assert sources([main, far], contents) == {
        "rec.h5": content_of(main).digest,
        "lfp/rec.h5": content_of(near).digest,
        "../other/rec.h5": content_of(far).digest,
    }

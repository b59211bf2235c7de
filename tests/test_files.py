"""Files are complete or absent, and are identified by their content."""

import hashlib

import pytest

from raydistill.errors import DataError
from raydistill.files import Folder, renamed_when_whole, sha256_of, write_atomically, write_json


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_file_written_atomically_replaces_the_old_one_and_leaves_no_other(tmp_path):
    for content in (b"old", b"new"):
        write_atomically(tmp_path / "folder" / "a", content)
    assert (tmp_path / "folder" / "a").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a"]


def test_json_with_a_number_that_is_not_finite_is_refused_and_the_old_file_stays(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1})
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"b": float("nan")})
    assert (tmp_path / "a.json").read_text() == '{\n "b": 1\n}\n'


def test_file_that_is_renamed_when_whole_is_absent_after_an_error(tmp_path):
    with pytest.raises(DataError, match=r"a: cannot be written"), renamed_when_whole(tmp_path / "a") as partial:
        partial.write_text("half")
        raise OSError("no space left")
    assert not list(tmp_path.iterdir())


def test_folder_gives_back_what_was_written_and_lists_it(tmp_path):
    folder = Folder(f"file://{tmp_path}")
    folder.write("sub/b.json", b"{}")
    assert folder.read("sub/b.json") == b"{}" and folder.exists("sub/b.json")
    assert folder.names("sub", ".json") == ["sub/b.json"] and folder.names("none") == []


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/.", "", "a\0b"])
def test_folder_neither_reads_writes_nor_deletes_what_is_outside(name, tmp_path):
    (tmp_path / "x").write_bytes(b"mine")
    folder = Folder(str(tmp_path / "store"))
    for use in (folder.exists, folder.read, folder.read_buffer, folder.delete, lambda name: folder.write(name, b"")):
        with pytest.raises(DataError, match="leads out of this folder"):
            use(name)
    assert (tmp_path / "x").read_bytes() == b"mine" and sorted(p.name for p in tmp_path.iterdir()) == ["x"]


def test_folder_deletes_nothing_behind_a_link_that_leads_out_of_it(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "x").write_bytes(b"mine")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "segments").symlink_to(tmp_path / "home")
    with pytest.raises(DataError, match="behind a link"):
        Folder(str(tmp_path / "store")).delete("segments/x")
    assert (tmp_path / "home" / "x").exists()


def test_folder_names_a_file_by_the_sha256_of_its_content(tmp_path):
    folder = Folder(str(tmp_path))
    written = folder.write_by_content("a/part-", ".bin", lambda stream: stream.write(b"content"))
    digest = hashlib.sha256(b"content").hexdigest()
    assert (written.name, written.size, written.sha256) == (f"a/part-{digest[:16]}.bin", 7, digest)
    assert folder.sizes("a") == {written.name: 7} and folder.read(written.name) == b"content"

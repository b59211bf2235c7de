"""The marker of a complete folder: every kind of damage is found and named."""

import os

import pytest

from raydistill import marker
from raydistill.files import read_mapping, write_json
from raydistill.marker import MARKER, damage, damage_of, marked_digest, write_marker


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "metrics.json").write_text('{"r2": 0.5}')
    (tmp_path / "model.safetensors").write_bytes(bytes(range(256)) * 4)
    (tmp_path / ".owner").write_text("hidden")
    write_marker(tmp_path)
    return tmp_path


def flip(file, place=100):
    """Change one bit and keep size and times, as a disk does."""
    times = file.stat()
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_marker_holds_the_size_and_digest_of_every_file_that_is_not_hidden(folder):
    files = read_mapping(folder / MARKER)["files"]
    assert set(files) == {"metrics.json", "model.safetensors"} and files["model.safetensors"]["size"] == 1024
    assert marked_digest(folder, "model.safetensors") == files["model.safetensors"]["sha256"] != ""
    assert marked_digest(folder, "none") == "" and damage(folder) == ""


def test_flipped_bit_is_found(folder):
    flip(folder / "model.safetensors")
    assert damage(folder) == "model.safetensors is damaged: its content is not the one that was written"
    assert damage_of(folder, "model.safetensors") and not damage_of(folder, "metrics.json")


def test_flipped_bit_of_a_large_file_is_found_when_everything_is_read(folder, monkeypatch):
    monkeypatch.setattr(marker, "SMALL", 1000)
    flip(folder / "model.safetensors")
    assert damage(folder) == "" and "model.safetensors is damaged" in damage(folder, everything=True)


def test_edited_truncated_missing_and_linked_files_are_named(folder):
    (folder / "metrics.json").write_text('{"r2": 9.5}')
    assert damage(folder).startswith("metrics.json is damaged: its content")
    (folder / "metrics.json").write_text("{}")
    assert damage(folder) == "metrics.json is damaged: it has 2 bytes, and had 11 when it was written"
    (folder / "metrics.json").unlink()
    assert damage(folder) == "metrics.json is missing"
    (folder / "metrics.json").symlink_to("/etc/hostname")
    assert damage(folder) == "metrics.json is not a regular file"
    (folder / "metrics.json").unlink()
    os.mkfifo(folder / "metrics.json")
    assert damage(folder) == "metrics.json is not a regular file"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"files": 3}', '{"files": {"a": 1}}', "[" * 100_000])
def test_damaged_marker_is_damage_and_no_error(folder, content):
    (folder / MARKER).write_text(content)
    assert "_SUCCESS" in damage(folder) and marked_digest(folder, "metrics.json") is None
    assert damage_of(folder, "metrics.json") == "_SUCCESS is damaged"


@pytest.mark.parametrize("name", ["../victim", "/etc/hostname", "a/b", "..", ".owner", ""])
def test_marker_that_names_a_file_outside_of_its_folder_is_damage(folder, name):
    write_json(folder / MARKER, {"files": {name: {"size": 0, "sha256": ""}}})
    assert "which is not one of the folder" in damage(folder)


def test_unchanged_file_is_read_once(folder, monkeypatch):
    assert damage(folder, everything=True) == ""
    monkeypatch.setattr(marker, "sha256_of", lambda _: pytest.fail("the file is read again"))
    assert damage(folder, everything=True) == ""

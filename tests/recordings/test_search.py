"""Which files of a folder are found, each once, and what is said of the rest."""

import os

import pytest

from raydistill.recordings.planning.search import files_below, search


@pytest.fixture
def tree(tmp_path):
    """A folder `data` to search, next to other things."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def file(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def link(path, target):
    path.parent.mkdir(parents=True, exist_ok=True)
    os.symlink(target, path)
    return path


def found(folder):
    return [path.relative_to(folder).as_posix() for path in files_below(folder, lambda name: name.endswith(".nwb"))]


def test_search_passes_over_hidden_files_and_hidden_folders(tree):
    for name in ("a.nwb", "sub/b.nwb", ".git/annex/c.nwb", "sub/.ipynb_checkpoints/d.nwb", "sub/._b.nwb", "notes.txt"):
        file(tree / name)
    (tree / "folder.nwb").mkdir()
    assert found(tree) == ["a.nwb", "sub/b.nwb"]


def test_search_below_a_hidden_folder_that_was_named_finds_its_files(tmp_path):
    file(tmp_path / ".lab" / "a.nwb")
    assert found(tmp_path / ".lab") == ["a.nwb"]


def test_search_follows_links_to_folders_and_ends_where_they_form_a_loop(tree, tmp_path):
    file(tree / "sub" / "a.nwb")
    file(tmp_path / "elsewhere" / "deep" / "b.nwb")
    file(tmp_path / "beside.nwb")
    link(tree / "linked", "../elsewhere")
    link(tree / "again", tmp_path / "elsewhere" / "deep")
    link(tree / "sub" / "up", "..")
    link(tree / "above", tmp_path)
    link(tmp_path / "elsewhere" / "back", tree)
    link(tree / "itself", "itself")
    assert found(tree) == ["again/b.nwb", "sub/a.nwb"]


def test_search_counts_a_file_once_at_its_own_place(tree):
    file(tree / "z" / "a.nwb")
    link(tree / "a.nwb", "z/a.nwb")
    link(tree / "latest.nwb", "z/a.nwb")
    link(tree / "another way", "z")
    assert found(tree) == ["z/a.nwb"]
    result = search(tree, lambda name: name.endswith(".nwb"))
    assert result.repeated == ((tree / "latest.nwb", tree / "z" / "a.nwb"),)


def test_search_keeps_two_names_of_one_file_outside_the_folder(tree, tmp_path):
    file(tmp_path / "key")
    for name in ("x/a.nwb", "y/a.nwb", "b.nwb"):
        link(tree / name, tmp_path / "key")
    assert found(tree) == ["b.nwb", "x/a.nwb"]


def test_search_keeps_links_whose_file_is_not_there(tree):
    link(tree / "a.nwb", ".git/annex/objects/aa/bb/key.nwb")
    assert found(tree) == ["a.nwb"]


def test_search_names_what_it_could_not_search(tree):
    file(tree / "a.nwb")
    file(tree / ".gitmodules", '[submodule "x"]\n\tpath = sub 1\n\turl = ./sub-1\n[submodule "y"]\n\tpath = sub-2\n')
    (tree / "sub 1").mkdir()
    file(tree / "sub-2" / "b.nwb")
    link(tree / "disk", "/mnt/none")
    link(tree / "readme.txt", "/mnt/none.txt")
    disk, part = sorted(search(tree, lambda name: name.endswith(".nwb")).unsearched)
    assert disk.startswith(f"{tree / 'disk'}: a link to /mnt/none, which is not there")
    assert part.startswith(f"{tree / 'sub 1'}: this part of the dataset is not installed; run `datalad get")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_search_names_a_folder_that_it_must_not_read(tree):
    file(tree / "closed" / "a.nwb")
    (tree / "closed").chmod(0)
    result = search(tree, lambda name: True)
    (tree / "closed").chmod(0o700)
    assert not result.files and "closed: this folder cannot be searched (Permission denied)" in result.unsearched[0]

"""Names given by the user: which can become a folder, and which ending a file must have."""

from pathlib import Path

import pytest

from raydistill.config.names import check_ending, check_name
from raydistill.errors import DataError, RaydistillError


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "é", "x" * 81, 7])
def test_name_that_is_no_folder_name_is_refused(name):
    with pytest.raises(DataError, match="is not allowed"):
        check_name(name)


def test_name_of_a_recording_is_kept():
    assert check_name("indy_20160407.02") == "indy_20160407.02"


def test_file_of_another_ending_is_refused_with_those_that_are_allowed():
    check_ending("--out", Path("page.html"), ".html")
    with pytest.raises(RaydistillError, match=r"--out page\.txt: the name must end in \.png or \.svg"):
        check_ending("--out", Path("page.txt"), ".png", ".svg")

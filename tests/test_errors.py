"""Parts of error messages."""

import pytest

from raydistill.errors import DataError, of_library, one_line, without_password


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://me:secret@host:5000/path", "http://host:5000/path"),
        ("postgresql://me:s@cr@t@host/db", "postgresql://host/db"),
        ("cannot reach https://me:secret@host or https://token@other", "cannot reach https://host or https://other"),
        ("https://host/a@b", "https://host/a@b"),
        ("https://host:80/a@b", "https://host:80/a@b"),
        ("s3://KEY:s/e/cret@bucket/a", "s3://bucket/a"),
        ("https://host/a?x=1&X-Amz-Signature=s#t", "https://host/a?x=1&X-Amz-Signature=...#t"),
        ("sqlite:////runs/mlflow.db", "sqlite:////runs/mlflow.db"),
    ],
)
def test_without_password_removes_user_and_password_and_nothing_else(text, expected):
    assert without_password(text) == expected


def test_one_line_of_an_error_without_a_message_is_its_type():
    assert (one_line(ValueError("first\nsecond")), one_line(KeyboardInterrupt())) == ("first", "KeyboardInterrupt")


def test_one_line_of_an_error_names_no_object_of_python():
    assert one_line(ValueError(f"malformed: {object()}")) == "malformed: ..."


def test_words_of_a_library_about_its_own_program_are_replaced():
    surprised = "a part of it is missing, or is not of the type that its format asks for"
    assert of_library(AttributeError("'NoneType' object has no attribute 'data'")) == surprised
    assert of_library(OSError("truncated file")) == "truncated file"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\u2028"])
def test_message_that_quotes_lines_is_one_line(end):
    assert str(DataError(f'there is no "a{end}b"')) == 'there is no "a b"'


def test_message_that_quotes_a_long_value_keeps_its_beginning_and_end():
    text = str(DataError(f"lab.yaml:3: `name` is {'x' * 5000}; give a shorter one"))
    assert text.startswith("lab.yaml:3: `name` is xxx") and text.endswith("xxx; give a shorter one")
    assert len(text) < 1000

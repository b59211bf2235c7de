"""Lines of a manifest as YAML with comments."""

import pytest
from ruamel.yaml import YAML

from raydistill.recordings.new_manifest.text import Line, Section, choice, comment, option, placeholder, scalar, written


def load(text):
    return YAML(typ="safe").load(text)


@pytest.mark.parametrize(
    "value",
    [
        "on",
        "null",
        "1e3",
        "a: b",
        "# c",
        'say "hi"',
        "units/*/times",
        "-",
        "",
        "a/b_1",
        "y",
        "ä",
        "true",
        " a",
        "~",
        "\\n",
        "\x7f",
        "a\uffff b\u2028",
    ],
)
def test_text_is_read_back_as_it_was_alone_and_in_lists_and_mappings(value):
    assert load(f"key: {scalar(value)}") == {"key": value}
    assert load(f"key: {scalar([value, value])}") == {"key": [value, value]}
    assert load(f"key: {scalar({value: 1})}") == {"key": {value: 1}}


@pytest.mark.parametrize(
    ("value", "text"), [(1000.0, "1000"), (1e-6, "1.0e-6"), (0.25, "0.25"), (True, "true"), (None, "null")]
)
def test_number_is_written_shortly_and_read_back(value, text):
    assert scalar(value) == text and load(f"key: {text}") == {"key": value}


def test_comment_is_wrapped_and_has_no_line_breaks_of_its_own():
    lines = comment("word " * 60 + "last\nline\x07", "    ", "QUESTION: ")
    assert all(len(line) <= 120 and line.startswith("    #") for line in lines) and len(lines) == 3
    assert lines[0].startswith("    # QUESTION: word") and "last line" in lines[-1]


def test_section_is_written_with_reasons_questions_and_options():
    section = Section(
        (
            Line(key="values", value="lfp", guess="its name says so"),
            placeholder("rate_hz", "the rate in Hz", hint="10 samples per bin", question="or milliseconds?"),
            choice("pieces", "trials", "laid end to end?"),
            option("scale", 1e-6, "for microvolts"),
        )
    )
    assert written(Section((Line(key="lfp", value=[section]),))) == [
        "lfp:",
        "  - values: lfp  # guess: its name says so",
        "    # QUESTION: or milliseconds?",
        "    # hint: 10 samples per bin",
        "    rate_hz: FILL_IN  # the rate in Hz",
        "    # QUESTION: laid end to end?",
        "    # pieces: trials",
        "    # scale: 1.0e-6  # for microvolts",
    ]


def test_long_reason_is_written_above_its_line():
    lines = written(Section((Line(key="values", value="lfp", guess="long " * 22),)))
    assert lines[0].startswith("# guess: long") and lines[-1] == "values: lfp"

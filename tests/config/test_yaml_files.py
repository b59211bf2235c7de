"""Files of strangers: each is read within limits or refused in one line, and none hangs the reader or fills memory."""

import os
import time

import pytest

from raydistill.config.load import override
from raydistill.config.yaml_files import MAX_BYTES, MAX_DEPTH, mapping, read_yaml
from raydistill.errors import ConfigError

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "aliases expand to more than 200,000 values"),
        ("a: &a [*a]\n", "f.yaml:1: the alias *a stands within itself"),
        ("a: &a {b: {c: *a}}\n", "the alias *a stands within itself"),
        ("a: " + "[" * 100_000, f"f.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        ("a: " + "{a: " * 100_000, f"f.yaml:1: nested deeper than {MAX_DEPTH} levels"),
        ("- " * 100_000 + "a", "nested deeper"),
        ("\n".join(" " * i + "a:" for i in range(900)), f"f.yaml:{MAX_DEPTH + 1}: nested deeper"),
        ("a: 1\n" * (MAX_BYTES // 5 + 1), f"larger than {MAX_BYTES:,} bytes"),
        ("a: !!python/object/apply:os.system [touch gone]\n", "f.yaml:1: a tag (!!python/object/apply:os.system)"),
        ("x: 1\na: !!float 3\n", "f.yaml:2: a tag (!!float)"),
        ("a: !own {b: 1}\n", "a tag (!own)"),
        ("a: 1\na: 2\n", "f.yaml:2: not valid YAML"),
        ("a: 2020-13-45\n", "not valid YAML: month must be in 1..12"),
        ("a: 2020-12-24\n", "f.yaml:1: a value must be a word, a number"),
        ("? {a: b}\n: 1\n", "f.yaml:1: a key must be a word"),
        ("? [a, b]\n: 1\n", "f.yaml:1: a key must be a word"),
        (f"a: {'9' * 5000}\n", "not valid YAML: Exceeds the limit"),
        ("a: 0x" + "f" * 100, "a whole number of this size"),
        ("a: [1\n", "not valid YAML"),
        ("\x00", "not valid YAML"),
        ("\udcff", "cannot be read as a YAML file"),
        ("--- a\n--- b\n", "not valid YAML"),
    ],
    ids=lambda text: text[:20].replace("\x00", "nul"),
)
def test_file_of_a_stranger_is_refused_in_one_line_and_at_once(tmp_path, text, message):
    path = tmp_path / "f.yaml"
    path.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert message in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert time.monotonic() - start < 30
    assert os.listdir(tmp_path) == ["f.yaml"]


def test_file_of_a_gigabyte_is_refused_without_reading_it(tmp_path):
    with open(tmp_path / "f.yaml", "wb") as file:
        file.truncate(1 << 30)  # sparse
    with pytest.raises(ConfigError, match="larger than"):
        read_yaml(tmp_path / "f.yaml")


def test_pipe_device_and_folder_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/stdin"):
        with pytest.raises(ConfigError, match=r"it is a pipe or a device|is a"):
            read_yaml(path)
    with pytest.raises(ConfigError, match="it is a folder"):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError, match="File name too long"):
        read_yaml(tmp_path / ("x" * 300))


def test_aliases_and_merges_of_a_usual_size_are_read(tmp_path):
    (tmp_path / "f.yaml").write_text("base: &base {a: 1, b: [1, 2]}\nother: *base\nmerged: {<<: *base, c: 3}\n")
    tree = read_yaml(tmp_path / "f.yaml")
    assert tree["other"] == {"a": 1, "b": [1, 2]} and dict(tree["merged"].items()) == {"a": 1, "b": [1, 2], "c": 3}


def test_manifest_of_five_thousand_sessions_is_read(tmp_path):
    lines = (f"- {{file: r{i}.npz, name: r{i}, subject: s{i % 7}, spikes: counts}}" for i in range(5000))
    (tmp_path / "f.yaml").write_text("sessions:\n" + "\n".join(lines))
    assert len(read_yaml(tmp_path / "f.yaml")["sessions"]) == 5000


@pytest.mark.parametrize("value", ["[" * 5000, "!!python/name:os.system", "s3://key:secret@bucket", "{a: [b}"])
def test_override_is_read_within_the_same_limits(value):
    with pytest.raises(ConfigError, match=r"^--set") as caught:
        override(mapping({}), f"a.b={value}")
    assert "secret" not in str(caught.value)

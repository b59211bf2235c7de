"""Identities are the same in every process, and refuse values with more than one representation."""

import os
import subprocess
import sys

import pytest

from raydistill.config.fingerprint import canonical, fingerprint


def test_fingerprint_order_of_keys_and_number_spelling_do_not_matter():
    assert fingerprint({"a": 1.0, "b": [1, 2]}) == fingerprint({"b": (1, 2), "a": 1})


def test_fingerprint_any_changed_value_changes_it():
    base = {"a": 1, "b": {"c": "x"}}
    assert len({fingerprint(v) for v in (base, base | {"a": 2}, base | {"b": {"c": "y"}}, base | {"d": None})}) == 4


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), object(), {1: "a"}, b"x"])
def test_fingerprint_ambiguous_value_is_refused(value):
    with pytest.raises(TypeError):
        fingerprint({"value": value})


def test_fingerprint_other_process_gives_the_same():
    code = "from raydistill.config.fingerprint import fingerprint; print(fingerprint({'b': 0.1, 'a': [None, 'é']}))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, text=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert digests == {fingerprint({"b": 0.1, "a": [None, "é"]})}


def test_fingerprint_of_a_set_does_not_depend_on_its_order():
    assert canonical(frozenset(["b", "a", "c"])) == ["a", "b", "c"]

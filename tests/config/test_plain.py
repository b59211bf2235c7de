"""Dataclasses survive the way to JSON and back, and everything that would not is refused with its path."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from raydistill.config.plain import from_plain, to_plain


@dataclass(frozen=True, kw_only=True, slots=True)
class Transformer:
    name: Literal["transformer"] = "transformer"
    width: int = 64
    dropout: float = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Linear:
    name: Literal["linear"] = "linear"
    ridge: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    model: Transformer | Linear
    spans: tuple[tuple[int, int], ...] = ()
    pair: tuple[str, float] = ("a", 0.5)
    columns: str | tuple[str, ...] = ()
    teacher: Transformer | None = None
    scales: dict[str, tuple[float, ...]] = field(default_factory=dict)
    causal: bool = False


@dataclass(frozen=True)
class Untagged:
    width: int = 1


@dataclass(frozen=True)
class Unsupported:
    value: Any = None
    items: list[int] = field(default_factory=list)
    either: Untagged | Linear | None = None


FULL = Spec(
    model=Linear(ridge=1e-3),
    spans=((0, 5), (7, 9)),
    columns=("x", "y"),
    teacher=Transformer(width=8),
    scales={"lfp": (0.1, 1.0 / 3.0)},
    causal=True,
)


@pytest.mark.parametrize("spec", [FULL, Spec(model=Transformer(), columns="x")])
def test_plain_round_trip_over_json_text_gives_an_equal_value(spec):
    restored = from_plain(Spec, json.loads(json.dumps(to_plain(spec))))
    assert restored == spec
    assert type(restored.model) is type(spec.model) and type(restored.spans) is tuple


def test_plain_data_has_lists_for_tuples_and_mappings_for_dataclasses():
    assert to_plain(FULL)["spans"] == [[0, 5], [7, 9]]
    assert to_plain(FULL)["model"] == {"name": "linear", "ridge": 1e-3}


def test_plain_union_at_the_top_is_selected_by_its_tag():
    assert from_plain(Transformer | Linear, {"name": "linear", "ridge": 2.0}) == Linear(ridge=2.0)


def test_plain_whole_number_for_a_float_becomes_a_float():
    restored = from_plain(Linear, {"name": "linear", "ridge": 2})
    assert restored == Linear(ridge=2.0) and type(restored.ridge) is float


def test_plain_left_out_field_has_its_default():
    assert from_plain(Spec, {"model": {"name": "linear"}}) == Spec(model=Linear())


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"model": {"name": "linear", "rigde": 1}}, '`model`: unknown key "rigde"; did you mean "ridge"?'),
        ({}, 'the key "model" is missing'),
        ({"model": {"name": "lstm"}}, "`model.name` must be one of transformer, linear, got 'lstm'"),
        ({"model": {"width": 3}}, "`model.name` must be one of transformer, linear, got None"),
        ({"model": {"name": "transformer", "width": 1.5}}, "`model.width` must be a whole number, got 1.5"),
        ({"model": {"name": "transformer", "width": True}}, "`model.width` must be a whole number, got True"),
        ({"model": {"name": "transformer", "dropout": "0.1"}}, "`model.dropout` must be a number, got '0.1'"),
        ({"model": {"name": "linear"}, "spans": [[0, 5], [7]]}, "`spans[1]` must be a list of length 2, got [7]"),
        ({"model": {"name": "linear"}, "spans": [[0, "5"]]}, "`spans[0][1]` must be a whole number, got '5'"),
        ({"model": {"name": "linear"}, "scales": {"lfp": [None]}}, "`scales.lfp[0]` must be a number, got None"),
        ({"model": {"name": "linear"}, "columns": 3}, "`columns` must be a text, got 3; or `columns` must be a list"),
        ({"model": {"name": "linear"}, "teacher": 3}, "`teacher` must be a mapping of Transformer values, got 3"),
        ({"model": {"name": "linear", "ridge": float("nan")}}, "`model.ridge` must be a finite number"),
        ([], "the value must be a mapping of Spec values, got []"),
    ],
)
def test_from_plain_wrong_data_is_refused_with_its_path(tree, message):
    with pytest.raises(ValueError) as caught:
        from_plain(Spec, tree)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"value": 1}, "`value`: fields of type typing.Any"),
        ({"items": [1]}, "`items`: fields of type list"),
        ({"either": {"width": 1}}, "`either`: Untagged is in a union"),
    ],
)
def test_from_plain_unsupported_type_is_refused_with_its_path(tree, message):
    with pytest.raises(TypeError) as caught:
        from_plain(Unsupported, tree)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (Unsupported(value=b"x"), TypeError, "`value`: bytes cannot be stored as JSON"),
        (Unsupported(items=[1]), TypeError, "`items`: list cannot be stored as JSON"),
        (Unsupported(value=({1: "a"},)), TypeError, "`value[0]`: the keys of a mapping must be strings, got 1"),
        (Linear(ridge=float("inf")), ValueError, "`ridge` must be a finite number, got inf"),
    ],
)
def test_to_plain_value_without_json_form_is_refused_with_its_path(value, error, message):
    with pytest.raises(error) as caught:
        to_plain(value)
    assert message in str(caught.value)

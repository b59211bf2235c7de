"""Reading configuration: every error names file, line, value and the way out."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from raydistill.config.load import Overrides, load
from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    epochs: int = 3
    rate: float = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Small:
    name: Literal["small"] = "small"
    width: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Large:
    name: Literal["large"] = "large"
    width: float | None = None
    states: int = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    name: str
    kind: Literal["spikes", "lfp"] = "spikes"
    training: Annotated[dict[str, Any], Overrides(Inner)] = field(default_factory=dict)
    groups: dict[str, Inner] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    except_: str | None = None
    model: Annotated[dict[str, Any], Overrides(Small | Large)] = field(default_factory=dict)

    def __post_init__(self):
        if self.name == "bad":
            raise ConfigError("not this name", at=("name",))


def read(tmp_path, text, *overrides):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    return load(Outer, path, overrides)


def test_load_whole_file_gives_typed_values(tmp_path):
    config = read(tmp_path, "name: a\ntraining: {rate: 1e-2}\nseeds: [0, 1]\nexcept: b\ngroups: {x: {epochs: 2}}\n")
    assert config == Outer(name="a", training={"rate": 0.01}, seeds=(0, 1), except_="b", groups={"x": Inner(epochs=2)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\ntraining:\n  epocs: 5\n", 'sweep.yaml:3: unknown key "epocs" in `training`; did you mean "epochs"?'),
        ("name: a\ntraning: {}\n", 'sweep.yaml:2: unknown key "traning"; did you mean "training"?'),
        ("name: a\nkind: spike\n", "must be one of spikes, lfp; got 'spike'; did you mean \"spikes\"?"),
        ("name: a\ntraining: {epochs: 1.5}\n", "sweep.yaml:2: `training.epochs` must be a whole number, got 1.5"),
        ("name: a\nname: b\n", "not valid YAML"),
        ("seeds: [0]\n", "the file lacks `name`"),
        ("seeds: [0]\nname: bad\n", "sweep.yaml:2: name: not this name"),
        (
            "name: a\nmodel: {widht: 1}\n",
            'sweep.yaml:2: unknown key "widht" in `model`; did you mean "width"?',
        ),
        ("name: a\nmodel: {name: huge}\n", "sweep.yaml:2: `model.name` must be one of small, large; got 'huge'"),
        ("name: a\nmodel: {states: 1.5}\n", "sweep.yaml:2: `model.states` must be a whole number, got 1.5"),
        ("name: a\nmodel: 3\n", "sweep.yaml:2: `model` must be a mapping of Small or Large values, got 3"),
        ("- a\n- b\n", "expected a mapping of `key: value` lines, got ['a', 'b']"),
        ("", "sweep.yaml: the file is empty; expected a mapping"),
        ("name: a\ntraining: {rate: .nan}\n", "sweep.yaml:2: `training.rate` must be a finite number, got nan"),
        ("name: a\ntraining: {rate: -.inf}\n", "sweep.yaml:2: `training.rate` must be a finite number, got -inf"),
        ("name: !!python/object:os.system {}\n", "sweep.yaml"),
    ],
)
def test_load_wrong_file_names_line_and_way_out(tmp_path, text, message):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_override_replaces_and_adds_values(tmp_path):
    config = read(tmp_path, "name: a\nseeds: [0]\n", "training.epochs=5", "seeds=[3, 4]")
    assert config.training == {"epochs": 5} and config.seeds == (3, 4)


@pytest.mark.parametrize(
    ("override", "message"),
    [("training.epochs=0.5", "`training.epochs` must be"), ("seeds=[a]", "`seeds.0` must be"), ("nmae=b", "nmae")],
)
def test_wrong_value_of_an_override_is_not_said_to_be_in_a_line_of_the_file(tmp_path, override, message):
    with pytest.raises(ConfigError, match=rf"^--set: .*{message}"):
        read(tmp_path, "name: a\nseeds: [0]\ntraining: {epochs: 3}\n", override)


@pytest.mark.parametrize("text", ["training.epocs=5", "training", "name.x=1", "training.epochs=[1"])
def test_load_wrong_override_is_refused(tmp_path, text):
    with pytest.raises(ConfigError):
        read(tmp_path, "name: a\n", text)


@pytest.mark.parametrize(
    "values", [{"states": 2}, {"name": "small"}, {"name": "large", "width": 0.5, "states": 3}, {"width": 7}]
)
def test_load_overrides_of_a_union_accept_the_keys_and_values_of_any_member(tmp_path, values):
    overrides = [f"model.{key}={value}" for key, value in values.items()]
    assert read(tmp_path, "name: a\n", *overrides).model == values


def test_load_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load(Outer, tmp_path / "none.yaml")

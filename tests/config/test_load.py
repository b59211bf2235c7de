"""Reading configuration: every complaint names file, line, value and the way out."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from raydistill.config.load import Partial, load
from raydistill.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    epochs: int = 3
    rate: float = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    name: str
    kind: Literal["spikes", "lfp"] = "spikes"
    training: Partial[Inner] = field(default_factory=dict)
    groups: dict[str, Inner] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    except_: str | None = None

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
    ("text", "said"),
    [
        ("name: a\ntraining:\n  epocs: 5\n", 'sweep.yaml:3: unknown key "epocs" in `training`; did you mean "epochs"?'),
        ("name: a\ntraning: {}\n", 'sweep.yaml:2: unknown key "traning"; did you mean "training"?'),
        ("name: a\nkind: spike\n", "must be one of spikes, lfp; got 'spike'; did you mean \"spikes\"?"),
        ("name: a\ntraining: {epochs: 1.5}\n", "sweep.yaml:2: `training.epochs` must be a whole number, got 1.5"),
        ("name: a\nname: b\n", "not valid YAML"),
        ("seeds: [0]\n", "the file lacks `name`"),
        ("seeds: [0]\nname: bad\n", "sweep.yaml:2: name: not this name"),
        ("- a\n- b\n", "expected a mapping"),
        ("name: !!python/object:os.system {}\n", "sweep.yaml"),
    ],
)
def test_load_wrong_file_names_line_and_way_out(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_load_override_replaces_and_adds_values(tmp_path):
    config = read(tmp_path, "name: a\nseeds: [0]\n", "training.epochs=5", "seeds=[3, 4]")
    assert config.training == {"epochs": 5} and config.seeds == (3, 4)


@pytest.mark.parametrize("text", ["training.epocs=5", "training", "name.x=1", "training.epochs=[1"])
def test_load_wrong_override_is_refused(tmp_path, text):
    with pytest.raises(ConfigError):
        read(tmp_path, "name: a\n", text)


def test_load_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        load(Outer, tmp_path / "none.yaml")

"""Every number of every configuration has a range, which holds for files, stored specifications and Python alike."""

import dataclasses
import importlib
import inspect
import math
import pkgutil
import typing

import pytest

import raydistill.config
import raydistill.models.crossmodal
import raydistill.sweep.config
from raydistill.config.load import Overrides, Where, build, convert
from raydistill.config.numbers import AnyNumber, Limits, check_limits, limits_of
from raydistill.config.plain import from_plain, to_plain
from raydistill.config.recordings import IngestConfig
from raydistill.config.synthetic import SyntheticConfig
from raydistill.config.training import TrainingConfig
from raydistill.errors import ConfigError
from raydistill.models.crossmodal.config import CrossModalSettings

NOT_CONFIGURATION = {"Limits", "Where", "Needs", "Overrides", "StreamState"}
WITHOUT = {("Range", name) for name in ("low", "high", "step", "when")} | {
    ("Choices", "when"),
    ("Choices", "choices"),
    ("SearchConfig", "space"),
    ("TuneConfig", "space"),
}
"""Values of a search, whose range is that of the setting that is searched."""
WITHOUT |= {("Halving", "first"), ("Halving", "part"), ("SearchConfig", "trials"), ("SearchConfig", "seed")}
"""Checked in `__post_init__`, or any number will do."""


def configurations():
    """Every dataclass in the modules of configurations."""
    found = {}
    for package in (raydistill.config, raydistill.sweep.config, raydistill.models.crossmodal):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            found |= configurations_in(module.name)
    found |= configurations_in("raydistill.models.msid.config")
    return [cls for name, cls in sorted(found.items()) if name not in NOT_CONFIGURATION]


def configurations_in(module):
    """Name -> each dataclass of a module."""
    classes = {name: cls for name, cls in vars(importlib.import_module(module)).items() if inspect.isclass(cls)}
    return {n: cls for n, cls in classes.items() if dataclasses.is_dataclass(cls) and cls.__module__ == module}


def numbers(cls):
    """(field, limits) of each kind of number in a class; limits None: none are declared."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return [(f.name, limits) for f in dataclasses.fields(cls) for limits in limits_of(hints[f.name])]


def test_every_configuration_is_walked():
    names = {cls.__name__ for cls in configurations()}
    assert {"TrainingConfig", "EngineConfig", "Splits", "Lfp", "SweepConfig", "JobConfig", "MsidSettings"} < names
    assert sum(len(numbers(cls)) for cls in configurations()) > 120


@pytest.mark.parametrize("cls", configurations(), ids=lambda cls: cls.__name__)
def test_every_number_declares_its_range(cls):
    without = [name for name, limits in numbers(cls) if limits is None and (cls.__name__, name) not in WITHOUT]
    assert not without, f"{cls.__name__}: {without} have no range; use a type of config/numbers.py"


@pytest.mark.parametrize("cls", [TrainingConfig, CrossModalSettings, SyntheticConfig], ids=lambda cls: cls.__name__)
def test_number_on_the_wrong_side_of_its_range_is_refused_wherever_it_comes_from(cls):
    checked = 0
    for name, limits in numbers(cls):
        for value in _outside(limits):
            if isinstance(value, float) and _kind(cls, name) is int:
                continue
            of_list = isinstance(getattr(cls(), name), tuple)
            value = [value] if of_list else value
            with pytest.raises(ConfigError, match=rf"`{name}(\.0)?` must be "):
                build(cls, {name: value}, Where("file"))
            with pytest.raises(ConfigError, match=rf"`training\.{name}(\.0)?` must be "):
                convert(typing.Annotated[dict, Overrides(cls)], {name: value}, Where("file", "training"))
            with pytest.raises(ValueError, match=f"`{name}` must be "):
                from_plain(cls, to_plain(cls()) | {name: value})
            with pytest.raises(ConfigError, match=f"`{name}` must be "):
                cls(**{name: tuple(value) if of_list else value})
            checked += 1
    assert checked > 20


def _kind(cls, name):
    return type(getattr(cls(), name))


def _outside(limits):
    low = limits.above if limits.above is not None else None if limits.least is None else limits.least - 1
    high = limits.below if limits.below is not None else None if limits.most is None else limits.most + 1
    return [value for value in (low, high) if value is not None]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_number_that_is_not_finite_is_in_no_range(value):
    assert not Limits().allow(value) and not Limits(least=0).allow(value)
    with pytest.raises(ConfigError, match="must be a finite number"):
        convert(AnyNumber, value, Where("file", "x"))


@pytest.mark.parametrize(
    ("limits", "value", "words"),
    [
        (Limits(least=1, most=1_000_000), 0, "at least 1"),
        (Limits(least=1, most=1_000_000), 2_000_000, "at least 1 and at most 1,000,000"),
        (Limits(above=0, below=1), 1, "above 0 and below 1"),
        (Limits(nonzero=True), 0, "not 0"),
        (Limits(), math.nan, "a finite number"),
    ],
)
def test_range_is_told_in_words(limits, value, words):
    assert limits.broken_by(value) == words and not limits.allow(value)


def test_numbers_in_lists_and_mappings_are_checked_too():
    with pytest.raises(ConfigError, match="`drop_units` must be at least 0, but got -1"):
        IngestConfig(drop_units=(3, -1))
    check_limits(IngestConfig(drop_units=(3,)))

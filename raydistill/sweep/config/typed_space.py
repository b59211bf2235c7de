"""The values of a space, as a file gives them, with the types that the settings of a job have."""

import dataclasses

from raydistill.config.load import Where, convert
from raydistill.errors import ConfigError
from raydistill.sweep.config.job import JobConfig
from raydistill.sweep.config.setting_types import number_type, type_of
from raydistill.sweep.config.space import Choices, Dimension, Range, Value


def typed(dimension: Dimension | tuple[Value, ...], name: str, job: JobConfig, at: Where) -> Dimension:
    """The dimension with values of the type that the setting of the job has.

    Raises:
        ConfigError: the job has no such setting, or a value has another type.
    """
    try:
        kind = type_of(job, name)
        when = {
            other: tuple(convert(type_of(job, other), value, at) for value in allowed)
            for other, allowed in (dimension.when if not isinstance(dimension, tuple) else {}).items()
        }
        if not isinstance(dimension, Range):
            choices = dimension if isinstance(dimension, tuple) else dimension.choices
            return Choices(choices=tuple(convert(kind, value, at) for value in choices), when=when)
    except ConfigError as err:
        raise err if str(err).startswith(at.file) else at.error(f"{at.path}: {err}") from None
    number = number_type(kind)
    if number is None:
        raise at.error(f"`{at.path}` is no number; give a list of choices instead of a range")
    for key in ("low", "high", "step"):
        value = getattr(dimension, key)
        if number is int and value is not None and not value.is_integer():
            raise at.error(f"`{at.path}` is a whole number, so `{key}` must be one, too; got {value:g}")
    step = None if dimension.step is None else number(dimension.step)
    low, high = (convert(kind, number(end), at) for end in (dimension.low, dimension.high))
    return dataclasses.replace(dimension, low=low, high=high, step=step, when=when)

"""Checks of the range of numbers in a configuration."""

from raydistill.errors import ConfigError


def check_at_least(least: float, **values: float | None) -> None:
    """Raise ConfigError with the name and the value of the first that is below `least`; None counts as not given."""
    for name, value in values.items():
        if value is not None and not value >= least:
            raise ConfigError(f"`{name}` must be at least {least}, but got {value}")


def check_above(limit: float, **values: float | None) -> None:
    """Raise ConfigError with the name and value of the first that is not above `limit`; None counts as not given."""
    for name, value in values.items():
        if value is not None and not value > limit:
            raise ConfigError(f"`{name}` must be above {limit}, but got {value}")

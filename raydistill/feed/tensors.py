"""Moving nested data between devices."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """`value` with every tensor changed, in dataclasses and tuples at any depth."""
    if isinstance(value, Tensor):
        return change(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        changed = {name: map_tensors(field, change) for name, field in fields.items()}
        return dataclasses.replace(value, **{n: new for n, new in changed.items() if new is not fields[n]})
    if type(value) is tuple and any(not isinstance(item, str | int) for item in value):
        return tuple(map_tensors(item, change) for item in value)
    return value


def to_device(value: T, device: str) -> T:
    """Copy to the device, which may go on after this returns where the memory is pinned."""
    return map_tensors(value, lambda tensor: tensor.to(device, non_blocking=True))


def pinned(value: T) -> T:
    """In memory that a GPU copies from while it computes; what is on the GPU already stays there."""
    return map_tensors(value, lambda tensor: tensor if tensor.is_cuda else tensor.pin_memory())

"""Moving nested data between devices."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """`value` with `change` applied to every tensor in it, in dataclasses and tuples at any depth."""
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
    """`value` with its tensors on the device. From pinned memory, the copy may still run after this returns."""
    return map_tensors(value, lambda tensor: tensor.to(device, non_blocking=True))


def pinned(value: T) -> T:
    """`value` with its CPU tensors in pinned memory, from which a GPU copies while it computes."""
    return map_tensors(value, lambda tensor: tensor if tensor.is_cuda else tensor.pin_memory())

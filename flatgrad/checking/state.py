"""The values that a function is differentiated at: arguments, dicts and lists of them, attributes of objects."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
SELF = "self"


@dataclass(frozen=True, slots=True)
class Key:
    """One step on the way to a value: an entry of a dict, an element of a list, an attribute."""

    name: str | int
    attribute: bool = False

    def __str__(self) -> str:
        return f".{self.name}" if self.attribute else f"[{self.name!r}]"


# The name of an argument, or `self`, and the steps from there.
Path = tuple[str | Key, ...]


def spelled(path: Path) -> str:
    """`x`, `params['W1']`, `self.W`."""
    return str(path[0]) + "".join(str(step) for step in path[1:])


def is_number(value: Any) -> bool:
    """A number or an array of numbers, complex ones and booleans apart."""
    if isinstance(value, bool | np.bool_ | complex | str | bytes) or value is None:
        return False
    if isinstance(value, int | float | np.number):
        return not isinstance(value, np.complexfloating)
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiu"


def is_list_of_numbers(value: Any) -> bool:
    """A list that NumPy reads as one array."""
    if not isinstance(value, list) or not value:
        return False
    return all(is_list_of_numbers(one) or (is_number(one) and not isinstance(one, np.ndarray)) for one in value)


def leaves(value: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """The numbers and arrays inside a value, and the way to each. Objects are those of the user's own classes."""
    if is_number(value) or is_list_of_numbers(value):
        yield path, value
    elif isinstance(value, Mapping):
        for key in value:
            yield from leaves(value[key], (*path, Key(key)))
    elif isinstance(value, list | tuple):
        for place, one in enumerate(value):
            yield from leaves(one, (*path, Key(place)))
    elif _is_object(value):
        for name, one in vars(value).items():
            yield from leaves(one, (*path, Key(name, True)))


def _is_object(value: Any) -> bool:
    module = type(value).__module__
    return (
        hasattr(value, "__dict__")
        and not isinstance(value, type)
        and not callable(value.__class__.__dict__.get("__array__"))
        and not module.startswith(("numpy", "builtins", "scipy"))
    )


def get(root: Mapping[str, Any], path: Path) -> Any:
    """The value at the end of a path. Raises KeyError, IndexError or AttributeError where there is none."""
    value = root[str(path[0])]
    for step in path[1:]:
        assert isinstance(step, Key)
        value = getattr(value, str(step.name)) if step.attribute else value[step.name]
    return value


def owner_of(path: Path) -> Path:
    """The way to what holds the value."""
    return path[:-1]


def put(root: dict[str, Any], path: Path, new: Any) -> None:
    """Set the value at the end of a path, in place; a tuple on the way is replaced by a new one."""
    if len(path) == 1:
        root[str(path[0])] = new
        return
    owner = get(root, owner_of(path))
    step = path[-1]
    assert isinstance(step, Key)
    if step.attribute:
        setattr(owner, str(step.name), new)
    elif isinstance(owner, tuple):
        assert isinstance(step.name, int)
        put(root, owner_of(path), (*owner[: step.name], new, *owner[step.name + 1 :]))
    else:
        owner[step.name] = new


def as_floats(value: Any) -> Floats:
    """A float64 array of its own."""
    return np.array(value, dtype=np.float64)


def like(value: Any, numbers: Floats) -> Any:
    """Numbers in the kind of container that `value` is: a Python float, a NumPy scalar, an array, a list."""
    if isinstance(value, np.ndarray):
        return numbers.copy()
    if isinstance(value, list):
        return numbers.tolist()
    return np.float64(numbers) if isinstance(value, np.generic) else float(numbers)


def widened(value: Any) -> Any:
    """A copy in double precision: what is float32 is float64."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64) if value.dtype.kind == "f" else value.copy()
    if isinstance(value, np.floating):
        return np.float64(value)
    if isinstance(value, dict):
        return {key: widened(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(widened(one) for one in value) if type(value) in (list, tuple) else copy.deepcopy(value)
    return copy.deepcopy(value)

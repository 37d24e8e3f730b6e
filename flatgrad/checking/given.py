"""Arguments that somebody gives: in an .npz file, or by a function `example_inputs()` in the model."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flatgrad.checking.check import Given
from flatgrad.checking.subject import Model
from flatgrad.frontend.source import EXAMPLE_INPUTS


class Unusable(Exception):
    """The arguments cannot be read, or do not fit."""


def from_file(path: Path) -> dict[str, Any]:
    """The arrays of an .npz file by name; one of no dims is a number or a string; `params/W1` is an entry of a dict.

    Raises:
        Unusable
    """
    found: dict[str, Any] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                value = archive[name]
                _store(found, name.replace("\\", "/").split("/"), value if value.ndim else value.item())
    except (OSError, ValueError, EOFError, TypeError, AttributeError) as error:
        raise Unusable(f"{path} cannot be read as an .npz file without pickles: {error}") from None
    return found


def _store(owner: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        owner = owner.setdefault(name, {})
        if not isinstance(owner, dict):
            raise ValueError(f"{'/'.join(names)} is inside something that is no dict")
    owner[names[-1]] = value


def from_model(names: Mapping[str, Any], filename: str) -> Any:
    """What the model's `example_inputs()` returns; None where it has none. Raises Unusable where it raises."""
    function = names.get(EXAMPLE_INPUTS)
    if not callable(function):
        return None
    try:
        return function()
    except Exception as error:
        raise Unusable(f"{EXAMPLE_INPUTS}() in {filename} raises {type(error).__name__}: {error}") from error


def fitting(given: Any, base: str, model: Model, bases: Iterable[str], origin: str) -> Given | None:
    """What of the given arguments belongs to one function; None where they are not for it.

    Args:
        given: a dict of arguments by name, a tuple of arguments in order, or a dict of either by function.
        bases: the names of all functions that are checked.
    """
    known = {*bases, *(f"{one}_forward" for one in bases)}
    if isinstance(given, Mapping) and given and set(given) <= known:
        given = given.get(base, given.get(f"{base}_forward"))
        if given is None:
            return None
    names, needed = _parameters(model)
    if isinstance(given, tuple | list):
        if len(needed) <= len(given) <= len(names):
            return Given(dict(zip(names, given, strict=False)), origin)
        return None
    if not isinstance(given, Mapping):
        raise Unusable(f"{origin} gives {type(given).__name__}, not a dict of arguments by name or a tuple of them")
    own = {name: value for name, value in given.items() if name in names or _is_of_object(name, model)}
    return Given(own, origin) if all(name in own for name in needed) else None


def missing(given: Any, model: Model) -> tuple[str, ...]:
    """The arguments without a default value that are not given."""
    _, needed = _parameters(model)
    return tuple(name for name in needed if not isinstance(given, Mapping) or name not in given)


def _is_of_object(name: str, model: Model) -> bool:
    return model.is_class and name.startswith(("self.", "__init__."))


def _parameters(model: Model) -> tuple[list[str], list[str]]:
    """The names of the parameters, and of those without a default value."""
    function: Callable[..., Any] = getattr(model.function, model.method) if model.is_class else model.function
    plain = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    parameters = [one for one in inspect.signature(function).parameters.values() if one.kind in plain]
    if model.is_class:
        parameters = parameters[1:]
    needed = [one.name for one in parameters if one.default is inspect.Parameter.empty]
    return [one.name for one in parameters], needed

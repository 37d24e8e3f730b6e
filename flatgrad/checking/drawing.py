"""Arguments drawn to fit `Parameter`s: small sizes that differ, numbers of moderate size, the same for one seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flatgrad.checking.parameters import Domain, Parameter, Role
from flatgrad.ir.dims import Dim, Shape

Sizes = Mapping[str, int]
Floats = np.ndarray[Any, np.dtype[np.float64]]

# Every symbol of its own size, so that a message of NumPy about two sizes says which dims are meant.
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107)


@dataclass(frozen=True, slots=True)
class Choices:
    """What is decided besides the numbers.

    Attributes:
        sizes: the size of each symbol.
        picked: which of its choices a CHOICE takes, by its place in the list; with an odd one the optional entries of
            dicts are drawn.
        counted: the same for an INTEGER.
        optional: whether what has a default value is drawn as well.
        extreme: every label is the largest, so that the message of an index that is out of bounds tells the bound.
    """

    sizes: Sizes
    picked: int = 0
    counted: int = 0
    optional: bool = True
    extreme: bool = False


def every(parameters: Iterable[Parameter]) -> Iterator[Parameter]:
    """The parameters and the entries of those that are dicts or lists."""
    for parameter in parameters:
        yield parameter
        yield from every(parameter.entries)


def symbols(parameters: Iterable[Parameter]) -> tuple[str, ...]:
    """The symbols of all shapes, in the order in which they are met; what moves over data comes last."""
    found: dict[str, int] = {}
    for parameter in every(parameters):
        dims = [*parameter.shape.front, *parameter.shape.back]
        dims += [dim for dim in (parameter.number, parameter.bound) if dim is not None]
        for dim in dims:
            for name in sorted(dim.symbols(), key=str(dim).index):
                found.setdefault(name, 1 if parameter.order else 0)
    return tuple(sorted(found, key=found.__getitem__))


def sizes_for(parameters: Iterable[Parameter], seed: int, size: int) -> dict[str, int]:
    """An assignment of small sizes to symbols. `size` 0: between 2 and 6, as different as there are numbers; 1: the
    first one is 1; 2 and more: any between 1 and 6."""
    parameters = tuple(parameters)
    rng = np.random.default_rng([seed, size, 1])
    names = symbols(parameters)
    order = dict.fromkeys(names, 0)
    for parameter in every(parameters):
        if parameter.order:
            for dim in parameter.shape.front[2:]:
                order.update({name: 1 for name in dim.symbols() if name in order})
    pool = [int(one) for one in rng.permutation([2, 3, 4, 5, 6])]
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        if order[name]:  # the window of a convolution
            found[name] = int(rng.integers(1, 4))
        elif size < 2:
            found[name] = pool[place % len(pool)]
        else:
            found[name] = int(rng.integers(1, 7))
    if size == 1 and names:
        found[names[0]] = 1
    for parameter in every(parameters):
        bound = parameter.bound.as_symbol if parameter.bound is not None else None
        if bound is not None:  # with one label there is nothing to choose
            found[bound] = max(found[bound], 2)
    return found


def value_of(dim: Dim, sizes: Sizes) -> int:
    """The integer that a dim is. Raises KeyError for a symbol without a size."""
    total = 0
    for monomial, coefficient in dim.terms:
        product = coefficient
        for name in monomial:
            product *= sizes[name]
        total += product
    return max(total, 0)


def shape_of(shape: Shape, sizes: Sizes) -> tuple[int, ...]:
    """A concrete shape; unknown dims are left out."""
    return tuple(value_of(dim, sizes) for dim in (*shape.front, *shape.back))


def draw_all(parameters: Iterable[Parameter], seed: int, choices: Choices) -> dict[str, Any]:
    """Arguments by name; what is KEPT, and what is optional if it is not wanted, is left out."""
    rng = np.random.default_rng([seed, 2])
    found: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.role is Role.KEPT or (parameter.optional and not choices.optional):
            continue
        found[parameter.name] = _draw(parameter, rng, choices)
    return found


def _draw(parameter: Parameter, rng: np.random.Generator, choices: Choices) -> Any:
    match parameter.role:
        case Role.DICT:
            entries = [one for one in parameter.entries if not one.optional or choices.picked % 2]
            return {one.name: _draw(one, rng, choices) for one in entries if one.role is not Role.KEPT}
        case Role.LIST:
            return [_draw(one, rng, choices) for one in parameter.entries]
        case Role.CHOICE:
            return parameter.choices[choices.picked % len(parameter.choices)]
        case Role.INTEGER if parameter.number is not None:
            return value_of(parameter.number, choices.sizes)
        case Role.INTEGER:
            options = parameter.choices or (2, 1, 3)
            # Integers side by side do not all move together.
            place = choices.counted + (int(rng.integers(len(options))) if choices.counted else 0)
            return options[place % len(options)]
        case Role.LABELS:
            return _labels(parameter, rng, choices)
    shape = shape_of(parameter.shape, choices.sizes)
    numbers = _numbers(parameter.domain, rng, shape)
    return numbers if shape else float(numbers)


def _labels(parameter: Parameter, rng: np.random.Generator, choices: Choices) -> Any:
    shape = shape_of(parameter.shape, choices.sizes)
    bound = max(value_of(parameter.bound, choices.sizes), 1) if parameter.bound is not None else 2
    if choices.extreme:
        return np.full(shape, bound - 1) if shape else bound - 1
    drawn = rng.integers(0, bound, shape)
    return drawn if shape else int(drawn)


def _numbers(domain: Domain, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    match domain:
        case Domain.POSITIVE:
            return np.asarray(rng.uniform(0.5, 1.5, shape))
        case Domain.UNIT:
            return np.asarray(rng.uniform(0.3, 0.8, shape))
        case Domain.SMALL:
            return np.asarray(rng.uniform(0.05, 0.5, shape))
        case Domain.SIGNS:
            return np.asarray(rng.choice([-1.0, 1.0], shape))
        case Domain.BITS:
            return np.asarray(rng.integers(0, 2, shape), np.float64)
        case Domain.SIMPLEX:
            drawn = rng.uniform(0.2, 1.0, shape)
            return np.asarray(drawn / drawn.sum(axis=-1, keepdims=True) if shape else drawn)
        case Domain.SPREAD if len(shape) >= 2 and shape[-1] == shape[-2]:
            root = rng.uniform(-1, 1, shape)
            spread: Floats = root @ np.swapaxes(root, -1, -2) + (0.5 + np.arange(shape[-1])[:, None] * 0.1) * np.eye(
                shape[-1]
            )
            return spread
    return np.asarray(rng.uniform(0.1, 1.5, shape) * rng.choice([-1, 1], shape))

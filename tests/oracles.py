"""Gradients from outside the compiler: differences, the complex step and HIPS autograd.

All of them differentiate a projection `sum_k <result_k, upstream_k>` of the user's own function with respect to some of
its arguments, which is what `backward(upstream_0, ..., cache)` must return. An oracle never changes the arguments
that it is given: the function is called on copies, for it may write into them. In an argument that is a dict of arrays
and numbers, `path` says which of them is meant.
"""

from __future__ import annotations

import copy
import importlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Function = Callable[..., Any]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Path = tuple[Any, ...]

# Five-point differences: the error is h**4 of the fifth derivative plus eps / h of rounding.
STEPS = (1e-3, 2e-4, 4e-5)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The gradient with respect to one argument (float64, in the argument's shape), with a bound of its own error."""

    value: Floats
    error: float


def as_floats(value: Any) -> Floats:
    """A float64 array of the numbers in an argument: a scalar, an array or a list."""
    return np.array(value, dtype=np.float64)


def like(value: Any, numbers: Floats) -> Any:
    """`numbers` in the kind of container that `value` is: a Python float, a NumPy scalar, an array, a list."""
    if isinstance(value, np.ndarray):
        return numbers.copy()
    if isinstance(value, list):
        return numbers.tolist()
    return np.float64(numbers) if isinstance(value, np.generic) else float(numbers)


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """The arrays and numbers of an argument or a gradient, with the keys that lead to them."""
    if isinstance(value, Mapping):
        for key in value:
            yield from leaves(value[key], (*path, key))
    elif holds_arrays(value):
        for position, one in enumerate(value):
            yield from leaves(one, (*path, position))
    else:
        yield path, value


def holds_arrays(value: Any) -> bool:
    """Whether a value is a list or a tuple of arrays, or of tuples of them; one of numbers is read as an array."""
    return isinstance(value, list | tuple) and any(isinstance(one, np.ndarray) or holds_arrays(one) for one in value)


def leaf(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def with_leaf(value: Any, path: Path, new: Any) -> Any:
    """The argument with another leaf; the containers on the way are new ones."""
    if not path:
        return new
    changed = with_leaf(value[path[0]], path[1:], new)
    if isinstance(value, Mapping):
        return {**value, path[0]: changed}
    return type(value)(changed if k == path[0] else one for k, one in enumerate(value))


def results_of(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def project(results: Sequence[Any], upstream: Sequence[Any]) -> float:
    """`sum_k <result_k, upstream_k>`; an upstream gradient of None is zero."""
    total = 0.0
    for result, gradient in zip(results, upstream, strict=True):
        if gradient is not None:
            total += float(np.sum(np.asarray(result, np.float64) * np.asarray(gradient, np.float64)))
    return total


def central_difference(
    function: Function,
    arguments: Sequence[Any],
    position: int,
    upstream: Sequence[Any],
    select: Callable[[Any], tuple[Any, ...]] = results_of,
    steps: Sequence[float] = STEPS,
    path: Path = (),
) -> Estimate:
    """The gradient of the projection with respect to a leaf of the argument at `position`, by five-point differences.

    With three step sizes the two that agree best decide, and `error` is by how much those two differ (norm), so that
    a kink within reach, or a function too steep for differences, shows as a large error. With one it is not known.
    """
    original = leaf(arguments[position], path)
    base = as_floats(original)

    def at(numbers: Floats) -> float:
        call = [copy.deepcopy(a) for a in arguments]
        call[position] = with_leaf(call[position], path, like(original, numbers))
        return project(select(function(*call)), upstream)

    estimates = []
    for step in steps:
        gradient = np.zeros(base.shape)
        for index in np.ndindex(base.shape):
            h = step * max(1.0, abs(float(base[index])))
            values = []
            for offset in (-2, -1, 1, 2):
                moved = base.copy()
                moved[index] += offset * h
                values.append(at(moved))
            gradient[index] = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
        estimates.append(gradient)
    if len(estimates) == 1:
        return Estimate(estimates[0], np.inf)
    first, second, third = estimates
    pairs = [(float(np.linalg.norm(second - third)), second), (float(np.linalg.norm(first - second)), second)]
    error, value = min(pairs, key=lambda pair: pair[0] if np.isfinite(pair[0]) else np.inf)
    return Estimate(value, error if np.isfinite(error) else np.inf)


def complex_step(
    function: Function,
    arguments: Sequence[Any],
    position: int,
    upstream: Sequence[Any],
    select: Callable[[Any], tuple[Any, ...]] = results_of,
    path: Path = (),
) -> Floats | None:
    """The same gradient to machine precision, or None where the function does not carry complex numbers through."""
    original = leaf(arguments[position], path)
    base = as_floats(original)
    gradient = np.zeros(base.shape)
    for index in np.ndindex(base.shape):
        moved = base.astype(complex)
        moved[index] += 1e-30j
        call: list[Any] = [copy.deepcopy(a) for a in arguments]
        changed = moved if isinstance(original, np.ndarray) else moved.tolist()
        call[position] = with_leaf(call[position], path, changed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                results = select(function(*call))
        except Exception:
            return None
        total = 0.0
        for result, dresult in zip(results, upstream, strict=True):
            if dresult is not None:
                total += float(np.sum(np.imag(result) * np.asarray(dresult, np.float64)))
        gradient[index] = total / 1e-30
    return gradient


def autograd_source(source: str) -> str:
    """The source with HIPS autograd's NumPy in the place of NumPy, `math` and `scipy.special`."""
    source = re.sub(r"^import numpy as (\w+)", r"import autograd.numpy as \1", source, flags=re.M)
    source = re.sub(r"^import math$", "import autograd.numpy as math", source, flags=re.M)
    source = re.sub(r"^from (?:math|numpy) import", "from autograd.numpy import", source, flags=re.M)
    return re.sub(r"^from scipy import special", "from autograd.scipy import special", source, flags=re.M)


def autograd_gradient(
    source: str,
    name: str,
    arguments: Sequence[Any],
    position: int,
    upstream: Sequence[Any],
    select: Callable[[Any], tuple[Any, ...]] = results_of,
) -> Any:
    """The gradient by HIPS autograd, for sources without in-place writes; a dict for an argument that is one."""
    namespace: dict[str, Any] = {}
    exec(compile(autograd_source(source), "<autograd>", "exec"), namespace)
    function = namespace[name] if name in namespace else namespace[f"{name}_forward"]
    anp = importlib.import_module("autograd.numpy")
    grad = importlib.import_module("autograd").grad

    def projection(x: Any) -> Any:
        call = copy.deepcopy(list(arguments))
        call[position] = x
        results = select(function(*call))
        return sum(anp.sum(r * d) for r, d in zip(results, upstream, strict=True) if d is not None)

    argument = arguments[position]
    if isinstance(argument, list):
        argument = [float(number) for number in argument]
    elif not isinstance(argument, dict) and np.asarray(argument).dtype.kind in "iu":
        argument = np.asarray(argument, np.float64)
    return grad(projection)(argument)


def relative_error(found: Any, expected: Any) -> float:
    """The norm of the difference over the larger of the two norms."""
    a, b = as_floats(found), as_floats(expected)
    size = max(float(np.linalg.norm(a)), float(np.linalg.norm(b)))
    return float(np.linalg.norm(a - b)) / size if size else 0.0

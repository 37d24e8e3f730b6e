"""The two sides of a comparison: the model's own function, run as it stands, and the module's gradients of it."""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flatgrad.checking.contract import FORWARD
from flatgrad.checking.inputs import placed, split
from flatgrad.checking.state import (
    SELF,
    Floats,
    Path,
    as_floats,
    get,
    leaves,
    like,
    put,
    widened,
)

SEED = 12  # of NumPy's global generator, before every forward pass: masks of dropout must be the same in all

State = dict[str, Any]


class Unfit(Exception):
    """Arguments that say nothing: the result is empty, not finite, or no number."""


class Fault(Exception):
    """The module does something else than the contract says, or raises."""


@dataclass(frozen=True, slots=True)
class Model:
    """The function to differentiate, as the user wrote it: a function, or the class and its forward method."""

    function: Callable[..., Any]
    method: str = ""

    @property
    def is_class(self) -> bool:
        return isinstance(self.function, type)


def find_model(names: Mapping[str, Any], base: str) -> Model | None:
    """What a model calls the function of a base name: `f`, `f_forward`, or a class with a forward method."""
    found = names.get(base)
    if isinstance(found, type):
        method = next((one for one in FORWARD if callable(getattr(found, one, None))), None)
        return None if method is None else Model(found, method)
    for spelling in (base, f"{base}_forward"):
        function = names.get(spelling)
        if callable(function) and not isinstance(function, type):
            return Model(function)
    return None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What the user's code prints and warns of goes nowhere: it is run thousands of times."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
    ):
        warnings.simplefilter("ignore")
        yield


# States


def state_of(model: Model, drawn: Mapping[str, Any]) -> State:
    """The values that the model is run at: its arguments, and under `self` an object of its class."""
    parts = split(drawn)
    state: State = {name: widened(value) for name, value in parts.arguments.items()}
    if model.is_class:
        np.random.seed(SEED)
        assert isinstance(model.function, type)
        state[SELF] = placed(model.function, parts)
    return state


def refreshed(state: State, seed: int) -> State:
    """The state with other numbers in the arrays that a constructor made: zeros and tiny weights hide mistakes."""
    if SELF not in state:
        return state
    changed = copy.deepcopy(state)
    rng = np.random.default_rng([seed, 3])
    for path, value in list(leaves(changed[SELF], (SELF,))):
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not value.size:
            continue
        last = str(path[-1])
        if any(word in last for word in ("var", "std", "eps", "running", "mask", "scale")):
            continue
        put(changed, path, rng.uniform(0.2, 1.2, value.shape) * rng.choice([-1, 1], value.shape))
    return changed


def call_with(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call a function with arguments by name, those by position where it takes them no other way."""
    given = dict(arguments)
    first: list[Any] = []
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        parameters = {}  # type: ignore[assignment]
    for name, parameter in parameters.items():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and name in given:
            first.append(given.pop(name))
    return function(*first, **given)


def run_model(model: Model, state: State) -> tuple[Any, ...]:
    """Every result of the model, on a copy of the state."""
    own = copy.deepcopy(state)
    np.random.seed(SEED)
    try:
        if model.is_class:
            target = own.pop(SELF)
            returned = call_with(getattr(target, model.method), own)
        else:
            returned = call_with(model.function, own)
    except SystemExit as error:
        raise RuntimeError("it ends the program") from error
    return returned if isinstance(returned, tuple) else (returned,)


def numbers_in(result: Any) -> Floats:
    """A result as an array. Raises Unfit where it is none, empty or not finite."""
    try:
        array = np.asarray(result, np.float64)
    except (TypeError, ValueError):
        raise Unfit(f"a result is no array of numbers: {type(result).__name__}") from None
    if array.size == 0:
        raise Unfit("a result is empty")
    if not np.all(np.isfinite(array)):
        raise Unfit("a result is not finite")
    return array


# Along one direction


def along(
    model: Model, state: State, path: Path, direction: Floats, positions: Sequence[int], upstream: Sequence[Any]
) -> Callable[[float], float]:
    """The sum of the results times their upstream gradients, as a function of a step along a direction."""
    original = get(state, path)
    base = as_floats(original)

    def at(step: float) -> float:
        moved = dict(state)
        root = str(path[0])
        moved[root] = copy.deepcopy(state[root])
        put(moved, path, like(original, base + step * direction))
        try:
            results = run_model(model, moved)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            return float("nan")
        return projected([results[place] for place in positions], upstream)

    return at


def projected(results: Sequence[Any], upstream: Sequence[Any]) -> float:
    """`sum_k <result_k, upstream_k>`; an upstream gradient of None is zero."""
    total = 0.0
    for result, gradient in zip(results, upstream, strict=True):
        if gradient is not None:
            total += float(np.sum(np.asarray(result, np.float64) * gradient))
    return total


def magnitude(results: Sequence[Any], upstream: Sequence[Any]) -> float:
    """The sum of the absolute parts of `projected`, at least 1: rounding is in proportion to it."""
    total = 0.0
    for result, gradient in zip(results, upstream, strict=True):
        if gradient is not None:
            total += float(np.sum(np.abs(np.asarray(result, np.float64) * gradient)))
    return max(total, 1.0)

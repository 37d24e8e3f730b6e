"""The module's side of a comparison: it is run forward and backward, and each array gets its gradient."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flatgrad.checking.contract import Pair, Unmatched, gradients_of
from flatgrad.checking.state import SELF, Key, Path, as_floats, get, is_number, leaves, owner_of, spelled
from flatgrad.checking.subject import SEED, Fault, Model, State, call_with, run_model


@dataclass(frozen=True, slots=True)
class Gradients:
    """What a module gives at a state.

    Attributes:
        results: the differentiated results of its forward pass.
        positions: of each, its place among the model's results.
        upstream: the upstream gradients that its backward pass was given.
        by_path: the gradient of each array or number.
        remarks: what else is wrong with it.
    """

    results: tuple[Any, ...]
    positions: tuple[int, ...]
    upstream: tuple[Any, ...]
    by_path: dict[Path, Any]
    remarks: tuple[str, ...] = ()


def draw_upstream(result: Any, rng: np.random.Generator) -> Any:
    """An upstream gradient of a result's shape; None for integers, which have none."""
    array = np.asarray(result)
    if array.dtype.kind not in "f":
        return None if array.dtype.kind in "iub" and array.ndim else 1.0
    return (rng.uniform(0.5, 1.5, array.shape) * rng.choice([-1, 1], array.shape))[()]


def forward_results(pair: Pair, state: State) -> tuple[tuple[Any, ...], Any, Any]:
    """The differentiated results of the module's forward pass; the cache; the object, of a class."""
    own = copy.deepcopy(state)
    np.random.seed(SEED)
    if pair.owner is not None:
        made = _rehoused(own.pop(SELF), pair)
        returned = call_with(getattr(made, pair.method), own)
        results = returned if isinstance(returned, tuple) else (returned,)
        return results[: max(pair.upstream, 1)], None, made
    if pair.forward is not None:
        returned = call_with(pair.forward, own)
        count = max(pair.upstream, 1)
        if not isinstance(returned, tuple) or len(returned) < count + 1:
            raise Fault(f"{pair.name}_forward returns no results and cache: {_kind(returned)}")
        return returned[:count], returned[-1], None
    assert pair.value_and_grad is not None
    returned = call_with(pair.value_and_grad, own)
    if not isinstance(returned, tuple) or len(returned) < 2:
        raise Fault(f"{pair.name}_value_and_grad returns no value and gradients: {_kind(returned)}")
    return (returned[0],), returned[1] if len(returned) == 2 else returned[1:], None


def _rehoused(thing: Any, pair: Pair) -> Any:
    """An object of the module's class with the attributes of the model's; its own layers as well."""
    assert pair.owner is not None
    if isinstance(thing, pair.owner):
        return thing
    known = {name: one for name, one in vars(_module_of(pair.owner)).items() if isinstance(one, type)}

    def moved(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(moved(one) for one in value)
        if isinstance(value, dict):
            return {key: moved(one) for key, one in value.items()}
        twin = known.get(type(value).__name__)
        if twin is None or not hasattr(value, "__dict__") or isinstance(value, np.ndarray | np.generic):
            return value
        made: Any = object.__new__(twin)
        made.__dict__.update({name: moved(one) for name, one in vars(value).items()})
        return made

    house: Any = object.__new__(pair.owner)
    house.__dict__.update({name: moved(one) for name, one in vars(thing).items()})
    return house


class _Names:
    """A namespace for `vars`."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.__dict__.update(names)


def _module_of(owner: type) -> _Names:
    for method in vars(owner).values():
        names = getattr(method, "__globals__", None)
        if names is not None:
            return _Names(names)
    return _Names({owner.__name__: owner})


def differentiate(
    pair: Pair, model: Model, state: State, seed: int, wrt: Sequence[str] = (), fallback: Sequence[str] = ()
) -> Gradients:
    """Run the module forward and backward at a state.

    Raises:
        Fault: it breaks the contract, or raises.
        Unmatched: what a gradient belongs to cannot be told.
    """
    expected = run_model(model, state)
    try:
        results, cache, made = forward_results(pair, state)
    except Fault:
        raise
    except (Exception, SystemExit) as error:
        raise Fault(f"its forward pass raises {_said(error)}") from error
    positions = _positions(results, expected)
    rng = np.random.default_rng([seed, 4])
    upstream = tuple(draw_upstream(result, rng) for result in results)
    variables = _variables(state)
    remarks: list[str] = []
    if pair.owner is not None:
        by_path = _class_gradients(pair, made, upstream, state, variables, fallback)
    elif pair.backward is None:
        upstream = (1.0,)
        by_path = _expanded(gradients_of(cache, pair.gradients, variables, fallback), state)
    else:
        if pair.upstream == 0:
            upstream = (1.0,)
        returned = _backward(pair, upstream, cache)
        by_path = _expanded(gradients_of(returned, pair.gradients, variables, fallback), state)
        if pair.value_and_grad is not None and len(results) == 1 and np.ndim(results[0]) == 0:
            remarks += _joint_remarks(pair, state, variables, fallback)
    by_path = {path: value for path, value in by_path.items() if not wrt or path[0] in wrt or _last(path) in wrt}
    if not by_path and wrt:
        raise Unmatched(f"it returns no gradient of {', '.join(wrt)}")
    if not by_path:
        raise Fault("it returns no gradient")
    return Gradients(results, positions, upstream, by_path, tuple(remarks))


def _last(path: Path) -> str:
    step = path[-1]
    return str(step.name) if isinstance(step, Key) else step


def _positions(results: Sequence[Any], expected: Sequence[Any]) -> tuple[int, ...]:
    """Where the module's results are among the model's. Raises Fault where a value differs."""
    found: list[int] = []
    for place, result in enumerate(results):
        order = (
            [place, *(k for k in range(len(expected)) if k != place)] if place < len(expected) else range(len(expected))
        )
        same = next((k for k in order if k not in found and _equal(result, expected[k])), None)
        if same is None:
            words = (
                f"{_number(result)}" if place >= len(expected) else f"{_number(result)}, not {_number(expected[place])}"
            )
            raise Fault(f"its forward pass gives another value than the model: {words}")
        found.append(same)
    return tuple(found)


def _equal(a: Any, b: Any) -> bool:
    try:
        one, other = np.asarray(a, np.float64), np.asarray(b, np.float64)
    except (TypeError, ValueError):
        return False
    return one.shape == other.shape and bool(np.allclose(one, other, rtol=1e-7, atol=1e-9, equal_nan=True))


def _number(value: Any) -> str:
    array = np.asarray(value)
    return repr(value)[:40] if array.ndim == 0 or array.dtype == object else f"an array of shape {array.shape}"


def _variables(state: State) -> dict[str, Any]:
    """What may have a gradient, by name: arguments that hold floating numbers, or numbers that may stand for them."""
    found: dict[str, Any] = {}
    for name, value in state.items():
        if name == SELF:
            continue
        inside = [one for _, one in leaves(value, (name,))]
        if any(is_number(one) or isinstance(one, list) for one in inside):
            found[name] = value
    return found


def _backward(pair: Pair, upstream: Sequence[Any], cache: Any) -> Any:
    assert pair.backward is not None
    given = upstream if pair.upstream else ()
    try:
        return pair.backward(*copy.deepcopy(list(given)), cache)
    except (Exception, SystemExit) as error:
        raise Fault(f"its backward pass raises {_said(error)}") from error


def _expanded(gradients: Mapping[str, Any], state: State) -> dict[Path, Any]:
    """Gradients of dicts and lists, one for each number or array in them."""
    found: dict[Path, Any] = {}
    for name, gradient in gradients.items():
        places = list(leaves(state[name], (name,)))
        for path, value in places:
            if not _is_floating(value) and len(places) > 1:
                continue
            try:
                found[path] = get({name: gradient}, path)
            except (KeyError, IndexError, TypeError) as error:
                if isinstance(error, KeyError) and isinstance(gradient, Mapping):
                    if name in gradients and _may_be_left_out(path, gradients):
                        continue
                raise Fault(f"its gradient of {name} has no entry for {spelled(path)}") from None
    return found


def _may_be_left_out(path: Path, gradients: Mapping[str, Any]) -> bool:
    # A dict of gradients by name need not be complete: what is not there is not claimed.
    return len(path) == 2


def _is_floating(value: Any) -> bool:
    return isinstance(value, float | np.floating | list) or (isinstance(value, np.ndarray) and value.dtype.kind == "f")


def _class_gradients(
    pair: Pair, made: Any, upstream: Sequence[Any], state: State, variables: Mapping[str, Any], fallback: Sequence[str]
) -> dict[Path, Any]:
    before = {path for path, _ in leaves(made, (SELF,))}
    try:
        returned = made.backward(*copy.deepcopy(list(upstream[: pair.upstream])))
    except (Exception, SystemExit) as error:
        raise Fault(f"its backward pass raises {_said(error)}") from error
    found: dict[Path, Any] = {}
    if returned is not None and variables:
        names = pair.gradients
        floating = {name: value for name, value in variables.items() if _is_floating(value) or isinstance(value, dict)}
        parts = returned if isinstance(returned, tuple) else (returned,)
        if any(part is not None for part in parts):
            found |= _expanded(gradients_of(returned, names, floating or variables, fallback), state)
    after = {SELF: made}
    for path, value in leaves(state[SELF], (SELF,)):
        if path not in before or not _is_floating(value):
            continue
        gradient = _kept_gradient(after, path)
        if gradient is not None:
            found[path] = gradient
    return found


def _kept_gradient(root: Mapping[str, Any], path: Path) -> Any:
    """The gradient that an object keeps of its `W`: `dW`, `grad_W`, `W_grad`, or in a dict: `grads["W"]`."""
    step = path[-1]
    assert isinstance(step, Key)
    name = str(step.name)
    owner = get(root, owner_of(path))
    if step.attribute:
        for spelling in (f"d{name}", f"d_{name}", f"grad_{name}", f"{name}_grad", f"{name}grad"):
            if getattr(owner, spelling, None) is not None:
                return getattr(owner, spelling)
        for kept in ("grads", "grad", "gradients"):
            entries = getattr(owner, kept, None)
            if isinstance(entries, Mapping):
                for spelling in (name, f"d{name}"):
                    if spelling in entries:
                        return entries[spelling]
        return None
    if isinstance(owner, Mapping) and len(path) > 2:
        holder, field = get(root, owner_of(owner_of(path))), path[-2]
        assert isinstance(field, Key)
        for kept in ("grads", f"d{field.name}", f"{field.name}_grad", "gradients"):
            entries = getattr(holder, kept, None)
            if isinstance(entries, Mapping):
                for spelling in (name, f"d{name}"):
                    if spelling in entries:
                        return entries[spelling]
    return None


def _joint_remarks(pair: Pair, state: State, variables: Mapping[str, Any], fallback: Sequence[str]) -> Iterator[str]:
    """What `f_value_and_grad` gives that `f_forward` and `f_backward` do not."""
    results, cache, _ = forward_results(pair, state)
    apart = _expanded(gradients_of(_backward(pair, (1.0,), cache), pair.gradients, variables, fallback), state)
    try:
        np.random.seed(SEED)
        assert pair.value_and_grad is not None
        value, gradients = call_with(pair.value_and_grad, copy.deepcopy(state))
        joint = _expanded(gradients_of(gradients, pair.gradients, variables, fallback), state)
    except Exception as error:
        yield f"{pair.name}_value_and_grad raises {_said(error)}"
        return
    if not _equal(value, results[0]):
        yield f"{pair.name}_value_and_grad gives another value than {pair.name}_forward"
    for path, gradient in apart.items():
        if path in joint and not _close(gradient, joint[path]):
            yield f"{pair.name}_value_and_grad gives another gradient of {spelled(path)} than {pair.name}_backward"


def _close(a: Any, b: Any) -> bool:
    one, other = as_floats(a), as_floats(b)
    size = max(float(np.linalg.norm(one)), float(np.linalg.norm(other)))
    return one.shape == other.shape and float(np.linalg.norm(one - other)) <= 1e-8 * size


def _kind(value: Any) -> str:
    return f"it returns {len(value)} values" if isinstance(value, tuple) else f"it returns {type(value).__name__}"


def _said(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

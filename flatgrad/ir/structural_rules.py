"""What the relations that are no gates of the table compute: reads, writes, dicts, sums over broadcast axes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from flatgrad.ir.gate_calls import CannotEvaluate

# From the operands and the attributes of a relation to its result.
Rule = Callable[[list[Any], Mapping[str, Any]], Any]


def _item(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    """`x[index]`, in Python's own way for lists and tuples."""
    (base,), index, length = args, attrs["index"], attrs.get("length")
    if length is not None and len(base) != length:
        raise ValueError(f"{len(base)} values for {length} names")
    found = base[index[0] if len(index) == 1 else index]
    return found.copy() if isinstance(found, np.ndarray) else found


def _written(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    base, value = args
    if attrs.get("collects"):
        return _collected(base, attrs["index"], value)
    new: Any = copy.copy(base) if isinstance(base, list) else np.array(base)
    index = attrs["index"]
    match attrs.get("mode"):
        case None:
            new[index[0] if len(index) == 1 else index] = value
        case "diagonal":
            np.fill_diagonal(new, value)
        case "add":
            np.add.at(new, index, value)
        case "subtract":
            np.subtract.at(new, index, value)
        case mode:
            raise CannotEvaluate(f"write knows no mode {mode}")
    return new


def _collected(base: list[Any], index: tuple[int], value: Any) -> list[Any]:
    """A list with one element more, which must be the one that comes next."""
    if index != (len(base),):
        raise ValueError(f"an element is put at {index[0]} in a list of {len(base)}")
    return [*base, value]


def _all_added(base: Any, change: Any) -> Any:
    """What another function gives for the entries of a dict or a list, added to what there is."""
    if isinstance(base, dict):
        return base | {key: base[key] + one for key, one in change.items()}
    if isinstance(base, list):
        return [_all_added(one, other) for one, other in zip(base, change, strict=True)]
    return base + change


def _stacked(elements: Any, attrs: Mapping[str, Any]) -> Any:
    """`np.stack(hs, axis=1)`, and with a `form` `np.vstack(hs)` and its kind."""
    form = attrs.get("form")
    if form is None:
        return np.stack(elements, attrs["axis"]) if len(elements) else np.array(elements)
    return np.concatenate(elements, attrs["axis"]) if form == "concatenate" else getattr(np, form)(elements)


def _entry(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    """`params["W1"]`, `params["W" + str(i)]`: held to what is claimed of it."""
    found = args[0]
    for key in args[1:] or (attrs["key"],):
        found = found[key]
    rank, weights = attrs.get("rank"), attrs.get("columns")
    shape = None if weights is None else np.shape(weights)[1:]
    if (rank is not None and np.ndim(found) != rank) or (shape is not None and np.shape(found) != shape):
        raise ValueError(f"an entry of shape {np.shape(found)} where {shape or f'{rank} dims'} is claimed")
    return found


def _dict(args: list[Any], attrs: Mapping[str, Any]) -> dict[str, Any]:
    """`{"W1": dW1, ...}`, `{**dparams, "W1": dW1, ...}`"""
    base, entries = (args[0], args[1:]) if attrs.get("base") else ({}, args)
    return {**base, **dict(zip(attrs["keys"], entries, strict=True))}


def _entry_added(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    """`dparams[key] += dW`, of a dict or a list; `dlayers[k][0] += dW`"""
    base, change, key, *inner = args
    if inner:
        place = range(len(base))[key]
        return [_entry_added([one, change, *inner], attrs) if k == place else one for k, one in enumerate(base)]
    if isinstance(base, list):
        added = _updated([base[key], change], {"op": "+"})
        place = range(len(base))[key]
        return [added if position == place else one for position, one in enumerate(base)]
    return {**base, key: _updated([base[key], change], {"op": "+"})}


def _scattered(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    base, gradient = args
    new, index = np.array(base), attrs["index"]
    match attrs["mode"]:
        case "add":
            new[index] += gradient
        case "subtract":
            new[index] -= gradient
        case "multiply":
            new[index] *= gradient
        case "set":
            new[index] = gradient
        case "add_at":
            np.add.at(new, index, gradient)
        case mode:
            raise CannotEvaluate(f"scatter knows no mode {mode}")
    return new


_OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}


def _updated(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    base, change = args
    if base is None:
        return None  # the gradient of a name that is not bound: nobody reads it
    new = _OPERATORS[attrs["op"]](base, change)
    if np.shape(new) != np.shape(base):
        raise ValueError(f"an update of shape {np.shape(change)} does not fit into {np.shape(base)}")
    return new


def summed_down(gradient: Any, shape: tuple[int, ...]) -> Any:
    """A gradient summed down to a shape that broadcasts to its own."""
    array = np.asarray(gradient)
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    axes = tuple(axis for axis, dim in enumerate(shape) if dim == 1 and array.shape[axis] != 1)
    array = array.sum(axis=axes, keepdims=True)
    if array.shape != shape:
        raise ValueError(f"a gradient of shape {np.shape(gradient)} does not fit {shape}")
    return array[()]


def _unbroadcast(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    gradient, target = args
    shape = np.shape(target)
    if np.ndim(gradient) < len(shape):
        # `out[i] = v` takes a v with leading dims of size 1 that the element has not.
        gradient = np.reshape(gradient, (1,) * (len(shape) - np.ndim(gradient)) + np.shape(gradient))
    return summed_down(gradient, shape)


def _zeros(like: Any, *gradient: Any) -> Any:
    """Zeros of a shape, in the dtype of the gradient that is to be added or, without one, of what they are like."""
    if like is None:
        return None  # of a name that is not bound
    if isinstance(like, Mapping):
        return {key: _zeros(one) for key, one in like.items()}
    if isinstance(like, list) and any(isinstance(one, np.ndarray) for one in like):
        return [_zeros(one) for one in like]
    return np.zeros(np.shape(like), np.result_type(gradient[0] if gradient else np.asarray(like), 0.0))[()]


def _size_of(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    shape, rank = (len(args[0]),) if isinstance(args[0], Mapping) else np.shape(args[0]), attrs.get("rank")
    if rank is not None and len(shape) != rank:
        raise ValueError(f"{len(shape)} dims for {rank} names")
    return shape[attrs["axis"]]


RULES: Mapping[str, Rule] = {
    "alias": lambda args, attrs: args[0],
    "let": lambda args, attrs: args[0],
    "copy_of": lambda args, attrs: copy.copy(args[0]),
    "constant": lambda args, attrs: args[0],
    "shape": lambda args, attrs: np.shape(args[0]),
    "ndim": lambda args, attrs: np.ndim(args[0]),
    "size": lambda args, attrs: np.size(args[0]),
    "dtype": lambda args, attrs: np.asarray(args[0]).dtype,
    "dim": _size_of,
    "subshape": lambda args, attrs: np.shape(args[0])[attrs["index"][0]],
    "read": _item,
    "write": _written,
    "collection": lambda args, attrs: args,
    "stacked": lambda args, attrs: _stacked(args[0], attrs),
    "entry": _entry,
    "item_add": _entry_added,
    "dict_add": lambda args, attrs: _all_added(*args),
    "dict_of": _dict,
    # An object of the user's own, which keeps what its backward pass reads.
    "layer": lambda args, attrs: args[0].forward(*args[1:]) if hasattr(args[0], "forward") else args[0](*args[1:]),
    "layer_backward": lambda args, attrs: args[0].backward(*args[1:]),
    "update": _updated,
    "scatter": _scattered,
    "unbroadcast": _unbroadcast,
    "spread": lambda args, attrs: np.broadcast_to(args[0], np.shape(args[1]))[()],
    "zeros_for": lambda args, attrs: _zeros(*args),
    "zeros_of": lambda args, attrs: np.zeros(attrs["shape"], np.asarray(args[0]).dtype),
    "enforced": lambda args, attrs: None,
    "container": lambda args, attrs: dict(zip(attrs["keys"], args, strict=True)),
    "put": lambda args, attrs: {**args[0], args[2]: args[1]},
    "or_zeros": lambda args, attrs: _zeros(args[1]) if args[0] is None else args[0],
}
# The relations that are no gates of the table, with the number of their operands.
STRUCTURAL: Mapping[str, tuple[int, int]] = {
    "alias": (1, 1),
    "let": (1, 1),
    "copy_of": (1, 1),
    "constant": (1, 1),
    "shape": (1, 1),
    "ndim": (1, 1),
    "size": (1, 1),
    "dtype": (1, 1),
    "dim": (1, 1),
    "subshape": (1, 1),
    "read": (1, 1),
    "write": (2, 2),
    "collection": (0, 1000),
    "stacked": (1, 1),
    "entry": (1, 3),
    "item_add": (3, 4),
    "dict_add": (2, 2),
    "dict_of": (0, 1000),
    "layer": (1, 1000),
    "layer_backward": (1, 1000),
    "imported": (0, 1000),
    "update": (2, 2),
    "scatter": (2, 2),
    "unbroadcast": (2, 2),
    "spread": (2, 2),
    "zeros_for": (1, 2),
    "zeros_of": (1, 1),
    "enforced": (1, 2),
    "container": (0, 1000),
    "put": (3, 3),
    "or_zeros": (2, 2),
    "opaque": (0, 1000),
}

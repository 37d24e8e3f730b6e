"""What the groups compute whose attributes say more than their definitions: for the reference interpreter.

Such a group is one way to read several relations. Its attributes hold the forward values that its backward rule reads,
and the steps that lead from the loss of each row to the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def _log_softmax(x: Any, axis: int) -> Any:
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


def _label_cross_entropy(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    return _scaled(-_log_softmax(np.asarray(args[0]), attrs["axis"])[attrs["index"]], attrs)


def _cross_entropy(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    x, weights = args
    return _scaled(-np.sum(weights * _log_softmax(np.asarray(x), attrs["axis"]), axis=attrs["axis"]), attrs)


def _scaled(rows: Any, attrs: Mapping[str, Any]) -> Any:
    """The negative log-likelihood of each row, summed unless rows are asked for, and what is made of it."""
    result = rows if attrs["rows"] else np.sum(rows)
    if not attrs["negative"]:
        result = -result
    for gate, factor in attrs["scale"]:
        match gate:
            case "mean":
                source, *axes = factor
                counts = np.shape(source) if len(axes) > 1 else [np.shape(source)[axis] for axis in axes]
                result = result / np.prod(counts)
            case "multiply":
                result = result * factor
            case _:
                result = result / factor
    return result


def _standardise(args: list[Any], attrs: Mapping[str, Any]) -> Any:
    x = np.asarray(args[0])
    centred = x - np.mean(x, axis=attrs["axis"], keepdims=True)
    return centred * attrs["std"] if attrs["inverse"] else centred / attrs["std"]


GROUP_MEANING: Mapping[str, Callable[[list[Any], Mapping[str, Any]], Any]] = {
    "group.label_cross_entropy": _label_cross_entropy,
    "group.cross_entropy": _cross_entropy,
    "group.standardise": _standardise,
}

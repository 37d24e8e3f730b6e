"""Runs a source and finds out whether a kink is near: a comparison, an extreme or an absolute value that small changes
of the arguments would decide otherwise. There differences say nothing of the gradient."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy as np

MARGIN = 0.01
# Nobody waits for a `while` that goes on for longer.
MOST_TESTS = 60

_ORDERS: Mapping[type[ast.cmpop], str] = {ast.Gt: "gt", ast.Lt: "lt", ast.GtE: "ge", ast.LtE: "le"}
_EXTREMES = frozenset({"max", "min", "argmax", "argmin"})


class NearKink(Exception):
    """Two numbers that are compared are nearly the same."""


class TooLong(Exception):
    """A loop does not come to its end."""


def apart(a: Any, b: Any) -> None:
    """Raises NearKink where floating numbers of the two are nearly the same."""
    first, second = np.asarray(a), np.asarray(b)
    if "f" not in (first.dtype.kind, second.dtype.kind) or "O" in (first.dtype.kind, second.dtype.kind):
        return
    if np.any(np.abs(first - second) < MARGIN):
        raise NearKink


class _Watching(ast.NodeTransformer):
    """Comparisons, methods that take an extreme and tests of `while` go through functions that look at the numbers."""

    def visit_Import(self, node: ast.Import) -> ast.AST:
        return ast.Pass()

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) != 1 or type(node.ops[0]) not in _ORDERS:
            return node
        name = ast.Constant(_ORDERS[type(node.ops[0])])
        return ast.Call(ast.Name("_compared", ast.Load()), [name, node.left, node.comparators[0]], [])

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        node.test = ast.Call(ast.Name("_again", ast.Load()), [node.test], [])
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(value=ast.Name(id="np")):
                return node
            case ast.Attribute(value=value, attr=attr) if attr in _EXTREMES:
                return ast.Call(
                    ast.Attribute(ast.Name("np", ast.Load()), attr, ast.Load()), [value, *node.args], node.keywords
                )
        return node


class _Numpy:
    """NumPy, where what takes an extreme looks at the numbers first."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def maximum(self, a: Any, b: Any) -> Any:
        apart(a, b)
        return np.maximum(a, b)

    def minimum(self, a: Any, b: Any) -> Any:
        apart(a, b)
        return np.minimum(a, b)

    def clip(self, a: Any, low: Any, high: Any) -> Any:
        apart(a, low)
        apart(a, high)
        return np.clip(a, low, high)

    def abs(self, a: Any) -> Any:
        apart(a, 0.0)
        return np.abs(a)


def _extreme(name: str) -> Callable[..., Any]:
    def found(_: Any, a: Any, axis: Any = None, **keywords: Any) -> Any:
        numbers = np.asarray(a)
        if numbers.size and numbers.dtype.kind == "f":
            ordered = np.sort(numbers.ravel() if axis is None else numbers, axis=-1 if axis is None else axis)
            if np.any(np.diff(ordered, axis=-1 if axis is None else axis) < MARGIN):
                raise NearKink
        return getattr(np, name)(a, axis=axis, **keywords)

    return found


for _name in _EXTREMES:
    setattr(_Numpy, _name, _extreme(_name))


def tools() -> dict[str, Any]:
    """Names for watched code to run among."""
    count = 0

    def again(test: Any) -> Any:
        nonlocal count
        count += 1
        if count > MOST_TESTS:
            raise TooLong
        return test

    def compared(name: str, a: Any, b: Any) -> Any:
        apart(a, b)
        return getattr(operator, name)(a, b)

    return {"np": _Numpy(), "_compared": compared, "_again": again}


@lru_cache(maxsize=4096)
def watched(text: str, mode: str = "exec") -> CodeType:
    """The text as code that raises NearKink and TooLong; it runs among `tools()`."""
    tree = _Watching().visit(ast.parse(text, mode=mode))
    return compile(ast.fix_missing_locations(tree), "<watched>", mode)

"""What the user's own checks prove: `assert x.ndim == 2`, `if w.shape[0] != x.shape[1]: raise ValueError(...)`.

Whoever comes past a check has passed it, as whoever comes past `x @ w` has shapes that fit. A part of a test that is no
comparison of shapes proves nothing, and is left alone.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Protocol

from flatgrad.frontend.environment import Binding, Poison, Structure
from flatgrad.ir.core import Kind, Literal, Relation, Type, Value
from flatgrad.ir.dims import SCALAR


class Reading(Protocol):
    """What is asked of the lowering of expressions."""

    def lower(self, node: ast.expr) -> Binding: ...
    def aside(self) -> Reading: ...


def proven(test: ast.expr, holds: bool) -> Iterator[tuple[ast.expr, ast.expr]]:
    """The pairs of expressions that are equal where a test is true, or where it is not (`holds` False)."""
    match test:
        case ast.BoolOp(op=ast.And(), values=values) if holds:
            for value in values:
                yield from proven(value, True)
        case ast.BoolOp(op=ast.Or(), values=values) if not holds:
            for value in values:
                yield from proven(value, False)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            yield from proven(inner, not holds)
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]) if holds:
            yield left, right
        case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[right]) if not holds:
            yield left, right


def enforced(left: ast.expr, right: ast.expr, expressions: Reading) -> list[Relation]:
    """The facts in `left == right`, as relations that compute nothing; none where it is not about shapes."""
    if not (_about_shapes(left) or _about_shapes(right)):
        return []
    if not (_is_size(left) and _is_size(right)):
        return []
    steps: list[Relation] = []
    reading = expressions.aside()
    reading.emit = lambda step, view: steps.append(step)  # type: ignore[attr-defined]
    for one, other in ((left, right), (right, left)):
        array = _array(one, "ndim")
        if array is not None and isinstance(other, ast.Constant) and isinstance(other.value, int):
            value = reading.lower(array)
            if not isinstance(value, Value) or isinstance(value, Poison):
                return []
            return [_unplaced(step) for step in [*steps, _fact((value,), other.value)]]
    first, second = reading.lower(left), reading.lower(right)
    for node, whole in ((left, second), (right, first)):
        array = _array(node, "shape")
        if array is None or not isinstance(whole, Structure):
            continue
        value = reading.lower(array)
        if not isinstance(value, Value) or isinstance(value, Poison):
            return []
        found = [_fact((value,), len(whole.items))]
        for axis, item in enumerate(whole.items):
            dim = Value("", Type.open("dim"))
            found.append(Relation((dim,), "dim", (value,), {"axis": axis, "rank": len(whole.items)}))
            if isinstance(item, Value | Literal) and not isinstance(item, Poison):
                found.append(_fact((dim, item), None))
        return [_unplaced(step) for step in [*steps, *found]]
    pair = [one for one in (first, second) if isinstance(one, Value | Literal) and not isinstance(one, Poison)]
    if len(pair) < 2 or not any(isinstance(one, Value) for one in pair):
        return []
    return [_unplaced(step) for step in [*steps, _fact(tuple(pair), None)]]


def _fact(args: tuple[Value | Literal, ...], rank: int | None) -> Relation:
    out = Value("", Type(Kind.OTHER, Type.open("").dtype, SCALAR))
    return Relation((out,), "enforced", args, {"rank": rank})


def _unplaced(step: Relation) -> Relation:
    """The step without a place in the text: the check stays there as it is written."""
    return Relation(step.outs, step.gate, step.args, step.attrs)


def _about_shapes(node: ast.expr) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr in ("shape", "ndim") for part in ast.walk(node))


def _array(node: ast.expr, asked: str) -> ast.expr | None:
    """x of `x.ndim`, `np.ndim(x)`; of `x.shape`, `np.shape(x)`, `len(x.shape)` for its rank."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(), attr=name), args=[array], keywords=[]) if name == asked:
            return array
        case ast.Attribute(value=array, attr=name) if name == asked:
            return array
        case ast.Call(func=ast.Name(id="len"), args=[inner], keywords=[]) if asked == "ndim":
            return _array(inner, "shape")
    return None


def _is_size(node: ast.expr) -> bool:
    """Whether an expression is a number or a tuple put together of sizes, and working it out changes nothing."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int) and not isinstance(value, bool)
        case ast.Name():
            return True
        case ast.Tuple(elts=elements):
            return all(_is_size(one) for one in elements)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() | ast.FloorDiv(), right=right):
            return _is_size(left) and _is_size(right)
        case ast.Subscript(value=base, slice=ast.Constant() | ast.UnaryOp() | ast.Slice()):
            return _array(base, "shape") is not None or isinstance(base, ast.Name)
    array = _array(node, "shape") or _array(node, "ndim")
    if array is None and isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len":
        array = node.args[0] if len(node.args) == 1 else None
    return isinstance(array, ast.Name) or (
        isinstance(array, ast.Subscript)
        and isinstance(array.value, ast.Name)
        and isinstance(array.slice, ast.Name | ast.Constant | ast.UnaryOp)
    )

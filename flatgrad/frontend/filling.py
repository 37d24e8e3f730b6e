"""Dicts that loops fill under keys of their own, and that are read anywhere: `margins[i, j] = margin`.

Such a dict is one value, a new version of it with every entry. No key is written twice: it has the index of every loop
in it that runs around the line. So the gradient of an entry is complete when the line that wrote it is reversed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import Protocol

from flatgrad.frontend.buffers import Buffers
from flatgrad.frontend.environment import Binding, Dictionary, Filled, Key, Poison
from flatgrad.frontend.liveness import own_statements
from flatgrad.ir.core import Literal, Operand, Relation, Type, Value

_READING = frozenset({"get", "keys", "values", "items"})


class Filling(Protocol):
    """What is asked of the lowering of a function."""

    environment: dict[str, Binding]
    dropped: frozenset[ast.stmt]
    node: ast.FunctionDef
    buffers: Buffers

    def emit(self, step: Relation, view: bool) -> None: ...


def begin_filling(lowering: Filling, loop: ast.For | ast.While) -> frozenset[str]:
    """Make values of the dicts that the rounds of a loop fill under keys of their own. The names of those that are read
    elsewhere, and stay what they are as a round changes what it has stored."""
    if not isinstance(loop, ast.For):
        return frozenset()
    others: set[str] = set()
    for name, binding in list(lowering.environment.items()):
        if not isinstance(binding, Dictionary) or sum(one is binding for one in lowering.environment.values()) > 1:
            continue
        store = _store_of(name, loop)
        key = None if store is None else store.slice
        if key is None or not _apart(key, [k for k, _ in binding.items], loop):
            others |= {name} if _read_elsewhere(name, loop, lowering) else set()
            continue
        if isinstance(key, ast.Tuple) or _read_elsewhere(name, loop, lowering):
            container = container_of(lowering, name, binding, store)
            if container is not None:
                lowering.environment[name] = container
    return frozenset(others)


def container_of(lowering: Filling, name: str, binding: Dictionary, store: ast.expr | None = None) -> Filled | None:
    """What a dict holds as the loop begins, as a value; None where that is more than numbers and arrays."""
    items = [item for _, item in binding.items]
    values = tuple(item for item in items if isinstance(item, Value | Literal) and not isinstance(item, Poison))
    if len(values) < len(items):
        return None
    out = Value(name, Type.open(name))
    keys = tuple(key for key, _ in binding.items)
    lowering.emit(Relation((out,), "container", values, {"keys": keys}), view=False)
    return Filled(out, store)


def _store_of(name: str, loop: ast.For) -> ast.Subscript | None:
    """Where each round of the loops from here stores one entry, under a key of its own; None where a dict is changed in
    any other way."""
    found = list(_stores(name, [loop], ()))
    if len(found) != 1:
        return None
    statement, loops = found[0]
    changes = 0
    for part in ast.walk(loop):
        match part:
            case ast.Name(id=root, ctx=ast.Store() | ast.Del()) if root == name:
                return None
            case ast.Subscript(value=ast.Name(id=root), ctx=ast.Store() | ast.Del()) if root == name:
                changes += 1
            case ast.Subscript(value=ast.Subscript(value=ast.Name(id=root)), ctx=ast.Store()) if root == name:
                return None
            case ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr=method)) if root == name:
                if method not in _READING:
                    return None
    target = statement.targets[0]
    if changes != 1 or not isinstance(target, ast.Subscript):
        return None
    key = target.slice
    parts = [_counted(part) for part in (key.elts if isinstance(key, ast.Tuple) else [key])]
    indices = [_index_of(one) for one in loops]
    if None in parts or None in indices or not set(indices) <= set(parts):
        return None
    bound = [part.id for part in ast.walk(loop) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]
    return target if all(bound.count(index) == 1 for index in indices if index is not None) else None


def _counted(node: ast.expr) -> str | None:
    """t of `t`, `t + 1` and `t - 1`: another number in every round, where t is."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.BinOp(left=ast.Name(id=name), op=ast.Add() | ast.Sub(), right=ast.Constant(value=int())):
            return name
    return None


def _stores(
    name: str, statements: Iterable[ast.stmt], loops: tuple[ast.For | ast.While, ...]
) -> Iterable[tuple[ast.Assign, tuple[ast.For | ast.While, ...]]]:
    for statement in statements:
        match statement:
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=root))]) if root == name:
                yield statement, loops
            case ast.For(body=body) | ast.While(body=body):
                yield from _stores(name, body, (*loops, statement))
            case ast.If(body=body, orelse=orelse):
                yield from _stores(name, [*body, *orelse], loops)


def _index_of(loop: ast.For | ast.While) -> str | None:
    """The name that a loop counts its rounds with."""
    if not isinstance(loop, ast.For):
        return None
    match loop.target, loop.iter:
        case ast.Name(id=name), ast.Call(func=ast.Name(id="range")):
            return name
        case ast.Name(id=name), ast.Call(func=ast.Name(id="reversed"), args=[ast.Call(func=ast.Name(id="range"))]):
            return name
        case ast.Tuple(elts=[ast.Name(id=name), _]), ast.Call(func=ast.Name(id="enumerate"), args=[_]):
            return name
    return None


def _apart(key: ast.expr, known: Sequence[Key], loop: ast.For) -> bool:
    """Whether what rounds store is never under one of the keys that are there already."""
    if not known:
        return True
    if isinstance(key, ast.Tuple):
        return False
    shift = key.right.value if isinstance(key, ast.BinOp) and isinstance(key.right, ast.Constant) else 0
    assert isinstance(shift, int)
    if isinstance(key, ast.BinOp) and isinstance(key.op, ast.Sub):
        shift = -shift
    match loop.iter:
        case ast.Call(func=ast.Name(id="range"), args=[_]):
            first = 0
        case ast.Call(func=ast.Name(id="range"), args=[ast.Constant(value=int(start)), _]):
            first = start
        case ast.Call(func=ast.Name(id="enumerate")):
            first = 0
        case _:
            return False
    return all(isinstance(one, int) and one < first + shift for one in known)


def _read_elsewhere(name: str, loop: ast.For, lowering: Filling) -> bool:
    """Whether an entry is read outside the loop under a key that is no constant."""
    inside = set(ast.walk(loop))
    for statement in own_statements(lowering.node.body):
        if statement in lowering.dropped or statement in inside:
            continue
        for part in ast.iter_child_nodes(statement):
            if not isinstance(part, ast.expr):
                continue
            for one in ast.walk(part):
                match one:
                    case ast.Subscript(value=ast.Name(id=root), slice=key, ctx=ast.Load()) if root == name:
                        if not isinstance(key, ast.Constant | ast.UnaryOp | ast.BinOp):
                            return True
                        if isinstance(key, ast.BinOp) and _counted(key) in _targets(lowering.node, inside):
                            return True
    return False


def _targets(node: ast.FunctionDef, inside: set[ast.AST]) -> set[str]:
    """The indices of the other loops."""
    loops = [one for one in ast.walk(node) if isinstance(one, ast.For) and one not in inside]
    return {index for one in loops if (index := _index_of(one)) is not None}


def filled_with(lowering: Filling, base: Filled, key: Operand, value: Operand) -> Filled:
    """The dict after `margins[i, j] = margin`."""
    new = Value(base.value.name, Type.open(base.value.name))
    lowering.emit(Relation((new,), "put", (base.value, value, key)), view=False)
    shared = (base.value, value) if isinstance(value, Value) else (base.value,)
    lowering.buffers.joined(new, shared)
    return Filled(new, base.store)

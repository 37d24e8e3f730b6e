"""`return` inside a loop, as `break` and a return behind it.

The loop is left at once, so that every name has behind it the value that the result is made of: `return s * 2` becomes
`stopped = True`, `break`, and `if stopped: return s * 2` below the loop. Where the next statement returns the same, or
a `while True` is left in no other way, `break` alone says it.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flatgrad.frontend.source import Module

Loop = ast.For | ast.While


@dataclass(frozen=True, slots=True)
class Left:
    """A loop without returns: the statement that it replaces, and all that stands in its place."""

    loop: Loop
    statements: list[ast.stmt]


def loop_that_returns(module: Module, function: ast.FunctionDef) -> Left | None:
    """The first loop of a function that returns from inside, and no loop in it does, with what it comes to."""
    for block in _blocks(function.body):
        for position, statement in enumerate(block):
            if not isinstance(statement, Loop) or statement.orelse:
                continue
            returns = list(_returns(statement.body))
            if not returns or any(list(_returns(one.body)) for one in _inner_loops(statement)):
                continue
            if any(isinstance(part, ast.Try | ast.Match) for part in ast.walk(statement)):
                continue
            return _left(module, function, statement, returns, block[position + 1 :])
    return None


def _left(
    module: Module, function: ast.FunctionDef, loop: Loop, returns: Sequence[ast.Return], after: Sequence[ast.stmt]
) -> Left:
    following = after[0] if after else None
    same = isinstance(following, ast.Return) and all(_text(one.value) == _text(following.value) for one in returns)
    endless = (
        isinstance(loop, ast.While)
        and isinstance(loop.test, ast.Constant)
        and bool(loop.test.value)
        and not _breaks(loop.body)
    )
    put: dict[ast.Return, list[ast.stmt]] = {}
    head: list[ast.stmt] = []
    tail: list[ast.stmt] = []
    taken = {part.id for part in ast.walk(function) if isinstance(part, ast.Name)} | set(module.bound)
    taken |= {part.arg for part in ast.walk(function) if isinstance(part, ast.arg)}
    for number, one in enumerate(returns):
        if same:
            put[one] = [ast.Break()]
            continue
        if endless and number == len(returns) - 1:
            put[one] = [ast.Break()]
            tail.append(copy.deepcopy(one))
            continue
        name = next(n for k in range(1, 1000) if (n := f"stopped{'' if k == 1 else k}") not in taken)
        taken.add(name)
        head.append(ast.Assign([ast.Name(name, ast.Store())], ast.Constant(False), lineno=loop.lineno))
        put[one] = [ast.Assign([ast.Name(name, ast.Store())], ast.Constant(True), lineno=one.lineno), ast.Break()]
        tail.append(ast.If(ast.Name(name, ast.Load()), [copy.deepcopy(one)], []))
        ast.copy_location(tail[-1], one)
    made = _Put(put).visit(_copied(loop, put))
    for statement in head:
        ast.copy_location(statement, loop)
    whole = [*head, made, *tail]
    for statement in whole:
        for part in ast.walk(statement):
            if isinstance(part, ast.stmt) and not hasattr(part, "lineno"):
                ast.copy_location(part, loop)
    return Left(loop, [ast.fix_missing_locations(one) for one in whole])


def _copied(loop: Loop, put: dict[ast.Return, list[ast.stmt]]) -> Loop:
    """The loop copied; what is put in place of its returns goes by the copies."""
    made = copy.deepcopy(loop)
    for old, new in zip(ast.walk(loop), ast.walk(made), strict=True):
        if isinstance(old, ast.Return) and isinstance(new, ast.Return) and old in put:
            put[new] = [ast.copy_location(one, old) for one in put[old]]
    return made


class _Put(ast.NodeTransformer):
    def __init__(self, put: dict[ast.Return, list[ast.stmt]]) -> None:
        self.put = put

    def visit_Return(self, node: ast.Return) -> ast.stmt | list[ast.stmt]:
        return self.put.get(node, node)


def _blocks(body: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """A block and those in it, the innermost first; none of functions inside."""
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            continue
        for name in ("body", "orelse", "finalbody"):
            inner = getattr(statement, name, None)
            if isinstance(inner, list):
                yield from _blocks(inner)
    yield body


def _own(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    for block in _blocks(list(body)):
        yield from block


def _returns(body: Sequence[ast.stmt]) -> Iterator[ast.Return]:
    return (one for one in _own(body) if isinstance(one, ast.Return))


def _inner_loops(loop: Loop) -> Iterator[Loop]:
    return (one for one in _own(loop.body) if isinstance(one, Loop))


def _breaks(body: Sequence[ast.stmt]) -> bool:
    """Whether a `break` of these statements ends the loop around them."""
    for statement in body:
        if isinstance(statement, ast.Break):
            return True
        if isinstance(statement, ast.If) and _breaks([*statement.body, *statement.orelse]):
            return True
        if isinstance(statement, ast.With) and _breaks(statement.body):
            return True
    return False


def _text(node: ast.expr | None) -> str:
    return "None" if node is None else ast.unparse(node)

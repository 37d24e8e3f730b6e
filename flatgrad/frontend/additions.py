"""Where the text of a loop adds one element a round to a list or dict, and how its key follows the index."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass

from flatgrad.frontend.environment import Binding, Dictionary, Structure
from flatgrad.ir.core import Operand


@dataclass(frozen=True, slots=True)
class Counting:
    """What a loop counts with: the name of its index, and where it begins and ends; None and '' where that is open.

    Attributes:
        pivot: how far the index of a round is from this tells how many rounds came before; None where `start` tells.
        down: the index counts down from there.
        ends: what the names in `end` stand for.
    """

    index: str | None
    start: int | None
    end: str
    pivot: Operand | None = None
    down: bool = False
    ends: tuple[tuple[str, Binding], ...] = ()


def offset_of(
    name: str, statements: Sequence[ast.stmt], counting: Counting, binding: Structure | Dictionary
) -> tuple[int, bool] | None:
    """How far the key of what a round stores is from its index, and whether every round stores something; None where
    the loop does not collect in this name."""
    found: list[int] = []
    changes = 0
    skipped = left = False
    always = True
    for statement in statements:
        skipped = skipped or leaves_round(statement, (ast.Continue,))
        left = left or leaves_round(statement, (ast.Continue, ast.Break))
        always = always and (bool(found) or not left)
        longer = is_longer(statement, name)
        for part in ast.walk(statement):
            if longer and isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load):
                changes += 1
                continue
            match part:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr=attribute)) if root == name:
                    changes += attribute not in ("get", "keys", "values", "items", "index", "count", "copy")
                case ast.Name(id=root, ctx=ast.Store() | ast.Del()) if root in (name, counting.index):
                    return None
                case ast.Subscript(value=ast.Name(id=root), ctx=ast.Store() | ast.Del()) if root == name:
                    changes += 1
        match statement:
            case (
                ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr="append")))
                | ast.AugAssign(target=ast.Name(id=root))
            ) if root == name and (longer or isinstance(statement, ast.Expr)):
                if isinstance(binding, Structure) and not skipped:
                    if counting.pivot is not None:
                        found.append(0)
                    elif counting.start is not None:
                        found.append(len(binding.items) - counting.start)
            case ast.Assign(targets=[ast.Subscript(value=ast.Name(id=root), slice=key)]) if root == name:
                shift = shift_of(key, {counting.index} if counting.index else set())
                if shift is not None and isinstance(binding, Dictionary) and counting.start is not None:
                    first = counting.start + shift
                    if any(isinstance(key, int | float) and key >= first for key, _ in binding.items):
                        return None  # a round may write over what is there
                    found.append(shift)
    if len(found) == 1 and changes == 1:
        return found[0], always
    if isinstance(binding, Structure) and changes == appends(statements, name) and _ways(statements, name) == {1}:
        if counting.pivot is not None or counting.start is not None:
            return (0 if counting.start is None else len(binding.items) - counting.start), True
    return None


def appends(statements: Sequence[ast.stmt], name: str) -> int:
    parts = (part for statement in statements for part in ast.walk(statement))
    return sum(isinstance(part, ast.Expr) and is_append(part, name) for part in parts)


def is_append(statement: ast.stmt, name: str) -> bool:
    match statement:
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr="append"))):
            return root == name
    return False


def _ways(statements: Sequence[ast.stmt], name: str) -> set[int] | None:
    """How often a round appends, on all ways that lead to its end; None where one leads elsewhere."""
    found = _counted(statements, name)
    return None if found is None else found[0] | found[1]


def _counted(statements: Sequence[ast.stmt], name: str) -> tuple[set[int], set[int]] | None:
    """The same for a block: on the ways to its end, and on those that end in `continue`."""
    through, out = {0}, set[int]()
    for statement in statements:
        match statement:
            case _ if is_append(statement, name):
                through = {count + 1 for count in through}
            case ast.Continue():
                return set(), out | through
            case ast.Break() | ast.Return():
                return None
            case ast.Raise():
                return set(), out
            case ast.If(body=body, orelse=orelse):
                arms = (_counted(body, name), _counted(orelse, name))
                if arms[0] is None or arms[1] is None:
                    return None
                out |= {count + more for count in through for arm in arms if arm for more in arm[1]}
                through = {count + more for count in through for arm in arms if arm for more in arm[0]}
            case _ if appends([statement], name) or leaves_round(statement, (ast.Break, ast.Continue)):
                return None
    return through, out


def leaves_round(statement: ast.stmt, ways: tuple[type[ast.stmt], ...]) -> bool:
    """Whether a statement may end the round in one of these ways."""
    match statement:
        case ast.If(body=body, orelse=orelse):
            return any(leaves_round(one, ways) for one in [*body, *orelse])
        case ast.With(body=body):
            return any(leaves_round(one, ways) for one in body)
    return isinstance(statement, ways)


def is_longer(statement: ast.stmt, name: str) -> bool:
    """`hs += [h]`"""
    match statement:
        case ast.AugAssign(target=ast.Name(id=root), op=ast.Add(), value=ast.List(elts=[_])):
            return root == name
    return False


def shift_of(node: ast.expr, names: set[str]) -> int | None:
    """c where an index is `t + c`."""
    match node:
        case ast.Name(id=name) if name in names:
            return 0
        case ast.BinOp(left=ast.Name(id=name), op=ast.Add(), right=ast.Constant(value=int(c))) if name in names:
            return c
        case ast.BinOp(left=ast.Name(id=name), op=ast.Sub(), right=ast.Constant(value=int(c))) if name in names:
            return -c
    return None

"""Liveness of names in the text: what is read after a statement, loops and early ways out included."""

from __future__ import annotations

import ast
from collections.abc import Sequence

Names = frozenset[str]
NONE: Names = frozenset()


def live_after(node: ast.FunctionDef) -> dict[ast.stmt, Names]:
    """For each statement of a function, nested ones included, the names that may be read after it."""
    found: dict[ast.stmt, Names] = {}
    _block(node.body, NONE, NONE, NONE, found)
    always = read_by_closures(node)
    return {statement: names | always for statement, names in found.items()}


def read_by_closures(node: ast.FunctionDef) -> Names:
    """The names that lambdas and nested functions of a function read: read wherever those may be called."""
    inner = [part for part in ast.walk(node) if isinstance(part, ast.Lambda | ast.FunctionDef) and part is not node]
    return frozenset(name for function in inner for name in _loads(function))


def assigned_names(statements: Sequence[ast.stmt]) -> Names:
    """The names that statements bind, or whose values they change in place, nested statements included."""
    return frozenset(name for statement in statements for part in ast.walk(statement) for name in _changed(part))


def read_before_bound(statements: Sequence[ast.stmt]) -> Names:
    """The names that statements may read before they bind them."""
    return _block(statements, NONE, NONE, NONE, {})


def _changed(part: ast.AST) -> list[str]:
    match part:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            return [name]
        case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
            root = root_name(part)
            return [root] if root else []
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=receiver), args=args)):
            # `hs.append(h)`, `x.fill(0)`, `np.add.at(dx, i, v)`, `np.fill_diagonal(x, 0)`
            names = [root_name(receiver), root_name(args[0]) if args else ""]
            return [name for name in names if name]
    return []


def root_name(node: ast.AST) -> str:
    """The variable that a subscript or an attribute is a part of; '' where it is of none."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _block(
    statements: Sequence[ast.stmt], after: Names, around: Names, behind: Names, found: dict[ast.stmt, Names]
) -> Names:
    """What is live before statements. `around`: at the head of the next round; `behind`: after the loop."""
    live = after
    for statement in reversed(statements):
        found[statement] = live | found.get(statement, NONE)
        live = _statement(statement, live, around, behind, found)
    return live


def _statement(statement: ast.stmt, live: Names, around: Names, behind: Names, found: dict[ast.stmt, Names]) -> Names:
    match statement:
        case ast.Return(value=value):
            return NONE if value is None else _loads(value)
        case ast.Continue():
            return around
        case ast.Break():
            return behind
        case ast.Raise():
            return _loads(statement)
        case ast.If(test=test, body=body, orelse=orelse):
            then = _block(body, live, around, behind, found)
            return _loads(test) | then | _block(orelse, live, around, behind, found)
        case ast.For(target=target, iter=over, body=body, orelse=orelse):
            behind_it = _block(orelse, live, around, behind, found)
            # What it runs over is read in every round.
            head = behind_it | _loads(over)
            while True:
                inner = _block(body, head, head, behind_it, found)
                again = head | (inner - _stores(target)) | _loads(target)
                if again == head:
                    return head
                head = again
        case ast.While(test=test, body=body, orelse=orelse):
            behind_it = _block(orelse, live, around, behind, found)
            head = behind_it | _loads(test)
            while True:
                again = head | _block(body, head, head, behind_it, found)
                if again == head:
                    return head
                head = again
        case ast.With(items=items, body=body):
            inner = _block(body, live, around, behind, found)
            for item in reversed(items):
                if item.optional_vars is not None:
                    inner = (inner - _stores(item.optional_vars)) | _loads(item.optional_vars)
                inner |= _loads(item.context_expr)
            return inner
        case ast.Try():
            return live | _loads(statement)
        case ast.AugAssign():
            return live | _loads(statement) | _stores(statement)
        case ast.FunctionDef(name=name):
            return (live - {name}) | _loads(statement)
        case _:
            return (live - _stores(statement)) | _loads(statement)


def _loads(node: ast.AST) -> Names:
    return frozenset(
        part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)
    )


def _stores(node: ast.AST) -> Names:
    return frozenset(
        part.id for part in ast.walk(node) if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
    )

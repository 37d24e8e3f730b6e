"""What the syntax tree tells of ways out of a block."""

from __future__ import annotations

import ast
from collections.abc import Sequence


def is_check(statement: ast.If) -> bool:
    """`if ...: raise ...`, which changes no value."""
    return not statement.orelse and all(isinstance(one, ast.Raise) for one in statement.body)


def leaves_block(statement: ast.stmt) -> bool:
    """Whether a statement may end its block: by `return`, or by `continue` or `break` of a loop around."""
    match statement:
        case ast.Return() | ast.Continue() | ast.Break():
            return True
        case ast.If(body=body, orelse=orelse):
            return any(leaves_block(one) for one in [*body, *orelse])
        case ast.For() | ast.While() | ast.With():
            return any(isinstance(part, ast.Return) for part in ast.walk(statement))
    return False


def always_leaves(statements: Sequence[ast.stmt]) -> bool:
    """Whether no way leads to the end of these statements."""
    for statement in statements:
        match statement:
            case ast.Return() | ast.Continue() | ast.Break() | ast.Raise():
                return True
            case ast.If(body=body, orelse=orelse):
                if always_leaves(body) and always_leaves(orelse):
                    return True
    return False


def ends_unsaid(statement: ast.If) -> bool:
    """`elif kind == "tanh": ...` without an else: it asks for one of the words that are meant."""
    match statement:
        case ast.If(test=ast.Compare(ops=[ast.Eq() | ast.In()], left=left, comparators=[right]), orelse=[]):
            words = right.elts if isinstance(right, ast.Tuple | ast.List | ast.Set) else [left, right]
            return any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in words)
    return False


def raises(statements: Sequence[ast.stmt]) -> bool:
    """Whether statements end in an error, whatever they do before."""
    return bool(statements) and isinstance(statements[-1], ast.Raise)


def has_break(statements: Sequence[ast.stmt]) -> bool:
    """Whether a `break` of the loop itself stands in its body."""
    for statement in statements:
        match statement:
            case ast.Break():
                return True
            case ast.If(body=body, orelse=orelse):
                if has_break(body) or has_break(orelse):
                    return True
            case ast.With(body=body):
                if has_break(body):
                    return True
    return False

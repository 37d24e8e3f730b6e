"""The forms of expressions that tell how something is used."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def in_order(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """The parts of statements, one statement after the other."""
    for statement in body:
        yield from ast.walk(statement)


def conditions(test: ast.expr) -> Iterator[ast.expr]:
    """What a test asks, `and`, `or` and `not` taken apart."""
    match test:
        case ast.BoolOp(values=values):
            for value in values:
                yield from conditions(value)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield from conditions(operand)
        case _:
            yield test


def whole_parts(node: ast.expr) -> Iterator[ast.expr]:
    """The operands of integer arithmetic and of tuples, down to the names."""
    match node:
        case ast.Tuple(elts=elts) | ast.List(elts=elts):
            for one in elts:
                yield from whole_parts(one)
        case ast.BinOp(left=left, right=right):
            yield from whole_parts(left)
            yield from whole_parts(right)
        case ast.UnaryOp(operand=operand):
            yield from whole_parts(operand)
        case _:
            yield node


def untransposed(node: ast.expr) -> ast.expr:
    """What is transposed; the expression itself where nothing is."""
    match node:
        case ast.Attribute(value=value, attr="T"):
            return value
        case ast.Call(func=ast.Attribute(value=value, attr="transpose" | "swapaxes")):
            return value
    return node


def callee(node: ast.Call) -> str:
    """The last part of what a call calls: `dot` of `np.dot(x, w)`; empty for no name."""
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def is_text(node: ast.expr) -> bool:
    """Whether it is a string, or is put together to one."""
    return (isinstance(node, ast.Constant) and isinstance(node.value, str)) or key_prefix(node) is not None


def key_prefix(node: ast.expr) -> str | None:
    """What a key begins with that is put together: `"W" + str(i)`, `f"W{i}"`, `"W%d" % i`, `"W{}".format(i)`."""
    match node:
        case ast.BinOp(left=ast.Constant(value=str() as text), op=ast.Add()):
            return text
        case ast.BinOp(left=ast.Constant(value=str() as text), op=ast.Mod()):
            return text.partition("%")[0]
        case ast.JoinedStr(values=[ast.Constant(value=str() as text), *_]):
            return text
        case ast.Call(func=ast.Attribute(value=ast.Constant(value=str() as text), attr="format")):
            return text.partition("{")[0]
    return None

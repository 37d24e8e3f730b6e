"""What is asked of syntax trees, and done to them, where a function is written out in the place of its call."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Mapping

from flatgrad.frontend.closures import altering_decorator, defaults_of
from flatgrad.frontend.liveness import own_statements


def calls_in(statement: ast.stmt) -> Iterator[ast.Call]:
    """The calls in the expressions of a statement, those of statements inside it not."""
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.expr):
            yield from (one for one in ast.walk(part) if isinstance(one, ast.Call))


def blocks_of(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse"):
        block = getattr(node, name, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block
            for statement in list(block):
                yield from blocks_of(statement)


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body[0]:
        case ast.Expr(value=ast.Constant(value=str())):
            return body[1:]
    return body


def bound_in(node: ast.FunctionDef) -> set[str]:
    return stored_in(node.body) | {argument.arg for argument in node.args.args}


def stored_in(statements: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind, those of comprehensions among them."""
    return {
        part.id
        for statement in statements
        for part in ast.walk(statement)
        if isinstance(part, ast.Name) and not isinstance(part.ctx, ast.Load)
    }


class Renamed(ast.NodeTransformer):
    """Names for other names, or for constants where they are read."""

    def __init__(self, names: Mapping[str, ast.expr]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        new = self.names.get(node.id)
        if new is None:
            return node
        if isinstance(new, ast.Name):
            return ast.copy_location(ast.Name(new.id, node.ctx), node)
        return ast.copy_location(copy.deepcopy(new), node)


class Replaced(ast.NodeTransformer):
    def __init__(self, old: ast.expr, new: ast.expr) -> None:
        self.old, self.new = old, new

    def visit_Call(self, node: ast.Call) -> ast.expr:
        return self.new if node is self.old else self.generic_visit(node)  # type: ignore[return-value]


def paired(target: ast.expr, value: ast.expr | None) -> list[tuple[ast.expr, ast.expr | None]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def uses_of(name: str, parts: Iterable[ast.AST]) -> int:
    return sum(isinstance(one, ast.Name) and one.id == name for part in parts for one in ast.walk(part))


def matched_arguments(called: ast.FunctionDef, call: ast.Call) -> dict[str, ast.expr] | None:
    """What each parameter is given, defaults that are constants included; None where that cannot be told."""
    arguments = called.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    every = [*names, *(argument.arg for argument in arguments.kwonlyargs)]
    if any(isinstance(one, ast.Starred) for one in call.args) or len(call.args) > len(names):
        return None
    found: dict[str, ast.expr] = dict(zip(names, call.args, strict=False))
    for named in call.keywords:
        if named.arg is None or named.arg in found or named.arg not in every:
            return None
        found[named.arg] = named.value
    defaults = defaults_of(called)
    for name in every:
        if name not in found:
            default = defaults.get(name)
            if not isinstance(default, ast.Constant | ast.UnaryOp):
                return None
            found[name] = default
    return found


def is_plain(node: ast.FunctionDef) -> bool:
    """Whether the statements of a function may stand where it is called: it ends in its one `return`, but for ways out
    that give nothing to go on with."""
    if altering_decorator(node) is not None or node.args.vararg or node.args.kwarg or node.decorator_list:
        return False
    body = without_docstring(node.body)
    if not body or not isinstance(body[-1], ast.Return):
        return False
    inner = (ast.FunctionDef, ast.Lambda, ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom, ast.NamedExpr, ast.Await)
    if any(isinstance(part, inner) for statement in body for part in ast.walk(statement)):
        return False
    returns = [one for one in own_statements(body) if isinstance(one, ast.Return)]
    early = [one for one in body[:-1] if isinstance(one, ast.If) and _gives_up(one)]
    return len(returns) == 1 + len(early)


def _gives_up(statement: ast.If) -> bool:
    match statement:
        case ast.If(body=[*_, ast.Return(value=ast.Tuple(elts=[_, *others]))], orelse=[]):
            asks = isinstance(statement.test, ast.Compare) and isinstance(statement.test.ops[0], ast.Is)
            return asks and any(isinstance(one, ast.Constant) and one.value is None for one in others)
    return False


def names_of_module(node: ast.FunctionDef) -> set[str]:
    """The names of the module that a function reads."""
    body = [part for statement in node.body for part in ast.walk(statement) if isinstance(part, ast.Name)]
    return {part.id for part in body} - bound_in(node)

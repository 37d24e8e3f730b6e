"""Loops over a dict of layers by their names: `for name, layer in self.layers.items()`, `for name in self.layers`.

Where the name does nothing but find the layer, the loop runs over `self.layers.values()`.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence

from flatgrad.frontend.source import Module


def loop_over_layers(module: Module, function: ast.FunctionDef, node: ast.stmt) -> list[ast.stmt] | None:
    """The loop over the layers themselves; None where it is another loop."""
    if not isinstance(node, ast.For) or node.orelse:
        return None
    match node.target, node.iter:
        case (
            ast.Tuple(elts=[ast.Name(id=key), ast.Name(id=layer)]),
            ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name()) as given, attr="items"), args=[]),
        ):
            body = node.body
            if not _calls(body, layer) or _changes(body, given):
                return None
        case (
            ast.Name(id=key),
            ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name()) as given, attr="keys"), args=[])
            | (ast.Attribute(value=ast.Name()) as given),
        ):
            layer = _free(module, function)
            found = _Elements(ast.dump(given), key, layer)
            body = [found.visit(copy.deepcopy(one)) for one in node.body]
            if not _calls(body, layer) or _changes(body, given):
                return None
        case _:
            return None
    inside = {part for one in node.body for part in ast.walk(one)}
    names = [part for one in body for part in ast.walk(one) if isinstance(part, ast.Name)]
    outside = [part for part in ast.walk(function) if isinstance(part, ast.Name) and part not in inside]
    if sum(part.id == key for part in (*names, *outside)) != 1:  # its target alone
        return None
    view = ast.Call(ast.Attribute(given, "values", ast.Load()), [], [])
    made = ast.For(ast.Name(layer, ast.Store()), view, body, [], None)
    return [ast.fix_missing_locations(ast.copy_location(made, node))]


def _calls(body: Sequence[ast.stmt], name: str) -> bool:
    """Whether a round calls what goes by a name as a layer."""
    for part in (inner for one in body for inner in ast.walk(one)):
        match part:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=called), attr="forward" | "__call__")):
                if called == name:
                    return True
            case ast.Call(func=ast.Name(id=called)) if called == name:
                return True
    return False


def _changes(body: Sequence[ast.stmt], given: ast.expr) -> bool:
    """Whether a round binds the dict again, or changes what is in it."""
    for part in (inner for one in body for inner in ast.walk(one)):
        if isinstance(part, ast.Attribute | ast.Subscript) and not isinstance(part.ctx, ast.Load):
            root = part.value if isinstance(part, ast.Subscript) else part
            if ast.unparse(root) == ast.unparse(given):
                return True
    return False


def _free(module: Module, function: ast.FunctionDef) -> str:
    taken = {part.id for part in ast.walk(function) if isinstance(part, ast.Name)} | set(module.bound)
    taken |= {part.arg for part in ast.walk(function) if isinstance(part, ast.arg)}
    return next(name for number in range(1, 1000) if (name := f"layer{'' if number == 1 else number}") not in taken)


class _Elements(ast.NodeTransformer):
    """Puts a name in the place of `self.layers[key]`."""

    def __init__(self, given: str, key: str, name: str) -> None:
        self.given, self.key, self.name = given, key, name

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        match node:
            case ast.Subscript(value=value, slice=ast.Name(id=key), ctx=ast.Load()) if key == self.key:
                if ast.dump(value) == self.given:
                    return ast.copy_location(ast.Name(self.name, ast.Load()), node)
        return self.generic_visit(node)

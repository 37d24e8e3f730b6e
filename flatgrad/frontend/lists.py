"""Parameters that are lists of arrays: `weights: list`, of which the function takes one after the other."""

from __future__ import annotations

import ast

from flatgrad.frontend.liveness import own_statements

_THROUGH = frozenset({"zip", "enumerate", "reversed", "list"})


def list_parameters(node: ast.FunctionDef) -> frozenset[str]:
    """The parameters that are annotated as lists and read one element at a time: `ws[i]`, `len(ws)`, `for W in ws`.

    What NumPy is given as a whole is read as an array, whatever its annotation says.
    """
    arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    annotated = {one.arg for one in arguments if one.annotation is not None and _is_list(one.annotation)}
    return frozenset(name for name in annotated if _uses(node, name) == _single_uses(node, name))


def _is_list(annotation: ast.expr) -> bool:
    match annotation:
        case ast.Constant(value=str(text)):
            try:
                return _is_list(ast.parse(text, mode="eval").body)
            except SyntaxError:
                return False
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("list", "List")
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=element):
            return name in ("list", "List") and "ndarray" in ast.unparse(element)
    return False


def _uses(node: ast.FunctionDef, name: str) -> int:
    return sum(isinstance(part, ast.Name) and part.id == name for part in ast.walk(node))


def _single_uses(node: ast.FunctionDef, name: str) -> int:
    count = 0
    for part in ast.walk(node):
        match part:
            case ast.Subscript(value=ast.Name(id=root), slice=index, ctx=ast.Load()) if root == name:
                count += not isinstance(index, ast.Slice | ast.Tuple)
            case ast.Call(func=ast.Name(id="len"), args=[ast.Name(id=root)]) if root == name:
                count += 1
    for statement in own_statements(node.body):
        if isinstance(statement, ast.For):
            count += _gone_through(statement.iter, name)
    return count


def _gone_through(node: ast.expr, name: str) -> int:
    match node:
        case ast.Name(id=root):
            return int(root == name)
        case ast.Call(func=ast.Name(id=function), args=arguments) if function in _THROUGH:
            return sum(_gone_through(one, name) for one in arguments)
    return 0

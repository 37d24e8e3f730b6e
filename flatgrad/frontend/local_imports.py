"""Imports inside functions, read as if they stood at the head of the module: those of NumPy, SciPy and math, which do
nothing else when they are run."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from flatgrad.frontend.bindings import imported_names

_LIBRARIES = frozenset({"numpy", "scipy", "math"})
_Import = ast.Import | ast.ImportFrom


def with_imports_at_the_head(tree: ast.Module) -> ast.Module:
    """The same tree, changed in place, without the imports inside functions whose names mean the same everywhere."""
    inside = [(body, one) for body, one in _imports_of_functions(tree) if _is_of_library(one)]
    if not inside:
        return tree
    own = [one for one in tree.body if isinstance(one, _Import)]
    paths: dict[str, set[str]] = {}
    for statement in (*own, *(one for _, one in inside)):
        for name, path in imported_names(statement):
            paths.setdefault(name, set()).add(path)
    bound = set(_bound_otherwise(tree))
    head: dict[str, _Import] = {}
    for body, statement in inside:
        names = imported_names(statement)
        if any(len(paths[name]) > 1 or name in bound for name, _ in names):
            continue
        place = body.index(statement)
        body[place : place + 1] = [] if len(body) > 1 else [ast.copy_location(ast.Pass(), statement)]
        if not any(name in (n for one in own for n, _ in imported_names(one)) for name, _ in names):
            head[ast.unparse(statement)] = statement
    start = sum(isinstance(one, ast.Expr) or _is_future(one) for one in tree.body[:2])
    tree.body[start:start] = head.values()
    return tree


def _imports_of_functions(tree: ast.Module) -> Iterator[tuple[list[ast.stmt], _Import]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield from (
                (node.body, one) for one in list(node.body) if isinstance(one, _Import) and _is_first(node, one)
            )


def _is_first(function: ast.FunctionDef, statement: _Import) -> bool:
    """Whether nothing before an import reads what it binds: Python raises an error there."""
    names = {name for name, _ in imported_names(statement)}
    return not any(
        isinstance(part, ast.Name) and part.id in names and part.lineno < statement.lineno
        for one in function.body
        for part in ast.walk(one)
    )


def _is_of_library(statement: _Import) -> bool:
    return all(
        path.partition(".")[0] in _LIBRARIES and not path.endswith(".*") for _, path in imported_names(statement)
    )


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _bound_otherwise(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                yield from names

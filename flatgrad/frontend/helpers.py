"""Helpers that the compiler writes into its modules, known by what they do: a module is read like any other file."""

from __future__ import annotations

import ast
from functools import lru_cache

# Of `templates/module.py.jinja`: a gradient summed down to the shape of what was broadcast.
_UNBROADCAST = """
def unbroadcast(gradient, shape):
    lead = np.ndim(gradient) - len(shape)
    axes = tuple(k for k in range(np.ndim(gradient)) if k < lead or shape[k - lead] == 1)
    return np.sum(gradient, axis=axes, keepdims=True).reshape(shape)
"""


def is_unbroadcast(node: ast.FunctionDef) -> bool:
    """Whether a function sums its first argument down to the shape that is its second, whatever its names are."""
    return _form(node) == _unbroadcast()


@lru_cache(maxsize=1)
def _unbroadcast() -> str:
    node = ast.parse(_UNBROADCAST).body[0]
    assert isinstance(node, ast.FunctionDef)
    return _form(node)


def _form(node: ast.FunctionDef) -> str:
    """The statements of a function, with its own names numbered as they come."""
    body = node.body[1:] if isinstance(node.body[0], ast.Expr) else node.body
    parts = [ast.parse(ast.unparse(one)) for one in body]
    numbers = {argument.arg: f"_{position}" for position, argument in enumerate(node.args.args)}
    stored = [
        one.id
        for part in parts
        for one in ast.walk(part)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    ]
    for name in stored:
        numbers.setdefault(name, f"_{len(numbers)}")
    for part in parts:
        for one in ast.walk(part):
            if isinstance(one, ast.Name):
                one.id = numbers.get(one.id, one.id)
    return f"{len(node.args.args)}" + "\n".join(ast.dump(part) for part in parts)

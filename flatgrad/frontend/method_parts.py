"""What is read off the text of a method: its parameters, what it assigns, and the attributes that it reads."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from flatgrad.frontend.methods import MARK


def own_methods(owner: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    """The methods that a class defines itself; of two with one name the later."""
    return {one.name: one for one in owner.body if isinstance(one, ast.FunctionDef)}


def receiver_of(method: ast.FunctionDef) -> str:
    """What a method calls its object; '' for a static one, a class method and one without parameters."""
    if any(decorator_name(one) in ("staticmethod", "classmethod") for one in method.decorator_list):
        return ""
    arguments = [*method.args.posonlyargs, *method.args.args]
    return arguments[0].arg if arguments else ""


def decorator_name(node: ast.expr) -> str:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=function):
            return decorator_name(function)
    return ""


def parameters_of(method: ast.FunctionDef) -> dict[str, ast.arg]:
    arguments = method.args
    return {one.arg: one for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}


def defaults_by_name(method: ast.FunctionDef) -> dict[str, ast.expr]:
    arguments = method.args
    positional = [*arguments.posonlyargs, *arguments.args]
    late = positional[len(positional) - len(arguments.defaults) :]
    found = {one.arg: default for one, default in zip(late, arguments.defaults, strict=True)}
    pairs = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return found | {one.arg: default for one, default in pairs if default is not None}


def assignments(method: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Each target with the value that it is given, those of `a, b = c, d` one by one."""
    for part in ast.walk(method):
        match part:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    parts = target.elts if isinstance(target, ast.Tuple) else [target]
                    given = value.elts if isinstance(value, ast.Tuple) and len(parts) > 1 else []
                    yield from zip(parts, given if len(given) == len(parts) else [value] * len(parts), strict=True)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield target, value


def handed_on(method: ast.FunctionDef) -> Mapping[str, str]:
    """The attributes that hold a parameter of `__init__` as it is: `self.W = W`."""
    parameters = parameters_of(method)
    found = {
        value.id: target.id
        for target, value in assignments(method)
        if isinstance(target, ast.Name) and MARK in target.id and isinstance(value, ast.Name) and value.id in parameters
    }
    bound = {target.id for target, _ in assignments(method) if isinstance(target, ast.Name)}
    return MappingProxyType({name: attribute for name, attribute in found.items() if name not in bound})


def is_straight(body: Sequence[ast.stmt]) -> bool:
    """Whether a body may be written out in the place of a call: no loop, nothing changed in place, no test of what the
    object holds."""
    turns = (ast.For, ast.While, ast.AugAssign, ast.With, ast.Try, ast.Delete)
    return not any(
        isinstance(part, turns) or _changes_part(part) or _asks_the_object(part)
        for one in body
        for part in ast.walk(one)
    )


def _asks_the_object(node: ast.AST) -> bool:
    """`if self.running_mean is None: ...`, but for a check that only raises an error."""
    match node:
        case ast.If(body=[ast.Raise()], orelse=[]):
            return False
        case ast.If(test=test):
            return bool(attribute_names(test))
    return False


def _changes_part(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store)


def attribute_names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and MARK in part.id}


def loaded(node: ast.AST) -> frozenset[str]:
    """The attributes that a method reads, or changes in part."""
    parts = [part for part in ast.walk(node) if isinstance(part, ast.Name) and MARK in part.id]
    changed = [part.target for part in ast.walk(node) if isinstance(part, ast.AugAssign)]
    return frozenset(part.id for part in parts if isinstance(part.ctx, ast.Load) or part in changed)


def stored(body: Sequence[ast.stmt]) -> set[str]:
    """The attributes that statements assign."""
    parts = [part for statement in body for part in ast.walk(statement) if isinstance(part, ast.Name)]
    return {part.id for part in parts if MARK in part.id and not isinstance(part.ctx, ast.Load)}


def used(others: Iterable[ast.FunctionDef]) -> set[str]:
    """The attributes that methods use for something: `self.x = None` in `__init__` only says that there is one."""
    found: set[str] = set()
    for method in others:
        found |= attribute_names(method)
        if method.name == "__init__":
            stored = [target.id for target, _ in assignments(method) if isinstance(target, ast.Name)]
            empty = {
                target.id
                for target, value in assignments(method)
                if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and value.value is None
            }
            found -= {name for name in empty if stored.count(name) == 1 and name not in loaded(method)}
            found |= {name for other in others if other is not method for name in attribute_names(other)}
    return found


def bound_by(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def class_names(lineage: Iterable[ast.ClassDef]) -> set[str]:
    """The names that class bodies bind to something else than methods."""
    return {name for owner in lineage for statement in owner.body for name in bound_by(statement)}

"""What a module calls the functions of libraries that a user has declared gates for, and where it imports them from."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from flatgrad.emit.names import Scope
from flatgrad.frontend.source import Module
from flatgrad.gates.entry import OWN

# Spelt by the names of the modules themselves: see `spell.Names`.
_BY_ROOT = ("numpy.", "math.", "scipy.special.")
# What stands between a module and a function without being a module: it cannot be imported as one.
_OBJECTS = frozenset({"scipy.stats.norm"})


@dataclass(frozen=True, slots=True)
class Functions:
    """`called`: the text that stands for a path, `ml.swish` for `mylib.swish`; `imports`: the statement that binds a
    name which the user's own imports do not."""

    called: Mapping[str, str] = field(default_factory=dict)
    imports: Mapping[str, str] = field(default_factory=dict)


def functions_of(module: Module, paths: Iterable[str], bound: frozenset[str]) -> Functions:
    """The functions at these paths as a module calls them that keeps the user's imports, but for the names in `bound`,
    which are variables of its functions."""
    called: dict[str, str] = {}
    imports: dict[str, str] = {}
    scope = Scope(module.bound | bound)
    for path in paths:
        if path.startswith(f"{OWN}."):
            called[path] = path.removeprefix(f"{OWN}.")
        elif not path.startswith(_BY_ROOT):
            called[path] = _imported(module, path, bound) or _new(module, path, scope, imports)
    return Functions(called, imports)


def _imported(module: Module, path: str, bound: frozenset[str]) -> str:
    """By an import of the user's; a relative one has a dot before the path. '' where there is none."""
    package, _, function = path.rpartition(".")
    local = {target: name for name, target in module.imports.items() if name not in bound}
    for relative in ("", "."):
        if found := local.get(relative + path):
            return found
        if found := local.get(relative + package):
            return f"{found}.{function}"
    holder, _, one = package.rpartition(".") if package in _OBJECTS else (package, "", "")
    if one and (found := local.get(holder)):
        return f"{found}.{one}.{function}"
    root = package.partition(".")[0]
    for statement in module.import_texts:
        for alias in statement.node.names:
            if isinstance(statement.node, ast.Import) and not alias.asname and alias.name == holder:
                return path if module.imports.get(root) == root and root not in bound else ""
    return ""


def _new(module: Module, path: str, scope: Scope, imports: dict[str, str]) -> str:
    """By an import in the manner of the user's own: `from mylib import swish` beside one, else `import mylib`."""
    package, _, function = path.rpartition(".")
    for relative in ("", "."):
        if any(target.startswith(f"{relative}{package}.") for target in module.imports.values()):
            name = scope.take(function)
            imports[name] = f"from {relative}{package} import {function}{'' if name == function else f' as {name}'}"
            return name
    if package in _OBJECTS:
        holder, _, one = package.rpartition(".")
        statement = f"from {holder} import {one}"
        for name, known in imports.items():
            if known in (statement, f"{statement} as {name}"):
                return f"{name}.{function}"
        name = scope.take(one)
        imports[name] = statement if name == one else f"{statement} as {name}"
        return f"{name}.{function}"
    statement = f"import {package}"
    for name, known in imports.items():
        if known in (statement, f"{statement} as {name}"):
            return path if known == statement else f"{name}.{function}"
    root = package.partition(".")[0]
    if root not in scope.taken:
        imports[scope.take(root)] = statement
        return path
    name = scope.take(package.rpartition(".")[2])
    imports[name] = f"{statement} as {name}"
    return f"{name}.{function}"

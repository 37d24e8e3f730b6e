"""The head of a module: its imports, and the constants that are read."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable

from flatgrad.emit.libraries import functions_of
from flatgrad.emit.names import Scope
from flatgrad.emit.spell import Names
from flatgrad.frontend.source import Module
from flatgrad.gates.entry import BY_PATH
from flatgrad.gates.installed import declared_paths


def import_names(module: Module, functions: Iterable[str]) -> Names:
    """What the module calls its imports: as the user does, unless one of the functions has a variable of that name."""
    bound = {name for function in functions for name in _bound_names(module.functions[function])}
    local = {path: name for name, path in module.imports.items() if name not in bound}

    def free(path: str, wanted: str) -> str:
        return local.get(path) or Scope(module.bound | bound).take(wanted)

    return Names(
        free("numpy", "np"),
        free("math", "math"),
        free("scipy.special", "special"),
        free("unbroadcast", "unbroadcast"),
        functions_of(module, (*declared_paths(), *_library_paths()), frozenset(bound)),
    )


def _library_paths() -> tuple[str, ...]:
    """The functions of the table that are called by the names of their own packages."""
    return tuple(path for path in BY_PATH if path.startswith("scipy.") and not path.startswith("scipy.special."))


def _bound_names(node: ast.FunctionDef) -> set[str]:
    stored = {p.id for p in ast.walk(node) if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)}
    return stored | {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}


def import_lines(module: Module, used: frozenset[str], names: Names) -> tuple[str, ...]:
    kept = [text for one in module.import_texts if (text := one.keeping(used))]
    bound = {name for one in module.import_texts for name in one.names}
    extra = []
    for name, statement in (
        (names.math, "import math"),
        (names.numpy, "import numpy as np"),
        (names.special, "from scipy import special"),
    ):
        if name in used and name not in bound:
            plain = statement.split()[-1]
            extra.append(statement if name == plain else f"{statement.removesuffix(' as np')} as {name}")
    extra += [statement for name, statement in names.functions.imports.items() if name in used]
    extra += _pair_imports(module, used)
    lines = list(dict.fromkeys([*kept, *extra]))
    standard = [line for line in lines if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
    others = [line for line in lines if line not in standard]
    return (*standard, *([""] if standard and others else []), *others)


def _pair_imports(module: Module, used: frozenset[str]) -> list[str]:
    """The functions that come from other files with their backward functions."""
    names: dict[str, dict[str, str]] = {}
    for pair in module.borrowed.pairs.values():
        names.setdefault(pair.origin, {}).update((called, name) for name, called in pair.names if called in used)
    return [
        f"from {origin} import {', '.join(n if n == called else f'{n} as {called}' for called, n in chosen.items())}"
        for origin, chosen in names.items()
        if chosen
    ]


def constant_lines(module: Module, used: frozenset[str]) -> tuple[str, ...]:
    """The module constants that are read, in order, with those that they are made of."""
    wanted = set(used)
    for name in reversed(list(module.constants)):
        if name in wanted:
            wanted |= {part.id for part in ast.walk(module.constants[name]) if isinstance(part, ast.Name)}
    return tuple(
        f"{name} = {ast.unparse(expression)}" for name, expression in module.constants.items() if name in wanted
    )


def used_names(text: str) -> frozenset[str]:
    return frozenset(part.id for part in ast.walk(ast.parse(text)) if isinstance(part, ast.Name))

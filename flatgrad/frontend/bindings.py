"""What a module binds at its top level: imports, constants, functions, and names that are none of these."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flatgrad.frontend.changed_constants import changed_names

BUILTIN = "builtins"


@dataclass(frozen=True, slots=True)
class ImportStatement:
    """An import on one line, and the names that it binds (`*` for those of a star)."""

    text: str
    names: tuple[str, ...]
    node: ast.Import | ast.ImportFrom

    def keeping(self, used: frozenset[str]) -> str:
        """The statement with only the names that are used; '' if none is."""
        kept = [alias for alias, name in zip(self.node.names, self.names, strict=True) if name in used]
        if len(kept) == len(self.names):
            return self.text
        if not kept:
            return ""
        if isinstance(self.node, ast.Import):
            return ast.unparse(ast.Import(names=kept))
        return ast.unparse(ast.ImportFrom(module=self.node.module, names=kept, level=self.node.level))


@dataclass(frozen=True, slots=True)
class Names:
    """The module-level names of a file; see `source.Module` for what each part holds."""

    imports: Mapping[str, str]
    constants: Mapping[str, ast.expr]
    functions: Mapping[str, ast.FunctionDef]
    bound: frozenset[str]
    import_statements: tuple[ImportStatement, ...]


@dataclass(frozen=True, slots=True)
class _Binding:
    """One place that binds a name: to an import's path, a function, a value, or something else (all None).

    `certain`: it is a statement at the top level, so it happens whenever the module runs to its end.
    """

    name: str
    certain: bool
    path: str | None = None
    function: ast.FunctionDef | None = None
    value: ast.expr | None = None


def module_names(tree: ast.Module) -> Names:
    """Read the names that a module binds. What `if __name__ == "__main__":` guards is left out."""
    found: dict[str, list[_Binding]] = {}
    for binding in _bindings(tree.body, certain=True):
        found.setdefault(binding.name, []).append(binding)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):  # a function may bind it anew at any time
            for name in node.names:
                found.setdefault(name, []).append(_Binding(name, certain=False))
    imports: dict[str, str] = {}
    functions: dict[str, ast.FunctionDef] = {}
    values: dict[str, ast.expr] = {}
    for name, bindings in found.items():
        last = bindings[-1]
        if last.path is not None and (last.certain or all(binding.path == last.path for binding in bindings)):
            imports[name] = last.path
        elif last.function is not None and last.certain:
            functions[name] = last.function
        elif last.value is not None and last.certain and len(bindings) == 1:
            values[name] = last.value
    ordered = dict(sorted(functions.items(), key=lambda item: item[1].lineno))
    return Names(
        MappingProxyType(imports),
        MappingProxyType(_constants(tree, values, imports, frozenset(found))),
        MappingProxyType(ordered),
        frozenset(found),
        tuple(_import_statements(tree.body)),
    )


def imported_names(statement: ast.Import | ast.ImportFrom) -> tuple[tuple[str, str], ...]:
    """Each name that an import binds, with the dotted path that it stands for."""
    if isinstance(statement, ast.Import):
        return tuple(
            (alias.asname, alias.name) if alias.asname else (alias.name.split(".")[0], alias.name.split(".")[0])
            for alias in statement.names
        )
    base = "." * statement.level + (statement.module or "")
    joint = "" if base.endswith(".") else "."
    return tuple((alias.asname or alias.name, f"{base}{joint}{alias.name}") for alias in statement.names)


def _import_statements(statements: Iterable[ast.stmt]) -> Iterator[ImportStatement]:
    for statement in _executed(statements):
        if isinstance(statement, ast.Import | ast.ImportFrom) and not _is_future(statement):
            names = tuple(name for name, _ in imported_names(statement))
            yield ImportStatement(ast.unparse(statement), names, statement)


def _is_future(statement: ast.Import | ast.ImportFrom) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"


def _executed(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported, those inside `if`, `try`, ... included."""
    for statement in statements:
        yield statement
        for part in _bodies(statement):
            yield from _executed(part)


def _bodies(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return
        case ast.If(test=test, body=body, orelse=orelse):
            if not _is_main_guard(test):
                yield body
            yield orelse
        case ast.Match(cases=cases):
            yield from (case.body for case in cases)
        case _:
            for attribute in ("body", "orelse", "finalbody"):
                yield getattr(statement, attribute, [])
            yield from (handler.body for handler in getattr(statement, "handlers", []))


def _is_main_guard(test: ast.expr) -> bool:
    match test:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            sides = {ast.unparse(left), ast.unparse(right)}
            return sides == {"__name__", "'__main__'"}
    return False


def _bindings(statements: Iterable[ast.stmt], certain: bool) -> Iterator[_Binding]:
    for statement in statements:
        match statement:
            case ast.Import() | ast.ImportFrom():
                if not _is_future(statement):
                    for name, path in imported_names(statement):
                        if name != "*":
                            yield _Binding(name, certain, path=path)
            case ast.FunctionDef(name=name):
                yield _Binding(name, certain, function=statement)
            case ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield _Binding(name, certain)
            case ast.Assign(targets=targets, value=value):
                yield from (b for target in targets for b in _assigned(target, value, certain))
                yield from _other_bindings(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=value):
                if value is not None:
                    yield _Binding(name, certain, value=value)
            case _:
                for part in ast.iter_child_nodes(statement):
                    if not isinstance(part, ast.stmt | ast.ExceptHandler | ast.match_case):
                        yield from _other_bindings(part)
                    elif isinstance(part, ast.ExceptHandler) and part.name:
                        yield _Binding(part.name, certain=False)
                    elif isinstance(part, ast.match_case):
                        yield from _other_bindings(part.pattern)
                for body in _bodies(statement):
                    yield from _bindings(body, certain=False)


def _assigned(target: ast.expr, value: ast.expr, certain: bool) -> Iterator[_Binding]:
    match target, value:
        case ast.Name(id=name), _:
            yield _Binding(name, certain, value=value)
        case ((ast.Tuple(elts=names) | ast.List(elts=names)), (ast.Tuple(elts=values) | ast.List(elts=values))) if len(
            names
        ) == len(values) and not any(isinstance(part, ast.Starred) for part in [*names, *values]):
            for one, its in zip(names, values, strict=True):
                yield from _assigned(one, its, certain)
        case _:
            yield from _other_bindings(target)


def _other_bindings(node: ast.AST) -> Iterator[_Binding]:
    """The names that are bound inside an expression, a target or a pattern."""
    for part in ast.walk(node):
        match part:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield _Binding(name, certain=False)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                yield _Binding(name, certain=False)


# Constants

# What makes a logger, which is as good as a constant: nothing is read from it.
LOGGER = "logging.getLogger"
_LIBRARIES = frozenset({"numpy", "math", "scipy"})
_BUILTINS = frozenset({"abs", "float", "int", "max", "min", "round", "bool", "len", "sum", "pow"})
_IMPURE = ("random", "load", "from", "gen", "memmap", "save", "set")  # beginnings of names in NumPy that do not compute


def _constants(
    tree: ast.Module, values: Mapping[str, ast.expr], imports: Mapping[str, str], bound: frozenset[str]
) -> dict[str, ast.expr]:
    constants: dict[str, ast.expr] = {}
    changed = changed_names(tree, (name for name, value in values.items() if _is_flat(value)))
    for name, value in values.items():
        if _is_constant(value, constants, imports, bound) and (name not in changed or _is_immutable(value)):
            constants[name] = value
    return constants


def _is_constant(
    node: ast.expr, known: Mapping[str, ast.expr], imports: Mapping[str, str], bound: frozenset[str]
) -> bool:
    def constant(part: ast.expr) -> bool:
        return _is_constant(part, known, imports, bound)

    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            # `pi` of `from numpy import pi`, and `float` of `np.finfo(float)`.
            return name in known or _library_path(node, imports) is not None or name in _BUILTINS - bound
        case ast.UnaryOp(operand=operand):
            return constant(operand)
        case ast.BinOp(left=left, right=right):
            return constant(left) and constant(right)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return all(constant(part) for part in parts)
        case ast.Dict(keys=keys, values=parts):
            return all(key is not None and constant(key) for key in keys) and all(constant(part) for part in parts)
        case ast.Attribute(value=ast.Call() as made):
            return constant(made)
        case ast.Attribute():
            return _library_path(node, imports) is not None
        case ast.Call(func=function, args=[ast.Name(id="__name__") | ast.Constant()], keywords=[]) if (
            _imported_path(function, imports) == LOGGER
        ):
            return True
        case ast.Call(func=function, args=args, keywords=keywords):
            called = _library_path(function, imports) is not None or (
                isinstance(function, ast.Name) and function.id in _BUILTINS - bound
            )
            return (
                called
                and all(constant(part) for part in args)
                and all(keyword.arg is not None and constant(keyword.value) for keyword in keywords)
            )
        case _:
            return False


def _library_path(node: ast.expr, imports: Mapping[str, str]) -> str | None:
    """`numpy.pi` for `np.pi`; None for what is not in NumPy, SciPy or math, and for what draws at random or reads."""
    path = _imported_path(node, imports)
    if path is None:
        return None
    parts = path.split(".")
    pure = not any(part.startswith(_IMPURE) for part in parts)
    return ".".join(parts) if parts[0] in _LIBRARIES and len(parts) > 1 and pure else None


def _imported_path(node: ast.expr, imports: Mapping[str, str]) -> str | None:
    """`numpy.pi` for `np.pi`, of whatever package."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in imports:
        return None
    return ".".join([imports[node.id], *reversed(names)])


def _is_immutable(node: ast.expr) -> bool:
    """Whether nobody can change the value in place: numbers, strings, and tuples of them, by the look of it."""
    match node:
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=operand):
            return _is_immutable(operand)
        case ast.BinOp(left=left, right=right):
            return _is_immutable(left) and _is_immutable(right)
        case ast.Tuple(elts=parts):
            return all(_is_immutable(part) for part in parts)
        case _:
            return False


def _is_flat(node: ast.expr) -> bool:
    """Whether it is a display of which no part can be changed."""
    match node:
        case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Dict(values=parts):
            return all(_is_immutable(part) for part in parts)
    return False

"""Functions that are known by more than their names: `F.act(x)` for a static method, `ACT["tanh"](x)` for an entry of
a dict at the head of the module, `rnn(np.tanh, x)` for a function that is handed to a callee.

A static method is read as a function below its class, an entry as what stands under its key. A callee with loops is
copied for each function that it is handed: `rnn_tanh(x)`.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flatgrad.frontend.closures import altering_decorator, defaults_of
from flatgrad.frontend.rewriting import edited, inserted
from flatgrad.frontend.source import Module, dotted_path
from flatgrad.frontend.unfolding import Unfolded
from flatgrad.gates.entry import BY_PATH

Function = ast.FunctionDef
_READERS = frozenset({"get", "keys", "values", "items"})


@dataclass(slots=True)
class Known:
    """What has been written for functions that are known: static methods by class and name, copies by their function,
    the parameter, and what that stands for."""

    static: dict[tuple[str, str], str]
    copies: dict[tuple[str, str, str], str]

    def once(self, whole: Unfolded) -> Unfolded | None:
        """The text with one of them written by the name that it has; None where there is none left."""
        module = whole.module
        for function in _functions(module.tree.body):
            bound = _bound(function)
            for part in ast.walk(function):
                if not isinstance(part, ast.expr) or part.lineno != part.end_lineno:
                    continue
                found = None
                match part:
                    case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner not in bound:
                        found = self._static(whole, part, owner, name)
                    case ast.Subscript(value=ast.Name(id=name), slice=key, ctx=ast.Load()) if name not in bound:
                        entry = _entry(module, name, _key(function, key))
                        if entry is not None and not _reads(entry) & bound:
                            text = ast.unparse(entry)
                            plain = isinstance(entry, ast.Name | ast.Attribute)
                            found = edited(whole, part, text if plain else f"({text})")
                    case ast.Call(func=ast.Name(id=name)) if name in module.functions and name not in bound:
                        found = self._copied(whole, part, module.functions[name], bound)
                if found is not None:
                    return found
        return None

    # Static methods

    def _static(self, whole: Unfolded, part: ast.Attribute, owner: str, name: str) -> Unfolded | None:
        module = whole.module
        known = self.static.get((owner, name))
        if known is None:
            found = _static_method(module, owner, name)
            if found is None:
                return None
            holder, method = found
            known = free_name(module, (name, f"{owner}_{name}"))
            if known is None:
                return None
            made = copy.deepcopy(method)
            made.name, made.decorator_list = known, []
            self.static[owner, name] = known
            return inserted(whole, holder, [made])
        return edited(whole, part, known)

    # Functions that are handed over

    def _copied(self, whole: Unfolded, call: ast.Call, callee: Function, bound: frozenset[str]) -> Unfolded | None:
        """The call with a copy of its callee in the place of that, for the first function that it is handed."""
        module = whole.module
        arguments = callee.args
        if arguments.vararg or arguments.kwarg or altering_decorator(callee) or _is_straight(callee):
            return None
        if any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords):
            return None
        places = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        if len(call.args) > len(places):
            return None
        handed = dict(zip(places, call.args, strict=False)) | {str(one.arg): one.value for one in call.keywords}
        for parameter in [*places, *(one.arg for one in arguments.kwonlyargs)]:
            left = defaults_of(callee).get(parameter)
            given = handed.get(parameter, left)
            if given is None or parameter in _stored(callee) or not is_function(module, given):
                continue
            if not _is_applied(callee, parameter):
                continue
            if parameter in handed and _reads(given) & bound:
                continue
            if _reads(given) & (_bound(callee) - {parameter}) or any(
                isinstance(part, ast.Lambda | Function) and parameter in _bound(part)
                for part in ast.walk(callee)
                if part is not callee
            ):
                continue
            key = (callee.name, parameter, ast.unparse(given))
            known = self.copies.get(key)
            if known is None:
                said = parameter if isinstance(given, ast.Lambda) else ast.unparse(given).rpartition(".")[2]
                forward = "_forward" if callee.name.endswith("_forward") else ""
                base = callee.name.removesuffix(forward)
                known = free_name(module, (f"{base}_{said}{forward}", f"{base}_{parameter}{forward}"))
                if known is None:
                    return None
                self.copies[key] = known
                return inserted(whole, callee, [_without(callee, parameter, given, known)])
            made = copy.deepcopy(call)
            made.func = ast.Name(known, ast.Load())
            if parameter in places[: len(call.args)]:
                del made.args[places.index(parameter)]
            made.keywords = [one for one in made.keywords if one.arg != parameter]
            return edited(whole, call, ast.unparse(made))
        return None


def _is_applied(callee: Function, parameter: str) -> bool:
    """Whether a function calls a parameter, or hands it on."""
    for part in ast.walk(callee):
        match part:
            case ast.Call(func=function, args=args, keywords=keywords):
                parts = [function, *args, *(one.value for one in keywords)]
                if any(isinstance(one, ast.Name) and one.id == parameter for one in parts):
                    return True
    return False


def _functions(body: Iterable[ast.stmt]) -> Iterator[Function]:
    for statement in body:
        if isinstance(statement, Function):
            yield statement
        elif isinstance(statement, ast.ClassDef):
            yield from _functions(statement.body)


def _stored(node: ast.AST) -> frozenset[str]:
    parts = (part for part in ast.walk(node) if isinstance(part, ast.Name))
    return frozenset(part.id for part in parts if not isinstance(part.ctx, ast.Load))


def _bound(node: ast.AST) -> frozenset[str]:
    """The names that a function binds, and those inside it."""
    inner = (part.name for part in ast.walk(node) if isinstance(part, Function) and part is not node)
    return _stored(node) | {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)} | set(inner)


def _reads(node: ast.expr) -> frozenset[str]:
    """The names of the surroundings that an expression reads."""
    own = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    return frozenset(part.id for part in ast.walk(node) if isinstance(part, ast.Name)) - own


def free_name(module: Module, names: Iterable[str]) -> str | None:
    taken = set(module.bound) | {part.id for part in ast.walk(module.tree) if isinstance(part, ast.Name)}
    taken |= {part.arg for part in ast.walk(module.tree) if isinstance(part, ast.arg)}
    return next((name for name in names if name not in taken and name.isidentifier()), None)


def _static_method(module: Module, owner: str, name: str) -> tuple[ast.ClassDef, Function] | None:
    """A static method of a class of the file or of those that it is made from, with the class that is called."""
    classes = [one for one in module.tree.body if isinstance(one, ast.ClassDef)]
    found = [one for one in classes if one.name == owner]
    if len(found) != 1:
        return None
    stored = [
        part
        for part in ast.walk(module.tree)
        if isinstance(part, ast.Name | ast.Attribute)
        and not isinstance(part.ctx, ast.Load)
        and ast.unparse(part) in (owner, f"{owner}.{name}")
    ]
    if stored or found[0].decorator_list:
        return None
    lineage, seen = [found[0]], {owner}
    while lineage:
        one = lineage.pop(0)
        methods = [part for part in one.body if isinstance(part, Function) and part.name == name]
        if methods:
            method = methods[-1]
            decorators = [ast.unparse(each) for each in method.decorator_list]
            # Its defaults are worked out among the names of the class.
            own = {part for each in one.body for part in _stored(each)}
            read = {part for default in defaults_of(method).values() for part in _reads(default)}
            plain = decorators == ["staticmethod"] and len(methods) == 1 and not own & read
            return (found[0], method) if plain else None
        if len(one.bases) > 1:
            return None  # which of them comes first is not looked into
        for base in one.bases:
            held = [each for each in classes if isinstance(base, ast.Name) and each.name == base.id]
            if len(held) == 1 and held[0].name not in seen:
                seen.add(held[0].name)
                lineage.append(held[0])
    return None


def _key(function: Function, node: ast.expr) -> str | None:
    """The string that a key is: a constant, or a name that is bound to one once, above."""
    match node:
        case ast.Constant(value=str(key)):
            return key
        case ast.Name(id=name):
            given = {part.arg for part in ast.walk(function) if isinstance(part, ast.arg)}
            stores = [
                part
                for part in ast.walk(function)
                if isinstance(part, ast.Name) and part.id == name and not isinstance(part.ctx, ast.Load)
            ]
            if len(stores) == 1 and name not in given:
                for statement in function.body:
                    match statement:
                        case ast.Assign(targets=[target], value=ast.Constant(value=str(key))) if target is stores[0]:
                            return key if statement.lineno < node.lineno else None
    return None


def _entry(module: Module, name: str, key: str | None) -> ast.expr | None:
    """What stands under a key of a dict of functions that the module binds once and never changes."""
    entry = (_table(module, name) or {}).get(key) if key is not None else None
    if entry is None or not all(_stays(module, one) for one in _reads(entry)):
        return None
    parts = entry.elts if isinstance(entry, ast.Tuple) else [entry]
    return entry if all(is_function(module, one) for one in parts) else None


def entries_of(module: Module, name: str) -> list[ast.expr]:
    """What stands in a dict that the module binds once and never changes; nothing for anything else."""
    return list((_table(module, name) or {}).values())


def functions_of(module: Module, name: str) -> dict[str, ast.expr]:
    """The functions in such a dict, by their keys; nothing where one of them is none."""
    table = _table(module, name) or {}
    found = {key: entry for key in table if (entry := _entry(module, name, key)) is not None}
    return found if len(found) == len(table) else {}


def _table(module: Module, name: str) -> Mapping[str, ast.expr] | None:
    """A dict that the module binds once, to keys that are written out, and never changes."""
    found: Mapping[str, ast.expr] | None = None
    bound = 0
    allowed: set[ast.AST] = set()
    uses: list[ast.Name] = []
    for part in ast.walk(module.tree):
        match part:
            case ast.Name(id=other) if other == name:
                uses.append(part)
                bound += not isinstance(part.ctx, ast.Load)
            case ast.arg(arg=other) if other == name:
                return None
            case ast.Subscript(value=ast.Name() as read, ctx=ast.Load()):
                allowed.add(read)
            case ast.Call(func=ast.Attribute(value=ast.Name() as read, attr=method)) if method in _READERS:
                allowed.add(read)
            case ast.Compare(comparators=[ast.Name() as read], ops=[ast.In() | ast.NotIn()]):
                allowed.add(read)
            case ast.For(iter=ast.Name() as read):
                allowed.add(read)
    for statement in module.tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=other) as target], value=ast.Dict(keys=keys, values=values)):
                if other == name:
                    allowed.add(target)
                    texts = [one.value if isinstance(one, ast.Constant) else None for one in keys]
                    if all(isinstance(one, str) for one in texts):
                        found = {str(text): value for text, value in zip(texts, values, strict=True)}
    return found if bound == 1 and all(one in allowed for one in uses) else None


def _stays(module: Module, name: str) -> bool:
    """Whether a name of the module is a function or an import, which stay what they are."""
    written = sum(isinstance(one, Function) and one.name == name for one in ast.walk(module.tree))
    return (name in module.functions and written == 1) or name in module.imports or name not in module.bound


def is_function(module: Module, node: ast.expr) -> bool:
    """Whether an expression is a function that is known."""
    match node:
        case ast.Lambda():
            return all(_stays(module, name) for name in _reads(node))
        case ast.Name(id=name) if name in module.functions:
            return _stays(module, name)
        case ast.Name() | ast.Attribute():
            return dotted_path(module, node, frozenset()) in BY_PATH
    return False


def _is_straight(callee: Function) -> bool:
    """Whether a function is written out where it is called."""
    own = [part for part in ast.walk(callee) if isinstance(part, ast.stmt) and part is not callee]
    plain = ast.Return | ast.Assign | ast.AnnAssign | ast.FunctionDef | ast.Assert | ast.Pass | ast.Expr
    stores = [part for part in ast.walk(callee) if isinstance(part, ast.Subscript | ast.Attribute)]
    again = any(isinstance(part, ast.Name) and part.id == callee.name for part in ast.walk(callee))
    return (
        not again
        and all(isinstance(one, plain) for one in own)
        and not any(isinstance(one.ctx, ast.Store) for one in stores)
    )


def _without(callee: Function, parameter: str, given: ast.expr, name: str) -> Function:
    """A copy of a function with another one in the place of a parameter."""
    made = copy.deepcopy(callee)
    made.name = name
    defaults = defaults_of(made)
    arguments = made.args
    for group in (arguments.posonlyargs, arguments.args):
        group[:] = [one for one in group if one.arg != parameter]
    kept = [one for one in arguments.kwonlyargs if one.arg != parameter]
    arguments.kwonlyargs = kept
    arguments.kw_defaults = [defaults.get(one.arg) for one in kept]
    placed = [*arguments.posonlyargs, *arguments.args]
    arguments.defaults = [defaults[one.arg] for one in placed if one.arg in defaults]
    body = [_Written(parameter, given).visit(one) for one in made.body]
    made.body = body
    return made


class _Written(ast.NodeTransformer):
    def __init__(self, name: str, given: ast.expr) -> None:
        self.name, self.given = name, given

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return copy.deepcopy(self.given) if node.id == self.name else node

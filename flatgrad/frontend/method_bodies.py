"""Methods written out in the place of a call: `self._prepare(x)`, which assigns attributes that the caller reads, and
`super().forward(x)`.

What such a method does to the object is part of the pass that calls it: no function of its own could hand it back.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.frontend.closures import defaults_of
from flatgrad.frontend.contracts import is_abstract, lineage, method_of
from flatgrad.frontend.source import Module

Function = ast.FunctionDef
_CHANGES = frozenset({"append", "extend", "insert", "update", "clear", "pop", "setdefault"})


def method_in_place(module: Module, function: Function, statement: ast.stmt) -> list[ast.stmt] | None:
    """The statements of a method in the place of the one that calls it; None where there is no such call."""
    classes = {one.name: one for one in module.tree.body if isinstance(one, ast.ClassDef)}
    owner = next((one for one in classes.values() if function in one.body), None)
    arguments = [*function.args.posonlyargs, *function.args.args]
    if owner is None or not arguments or function.decorator_list or function.name in ("__init__", "__call__"):
        return None
    site = _Site(classes, owner, function, arguments[0].arg)
    match statement:
        case ast.Return(value=ast.Call() as call):
            return site.written(call, None, bare=None)
        case ast.Assign(targets=[target], value=ast.Call() as call):
            return site.written(call, lambda value: [ast.Assign([copy.deepcopy(target)], value)], bare=None)
        case ast.Expr(value=ast.Call() as call):
            return site.written(call, lambda value: [], bare=[])
    return None


def super_call_first(module: Module, function: Function, statement: ast.stmt) -> list[ast.stmt] | None:
    """`return np.tanh(super().forward(x))` with the inner call in a statement before."""
    if not isinstance(statement, ast.Return | ast.Assign) or statement.value is None or function.name == "__init__":
        return None
    inner = [part for part in ast.walk(statement.value) if isinstance(part, ast.Call) and _super_method(part)]
    if len(inner) != 1 or inner[0] is statement.value:
        return None
    others = [part for part in ast.walk(statement.value) if isinstance(part, ast.Call)]
    around = [part for part in others if any(one is inner[0] for one in ast.walk(part))]
    within = [part for part in ast.walk(inner[0]) if isinstance(part, ast.Call)]
    perhaps = ast.Lambda | ast.IfExp | ast.BoolOp | ast.comprehension
    lazy = any(isinstance(part, perhaps) for part in ast.walk(statement))
    if lazy or any(part not in around and part not in within for part in others):
        return None
    taken = {part.id for part in ast.walk(module.tree) if isinstance(part, ast.Name)}
    taken |= {part.arg for part in ast.walk(function) if isinstance(part, ast.arg)}
    name = next(one for one in ("out", "inherited", *(f"inherited{k}" for k in range(2, 99))) if one not in taken)
    found = copy.deepcopy(statement)
    call = next(part for part in ast.walk(found) if _super_method(part) is not None)
    _Replaced(call, ast.Name(name, ast.Load())).visit(found)
    first = ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], inner[0]), statement)
    return [ast.fix_missing_locations(first), ast.fix_missing_locations(found)]


def _super_method(node: ast.AST) -> str | None:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name)):
            return name
    return None


@dataclass(frozen=True, slots=True)
class _Site:
    """A method of a class, in which another one is to be written out."""

    classes: Mapping[str, ast.ClassDef]
    owner: ast.ClassDef
    function: Function
    receiver: str

    def written(
        self, call: ast.Call, end: Callable[[ast.expr], list[ast.stmt]] | None, bare: list[ast.stmt] | None
    ) -> list[ast.stmt] | None:
        """The statements of the method that is called. `end`: what comes of the value that it returns, None where the
        caller returns it; `bare`: of its end without one, None where it must have one."""
        method = self._called(call)
        if method is None:
            return None
        bound = self._arguments(method, call)
        if bound is None:
            return None
        body = [copy.deepcopy(one) for one in method.body]
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            del body[0]
        own = method.args.posonlyargs + method.args.args
        theirs = own[0].arg
        parts = [part for one in method.body for part in ast.walk(one) if isinstance(part, ast.Name)]
        stored = {part.id for part in parts if not isinstance(part.ctx, ast.Load)}
        mine = {part.id for part in ast.walk(self.function) if isinstance(part, ast.Name)}
        mine |= {part.arg for part in ast.walk(self.function) if isinstance(part, ast.arg)}
        names: dict[str, ast.expr] = {theirs: ast.Name(self.receiver, ast.Load())}
        taken = mine | {part.id for part in ast.walk(method) if isinstance(part, ast.Name)}
        first: list[ast.stmt] = []
        for parameter, value in bound.items():
            # A name or a constant that nothing binds again stands for the parameter.
            kept = isinstance(value, ast.Constant) or (isinstance(value, ast.Name) and value.id not in stored)
            if kept and parameter not in stored:
                names[parameter] = value
                continue
            name = _free(parameter, taken) if parameter in mine else parameter
            taken.add(name)
            names[parameter] = ast.Name(name, ast.Load())
            first.append(ast.Assign([ast.Name(name, ast.Store())], copy.deepcopy(value)))
        for name in sorted(stored - bound.keys()):
            if name in mine:
                fresh = _free(name, taken)
                taken.add(fresh)
                names[name] = ast.Name(fresh, ast.Load())
        renamed = [_Renamed(names).visit(one) for one in body]
        ended = renamed if end is None else _ended(renamed, end, bare)
        if ended is None or (end is None and not _always(renamed)):
            return None
        return [ast.fix_missing_locations(ast.copy_location(one, call)) for one in (*first, *ended)]

    def _called(self, call: ast.Call) -> Function | None:
        """The method that is called and that has to stand in the place of the call."""
        if any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords):
            return None
        ancestors, whole = lineage(self.owner, self.classes)
        heirs = [one for one in self.classes.values() if self.owner in lineage(one, self.classes)[0]]
        inherited = _super_method(call)
        if inherited is not None:
            assert isinstance(call.func, ast.Attribute)
            assert isinstance(call.func.value, ast.Call)
            given = call.func.value.args
            plain = not given or (isinstance(given[0], ast.Name) and given[0].id == self.owner.name)
            # Of several bases, which comes next hangs on the class of the object.
            plain = plain and whole and all(len(one.bases) < 2 for one in (*ancestors, *heirs))
            found = method_of(inherited, ancestors[1:]) if plain else None
            if found is None or found[1].decorator_list or is_abstract(found[1]) or not _is_plain(found[1]):
                return None
            return None if _has_private_names(found[1]) else found[1]
        match call.func:
            case ast.Attribute(value=ast.Name(id=base), attr=name) if base == self.receiver and whole:
                own = [
                    part
                    for one in dict.fromkeys((*ancestors, *heirs))
                    for part in one.body
                    if isinstance(part, Function) and part.name == name
                ]
                if len(own) != 1 or own[0].decorator_list or not _is_plain(own[0]) or own[0] is self.function:
                    return None
                if is_abstract(own[0]) or _calls_itself(own[0]) or not _assigns(own[0]):
                    return None
                if own[0] not in self.owner.body and _has_private_names(own[0]):
                    return None
                return own[0]
        return None

    def _arguments(self, method: Function, call: ast.Call) -> dict[str, ast.expr] | None:
        arguments = method.args
        names = [one.arg for one in (*arguments.posonlyargs, *arguments.args)][1:]
        if len(call.args) > len(names):
            return None
        found = dict(zip(names, call.args, strict=False))
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg in found:
                return None
            found[keyword.arg] = keyword.value
        known = defaults_of(method)
        every = [*names, *(one.arg for one in arguments.kwonlyargs)]
        for name in every:
            if name not in found:
                default = known.get(name)
                if not isinstance(default, ast.Constant):
                    return None
                found[name] = default
        return found if set(found) == set(every) else None


def _is_plain(method: Function) -> bool:
    """Whether a method has an object, parameters that can be counted, and nothing inside it with names of its own."""
    arguments = method.args
    inner = (ast.Lambda, ast.FunctionDef, ast.comprehension, ast.Global, ast.Nonlocal, ast.Yield, ast.NamedExpr)
    return (
        bool(arguments.posonlyargs or arguments.args)
        and arguments.vararg is None
        and arguments.kwarg is None
        and not any(isinstance(part, inner) for part in ast.walk(method) if part is not method)
    )


def _has_private_names(method: Function) -> bool:
    """Whether a method reads names that are others in another class: `self.__cache`."""
    parts = (part for part in ast.walk(method) if isinstance(part, ast.Attribute))
    return any(part.attr.startswith("__") and not part.attr.endswith("__") for part in parts)


def _calls_itself(method: Function) -> bool:
    return any(isinstance(part, ast.Attribute) and part.attr == method.name for part in ast.walk(method))


def _assigns(method: Function) -> bool:
    """Whether a method does something to its object."""
    receiver = (method.args.posonlyargs + method.args.args)[0].arg
    for part in ast.walk(method):
        match part:
            case ast.Attribute(value=ast.Name(id=base)) if base == receiver and not isinstance(part.ctx, ast.Load):
                return True
            case ast.Subscript(value=ast.Attribute(value=ast.Name(id=base))) if base == receiver:
                if not isinstance(part.ctx, ast.Load):
                    return True
            case ast.Call(func=ast.Attribute(value=ast.Attribute(value=ast.Name(id=base)), attr=name)):
                if base == receiver and name in _CHANGES:
                    return True
    return False


def _returns(statement: ast.stmt) -> bool:
    return any(isinstance(part, ast.Return) for part in ast.walk(statement))


def _ended(
    body: Sequence[ast.stmt], end: Callable[[ast.expr], list[ast.stmt]], bare: list[ast.stmt] | None
) -> list[ast.stmt] | None:
    """A body with `end` in the place of what it returns; None where that is not at its end."""
    for position, statement in enumerate(body):
        if not _returns(statement):
            continue
        before, behind = list(body[:position]), list(body[position + 1 :])
        match statement:
            case ast.Return(value=None):
                return None if bare is None else [*before, *copy.deepcopy(bare)]
            case ast.Return(value=ast.expr() as value):
                return [*before, *end(value)]
            case ast.If(test=test, body=then, orelse=orelse):
                if behind and not _always(then):
                    return None
                first = _ended(then, end, bare)
                second = _ended([*orelse, *behind], end, bare)
                if first is None or second is None or (orelse and behind and not _falls(orelse)):
                    return None
                return [*before, ast.If(test, first or [ast.Pass()], second)]
        return None
    return None if bare is None else [*body, *copy.deepcopy(bare)]


def _always(body: Sequence[ast.stmt]) -> bool:
    """Whether a body returns, whichever way it runs."""
    match body[-1] if body else None:
        case ast.Return() | ast.Raise():
            return True
        case ast.If(body=then, orelse=orelse):
            return _always(then) and _always(orelse)
    return False


def _falls(body: Sequence[ast.stmt]) -> bool:
    """Whether a body never returns."""
    return not any(_returns(one) for one in body)


def _free(name: str, taken: set[str]) -> str:
    return next(one for one in (f"{name}{k}" for k in range(2, 1000)) if one not in taken)


class _Renamed(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, ast.expr]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.expr:
        found = self.names.get(node.id)
        if found is None:
            return node
        if isinstance(node.ctx, ast.Load):
            return copy.deepcopy(found)
        return ast.Name(found.id, node.ctx) if isinstance(found, ast.Name) else node


class _Replaced(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.expr) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)

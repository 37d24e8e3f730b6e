"""Which names of a module stand for something whose contents a line of the file changes, by whatever name it does so.

`J = K[1:]; J[0] = 9.0` changes what K holds, and so does `fill(K)` where `fill` writes into its parameter.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flatgrad.frontend.library_effects import BINARY, UNARY

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_CHANGING_METHODS = frozenset(
    {"append", "clear", "extend", "fill", "insert", "itemset", "partition", "pop", "popitem", "put", "remove", "resize"}
    | {"reverse", "setdefault", "setfield", "setflags", "sort", "update"}
)
_CHANGING_FUNCTIONS = frozenset(
    {"at", "copyto", "delattr", "fill_diagonal", "place", "put", "put_along_axis", "putmask", "setattr", "shuffle"}
)
# What gives a part of what it is called on or given, or another form of it, without a copy.
_VIEWS = frozenset(
    {"asarray", "asanyarray", "ascontiguousarray", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_to", "diagonal"}
    | {"expand_dims", "flat", "ravel", "real", "reshape", "squeeze", "swapaxes", "moveaxis", "transpose", "view"}
)
_PARTS = frozenset({"enumerate", "get", "items", "iter", "next", "pop", "reversed", "setdefault", "values", "zip"})
_RESULT = "return"  # no name of Python's


@dataclass(frozen=True, slots=True)
class _Name:
    """A name of the module (`scope` is None) or of one of its functions."""

    scope: _Function | None
    name: str


@dataclass(frozen=True, slots=True)
class _Source:
    """What an expression may stand for: a name's own value, or a part of what it holds."""

    name: _Name
    part: bool


def changed_names(tree: ast.Module, flat: Iterable[str]) -> frozenset[str]:
    """Names of which some line changes the contents: by index, by method, by `out=`, in a function that is given them.

    `flat`: the names of displays of numbers and strings, of whose parts none can be changed.
    """
    unchangeable = frozenset(flat)
    scopes: dict[_Function | None, _Scope] = {None: _Scope(tree, None, {})}
    functions: dict[str, _Function] = {}
    _inner(tree, scopes[None], scopes, functions)
    sources: dict[_Name, set[_Source]] = {}
    changed: list[_Name] = []
    for scope in scopes.values():
        for node in scope.nodes:
            for target, source in _aliases(node, scope, functions):
                sources.setdefault(target, set()).add(source)
            changed += (one.name for part in _changes(node) for one in _sources(part, scope, functions))
    seen: set[_Name] = set()
    while changed:
        name = changed.pop()
        if name in seen:
            continue
        seen.add(name)
        for source in sources.get(name, ()):
            if not (source.part and source.name.scope is None and source.name.name in unchangeable):
                changed.append(source.name)
    return frozenset(one.name for one in seen if one.scope is None)


class _Scope:
    """The nodes of a module or of a function, but not those of the functions inside, and what its names mean."""

    def __init__(self, node: ast.Module | _Function, function: _Function | None, outer: Mapping[str, _Name]) -> None:
        body = node.body if isinstance(node.body, list) else [node.body]
        self.nodes = [part for statement in body for part in _own(statement)]
        self.function = function
        own: set[str] = set()
        if function is not None:
            args = function.args
            every = (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg)
            own = {one.arg for one in every if one is not None}
        own |= {part.id for part in self.nodes if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        own -= {name for part in self.nodes if isinstance(part, ast.Global | ast.Nonlocal) for name in part.names}
        self.names = {**outer, **{name: _Name(function, name) for name in own}} if function is not None else {}

    def name(self, name: str) -> _Name:
        return self.names.get(name, _Name(None, name))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    if not isinstance(node, _Function):
        for part in ast.iter_child_nodes(node):
            yield from _own(part)


def _inner(
    node: ast.AST, scope: _Scope, scopes: dict[_Function | None, _Scope], functions: dict[str, _Function]
) -> None:
    for part in scope.nodes:
        if isinstance(part, _Function):
            scopes[part] = _Scope(part, part, scope.names)
            if not isinstance(part, ast.Lambda):
                functions[part.name] = part
            _inner(part, scopes[part], scopes, functions)


def _changes(node: ast.AST) -> Iterator[ast.expr]:
    """What a node changes in place."""
    match node:
        case (
            ast.Subscript(value=value, ctx=ast.Store() | ast.Del())
            | ast.Attribute(value=value, ctx=ast.Store() | ast.Del())
        ):
            yield value
        case ast.AugAssign(target=ast.Name() as target):
            yield target
        case ast.Call(func=function, args=args, keywords=keywords):
            if isinstance(function, ast.Attribute) and function.attr in _CHANGING_METHODS:
                yield function.value
            called = _called(function)
            if called in _CHANGING_FUNCTIONS:
                yield from args[:1]
            operands = 3 if called == "clip" else 2 if called in BINARY else 1 if called in UNARY else None
            if operands is not None:
                yield from args[operands : operands + 1]
            yield from (keyword.value for keyword in keywords if keyword.arg == "out")


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _aliases(node: ast.AST, scope: _Scope, functions: Mapping[str, _Function]) -> Iterator[tuple[_Name, _Source]]:
    """The names that a node binds, with what these may stand for."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                yield from _bound(target, value, scope, functions)
            names = [scope.name(one.id) for one in targets if isinstance(one, ast.Name)]
            yield from ((one, _Source(other, False)) for one in names for other in names if one != other)
        case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.NamedExpr(target=target, value=value):
            yield from _bound(target, value, scope, functions)
        case (
            ast.For(target=target, iter=value)
            | ast.AsyncFor(target=target, iter=value)
            | ast.comprehension(target=target, iter=value)
        ):
            yield from _bound(target, ast.Subscript(value, ast.Constant(0), ast.Load()), scope, functions)
        case ast.Return(value=ast.expr() as value):
            yield from ((_Name(scope.function, _RESULT), one) for one in _sources(value, scope, functions))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in functions:
            called = functions[name]
            parameters = [one.arg for one in (*called.args.posonlyargs, *called.args.args)]
            given = [*zip(parameters, args, strict=False), *((one.arg, one.value) for one in keywords if one.arg)]
            for parameter, argument in given:
                yield from ((_Name(called, parameter), one) for one in _sources(argument, scope, functions))


def _bound(
    target: ast.expr, value: ast.expr, scope: _Scope, functions: Mapping[str, _Function]
) -> Iterator[tuple[_Name, _Source]]:
    match target, value:
        case ast.Name(id=name), _:
            yield from ((scope.name(name), one) for one in _sources(value, scope, functions))
        case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), (ast.Tuple(elts=values) | ast.List(elts=values))) if (
            len(targets) == len(values)
        ):
            for one, its in zip(targets, values, strict=True):
                yield from _bound(one, its, scope, functions)
        case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), _):
            for one in targets:
                yield from _bound(one, ast.Subscript(value, ast.Constant(0), ast.Load()), scope, functions)
        case ast.Starred(value=one), _:
            yield from _bound(one, value, scope, functions)


def _sources(node: ast.expr, scope: _Scope, functions: Mapping[str, _Function]) -> Iterator[_Source]:
    """The names whose value, or a part of it, an expression may be."""
    inner: list[ast.expr] = []
    part = False
    match node:
        case ast.Name(id=name):
            yield _Source(scope.name(name), False)
        case ast.Subscript(value=value) | ast.Attribute(value=value):
            inner, part = [value], True
        case ast.Starred(value=value) | ast.NamedExpr(value=value) | ast.Await(value=value):
            inner = [value]
        case ast.IfExp(body=first, orelse=second):
            inner = [first, second]
        case ast.BoolOp(values=values):
            inner = values
        case ast.Tuple(elts=values) | ast.List(elts=values) | ast.Set(elts=values):
            inner = values
        case ast.Dict(values=values):
            inner = values
        case ast.Call(func=function, args=args):
            called = _called(function)
            if called in _VIEWS | _PARTS:
                inner, part = [*([function.value] if isinstance(function, ast.Attribute) else []), *args], True
            elif isinstance(function, ast.Name) and called in functions:
                yield _Source(_Name(functions[called], _RESULT), False)
    for one in inner:
        for source in _sources(one, scope, functions):
            yield _Source(source.name, source.part or part)

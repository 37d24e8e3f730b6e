"""What `--stages relations` leaves where it stands: sizes, numbers, keys, and what lists and dicts hold.

Names are followed statement by statement: which of them hold integers, which strings, and which lists, tuples or dicts
(`hs = [h0]`, `params` where the function reads `params["W1"]`). The elements of these are no relations: `hs[t - 1]` is
written out wherever it is read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from flatgrad.frontend.bindings import BUILTIN
from flatgrad.frontend.containers import VIEWS
from flatgrad.frontend.effects import KEPT, KEPT_KINDS, PURE_METHODS, writes_out
from flatgrad.frontend.source import Module, dotted_path
from flatgrad.frontend.strings import is_text
from flatgrad.gates.entry import BY_PATH

SIZES = frozenset({"shape", "ndim", "size", "dtype"})
SIZE_CALLS = frozenset({"builtins.len", "numpy.shape", "numpy.ndim", "numpy.size"})
INTEGER_CALLS = frozenset({"builtins.len", "builtins.int", "builtins.min", "builtins.max", "numpy.ndim", "numpy.size"})
INTEGER_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod)
CONTAINER_CALLS = frozenset({f"{BUILTIN}.{name}" for name in ("list", "dict", "tuple", "sorted")})
CONTAINERS = (ast.List, ast.Tuple, ast.Dict, ast.ListComp, ast.DictComp)


class Kind(Enum):
    """What a name holds, as far as it matters for how it is written."""

    INTEGER = auto()
    TEXT = auto()
    CONTAINER = auto()


ANNOTATED = {"int": Kind.INTEGER, "str": Kind.TEXT} | dict.fromkeys(("list", "dict", "tuple"), Kind.CONTAINER)


@dataclass(slots=True)
class Known:
    """One function: its local names, and what they hold where it has been read to.

    Attributes:
        local: what the function binds itself.
        parts: the names that have been given to parts of its expressions.
        kinds: what names hold; what is not among them is an array or a number.
    """

    module: Module
    local: frozenset[str]
    parts: set[str] = field(default_factory=set)
    kinds: dict[str, Kind] = field(default_factory=dict)
    _keyed: frozenset[str] = frozenset()
    _changing: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def of(cls, module: Module, function: ast.FunctionDef) -> Known:
        arguments = {part.arg for part in ast.walk(function) if isinstance(part, ast.arg)}
        stored = {p.id for p in ast.walk(function) if isinstance(p, ast.Name) and not isinstance(p.ctx, ast.Load)}
        known = cls(module, frozenset(stored | arguments))
        for part in ast.walk(function.args):
            if isinstance(part, ast.arg) and (kind := _annotated(part.annotation)) is not None:
                known.kinds[part.arg] = kind
        known._keyed = frozenset(known._keyed_names(function))
        return known

    def _keyed_names(self, function: ast.FunctionDef) -> Iterable[str]:
        """The names of what is read under keys: `params["W" + str(i)]`, `params[name]` for a name among its keys."""
        texts: dict[str, bool] = {}
        keys: dict[str, set[str]] = {}
        for part in ast.walk(function):
            match part:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    texts[name] = texts.get(name, True) and self.is_text(value)
                case ast.For(target=ast.Name(id=name), iter=ast.Tuple(elts=values) | ast.List(elts=values)):
                    texts[name] = texts.get(name, True) and all(self.is_text(one) for one in values)
                case ast.For(target=ast.Name(id=name), iter=ast.Name(id=source)):
                    keys.setdefault(name, set()).add(source)
        for part in ast.walk(function):
            match part:
                case ast.Subscript(value=ast.Name(id=name), slice=ast.Name(id=key)):
                    if texts.get(key, False) or name in keys.get(key, ()):
                        yield name
                case ast.Subscript(value=ast.Name(id=name), slice=index) if self.is_text(index):
                    yield name
                case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method)) if method in VIEWS:
                    yield name
                case ast.Compare(left=left, ops=[ast.In() | ast.NotIn()], comparators=[ast.Name(id=name)]):
                    if self.is_text(left):
                        yield name

    def path(self, node: ast.expr) -> str | None:
        return dotted_path(self.module, node, self.local)

    # What is no relation

    def is_inline(self, node: ast.expr) -> bool:
        """Constants, sizes, keys, elements of lists and dicts, and what is made of sizes alone."""
        match node:
            case ast.Constant():
                return True
            case ast.Slice(lower=lower, upper=upper, step=step):
                return all(part is None or self.is_inline(part) for part in (lower, upper, step))
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return all(self.is_inline(element) for element in elements)
            case ast.Starred():
                return self.is_unpacked(node)
            case ast.Attribute(attr=attribute):
                return self.path(node) is not None or attribute in SIZES
            case ast.Name(id=name) if name not in self.local and name not in self.parts:
                return True
            case ast.Compare(left=left, comparators=others):
                return all(self.is_integer(one) or _is_constant_text(one) for one in (left, *others))
            case _:
                return (
                    self.is_number(node)
                    or self.is_integer(node)
                    or self.is_shape(node)
                    or self.is_text(node)
                    or self.is_element(node)
                )

    def is_unpacked(self, node: ast.Starred) -> bool:
        """`*x.shape`"""
        return isinstance(node.ctx, ast.Load) and (self.is_shape(node.value) or self._is_named_container(node.value))

    def is_shape(self, node: ast.expr) -> bool:
        match node:
            case ast.Attribute(attr="shape"):
                return self.path(node) is None
            case ast.Call(func=function):
                return self.path(function) == "numpy.shape"
            case ast.Subscript(value=value, slice=ast.Slice() as part):
                return self.is_shape(value) and self.is_inline(part)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return all(self.is_shape(one) or self.is_inline(one) for one in (left, right)) and (
                    self.is_shape(left) or self.is_shape(right)
                )
        return False

    def is_integer(self, node: ast.expr) -> bool:
        match node:
            case ast.Constant(value=value):
                return type(value) is int
            case ast.Name(id=name):
                return self.kinds.get(name) is Kind.INTEGER or self.is_number(node)
            case ast.Attribute(attr=attribute):
                return attribute in ("ndim", "size") and self.path(node) is None
            case ast.Subscript(value=value, slice=index):
                return self.is_shape(value) and self.is_integer(index)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.is_integer(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return isinstance(op, INTEGER_OPERATORS) and self.is_integer(left) and self.is_integer(right)
            case ast.Call(func=function, args=arguments, keywords=[]):
                path = self.path(function)
                if path in SIZE_CALLS:
                    return path != "numpy.shape"
                return path in INTEGER_CALLS and all(self.is_integer(argument) for argument in arguments)
        return False

    def is_number(self, node: ast.expr) -> bool:
        """An expression of literals and of constants of the module: the compiler makes one number of it."""
        match node:
            case ast.Constant(value=value):
                return isinstance(value, int | float)
            case ast.Name(id=name):
                known = name not in self.local and name in self.module.constants
                return known and self.is_number(self.module.constants[name])
            case ast.Attribute():
                return self.path(node) is not None
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self.is_number(operand)
            case ast.BinOp(left=left, right=right):
                return self.is_number(left) and self.is_number(right)
        return False

    def is_text(self, node: ast.expr) -> bool:
        """A string, and one that is put together: `"W" + str(i)`, `"W%d" % i`."""
        return is_text(node, self._is_text)

    def _is_text(self, node: ast.expr) -> bool:
        match node:
            case ast.Name(id=name):
                return self.kinds.get(name) is Kind.TEXT
            case ast.Call(func=function, keywords=[]):
                return self.path(function) == f"{BUILTIN}.str"
        return False

    def is_element(self, node: ast.expr) -> bool:
        """What a list or a dict holds, at a place or under a key that takes no relation to find: `hs[t - 1]`."""
        match node:
            case ast.Subscript(value=value, slice=index):
                if self._is_named_container(value):
                    return self._is_position(index)
                return self.is_text(index) and self.is_element(value)
        return False

    def _is_named_container(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and (self.kinds.get(node.id) is Kind.CONTAINER or node.id in self._keyed)

    def _is_position(self, node: ast.expr) -> bool:
        match node:
            case ast.Name():
                return True
            case ast.Slice(lower=lower, upper=upper, step=step):
                return all(part is None or self._is_position(part) for part in (lower, upper, step))
            case ast.Tuple(elts=elements):
                return all(self._is_position(element) for element in elements)
            case ast.BinOp(left=left, right=right) if not self.is_text(node):
                return self._is_position(left) and self._is_position(right)
            case ast.UnaryOp(operand=operand):
                return self._is_position(operand)
        return self.is_inline(node)

    def is_container(self, node: ast.expr) -> bool:
        match node:
            case ast.Name():
                return self._is_named_container(node)
            case ast.Call(func=function):
                return self.path(function) in CONTAINER_CALLS or self.is_shape(node)
            case ast.Subscript(value=value, slice=ast.Slice()):
                return self._is_named_container(value) or self.is_shape(node)
            case ast.BinOp(left=left, op=ast.Add() | ast.Mult(), right=right):
                return self.is_container(left) or self.is_container(right)
        return isinstance(node, CONTAINERS) or self.is_shape(node)

    def appended(self, statement: ast.stmt) -> ast.expr | None:
        """`expr` of the statement `hs.append(expr)`."""
        match statement:
            case ast.Expr(ast.Call(func=ast.Attribute(value=base, attr="append"), args=[value], keywords=[])):
                return value if self._is_named_container(base) and not isinstance(value, ast.Starred) else None
        return None

    # What calls change

    def may_change(self, node: ast.expr) -> bool:
        """Whether what an expression gives hangs on what lists and dicts hold when it is evaluated."""
        return any(
            isinstance(part, ast.BoolOp) or (isinstance(part, ast.Name) and self._is_named_container(part))
            for part in ast.walk(node)
        )

    def changes(self, nodes: Iterable[ast.AST]) -> bool:
        """Whether there is a call that may change what it is given."""
        return any(
            isinstance(part, ast.Call) and self._call_changes(part, self.local)
            for node in nodes
            for part in ast.walk(node)
        )

    def _call_changes(self, call: ast.Call, local: frozenset[str]) -> bool:
        if writes_out(call):
            return True
        path = dotted_path(self.module, call.func, local)
        if path is not None:
            return False
        match call.func:
            case ast.Attribute(attr=method):
                return f".{method}" not in BY_PATH and method not in PURE_METHODS
            case ast.Name(id=name) if name in self.module.functions and name not in local:
                if name not in self._changing:
                    self._changing[name] = True  # what calls itself
                    self._changing[name] = self._function_changes(self.module.functions[name])
                return self._changing[name]
        return True

    def _function_changes(self, function: ast.FunctionDef) -> bool:
        """Whether a function writes into anything, by a statement of its own or of what it calls."""
        local = Known.of(self.module, function).local
        for part in ast.walk(function):
            match part:
                case ast.AugAssign() | ast.Delete() | ast.Global() | ast.Nonlocal():
                    return True
                case ast.Subscript(ctx=ast.Store()) | ast.Attribute(ctx=ast.Store()):
                    return True
                case ast.Expr(value=ast.Call() as call):
                    path = dotted_path(self.module, call.func, local) or ""
                    if path not in KEPT and not path.startswith(KEPT_KINDS):
                        return True
                case ast.Call() if self._call_changes(part, local):
                    return True
        return False

    # What names hold

    def learn(self, statement: ast.stmt) -> None:
        """What names hold after a statement."""
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._bind(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self._bind(target, value)
            case ast.AugAssign(target=ast.Name(id=name), op=op, value=value):
                if self.kinds.get(name) is Kind.INTEGER:
                    if not (isinstance(op, INTEGER_OPERATORS) and self.is_integer(value)):
                        del self.kinds[name]
            case ast.For() | ast.While():
                self.enter(statement)
                after = dict(self.kinds)
                for inner in statement.body:
                    self.learn(inner)
                self.kinds = after
                for inner in statement.orelse:
                    self.learn(inner)
            case ast.If(body=body, orelse=orelse):
                before = dict(self.kinds)
                for inner in body:
                    self.learn(inner)
                after, self.kinds = self.kinds, before
                for inner in orelse:
                    self.learn(inner)
                self.join(body, after, orelse)
            case _:
                for part in ast.walk(statement):
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                        self.kinds.pop(part.id, None)

    def enter(self, loop: ast.For | ast.While) -> None:
        """What names hold as every round of a loop begins, and behind it."""
        while True:
            before = dict(self.kinds)
            if isinstance(loop, ast.For):
                self._bind_rounds(loop.target, loop.iter)
            head = dict(self.kinds)
            for inner in loop.body:
                self.learn(inner)
            self.kinds = _common(before, self.kinds)
            if self.kinds == before:
                self.kinds = head
                return

    def join(self, body: Sequence[ast.stmt], after: Mapping[str, Kind], orelse: Sequence[ast.stmt]) -> None:
        """What names hold behind a branch: `after` the one arm, and now after the other."""
        if _leaves(orelse):
            self.kinds = dict(after)
        elif not _leaves(body):
            self.kinds = _common(after, self.kinds)

    def _kind(self, value: ast.expr) -> Kind | None:
        if self.is_integer(value):
            return Kind.INTEGER
        if self.is_text(value):
            return Kind.TEXT
        return Kind.CONTAINER if self.is_container(value) else None

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        match target, value:
            case (ast.Tuple(elts=targets), ast.Tuple(elts=values)) if len(targets) == len(values):
                kinds = [self._kind(one) for one in values]
                for one, kind in zip(targets, kinds, strict=True):
                    self._hold(one, kind)
            case (ast.Tuple(elts=targets), _):
                kind = Kind.INTEGER if self.is_shape(value) else None
                for one in targets:
                    self._hold(one, kind)
            case _:
                self._hold(target, self._kind(value))

    def _hold(self, target: ast.expr, kind: Kind | None) -> None:
        match target:
            case ast.Name(id=name) if kind is not None:
                self.kinds[name] = kind
            case ast.Name(id=name):
                self.kinds.pop(name, None)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                for one in elements:
                    self._hold(one, None)
            case ast.Starred(value=value):
                self._hold(value, None)

    def _bind_rounds(self, target: ast.expr, iterated: ast.expr) -> None:
        """The targets of a loop over `iterated`."""
        match target, iterated:
            case _, ast.Call(func=function, args=[inner]) if self.path(function) == f"{BUILTIN}.reversed":
                self._bind_rounds(target, inner)
            case _, ast.Call(func=function) if self.path(function) == f"{BUILTIN}.range":
                self._hold(target, Kind.INTEGER)
            case ast.Tuple(elts=[first, rest]), ast.Call(func=function, args=[inner, *_]) if (
                self.path(function) == f"{BUILTIN}.enumerate"
            ):
                self._hold(first, Kind.INTEGER)
                self._bind_rounds(rest, inner)
            case ast.Tuple(elts=targets), ast.Call(func=function, args=inners) if self.path(
                function
            ) == f"{BUILTIN}.zip" and len(targets) == len(inners):
                for one, inner in zip(targets, inners, strict=True):
                    self._bind_rounds(one, inner)
            case _, ast.Tuple(elts=[*values]) | ast.List(elts=[*values]) if values:
                kinds = {self._kind(one) for one in values}
                self._hold(target, kinds.pop() if len(kinds) == 1 else None)
            case _:
                self._hold(target, None)


def _annotated(annotation: ast.expr | None) -> Kind | None:
    match annotation:
        case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)):
            return ANNOTATED.get(name)
    return None


def _is_constant_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | None)


def _common(first: Mapping[str, Kind], second: Mapping[str, Kind]) -> dict[str, Kind]:
    return {name: kind for name, kind in first.items() if second.get(name) is kind}


def _leaves(block: Sequence[ast.stmt]) -> bool:
    return bool(block) and isinstance(block[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)

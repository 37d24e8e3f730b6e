"""The memory behind the names of a function, read off the text alone: who may share it, and who changes it.

Each expression that makes something new (a display, a sum, `np.zeros(...)`) stands for one piece of memory, each
parameter for another; a name may be any piece that is assigned to it anywhere in the function. Containers also hold
pieces: `hs.append(h)` puts the memory of h into that of hs, and a part of hs may be hs, in a view, or what it holds.
This knows nothing of shapes and little of types, so where it can't tell it says "may".

Fresh are arithmetic, comparisons and what a call is known to make. Names, attributes, subscripts, `.T` and everything
else share memory with what they are taken from. Two parameters are taken for separate memory, as everywhere in
flatgrad, and a parameter in arithmetic for an array or a number, which holds nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from flatgrad.frontend.library_effects import ARRAY_ATTRIBUTES, DISPLAYS, LOGGING, OF_ARRAYS, PLAIN
from flatgrad.frontend.liveness import arguments, bound_names, own_statements, reads, root_name, stores
from flatgrad.frontend.source import Module, dotted_path

# A piece of memory: the expression or the statement that makes it, one of several results of a call, or the parameter
# or outer variable that names it.
Memory = ast.AST | tuple[ast.AST, int] | str
Pieces = frozenset[Memory]
NOTHING: Pieces = frozenset()
# What is outside of the function and has no name in it.
ELSEWHERE = "global"

Function = ast.FunctionDef | ast.Lambda
# Operators that lists and dicts have not.
_ARITHMETIC = (ast.Sub, ast.Div, ast.Pow, ast.MatMult)


@dataclass(frozen=True, slots=True)
class Known:
    """Where the definitions of called functions are to be found.

    Attributes:
        module: the file of the function that is read.
        imported: for a dotted path, the function of another file of the project and that file; None if unknown. A name
            that nothing in the module binds, and that a `from m import *` may bring, is asked for as it is.
        pure: whether the function with a dotted path is known to change nothing (a declared gate).
    """

    module: Module
    imported: Callable[[str], tuple[ast.FunctionDef, Module] | None] = lambda path: None
    pure: Callable[[str], bool] = lambda path: False


@dataclass(frozen=True, slots=True)
class Effects:
    """What running a statement by itself, without those inside it, does beyond binding names.

    Attributes:
        changed: the memory that it may change in place.
        roots: the variables through which it does so.
        outside: it changes what is neither a parameter nor made here: draws random numbers, calls what is unknown.
        report: it prints, logs, asserts or raises.
        targets: the targets and receivers through which it changes something.
    """

    changed: Pieces
    roots: frozenset[str]
    outside: bool
    report: bool
    targets: tuple[ast.expr, ...]


@dataclass(slots=True)
class Seen:
    """Effects being collected."""

    changed: set[Memory] = field(default_factory=set)
    targets: list[ast.expr] = field(default_factory=list)
    outside: bool = False
    report: bool = False


class Memories:
    """The memory behind the names of one function; what calls do with it is left to `results`.

    Attributes:
        names: for each name, the pieces of memory that it may stand for.
        contents: for each piece, the pieces that it may hold.
        parameters: the parameters, and of a nested function the variables around it.
        statements: those that are read, without the bodies of nested functions.
        arrays: pieces that are arrays or numbers, which hold nothing.
    """

    def __init__(self, node: Function, known: Known, around: frozenset[str], without: frozenset[ast.stmt]) -> None:
        self.node = node
        self.known = known
        body: list[ast.stmt] = [ast.Return(node.body)] if isinstance(node, ast.Lambda) else node.body
        self.parameters = frozenset(argument.arg for argument in arguments(node.args)) | around
        self.locals = self.parameters | bound_names(body) | _comprehended(body)
        self.names: dict[str, set[Memory]] = {name: {name} for name in self.parameters}
        self.contents: dict[Memory, set[Memory]] = {}
        self.statements = [one for one in own_statements(body) if one not in without]
        evident = _arrays(node)
        self.arrays: set[Memory] = set(evident & self.parameters)
        for name in self.parameters - evident:
            self.contents[name] = {name}

    def settle(self) -> None:
        """Run the statements until nothing new comes of it."""
        size = (-1, -1, -1)
        while size != (size := self._size()):
            for statement in self.statements:
                self.run(statement, Seen())

    def results(self, node: ast.Call, seen: Seen) -> list[Pieces]:
        """What a call hands back: for each element of a tuple whose length is known, else one for the whole."""
        raise NotImplementedError

    def reach(self, name: str) -> Pieces:
        """The memory that can be read through a name."""
        return self.reach_of(self.names.get(name, ()))

    def reached(self, node: ast.expr) -> Pieces:
        """The memory that can be read through the value of an expression."""
        return self.reach_of(self.value(node, Seen()))

    @property
    def escaped(self) -> Pieces:
        """The memory that the caller sees as well: in the arguments, and in what is unknown."""
        return self.reach_of(self.outer)

    @property
    def outer(self) -> Pieces:
        return self.parameters | {piece for piece in self.contents if isinstance(piece, str)} | {ELSEWHERE}

    def effects(self, statement: ast.stmt) -> Effects:
        """What a statement does by itself; those inside it do their own."""
        seen = Seen()
        self.run(statement, seen)
        roots = frozenset(root for target in seen.targets if (root := _root(target)))
        outside = seen.outside or any(isinstance(one, str) and one not in self.parameters for one in seen.changed)
        report = seen.report or isinstance(statement, ast.Raise | ast.Assert)
        return Effects(frozenset(seen.changed), roots, outside, report, tuple(seen.targets))

    def _size(self) -> tuple[int, int, int]:
        return sum(map(len, self.names.values())), sum(map(len, self.contents.values())), len(self.arrays)

    def reach_of(self, pieces: Iterable[Memory]) -> Pieces:
        found = set(pieces)
        rest = list(found)
        while rest:
            fresh = self.contents.get(rest.pop(), set()) - found
            found |= fresh
            rest += fresh
        return frozenset(found)

    def parts(self, pieces: Pieces) -> Pieces:
        """What an element, a view or an attribute may be."""
        held = frozenset(inner for piece in pieces for inner in self.contents.get(piece, ()))
        return held | frozenset(piece for piece in pieces if not isinstance(piece, DISPLAYS))

    def put(self, places: Pieces, pieces: Pieces) -> None:
        for place in places - self.arrays:
            self.contents.setdefault(place, set()).update(pieces)

    def array(self, node: Memory) -> Pieces:
        """New memory that holds numbers only."""
        if node not in self.contents:
            self.arrays.add(node)
        return frozenset((node,))

    def holder(self, node: Memory, pieces: Pieces) -> Pieces:
        """New memory that holds other memory, or may do so as far as is known now."""
        self.arrays.discard(node)
        self.put(frozenset((node,)), pieces)
        return frozenset((node,))

    # Statements

    def run(self, statement: ast.stmt, seen: Seen) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value, seen)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assign(target, value, seen)
            case ast.AugAssign(target=target, value=value):
                added = self.parts(self.value(value, seen))
                old = self.value(target, seen)
                seen.changed |= old
                self.put(old, added)
                new = self.array(statement) if not added - self.arrays else self.holder(statement, added)
                if isinstance(target, ast.Name):
                    self.put(new, self.parts(old) if self._holds(old) else NOTHING)
                    self.names.setdefault(target.id, set()).update(new)
                    if any(isinstance(piece, str) for piece in old):
                        seen.targets.append(target)
                else:
                    self._store(target, new, seen)
            case ast.For(target=target, iter=over):
                self._iterate(target, over, seen)
            case ast.While(test=test) | ast.If(test=test) | ast.Assert(test=test):
                self.value(test, seen)
            case ast.With(items=items):
                for item in items:
                    held = self.value(item.context_expr, seen)
                    if item.optional_vars is not None:
                        self._bind(item.optional_vars, self.reach_of(held), seen)
            case ast.Match(subject=subject, cases=cases):
                held = self.reach_of(self.value(subject, seen))
                for name in bound_names([ast.Match(subject, [ast.match_case(one.pattern, None, []) for one in cases])]):
                    self.names.setdefault(name, set()).update(held)
                for one in cases:
                    if one.guard is not None:
                        self.value(one.guard, seen)
            case ast.FunctionDef(name=name):
                held = self._captured(statement)
                self.names.setdefault(name, set()).update(self.holder(statement, held))
            case ast.Delete(targets=targets):
                for target in targets:
                    if not isinstance(target, ast.Name):
                        self._store(target, NOTHING, seen)
            case (
                ast.Global()
                | ast.Nonlocal()
                | ast.ClassDef()
                | ast.AsyncFunctionDef()
                | ast.AsyncFor()
                | ast.AsyncWith()
            ):
                seen.outside = True
            case ast.Raise(exc=raised) if raised is not None:
                quiet = Seen()  # making an exception is a part of raising it
                self.value(raised, quiet)
            case ast.Expr(value=ast.Call() as call) if self._is_log(call):
                seen.report = True
                self.values(call.args, seen)
            case ast.Return(value=value) | ast.Expr(value=value) if value is not None:
                self.value(value, seen)

    def _is_log(self, call: ast.Call) -> bool:
        match call.func:
            case ast.Name(id="warn"):
                return True
            case ast.Attribute(attr=method):
                return method in LOGGING and root_name(call.func) not in self.locals
        return False

    def _assign(self, target: ast.expr, value: ast.expr, seen: Seen) -> None:
        match target, value:
            case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), (ast.Tuple(elts=values) | ast.List(elts=values))):
                if len(targets) == len(values) and not any(isinstance(one, ast.Starred) for one in targets + values):
                    for one, item in zip(targets, values, strict=True):
                        self._assign(one, item, seen)
                    return
            case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), ast.Call()):
                results = self.results(value, seen)
                if len(results) == len(targets) and not any(isinstance(one, ast.Starred) for one in targets):
                    for one, pieces in zip(targets, results, strict=True):
                        self._bind(one, pieces, seen)
                    return
        self._bind(target, self.value(value, seen), seen)

    def _bind(self, target: ast.expr, pieces: Pieces, seen: Seen) -> None:
        match target:
            case ast.Name(id=name):
                self.names.setdefault(name, set()).update(pieces)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._bind(part, self.parts(pieces), seen)
            case ast.Starred(value=value):
                self._bind(value, self.holder(target, pieces), seen)
            case _:
                self._store(target, pieces, seen)

    def _store(self, target: ast.expr, pieces: Pieces, seen: Seen) -> None:
        if isinstance(target, ast.Subscript | ast.Attribute):
            place = self.value(target.value, seen)
            if isinstance(target, ast.Subscript):
                self.value(target.slice, seen)
            seen.changed |= place
            seen.targets.append(target)
            self.put(place, pieces)

    def _iterate(self, target: ast.expr, over: ast.expr, seen: Seen) -> None:
        match over, target:
            case ast.Call(func=ast.Name(id="zip"), args=args), ast.Tuple(elts=parts) if len(args) == len(parts):
                for part, argument in zip(parts, args, strict=True):
                    self._iterate(part, argument, seen)
            case ast.Call(func=ast.Name(id="enumerate"), args=[argument, *_]), ast.Tuple(elts=[_, part]):
                self._iterate(part, argument, seen)
            case ast.Call(func=ast.Name(id="reversed" | "sorted" | "list" | "tuple"), args=[argument, *_]), _:
                self._iterate(target, argument, seen)
            case _:
                self._bind(target, self.parts(self.value(over, seen)), seen)

    # Expressions

    def value(self, node: ast.expr, seen: Seen) -> Pieces:
        """The memory that the value of an expression may be."""
        match node:
            case ast.Name(id=name):
                if name in self.locals:
                    return frozenset(self.names.get(name, ()))
                known = name in self.known.module.functions or dotted_path(self.known.module, node, frozenset())
                return NOTHING if known else frozenset((f"global {name}",))
            case ast.Constant():
                return NOTHING
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return self.holder(node, self.values(parts, seen))
            case ast.Dict(keys=keys, values=values):
                self.values([key for key in keys if key is not None], seen)
                spread = [value for key, value in zip(keys, values, strict=True) if key is None]
                return self.holder(node, self.values(values, seen) | self.parts(self.values(spread, seen)))
            case ast.Starred(value=value):
                return self.parts(self.value(value, seen))
            case ast.BinOp(left=left, op=op, right=right):
                sides = self.value(left, seen), self.value(right, seen)
                operands = sides[0] | sides[1]
                if any(side and side <= self.arrays for side in sides):
                    return self.array(node)
                # What lists and dicts hold goes into the new one. An argument in a product is taken for an array.
                repeated = operands - named(operands) if isinstance(op, ast.Mult) and not all(sides) else NOTHING
                if self._holds(operands if isinstance(op, ast.Add | ast.BitOr) else repeated):
                    return self.holder(node, self.parts(operands))
                return self.array(node)
            case ast.UnaryOp(operand=operand):
                self.value(operand, seen)
                return self.array(node)
            case ast.Compare(left=left, comparators=others):
                self.values([left, *others], seen)
                return self.array(node)
            case ast.BoolOp(values=values):
                return self.values(values, seen)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.value(test, seen)
                return self.value(body, seen) | self.value(orelse, seen)
            case ast.NamedExpr(target=target, value=value):
                pieces = self.value(value, seen)
                self._bind(target, pieces, seen)
                return pieces
            case ast.Subscript(value=value, slice=index):
                self.value(index, seen)
                pieces = self.value(value, seen)
                return self.parts(pieces) | (pieces if isinstance(index, ast.Slice) else NOTHING)
            case ast.Attribute(value=value, attr=name):
                if name in PLAIN or dotted_path(self.known.module, node, self.locals) is not None:
                    return NOTHING
                return self.parts(self.value(value, seen))
            case ast.Lambda():
                return self.holder(node, self._captured(node))
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                for generator in node.generators:
                    self._iterate(generator.target, generator.iter, seen)
                    self.values(generator.ifs, seen)
                parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                return self.holder(node, self.values(parts, seen))
            case ast.Call():
                return frozenset().union(*self.results(node, seen))
            case ast.JoinedStr() | ast.FormattedValue() | ast.Slice():
                self.values([part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)], seen)
                return NOTHING
            case _:  # await, yield
                seen.outside = True
                return NOTHING

    def values(self, nodes: Sequence[ast.expr], seen: Seen) -> Pieces:
        return frozenset().union(*(self.value(node, seen) for node in nodes))

    def _holds(self, pieces: Pieces) -> bool:
        """Whether one of these may be a list, a tuple or a dict."""
        return any(piece not in self.arrays and self.contents.get(piece) for piece in pieces)

    def _captured(self, node: Function) -> Pieces:
        return frozenset(piece for name in reads(node) & self.locals for piece in self.names.get(name, ()))


def named(pieces: Pieces) -> frozenset[str]:
    return frozenset(piece for piece in pieces if isinstance(piece, str))


def _comprehended(body: Sequence[ast.stmt]) -> frozenset[str]:
    """The variables of comprehensions: taken for variables of the function, which may only say too much."""
    parts = (part for statement in body for part in ast.walk(statement))
    return frozenset(name for part in parts if isinstance(part, ast.comprehension) for name in stores(part.target))


def _arrays(node: Function) -> frozenset[str]:
    """Names that are used as only arrays and numbers are, which hold nothing."""
    found: set[str] = set()
    objects: set[str] = set()
    copies: list[tuple[str, str]] = []
    for part in ast.walk(node):
        match part:
            case ast.Attribute(value=ast.Name(id=name), ctx=ast.Load(), attr=attribute) if attribute in OF_ARRAYS:
                found.add(name)
            case ast.Attribute(value=ast.Name(id=name)) | ast.Subscript(ast.Name(id=name), ast.Constant(str())):
                if not (
                    isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Load) and part.attr in ARRAY_ATTRIBUTES
                ):
                    objects.add(name)
            case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _ARITHMETIC):
                found |= {one.id for one in (left, right) if isinstance(one, ast.Name)}
            case ast.AugAssign(target=ast.Name(id=name), op=op) if isinstance(op, _ARITHMETIC):
                found.add(name)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id=name)):
                found.add(name)
            case ast.Compare(left=ast.Name(id=name), ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE()]):
                found.add(name)
            case ast.Assign(
                targets=[ast.Name(id=one)],
                value=ast.Name(id=other) | ast.Call(func=ast.Attribute(value=ast.Name(id=other), attr="copy")),
            ):
                copies.append((one, other))
    for _ in copies:
        for one, other in copies:
            if one in found and one not in objects:
                found.add(other)
    return frozenset(found - objects)


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Call):  # `x.ravel()[0] = 1`
        node = node.func
    root = root_name(node)
    if not root and isinstance(node, ast.Subscript | ast.Attribute | ast.Starred):
        return _root(node.value)
    return root

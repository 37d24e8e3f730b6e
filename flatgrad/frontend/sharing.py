"""What calls do to memory: those of libraries by their names, those of the project by reading what is called.

A function of the same file, a method of the same class, a nested function or a lambda is read: what it changes of its
arguments, what of them its results share, and what of them it keeps. So is an imported one for which `Known.imported`
has a definition. Of anything else it is assumed that it may change, and keep, all that it can reach.
`layer.backward(dout)` changes the gradients of its layer, which no value depends on.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flatgrad.frontend.library_effects import (
    BINARY,
    FRESH,
    HOLDERS,
    LIBRARIES,
    METHODS,
    SCALARS,
    SHOWING,
    STATEFUL,
    TEXT,
    UNARY,
    VIEWS,
    WRITERS,
)
from flatgrad.frontend.liveness import MUTATORS, arguments, reads
from flatgrad.frontend.memory import ELSEWHERE, NOTHING, Function, Known, Memories, Memory, Pieces, Seen, named
from flatgrad.frontend.source import Module, dotted_path


@dataclass(frozen=True, slots=True)
class _Summary:
    """What a call does: the variables of the callee that it changes, those that each of its results may share.

    `shared` has one entry for each element of the tuple that the function returns, or one entry if `several` is False.
    Results of one number in `groups` may share what the function has made, which is `plain` if it holds nothing. `held`
    says what variables hold of others afterwards, `kept` what variables hold what has been made for a result.
    """

    changed: frozenset[str]
    shared: tuple[frozenset[str], ...]
    groups: tuple[int, ...]
    plain: frozenset[int]
    held: Mapping[str, frozenset[str]]
    kept: tuple[frozenset[str], ...]
    several: bool
    outside: bool


class Sharing(Memories):
    """The memory behind the names of one function, its calls included.

    Args:
        without: statements that are left out.
        around: of a nested function, the variables around it.
        reading: the functions whose calls led here.
        summaries: what is known of functions already.
    """

    def __init__(
        self,
        node: Function,
        known: Known,
        without: frozenset[ast.stmt] = frozenset(),
        around: frozenset[str] = frozenset(),
        reading: tuple[ast.AST, ...] = (),
        summaries: dict[ast.AST, _Summary] | None = None,
    ) -> None:
        super().__init__(node, known, around, without)
        self._reading = (*reading, node)
        self._summaries: dict[ast.AST, _Summary] = {} if summaries is None else summaries
        self._functions = _local_functions(self.statements)
        self._class = _class_of(node, known.module)
        self.settle()

    @property
    def methods(self) -> list[ast.FunctionDef]:
        """The methods of the class that the function stands in."""
        return [] if self._class is None else [one for one in self._class.body if isinstance(one, ast.FunctionDef)]

    def results(self, node: ast.Call, seen: Seen) -> list[Pieces]:
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        for keyword in node.keywords:
            if keyword.arg == "out" or (keyword.arg or "").startswith("overwrite_"):
                places = [keyword.value] if keyword.arg == "out" else node.args
                for place in places:
                    self._change(place, self.value(place, seen) | self.parts(self.value(place, seen)), seen)
        found = self._callee(node.func)
        if found is not None:
            return self._read(node, *found, seen)
        if any(self._may_act(argument) for argument in given):
            return [self._unknown(node, self.values([node.func, *given], seen), seen)]
        path = dotted_path(self.known.module, node.func, self.locals)
        if path is not None:
            return [self._of_library(node, path, self.values(given, seen), seen)]
        if isinstance(node.func, ast.Attribute):
            return [self._method(node, node.func, seen)]
        return [self._unknown(node, self.value(node.func, seen) | self.values(given, seen), seen)]

    def _of_library(self, node: ast.Call, path: str, given: Pieces, seen: Seen) -> Pieces:
        """A function that an import or Python itself provides."""
        package, _, _ = path.partition(".")
        name = path.rpartition(".")[2]
        out = frozenset(
            piece
            for keyword in node.keywords
            if keyword.arg == "out"
            for piece in self.value(keyword.value, seen) | self.parts(self.value(keyword.value, seen))
        )
        if package == "builtins":
            return self._builtin(node, name, given, seen)
        if path.startswith(("numpy.random.", "random.")):
            seen.outside = True
            if name == "shuffle" and node.args:
                self._change(node.args[0], self.value(node.args[0], seen), seen)
            return self.array(node)
        if self.known.pure(path):
            return self.holder(node, self.reach_of(given)) | given
        if path.startswith(SHOWING):
            seen.report = True
            return NOTHING
        if package not in LIBRARIES:
            return self._unknown(node, given, seen)
        if name in STATEFUL:
            seen.outside = True
        if (name == "at" or name in WRITERS) and node.args:
            self._change(node.args[0], self.value(node.args[0], seen), seen)
            return NOTHING
        operands = 3 if name == "clip" else 2 if name in BINARY else 1 if name in UNARY else None
        if operands is not None and len(node.args) > operands:
            place = node.args[operands]
            self._change(place, self.value(place, seen), seen)
            out |= self.value(place, seen)
        if path == "copy.copy" or (path == "numpy.array" and any(one.arg == "copy" for one in node.keywords)):
            return self.holder(node, self.parts(given)) | (NOTHING if path == "copy.copy" else given)
        if package in ("math", "cmath", "time") or name in FRESH or path in ("copy.deepcopy", "numpy.array"):
            return self.array(node) | out
        return self.holder(node, self.reach_of(given)) | given | out

    def _builtin(self, node: ast.Call, name: str, given: Pieces, seen: Seen) -> Pieces:
        match name:
            case "print":
                seen.report = True
                return NOTHING
            case "setattr" | "delattr" | "next" if node.args:
                self._change(node.args[0], self.value(node.args[0], seen), seen)
                self.put(self.value(node.args[0], seen), given)
                return self.parts(given)
            case "max" | "min" | "getattr":
                return given | self.parts(given)
            case "sum" if len(node.args) == 1:
                return self.array(node)
            case "abs" | "pow" | "divmod" | "round":
                return self.array(node)
            case _ if name in SCALARS:
                return NOTHING
            case _ if name in HOLDERS or name[:1].isupper():  # an exception holds its arguments
                return self.holder(node, given | self.parts(given))
        return self._unknown(node, given, seen)

    def _method(self, node: ast.Call, func: ast.Attribute, seen: Seen) -> Pieces:
        receiver = self.value(func.value, seen)
        given = self.values([*node.args, *(keyword.value for keyword in node.keywords)], seen)
        method = func.attr
        if method in MUTATORS:
            self._change(func.value, receiver, seen)
            self.put(receiver, given | (self.parts(given) if method in ("extend", "update", "extendleft") else given))
            return self.parts(receiver) | given
        if method == "copy":
            held = frozenset(piece for one in receiver for piece in self.contents.get(one, ()))
            return self.holder(node, held) if held else self.array(node)
        if method in METHODS or method in TEXT:
            copied = not any(keyword.arg == "copy" for keyword in node.keywords)
            return self.array(node) if copied else self.array(node) | receiver
        if method in VIEWS:
            return self.parts(receiver) | given | self.holder(node, self.parts(receiver))
        if method == "backward":
            for argument in node.args:
                self._change(argument, self.value(argument, seen), seen)
            return self.holder(node, self.reach_of(given)) | given
        return self._unknown(node, receiver | given, seen)

    def _unknown(self, node: ast.Call, given: Pieces, seen: Seen) -> Pieces:
        """What is not known may change everything that it is given, and do anything else."""
        reached = self.reach_of(given)
        self.put(frozenset((ELSEWHERE,)), reached)  # it may keep what it is given
        seen.outside = True
        seen.changed |= reached
        seen.targets += [node.func, *node.args, *(keyword.value for keyword in node.keywords)]
        return self.holder(node, reached) | reached

    def _change(self, place: ast.expr, pieces: Pieces, seen: Seen) -> None:
        seen.changed |= pieces
        seen.targets.append(place)

    # Functions whose text is at hand

    def _callee(self, func: ast.expr) -> tuple[Function, Known, ast.expr | None] | None:
        """The definition of a called function, where it stands, and what it is called on."""
        module = self.known.module
        match func:
            case ast.Lambda():
                return func, self.known, None
            case ast.Name(id=name) if name in self.locals:
                found = self._functions.get(name)
                return None if found is None else (found, self.known, None)
            case ast.Name(id=name) if name in module.functions:
                return module.functions[name], self.known, None
            case ast.Attribute(value=ast.Name(id=name) as receiver, attr=method) if self._class is not None:
                first = self.node.args.args[0].arg if self.node.args.args else None
                if name not in (first, self._class.name):
                    return None
                for one in self._class.body:
                    if isinstance(one, ast.FunctionDef) and one.name == method and not _has(one, "classmethod"):
                        bound = name == first and not _has(one, "staticmethod")
                        return one, self.known, receiver if bound else None
        path = dotted_path(module, func, self.locals)
        if path is None and isinstance(func, ast.Name) and func.id not in self.locals | module.bound:
            path = func.id
        imported = self.known.imported(path) if path is not None else None
        if imported is None:
            return None
        return imported[0], Known(imported[1], self.known.imported, self.known.pure), None

    def _may_act(self, argument: ast.expr) -> bool:
        """Whether an argument is a function that changes something when it is called."""
        if not isinstance(argument, ast.Lambda | ast.Name | ast.Attribute):
            return False
        found = self._callee(argument)
        if found is None:
            return False
        summary = self._summary(found[0], found[1])
        return summary is None or summary.outside or bool(summary.changed)

    def _read(
        self, node: ast.Call, callee: Function, known: Known, receiver: ast.expr | None, seen: Seen
    ) -> list[Pieces]:
        summary = self._summary(callee, known)
        given = [*([receiver] if receiver is not None else []), *node.args, *(k.value for k in node.keywords)]
        if summary is None:
            return [self._unknown(node, self.values(given, seen), seen)]
        named = _matched(node, callee, receiver)
        if named is None:
            named = {argument.arg: given for argument in arguments(callee.args)}
        pieces = {name: self.reach_of(self.values(values, seen)) for name, values in named.items()}
        around = _around(callee, known, self)
        pieces |= {name: self.reach_of(self.names.get(name, ())) for name in around}
        pieces[ELSEWHERE] = frozenset((ELSEWHERE,))
        for name in summary.changed:
            seen.changed |= pieces.get(name, NOTHING)
            seen.targets += named.get(name, [ast.Name(name, ast.Load())])
        seen.outside |= summary.outside
        for name, others in summary.held.items():
            for other in others:
                self.put(pieces.get(name, NOTHING), pieces.get(other, NOTHING))
        results: list[Pieces] = []
        for names, group, keepers in zip(summary.shared, summary.groups, summary.kept, strict=True):
            held = frozenset(piece for name in names for piece in pieces.get(name, ()))
            made: Memory = (node, group) if summary.several else node
            for name in keepers:
                self.put(pieces.get(name, NOTHING), frozenset((made,)))
            results.append(held | (self.array(made) if group in summary.plain else self.holder(made, held | {made})))
        if not summary.several:
            return results
        if len(results) == 1:  # a tuple of one
            return [self.holder(node, results[0]), NOTHING]
        return results

    def _summary(self, callee: Function, known: Known) -> _Summary | None:
        """None where a function calls itself in the end."""
        if callee in self._reading:
            return None
        if callee not in self._summaries:
            inner = Sharing(callee, known, frozenset(), _around(callee, known, self), self._reading, self._summaries)
            self._summaries[callee] = _summary(inner)
        return self._summaries[callee]


def _summary(inner: Sharing) -> _Summary:
    changed: set[str] = set()
    outside = False
    returned: list[ast.expr] = []
    for statement in inner.statements:
        effects = inner.effects(statement)
        changed |= {piece for piece in effects.changed if isinstance(piece, str)}
        outside |= effects.outside
        if isinstance(statement, ast.Return) and statement.value is not None:
            returned.append(statement.value)

    def reached(nodes: Sequence[ast.expr]) -> Pieces:
        return inner.reach_of(inner.values(nodes, Seen()))

    rows = [one.elts for one in returned if isinstance(one, ast.Tuple)]
    even = len(rows) == len(returned) and len({len(row) for row in rows}) == 1
    if even and not any(isinstance(one, ast.Starred) for row in rows for one in row):
        results = [reached(column) for column in zip(*rows, strict=True)]
    else:
        even, results = False, [reached(returned)]
    groups: list[int] = []
    for position, pieces in enumerate(results):
        together = {groups[one] for one in range(position) if not pieces.isdisjoint(results[one])}
        first = min(together, default=position)
        groups = [first if group in together else group for group in groups] + [first]
    shared = tuple(named(pieces) for pieces in results)
    reach = {name: inner.reach_of((name,)) for name in inner.parameters}
    reach[ELSEWHERE] = inner.reach_of(inner.outer - inner.parameters)
    held = {name: named(pieces) - {name} for name, pieces in reach.items()}
    kept = tuple(
        frozenset(name for name, pieces in reach.items() if not (result - named(result)).isdisjoint(pieces))
        for result in results
    )
    holding = {
        group
        for group, pieces in zip(groups, results, strict=True)
        if any(piece not in inner.arrays for piece in pieces if not isinstance(piece, str))
    }
    plain = frozenset(groups) - holding
    return _Summary(frozenset(changed), shared, tuple(groups), plain, held, kept, even, outside)


def _around(callee: Function, known: Known, outer: Sharing) -> frozenset[str]:
    """The variables of the function around it that a nested function or a lambda may use."""
    return outer.locals & reads(callee) if known is outer.known and callee in ast.walk(outer.node) else frozenset()


def _matched(node: ast.Call, callee: Function, receiver: ast.expr | None) -> dict[str, list[ast.expr]] | None:
    """The arguments by the name of their parameter; None where a star makes that unknown."""
    args = callee.args
    if args.vararg or args.kwarg or any(isinstance(one, ast.Starred) for one in node.args):
        return None
    if any(keyword.arg is None for keyword in node.keywords):
        return None
    given = [*([receiver] if receiver is not None else []), *node.args]
    named = [argument.arg for argument in (*args.posonlyargs, *args.args)]
    found = {name: [value] for name, value in zip(named, given, strict=False)}
    return found | {keyword.arg: [keyword.value] for keyword in node.keywords if keyword.arg is not None}


def _local_functions(statements: Sequence[ast.stmt]) -> Mapping[str, Function]:
    """Names that are bound once, to a nested function or a lambda."""
    found: dict[str, Function | None] = {}
    for statement in statements:
        match statement:
            case ast.FunctionDef(name=name):
                found[name] = None if name in found else statement
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda() as function):
                found[name] = None if name in found else function
            case _:
                headed = [part for part in ast.iter_child_nodes(statement) if not isinstance(part, ast.stmt)]
                found |= dict.fromkeys(name for part in headed for name in _stored(part))
    return {name: function for name, function in found.items() if function is not None}


def _stored(node: ast.AST) -> list[str]:
    return [part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)]


def _class_of(node: Function, module: Module) -> ast.ClassDef | None:
    for statement in module.tree.body:
        if isinstance(statement, ast.ClassDef) and node in statement.body:
            return statement
    return None


def _has(node: ast.FunctionDef, decorator: str) -> bool:
    return any(isinstance(one, ast.Name) and one.id == decorator for one in node.decorator_list)

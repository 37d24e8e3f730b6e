"""Which names of a function may share memory, and what its statements change, read off the text alone.

Each expression that makes something new (a display, a sum, `np.zeros(...)`) stands for one piece of memory, each
parameter for another; a name may be any piece that is assigned to it anywhere in the function. Containers also hold
pieces: `hs.append(h)` puts the memory of h into that of hs, and a part of hs may be hs, in a view, or what it holds.
This knows nothing of shapes and little of types, so where it can't tell it says "may".

Fresh are arithmetic, comparisons, and what `FRESH` lists. Names, attributes, subscripts, `.T`, `.reshape(...)` and
everything else share memory with what they are taken from. Two parameters are taken for separate memory, as everywhere
in flatgrad.

A function of the same file, a method of the same class, a nested function or a lambda is read: what it changes of its
arguments, and what of them its results share. So is an imported one for which `Known.imported` has a definition. Of
anything else it is assumed that it may change all that it can reach. `layer.backward(dout)` changes the gradients of
its layer, which no value depends on.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from flatgrad.frontend.library_effects import (
    ARRAY_ATTRIBUTES,
    BINARY,
    DISPLAYS,
    FRESH,
    HOLDERS,
    LIBRARIES,
    LOGGING,
    METHODS,
    OF_ARRAYS,
    PLAIN,
    SCALARS,
    STATEFUL,
    TEXT,
    UNARY,
    VIEWS,
    WRITERS,
)
from flatgrad.frontend.liveness import MUTATORS, arguments, bound_names, own_statements, reads, root_name, stores
from flatgrad.frontend.source import Module, dotted_path

# A piece of memory: the expression or the statement that makes it, one of several results of a call, or the parameter
# or outer variable that names it.
Memory = ast.AST | tuple[ast.AST, int] | str
Pieces = frozenset[Memory]
NOTHING: Pieces = frozenset()

Function = ast.FunctionDef | ast.Lambda
# Operators that lists and dicts have not.
_ARITHMETIC = (ast.Sub, ast.Div, ast.Pow, ast.MatMult)


@dataclass(frozen=True, slots=True)
class Known:
    """Where the definitions of called functions are to be found.

    Attributes:
        module: the file of the function that is read.
        imported: for a dotted path, the function of another file of the project and that file; None if unknown.
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


@dataclass(frozen=True, slots=True)
class _Summary:
    """What a call does: the variables of the callee that it changes, those that each of its results may share.

    `shared` has one entry for each element of the tuple that the function returns, or one entry if `several` is False.
    Results of one number in `groups` may share what the function has made, which is `plain` if it holds nothing.
    """

    changed: frozenset[str]
    shared: tuple[frozenset[str], ...]
    groups: tuple[int, ...]
    plain: frozenset[int]
    several: bool
    outside: bool


@dataclass(slots=True)
class _Seen:
    """Effects being collected."""

    changed: set[Memory] = field(default_factory=set)
    targets: list[ast.expr] = field(default_factory=list)
    outside: bool = False
    report: bool = False


class Sharing:
    """The memory behind the names of one function.

    Attributes:
        names: for each name, the pieces of memory that it may stand for.
        contents: for each piece, the pieces that it may hold.
        parameters: the parameters, and of a nested function the variables around it.
    """

    def __init__(
        self,
        node: Function,
        known: Known,
        around: frozenset[str] = frozenset(),
        reading: tuple[ast.AST, ...] = (),
        summaries: dict[ast.AST, _Summary] | None = None,
    ) -> None:
        self.node = node
        self.known = known
        self.body: list[ast.stmt] = [ast.Return(node.body)] if isinstance(node, ast.Lambda) else node.body
        own = {argument.arg for argument in arguments(node.args)}
        self.parameters = frozenset(own | around)
        self.locals = self.parameters | bound_names(self.body) | _comprehended(self.body)
        self.names: dict[str, set[Memory]] = {name: {name} for name in self.parameters}
        self.contents: dict[Memory, set[Memory]] = {}
        self._reading = (*reading, node)
        self._summaries: dict[ast.AST, _Summary] = {} if summaries is None else summaries
        self._functions = _local_functions(self.body)
        self._class = _class_of(node, known.module)
        evident = _arrays(node)
        self._arrays: set[Memory] = set(evident & self.parameters)
        for name in self.parameters - evident:
            self.contents[name] = {name}
        self._statements = list(own_statements(self.body))
        size = -1
        while size != (size := self._size()):
            for statement in self._statements:
                self._run(statement, _Seen())

    @property
    def methods(self) -> list[ast.FunctionDef]:
        """The methods of the class that the function stands in."""
        return [] if self._class is None else [one for one in self._class.body if isinstance(one, ast.FunctionDef)]

    def reach(self, name: str) -> Pieces:
        """The memory that can be read through a name."""
        return self._reach(self.names.get(name, ()))

    def effects(self, statement: ast.stmt) -> Effects:
        """What a statement does by itself; those inside it do their own."""
        seen = _Seen()
        self._run(statement, seen)
        roots = frozenset(root for target in seen.targets if (root := _root(target)))
        outside = seen.outside or any(isinstance(one, str) and one not in self.parameters for one in seen.changed)
        report = seen.report or isinstance(statement, ast.Raise | ast.Assert)
        return Effects(frozenset(seen.changed), roots, outside, report, tuple(seen.targets))

    def _size(self) -> int:
        return sum(map(len, self.names.values())) + sum(map(len, self.contents.values()))

    def _reach(self, pieces: Iterable[Memory]) -> Pieces:
        found = set(pieces)
        rest = list(found)
        while rest:
            fresh = self.contents.get(rest.pop(), set()) - found
            found |= fresh
            rest += fresh
        return frozenset(found)

    def _parts(self, pieces: Pieces) -> Pieces:
        """What an element, a view or an attribute may be."""
        held = frozenset(inner for piece in pieces for inner in self.contents.get(piece, ()))
        return held | frozenset(piece for piece in pieces if not isinstance(piece, DISPLAYS))

    def _put(self, places: Pieces, pieces: Pieces) -> None:
        for place in places - self._arrays:
            self.contents.setdefault(place, set()).update(pieces)

    def _array(self, node: Memory) -> Pieces:
        """New memory that holds numbers only."""
        self._arrays.add(node)
        return frozenset((node,))

    def _holder(self, node: Memory, pieces: Pieces) -> Pieces:
        """New memory that holds other memory."""
        self._put(frozenset((node,)), pieces)
        return frozenset((node,))

    # Statements

    def _run(self, statement: ast.stmt, seen: _Seen) -> None:
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value, seen)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assign(target, value, seen)
            case ast.AugAssign(target=target, value=value):
                added = self._parts(self.value(value, seen))
                old = self.value(target, seen)
                seen.changed |= old
                self._put(old, added)
                new = self._array(statement) if not added - self._arrays else self._holder(statement, added)
                if isinstance(target, ast.Name):
                    self._put(new, self._parts(old) if self._holds(old) else NOTHING)
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
                        self._bind(item.optional_vars, self._reach(held), seen)
            case ast.Match(subject=subject, cases=cases):
                held = self._reach(self.value(subject, seen))
                for name in bound_names([ast.Match(subject, [ast.match_case(one.pattern, None, []) for one in cases])]):
                    self.names.setdefault(name, set()).update(held)
                for one in cases:
                    if one.guard is not None:
                        self.value(one.guard, seen)
            case ast.FunctionDef(name=name):
                held = self._captured(statement)
                self.names.setdefault(name, set()).update(self._holder(statement, held))
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
                quiet = _Seen()  # making an exception is a part of raising it
                self.value(raised, quiet)
            case ast.Expr(value=ast.Call() as call) if self._is_log(call):
                seen.report = True
                self._all(call.args, seen)
            case ast.Return(value=value) | ast.Expr(value=value) if value is not None:
                self.value(value, seen)

    def _is_log(self, call: ast.Call) -> bool:
        match call.func:
            case ast.Name(id="warn"):
                return True
            case ast.Attribute(attr=method):
                return method in LOGGING and root_name(call.func) not in self.locals
        return False

    def _assign(self, target: ast.expr, value: ast.expr, seen: _Seen) -> None:
        match target, value:
            case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), (ast.Tuple(elts=values) | ast.List(elts=values))):
                if len(targets) == len(values) and not any(isinstance(one, ast.Starred) for one in targets + values):
                    for one, item in zip(targets, values, strict=True):
                        self._assign(one, item, seen)
                    return
            case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), ast.Call()):
                results = self._results(value, seen)
                if len(results) == len(targets) and not any(isinstance(one, ast.Starred) for one in targets):
                    for one, pieces in zip(targets, results, strict=True):
                        self._bind(one, pieces, seen)
                    return
        self._bind(target, self.value(value, seen), seen)

    def _bind(self, target: ast.expr, pieces: Pieces, seen: _Seen) -> None:
        match target:
            case ast.Name(id=name):
                self.names.setdefault(name, set()).update(pieces)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                for part in parts:
                    self._bind(part, self._parts(pieces), seen)
            case ast.Starred(value=value):
                self._bind(value, self._holder(target, pieces), seen)
            case _:
                self._store(target, pieces, seen)

    def _store(self, target: ast.expr, pieces: Pieces, seen: _Seen) -> None:
        if isinstance(target, ast.Subscript | ast.Attribute):
            place = self.value(target.value, seen)
            if isinstance(target, ast.Subscript):
                self.value(target.slice, seen)
            seen.changed |= place
            seen.targets.append(target)
            self._put(place, pieces)

    def _iterate(self, target: ast.expr, over: ast.expr, seen: _Seen) -> None:
        match over, target:
            case ast.Call(func=ast.Name(id="zip"), args=args), ast.Tuple(elts=parts) if len(args) == len(parts):
                for part, argument in zip(parts, args, strict=True):
                    self._iterate(part, argument, seen)
            case ast.Call(func=ast.Name(id="enumerate"), args=[argument, *_]), ast.Tuple(elts=[_, part]):
                self._iterate(part, argument, seen)
            case ast.Call(func=ast.Name(id="reversed" | "sorted" | "list" | "tuple"), args=[argument, *_]), _:
                self._iterate(target, argument, seen)
            case _:
                self._bind(target, self._parts(self.value(over, seen)), seen)

    # Expressions

    def value(self, node: ast.expr, seen: _Seen) -> Pieces:
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
                return self._holder(node, self._all(parts, seen))
            case ast.Dict(keys=keys, values=values):
                self._all([key for key in keys if key is not None], seen)
                spread = [value for key, value in zip(keys, values, strict=True) if key is None]
                return self._holder(node, self._all(values, seen) | self._parts(self._all(spread, seen)))
            case ast.Starred(value=value):
                return self._parts(self.value(value, seen))
            case ast.BinOp(left=left, op=op, right=right):
                sides = self.value(left, seen), self.value(right, seen)
                operands = sides[0] | sides[1]
                if any(side and side <= self._arrays for side in sides):
                    return self._array(node)
                if isinstance(op, ast.Add | ast.Mult | ast.BitOr) and self._holds(operands):
                    # Lists and dicts: what they hold goes into the new one. A product of arrays is the usual thing.
                    listed = isinstance(op, ast.Mult) and not any(isinstance(one, DISPLAYS) for one in operands)
                    return self._array(node) if listed else self._holder(node, self._parts(operands))
                return self._array(node)
            case ast.UnaryOp(operand=operand):
                self.value(operand, seen)
                return self._array(node)
            case ast.Compare(left=left, comparators=others):
                self._all([left, *others], seen)
                return self._array(node)
            case ast.BoolOp(values=values):
                return self._all(values, seen)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                self.value(test, seen)
                return self.value(body, seen) | self.value(orelse, seen)
            case ast.NamedExpr(target=target, value=value):
                pieces = self.value(value, seen)
                self._bind(target, pieces, seen)
                return pieces
            case ast.Subscript(value=value, slice=index):
                self.value(index, seen)
                return self._parts(self.value(value, seen))
            case ast.Attribute(value=value, attr=name):
                if name in PLAIN or dotted_path(self.known.module, node, self.locals) is not None:
                    return NOTHING
                return self._parts(self.value(value, seen))
            case ast.Lambda():
                return self._holder(node, self._captured(node))
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                for generator in node.generators:
                    self._iterate(generator.target, generator.iter, seen)
                    self._all(generator.ifs, seen)
                parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                return self._holder(node, self._all(parts, seen))
            case ast.Call():
                return frozenset().union(*self._results(node, seen))
            case ast.JoinedStr() | ast.FormattedValue() | ast.Slice():
                self._all([part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)], seen)
                return NOTHING
            case _:  # await, yield
                seen.outside = True
                return NOTHING

    def _all(self, nodes: Sequence[ast.expr], seen: _Seen) -> Pieces:
        return frozenset().union(*(self.value(node, seen) for node in nodes))

    def _holds(self, pieces: Pieces) -> bool:
        """Whether one of these may be a list, a tuple or a dict."""
        return any(piece not in self._arrays and self.contents.get(piece) for piece in pieces)

    def _captured(self, node: Function) -> Pieces:
        return frozenset(piece for name in reads(node) & self.locals for piece in self.names.get(name, ()))

    # Calls

    def _results(self, node: ast.Call, seen: _Seen) -> list[Pieces]:
        """What a call hands back: for each element of a tuple whose length is known, else one for the whole."""
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        for keyword in node.keywords:
            if keyword.arg == "out" or (keyword.arg or "").startswith("overwrite_"):
                places = [keyword.value] if keyword.arg == "out" else node.args
                for place in places:
                    self._change(place, self.value(place, seen) | self._parts(self.value(place, seen)), seen)
        found = self._callee(node.func)
        if found is not None:
            return self._read(node, *found, seen)
        path = dotted_path(self.known.module, node.func, self.locals)
        if path is not None:
            return [self._of_library(node, path, self._all(given, seen), seen)]
        if isinstance(node.func, ast.Attribute):
            return [self._method(node, node.func, seen)]
        return [self._unknown(node, self.value(node.func, seen) | self._all(given, seen), seen)]

    def _of_library(self, node: ast.Call, path: str, given: Pieces, seen: _Seen) -> Pieces:
        """A function that an import or Python itself provides."""
        package, _, _ = path.partition(".")
        name = path.rpartition(".")[2]
        out = frozenset(
            piece for keyword in node.keywords if keyword.arg == "out" for piece in self.value(keyword.value, seen)
        )
        if package == "builtins":
            return self._builtin(node, name, given, seen)
        if path.startswith(("numpy.random.", "random.")):
            seen.outside = True
            if name == "shuffle" and node.args:
                self._change(node.args[0], self.value(node.args[0], seen), seen)
            return self._array(node)
        if self.known.pure(path):
            return self._holder(node, self._reach(given)) | given
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
            return self._holder(node, self._parts(given)) | (NOTHING if path == "copy.copy" else given)
        if package in ("math", "cmath", "time") or name in FRESH or path in ("copy.deepcopy", "numpy.array"):
            return self._array(node) | out
        return self._holder(node, self._reach(given)) | given | out

    def _builtin(self, node: ast.Call, name: str, given: Pieces, seen: _Seen) -> Pieces:
        match name:
            case "print":
                seen.report = True
                return NOTHING
            case "setattr" | "delattr" | "next" if node.args:
                self._change(node.args[0], self.value(node.args[0], seen), seen)
                self._put(self.value(node.args[0], seen), given)
                return self._parts(given)
            case "max" | "min" | "getattr":
                return given | self._parts(given)
            case "sum" if len(node.args) == 1:
                return self._array(node)
            case "abs" | "pow" | "divmod" | "round":
                return self._array(node)
            case _ if name in SCALARS:
                return NOTHING
            case _ if name in HOLDERS or name[:1].isupper():  # an exception holds its arguments
                return self._holder(node, given | self._parts(given))
        return self._unknown(node, given, seen)

    def _method(self, node: ast.Call, func: ast.Attribute, seen: _Seen) -> Pieces:
        receiver = self.value(func.value, seen)
        given = self._all([*node.args, *(keyword.value for keyword in node.keywords)], seen)
        method = func.attr
        if method in MUTATORS:
            self._change(func.value, receiver, seen)
            self._put(receiver, given | (self._parts(given) if method in ("extend", "update", "extendleft") else given))
            return self._parts(receiver) | given
        if method == "copy":
            held = frozenset(piece for one in receiver for piece in self.contents.get(one, ()))
            return self._holder(node, held) if held else self._array(node)
        if method in METHODS or method in TEXT:
            copied = not any(keyword.arg == "copy" for keyword in node.keywords)
            return self._array(node) if copied else self._array(node) | receiver
        if method in VIEWS:
            return self._parts(receiver) | given | self._holder(node, self._parts(receiver))
        if method == "backward":
            for argument in node.args:
                self._change(argument, self.value(argument, seen), seen)
            return self._holder(node, self._reach(given)) | given
        return self._unknown(node, receiver | given, seen)

    def _unknown(self, node: ast.Call, given: Pieces, seen: _Seen) -> Pieces:
        """What is not known may change everything that it is given, and do anything else."""
        reached = self._reach(given)
        seen.outside = True
        seen.changed |= reached
        seen.targets += [node.func, *node.args, *(keyword.value for keyword in node.keywords)]
        return self._holder(node, reached) | reached

    def _change(self, place: ast.expr, pieces: Pieces, seen: _Seen) -> None:
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
                    if isinstance(one, ast.FunctionDef) and one.name == method:
                        bound = name == first and not _is_static(one)
                        return one, self.known, receiver if bound else None
        path = dotted_path(module, func, self.locals)
        imported = self.known.imported(path) if path is not None else None
        if imported is None:
            return None
        return imported[0], Known(imported[1], self.known.imported, self.known.pure), None

    def _read(
        self, node: ast.Call, callee: Function, known: Known, receiver: ast.expr | None, seen: _Seen
    ) -> list[Pieces]:
        summary = self._summary(callee, known)
        given = [*([receiver] if receiver is not None else []), *node.args, *(k.value for k in node.keywords)]
        if summary is None:
            return [self._unknown(node, self._all(given, seen), seen)]
        named = _matched(node, callee, receiver)
        if named is None:
            named = {argument.arg: given for argument in arguments(callee.args)}
        pieces = {name: self._reach(self._all(values, seen)) for name, values in named.items()}
        around = _around(callee, known, self)
        pieces |= {name: self._reach(self.names.get(name, ())) for name in around}
        for name in summary.changed:
            seen.changed |= pieces.get(name, NOTHING)
            seen.targets += named.get(name, [ast.Name(name, ast.Load())])
        seen.outside |= summary.outside
        results: list[Pieces] = []
        for names, group in zip(summary.shared, summary.groups, strict=True):
            held = frozenset(piece for name in names for piece in pieces.get(name, ()))
            made: Memory = (node, group) if summary.several else node
            results.append(held | (self._array(made) if group in summary.plain else self._holder(made, held | {made})))
        if not summary.several:
            return results
        if len(results) == 1:  # a tuple of one
            return [self._holder(node, results[0]), NOTHING]
        return results

    def _summary(self, callee: Function, known: Known) -> _Summary | None:
        """None where a function calls itself in the end."""
        if callee in self._reading:
            return None
        if callee not in self._summaries:
            inner = Sharing(callee, known, _around(callee, known, self), self._reading, self._summaries)
            self._summaries[callee] = _summary(inner)
        return self._summaries[callee]


def _summary(inner: Sharing) -> _Summary:
    changed: set[str] = set()
    outside = False
    returned: list[ast.expr] = []
    for statement in inner._statements:
        effects = inner.effects(statement)
        changed |= {piece for piece in effects.changed if isinstance(piece, str)}
        outside |= effects.outside
        if isinstance(statement, ast.Return) and statement.value is not None:
            returned.append(statement.value)

    def reached(nodes: Sequence[ast.expr]) -> Pieces:
        return inner._reach(inner._all(nodes, _Seen()))

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
    shared = tuple(frozenset(piece for piece in pieces if isinstance(piece, str)) for pieces in results)
    holding = {
        group
        for group, pieces in zip(groups, results, strict=True)
        if any(piece not in inner._arrays for piece in pieces if not isinstance(piece, str))
    }
    plain = frozenset(groups) - holding
    return _Summary(frozenset(changed), shared, tuple(groups), plain, even, outside)


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


def _local_functions(body: Sequence[ast.stmt]) -> Mapping[str, Function]:
    """Names that are bound once, to a nested function or a lambda."""
    found: dict[str, Function | None] = {}
    for statement in own_statements(body):
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


def _is_static(node: ast.FunctionDef) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in node.decorator_list)


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

"""Liveness of names in the text: what is read after a statement, loops and early ways out included.

Names inside a comprehension, a lambda or a nested function are its own unless it takes them from outside. What runs
later than it is written (a lambda, a nested function, a generator that has a name) may read its outer names at any
time: these are live everywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Names = frozenset[str]
NONE: Names = frozenset()

# Methods of lists, dicts, sets and arrays that change what they are called on.
MUTATORS = frozenset(
    (
        "append",
        "extend",
        "insert",
        "pop",
        "remove",
        "clear",
        "sort",
        "reverse",
        "update",
        "setdefault",
        "popitem",
        "add",
        "discard",
        "appendleft",
        "popleft",
        "extendleft",
        "fill",
        "put",
        "itemset",
        "resize",
        "partition",
        "setflags",
        "setfield",
        "byteswap",
    )
)
# Methods of loggers, which change nothing that a name stands for.
_SAYS = frozenset({"debug", "info", "warning", "warn", "error", "critical", "exception", "log"})
# Callables that read a generator after they have returned.
_LAZY = frozenset({"zip", "map", "filter", "enumerate", "iter", "chain", "islice", "product", "cycle", "starmap"})


def live_after(
    node: ast.FunctionDef,
    dropped: frozenset[ast.stmt] = frozenset(),
    ignored: frozenset[ast.expr] = frozenset(),
) -> dict[ast.stmt, Names]:
    """For each statement of a function, nested ones included, the names that may be read after it.

    At the end of a loop's body that is what the next round or the rest reads. `dropped` statements do nothing, with
    all that stands inside them; `ignored` elements of a returned tuple are not read.
    """
    flow = _Flow(dropped, ignored, {})
    flow.block(node.body, _Ways())
    always = read_by_closures(node, dropped)
    return {statement: names | always for statement, names in flow.found.items()}


def read_by_closures(node: ast.FunctionDef, dropped: frozenset[ast.stmt] = frozenset()) -> Names:
    """The names that may be read or bound at any time: by lambdas, nested functions, lazy generators, as `global`s."""
    found: set[str] = set()
    rest: list[ast.AST] = list(node.body)
    while rest:
        part = rest.pop()
        if part in dropped:
            continue
        match part:
            case ast.Lambda() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.GeneratorExp():
                found |= reads(part)
            case ast.Call(
                func=ast.Name(id=name) | ast.Attribute(attr=name), args=[ast.GeneratorExp() as generator, *others]
            ):
                if name not in _LAZY:
                    rest.extend([part.func, *others, *part.keywords, *ast.iter_child_nodes(generator)])
                    continue
            case ast.For(iter=ast.GeneratorExp() as generator):  # what a loop runs over is read in its rounds
                rest.extend([part.target, *part.body, *part.orelse, *ast.iter_child_nodes(generator)])
                continue
            case ast.Assign(targets=[ast.Tuple() | ast.List() as target], value=ast.GeneratorExp() as generator):
                rest.extend([target, *ast.iter_child_nodes(generator)])  # unpacked at once
                continue
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                found |= set(names)
        rest.extend(ast.iter_child_nodes(part))
    return frozenset(found)


def assigned_names(statements: Sequence[ast.stmt]) -> Names:
    """The names that statements bind, or whose values they change in place, nested statements included."""
    return frozenset(name for statement in statements for name in _changed(statement))


def read_before_bound(statements: Sequence[ast.stmt]) -> Names:
    """The names that statements may read before they bind them."""
    return _Flow(frozenset(), frozenset(), {}).block(statements, _Ways())


def root_name(node: ast.AST) -> str:
    """The variable that a subscript or an attribute is a part of; '' where it is of none."""
    while isinstance(node, ast.Subscript | ast.Attribute | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def reads(node: ast.AST) -> Names:
    """The names that an expression, a target or a nested function reads from around it."""
    match node:
        case ast.Name(id=name, ctx=ctx):
            return frozenset((name,)) if isinstance(ctx, ast.Load) else NONE
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            inner = _all_reads(parts)
            for generator in reversed(node.generators):
                inner |= _all_reads(generator.ifs) | reads(generator.target)
                inner = (inner - stores(generator.target)) | reads(generator.iter)
            return inner
        case ast.Lambda(args=args, body=body):
            return reads(args) | (reads(body) - {argument.arg for argument in arguments(args)})
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            outer = _declared_outer(node)
            own = {argument.arg for argument in arguments(node.args)} | set(_bound(node.body))
            inner = _all_reads(node.body) | outer
            return _all_reads(node.decorator_list) | reads(node.args) | (inner - (own - outer))
        case ast.arg():
            return NONE  # its annotation says nothing of values
        case _:
            return _all_reads(ast.iter_child_nodes(node))


def stores(node: ast.AST) -> Names:
    """The names that a target binds."""
    match node:
        case ast.Name(id=name):
            return frozenset((name,))
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return frozenset(name for part in parts for name in stores(part))
        case ast.Starred(value=value):
            return stores(value)
    return NONE


def arguments(args: ast.arguments) -> list[ast.arg]:
    """Every parameter, starred ones included."""
    starred = [argument for argument in (args.vararg, args.kwarg) if argument is not None]
    return [*args.posonlyargs, *args.args, *args.kwonlyargs, *starred]


def _declared_outer(node: ast.AST) -> Names:
    """The names that a function declares to be those around it."""
    declared = [part for part in ast.walk(node) if isinstance(part, ast.Nonlocal | ast.Global)]
    return frozenset(name for part in declared for name in part.names)


def _all_reads(nodes: Iterable[ast.AST]) -> Names:
    return frozenset(name for node in nodes for name in reads(node))


# What is bound or changed


def _changed(part: ast.AST) -> Iterator[str]:
    match part:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.Subscript(ctx=ast.Store() | ast.Del()) | ast.Attribute(ctx=ast.Store() | ast.Del()):
            yield from _root(part)
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr=method))) if method in _SAYS:
            pass
        case ast.Expr(value=ast.Call(keywords=keywords)) if any(keyword.arg == "out" for keyword in keywords):
            pass  # it changes what `out=` names
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=receiver, attr=method), args=args)):
            # `np.add.at(dx, i, v)` and `np.put(x, i, v)` change what they are given, `hs.append(h)` does not.
            for changed in [receiver] if method in MUTATORS - {"put"} else [receiver, *args[:1]]:
                yield from _root(changed)
        case ast.Expr(value=ast.Call(func=ast.Name(id=name), args=args)) if name != "print":
            for changed in args:
                yield from _root(changed)
        case ast.Call(func=ast.Attribute(value=receiver, attr=method)) if method in MUTATORS:
            yield from _root(receiver)
        case ast.keyword(arg="out", value=value):
            for changed in value.elts if isinstance(value, ast.Tuple) else [value]:
                yield from _root(changed)
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            for alias in aliases:
                yield alias.asname or alias.name.split(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.FunctionDef(name=name, args=args) | ast.AsyncFunctionDef(name=name, args=args):
            yield name
            own = {argument.arg for argument in arguments(args)} | set(_bound(part.body))
            yield from _outer(part.body, own - _declared_outer(part))
            return
        case ast.ClassDef(name=name):
            yield name
            return
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
            own = {name for generator in part.generators for name in stores(generator.target)}
            yield from _outer(ast.iter_child_nodes(part), own)
            return
        case ast.comprehension(target=target, iter=over, ifs=ifs):
            yield from _outer([target, over, *ifs], stores(target))
            return
    for child in ast.iter_child_nodes(part):
        yield from _changed(child)


def _root(node: ast.AST) -> list[str]:
    name = root_name(node)
    return [name] if name else []


def _outer(nodes: Iterable[ast.AST], own: Iterable[str]) -> Iterator[str]:
    mine = frozenset(own)
    return (name for node in nodes for name in _changed(node) if name not in mine)


def _bound(statements: Iterable[ast.AST]) -> Iterator[str]:
    """The names that statements bind in their own scope."""
    rest: list[ast.AST] = list(statements)
    while rest:
        part = rest.pop()
        match part:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                continue
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                for alias in aliases:
                    yield alias.asname or alias.name.split(".")[0]
            case ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                rest.extend(inner.target for inner in ast.walk(part) if isinstance(inner, ast.NamedExpr))
                continue
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
        rest.extend(ast.iter_child_nodes(part))


def bound_names(statements: Sequence[ast.stmt]) -> Names:
    """The names that statements bind, nested statements included, those that they only change in place not."""
    return frozenset(_bound(statements))


# What stands where


def own_statements(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements and those inside them in the order of the text, without the bodies of nested functions."""
    for statement in statements:
        yield statement
        yield from own_statements(statements_inside(statement))


def statements_inside(statement: ast.stmt) -> list[ast.stmt]:
    """The statements right inside a statement, none for a nested function or class."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return []
    found: list[ast.stmt] = []
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.stmt):
            found.append(part)
        elif isinstance(part, ast.ExceptHandler | ast.match_case):
            found += part.body
    return found


# The flow, backwards


@dataclass(frozen=True, slots=True)
class _Ways:
    """What is live where a block may go to: its end, the next round, behind the loop, the handlers of a `try`."""

    end: Names = NONE
    around: Names = NONE
    behind: Names = NONE
    raised: Names = NONE


def _reached(statement: ast.stmt, live: Names, ways: _Ways) -> Names:
    """What is live where a statement goes to; `live`: what is live at the statement behind it."""
    match statement:
        case ast.Return() | ast.Raise():
            return NONE
        case ast.Continue():
            return ways.around
        case ast.Break():
            return ways.behind
        case _:
            return live


@dataclass(frozen=True, slots=True)
class _Flow:
    dropped: frozenset[ast.stmt]
    ignored: frozenset[ast.expr]
    found: dict[ast.stmt, Names]

    def block(self, statements: Sequence[ast.stmt], ways: _Ways) -> Names:
        """What is live before statements."""
        live = ways.end
        for statement in reversed(statements):
            after = _reached(statement, live, ways) | ways.raised
            self._note(statement, after)
            if statement in self.dropped:
                for part in ast.walk(statement):
                    if isinstance(part, ast.stmt):
                        self._note(part, after)
            else:
                live = self._statement(statement, _Ways(live, ways.around, ways.behind, ways.raised)) | ways.raised
        return live

    def _note(self, statement: ast.stmt, live: Names) -> None:
        self.found[statement] = live | self.found.get(statement, NONE)

    def _statement(self, statement: ast.stmt, ways: _Ways) -> Names:
        live = ways.end
        match statement:
            case ast.Return(value=ast.Tuple(elts=elements)):
                return _all_reads(element for element in elements if element not in self.ignored)
            case ast.Return(value=value):
                return NONE if value is None or value in self.ignored else reads(value)
            case ast.Continue():
                return ways.around
            case ast.Break():
                return ways.behind
            case ast.Raise():
                return reads(statement)
            case ast.If(test=test, body=body, orelse=orelse):
                return reads(test) | self.block(body, ways) | self.block(orelse, ways)
            case ast.For(target=target, iter=over, body=body, orelse=orelse):
                # What it runs over is read in every round.
                exhausted = self.block(orelse, ways) | reads(over) | reads(target)
                return self._loop(body, exhausted, stores(target), ways)
            case ast.While(test=test, body=body, orelse=orelse):
                return self._loop(body, self.block(orelse, ways) | reads(test), NONE, ways)
            case ast.With(items=items, body=body):
                inner = self.block(body, ways)
                for item in reversed(items):
                    if item.optional_vars is not None:
                        inner = (inner - stores(item.optional_vars)) | reads(item.optional_vars)
                    inner |= reads(item.context_expr)
                return inner
            case ast.Try():
                return self._try(statement, ways)
            case ast.Match(subject=subject, cases=cases):
                for one in cases:
                    live |= self.block(one.body, ways) | reads(one.pattern)
                    live |= reads(one.guard) if one.guard is not None else NONE
                return live | reads(subject)
            case ast.Assign(targets=targets, value=value):
                bound = frozenset(name for target in targets for name in stores(target))
                return (live - bound) | reads(value) | _all_reads(targets)
            case ast.AnnAssign(target=target, value=value):
                return live if value is None else (live - stores(target)) | reads(value) | reads(target)
            case ast.AugAssign(target=target, value=value):
                return live | reads(value) | reads(target) | stores(target)
            case ast.Delete(targets=targets):
                gone = frozenset(target.id for target in targets if isinstance(target, ast.Name))
                return (live - gone) | _all_reads(targets)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                return (live - {name}) | reads(statement)
            case ast.Import() | ast.ImportFrom():
                return live - bound_names([statement])
            case _:
                return live | reads(statement)

    def _loop(self, body: Sequence[ast.stmt], head: Names, bound: Names, ways: _Ways) -> Names:
        """What is live at the head of a loop; `head`: what it reads there itself, or afterwards."""
        while True:
            inner = self.block(body, _Ways(head, head, ways.end, ways.raised))
            again = head | (inner - bound)
            if again == head:
                return head
            head = again

    def _try(self, statement: ast.Try, ways: _Ways) -> Names:
        """Any statement of the body may go to the handlers, and any way out goes through the `finally`."""
        last = self.block(statement.finalbody, ways) | ways.raised
        if statement.finalbody:  # a return, a break or a continue goes on behind it
            last |= ways.around | ways.behind
        left = _Ways(last, ways.around, ways.behind, last if statement.finalbody else ways.raised)
        caught = left.raised
        for handler in statement.handlers:
            caught |= self.block(handler.body, left) - ({handler.name} if handler.name else NONE)
            caught |= reads(handler.type) if handler.type is not None else NONE
        after = self.block(statement.orelse, left)
        return self.block(statement.body, _Ways(after, ways.around, ways.behind, caught))

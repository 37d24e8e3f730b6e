"""Methods that compute something of their arguments and of attributes alone, read as functions of both.

    h = self.step(x[:, t], h)        is read as        h = step(x[:, t], h, self.Wx, self.Wh, self.b)

with `step(x, h, Wx, Wh, b)` below the class. What backward needs of each call is then in a cache of its own, as the
calls of a loop need it. A method that is one expression is written out where it is called, and stays; so does one that
assigns attributes or calls other objects.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from flatgrad.frontend.contracts import lineage
from flatgrad.frontend.rewriting import Moved, rearranged
from flatgrad.frontend.source import Module, header_end, span_of
from flatgrad.frontend.unfolding import Unfolded
from flatgrad.gates.entry import BY_PATH
from flatgrad.ir.core import Span

Function = ast.FunctionDef

# Methods that an attribute may be asked for without changing: those of arrays, and these of dicts.
_READERS = frozenset({"get", "keys", "values", "items"})
_TURNS = (ast.For, ast.While, ast.AugAssign, ast.With, ast.Try, ast.Delete, ast.If)
_ROUNDS = (ast.For, ast.While, ast.ListComp, ast.GeneratorExp, ast.DictComp)


def lifted(whole: Unfolded) -> Unfolded:
    """The text with such methods as functions of their own: the same one where there is none."""
    module = whole.module
    classes = {one.name: one for one in module.tree.body if isinstance(one, ast.ClassDef)}
    found: dict[tuple[str, str], LiftedMethod] = {}
    for owner in classes.values():
        family = Family(module, owner, classes)
        for name in family.worth_it():
            key = (family.home(name), name)
            if key not in found:
                found |= {
                    (family.home(one), one): made
                    for one, made in family.with_callees(name, {made.name for made in found.values()}).items()
                }
    if not found:
        return whole
    edits: list[tuple[Span, str]] = []
    for owner in classes.values():
        for method in _methods(owner).values():
            edits += Family(module, owner, classes).calls(method, found)
    moved = [Moved(classes[home], made.lines) for (home, _), made in found.items()]
    gone = [
        _methods(classes[home])[name]
        for home, name in found
        if name.startswith("_") and not _is_read(module, name, classes, found)
    ]
    inside = {number for one in gone for number in range(one.lineno, (one.end_lineno or one.lineno) + 1)}
    made = rearranged(whole, [edit for edit in edits if edit[0].line not in inside], moved, gone)
    names = frozenset(one.name for one in found.values())
    borrowed = replace(module.borrowed, functions=module.borrowed.functions | names)
    return replace(made, module=replace(made.module, borrowed=borrowed))


def _is_read(module: Module, name: str, classes: Mapping[str, ast.ClassDef], found: Iterable[tuple[str, str]]) -> bool:
    """Whether anything but the calls that are written anew still reads a method."""
    away = {part for home, one in found for part in ast.walk(_methods(classes[home])[one])}
    calls = {
        call.func
        for owner in classes.values()
        for method in _methods(owner).values()
        for called, call in Family(module, owner, classes).called(method)
        if called == name and _plain(call)
    }
    return any(
        isinstance(part, ast.Attribute) and part.attr == name and part not in away and part not in calls
        for part in ast.walk(module.tree)
    )


@dataclass(frozen=True, slots=True)
class LiftedMethod:
    """What a method has become: its name, the attributes that it is handed behind its own parameters (as they are read,
    and as they are called there), whether these go by name, and its lines with those that they come from."""

    name: str
    attributes: Mapping[str, str]
    by_name: bool
    lines: tuple[tuple[str, int], ...]


def _methods(owner: ast.ClassDef) -> dict[str, Function]:
    return {one.name: one for one in owner.body if isinstance(one, Function)}


def _receiver(method: Function) -> str:
    arguments = [*method.args.posonlyargs, *method.args.args]
    return "" if _is_static(method) or not arguments else arguments[0].arg


def _is_static(method: Function) -> bool:
    return any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in method.decorator_list)


@dataclass(frozen=True, slots=True)
class Family:
    """A class with those of the file that it inherits from, and that inherit from it."""

    module: Module
    owner: ast.ClassDef
    classes: Mapping[str, ast.ClassDef]

    def method(self, name: str) -> Function | None:
        """The one method of that name; None where another one may stand in its place."""
        ancestors, whole = lineage(self.owner, self.classes)
        heirs = [one for one in self.classes.values() if self.owner in lineage(one, self.classes)[0]]
        own = [_methods(one)[name] for one in dict.fromkeys((*ancestors, *heirs)) if name in _methods(one)]
        assigned = any(
            isinstance(part, ast.Attribute) and part.attr == name and not isinstance(part.ctx, ast.Load)
            for one in (*ancestors, *heirs)
            for part in ast.walk(one)
        )
        elsewhere = any(own[:1] == [_methods(one).get(name)] for one in heirs if one is not self.owner)
        return own[0] if len(own) == 1 and whole and not assigned and not elsewhere else None

    def home(self, name: str) -> str:
        """The class that defines a method."""
        return next((one.name for one in lineage(self.owner, self.classes)[0] if name in _methods(one)), "")

    # Which methods

    def worth_it(self) -> Iterator[str]:
        """The methods that are better off as functions: called more than once in a pass, or static and not straight."""
        for caller in _methods(self.owner).values():
            if caller.name == "__init__" or caller.name.startswith("backward"):
                continue
            calls = list(self.called(caller))
            names = [name for name, _ in calls]
            for name, node in calls:
                method = self.method(name)
                if method is None or method is caller or not self.is_pure(method, ()):
                    continue
                again = names.count(name) > 1 or _in_round(caller, node)
                turns = any(isinstance(part, _TURNS) or _is_changed(part) for part in ast.walk(method))
                if (_is_static(method) and turns) or (again and not _is_expression(method)):
                    yield name

    def called(self, method: Function) -> Iterator[tuple[str, ast.Call]]:
        """The methods of the object that a method calls, each with the call."""
        receiver = _receiver(method)
        for part in ast.walk(method):
            match part:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=base), attr=name)) if base == receiver:
                    if self.home(name):
                        yield name, part

    def is_pure(self, method: Function, callers: tuple[str, ...]) -> bool:
        """Whether what a method gives hangs on its arguments and on attributes that it reads alone."""
        arguments = method.args
        receiver = _receiver(method)
        special = method.name.startswith("__") and method.name != "__call__" and method.name.endswith("__")
        if arguments.vararg or arguments.kwarg or special or method.name in callers:
            return False
        if method.decorator_list and not (_is_static(method) and len(method.decorator_list) == 1):
            return False
        if not any(isinstance(part, ast.Return) and part.value is not None for part in ast.walk(method)):
            return False
        if any(isinstance(part, ast.Lambda | Function | ast.Global) for part in ast.walk(method) if part is not method):
            return False
        if method.body[0].lineno == method.lineno:
            return False
        read: set[ast.AST] = set()
        for part in ast.walk(method):
            match part:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=base) as own, attr=name)) if base == receiver:
                    callee = self.method(name)
                    if callee is None or not self.is_pure(callee, (*callers, method.name)) or not _plain(part):
                        return False
                    read.add(own)
                case ast.Call(func=ast.Attribute(value=value, attr=name)) if _rooted(value, receiver):
                    if name not in _READERS and f".{name}" not in BY_PATH:
                        return False
                case ast.Attribute(value=ast.Name(id=base) as own, attr=name) if base == receiver:
                    if not isinstance(part.ctx, ast.Load) or part.lineno != part.end_lineno:
                        return False
                    if name.startswith("__"):
                        return False  # another one in another class
                    read.add(own)
                case ast.Attribute(value=value) | ast.Subscript(value=value):
                    if not isinstance(part.ctx, ast.Load) and _rooted(value, receiver):
                        return False
                case ast.AugAssign(target=target) if _rooted(target, receiver):
                    return False
        names = [part for part in ast.walk(method) if isinstance(part, ast.Name) and part.id == receiver]
        # What is changed in place under another name may be an attribute.
        changed = set(_changed_names(method))
        given = {one.arg for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
        aliases = {
            target.id
            for part in ast.walk(method)
            if isinstance(part, ast.Assign) and _may_alias(part.value, receiver)
            for one in part.targets
            for target in ast.walk(one)
            if isinstance(target, ast.Name)
        }
        return all(part in read for part in names) and not changed & (given | aliases)

    # The functions

    def with_callees(self, name: str, taken: Iterable[str], wanted: str = "") -> dict[str, LiftedMethod]:
        """A method as a function, with the methods that it calls. `wanted`: what to call it."""
        method = self.method(name)
        assert method is not None
        found: dict[str, LiftedMethod] = {}
        for other, _ in self.called(method):
            if other not in found:
                found |= self.with_callees(other, {*taken, *(one.name for one in found.values())})
        names = {*taken, *(one.name for one in found.values())}
        return {**found, name: self._as_function(method, found, names, wanted or method.name)}

    def _as_function(
        self, method: Function, callees: Mapping[str, LiftedMethod], taken: Iterable[str], wanted_name: str
    ) -> LiftedMethod:
        receiver = _receiver(method)
        reads = [
            part
            for part in ast.walk(method)
            if isinstance(part, ast.Attribute) and isinstance(part.value, ast.Name) and part.value.id == receiver
        ]
        reads.sort(key=lambda part: (part.lineno, part.col_offset))
        attributes: dict[str, str] = {}
        local = {part.id for part in ast.walk(method) if isinstance(part, ast.Name)}
        local |= {part.arg for part in ast.walk(method) if isinstance(part, ast.arg)}
        local |= {one.name for one in callees.values()}
        for read in reads:
            wanted = [read.attr] if read.attr not in callees else list(callees[read.attr].attributes)
            for attribute in wanted:
                if attribute not in attributes:
                    plain = attribute not in local | set(attributes.values())
                    attributes[attribute] = attribute if plain else f"{attribute}_in"
        arguments = method.args
        by_name = bool(arguments.defaults or arguments.kwonlyargs)
        edits: list[tuple[Span, str]] = []
        for read in reads:
            if read.attr not in callees:
                edits.append((span_of(self.module, read), attributes[read.attr]))
        for part in ast.walk(method):
            match part:
                case ast.Call(func=ast.Attribute(value=ast.Name(id=base), attr=name)) if base == receiver:
                    edits += _call_edits(self.module, part, callees[name], attributes)
        name = self._name(wanted_name, {*taken, *local})
        return LiftedMethod(name, attributes, by_name, self._lines(method, name, list(attributes.values()), edits))

    def _name(self, wanted: str, taken: Iterable[str]) -> str:
        bound = {*self.module.bound, *taken}
        bound |= {one for owner in self.classes.values() for one in _methods(owner)} - {wanted}
        bound |= {part.id for part in ast.walk(self.module.tree) if isinstance(part, ast.Name)}
        plain = wanted.strip("_") or wanted
        forms = (plain, f"{self.owner.name.lower()}_{plain}")
        bound |= {part.arg for part in ast.walk(self.module.tree) if isinstance(part, ast.arg)}
        return next((one for one in forms if one not in bound), f"{forms[1]}_of_its_own")

    def _lines(
        self, method: Function, name: str, added: Sequence[str], edits: Sequence[tuple[Span, str]]
    ) -> tuple[tuple[str, int], ...]:
        arguments = ast.parse(ast.unparse(ast.fix_missing_locations(_bare(method)))).body[0]
        assert isinstance(arguments, Function)
        arguments.name = name
        if _receiver(method):
            own = arguments.args.posonlyargs or arguments.args.args
            del own[0]
        more = [ast.arg(one) for one in added]
        if method.args.defaults or method.args.kwonlyargs:
            arguments.args.kwonlyargs += more
            arguments.args.kw_defaults += [None] * len(more)
        else:
            arguments.args.args += more
        head = ast.unparse(arguments).split("\n")[0]
        lines = edited_lines(self.module, edits)
        first, last = header_end(self.module, method)[0] + 1, method.end_lineno or method.lineno
        indent = method.col_offset
        body = [
            (line[indent:] if not line[:indent].strip() else line, number)
            for number, line in enumerate(lines[first - 1 : last], first)
        ]
        return ((head, method.lineno), *body)

    # The calls

    def calls(self, method: Function, found: Mapping[tuple[str, str], LiftedMethod]) -> Iterator[tuple[Span, str]]:
        """The edits that make calls of the functions of those of the methods."""
        receiver = _receiver(method)
        for name, call in self.called(method):
            made = found.get((self.home(name), name))
            if made is not None and _plain(call) and self.method(name) is not None:
                read = {one: f"{receiver}.{one}" for one in made.attributes}
                yield from _call_edits(self.module, call, made, read)


def _call_edits(
    module: Module, call: ast.Call, made: LiftedMethod, read: Mapping[str, str]
) -> Iterator[tuple[Span, str]]:
    """`self.step(x, h)` as `step(x, h, W)`."""
    yield span_of(module, call.func), made.name
    given = [
        f"{name}={read[attribute]}" if made.by_name or call.keywords else read[attribute]
        for attribute, name in made.attributes.items()
    ]
    if given:
        end = span_of(module, call)
        line, column = end.end_line, end.end_column - 1
        arguments = sorted((span_of(module, one) for one in (*call.args, *call.keywords)), key=_end)
        comma = ", "
        if not arguments or _has_comma(module, arguments[-1], end):
            comma = " " if arguments and arguments[-1].end_line == line else ""
        yield Span(line, column, line, column), comma + ", ".join(given)


def _end(span: Span) -> tuple[int, int]:
    return span.end_line, span.end_column


def _has_comma(module: Module, last: Span, call: Span) -> bool:
    """Whether a comma, perhaps on another line, stands behind the last argument of a call."""
    behind = [module.lines[number] for number in range(last.end_line - 1, call.end_line)]
    behind[-1] = behind[-1][: call.end_column]
    behind[0] = behind[0][last.end_column :]
    return any("," in line.partition("#")[0] for line in behind)


def edited_lines(module: Module, edits: Iterable[tuple[Span, str]]) -> list[str]:
    """The lines of a module with pieces of single lines replaced."""
    lines = list(module.lines)
    for span, text in sorted(edits, key=lambda one: (one[0].line, one[0].column), reverse=True):
        line = lines[span.line - 1]
        lines[span.line - 1] = f"{line[: span.column]}{text}{line[span.end_column :]}"
    return lines


def _bare(method: Function) -> Function:
    """The head of a method by itself."""
    return Function(method.name, method.args, [ast.Pass()], [], method.returns)


def _plain(call: ast.Call) -> bool:
    """Whether the arguments of a call are written out, and what it calls stands in one line."""
    stars = any(isinstance(one, ast.Starred) for one in call.args) or any(one.arg is None for one in call.keywords)
    return not stars and call.func.lineno == call.func.end_lineno


def _rooted(node: ast.expr, receiver: str) -> bool:
    """Whether an expression is a part of an attribute: `self.params["W"].T`."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        if isinstance(node.value, ast.Name) and node.value.id == receiver and isinstance(node, ast.Attribute):
            return True
        node = node.value
    return False


def _may_alias(node: ast.expr, receiver: str) -> bool:
    """Whether a name that is given a value may share memory with an attribute."""
    made = isinstance(node, ast.BinOp | ast.Compare | ast.UnaryOp | ast.Constant)
    fresh = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _FRESH
    return not made and not fresh and any(isinstance(p, ast.Name) and p.id == receiver for p in ast.walk(node))


_FRESH = frozenset({"zeros", "zeros_like", "ones", "empty", "copy", "dot", "exp", "tanh", "maximum", "sum", "mean"})


def _changed_names(method: Function) -> Iterator[str]:
    """The names of what a method may change in place."""
    for part in ast.walk(method):
        match part:
            case ast.AugAssign(target=ast.Name(id=name)):
                yield name
            case ast.Subscript(value=ast.Name(id=name)) if not isinstance(part.ctx, ast.Load):
                yield name


def _is_changed(part: ast.AST) -> bool:
    return isinstance(part, ast.Subscript | ast.Attribute) and not isinstance(part.ctx, ast.Load)


def _is_expression(method: Function) -> bool:
    """Whether a method is one expression: it is written out where it is called."""
    body = [one for one in method.body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    return len(body) == 1 and isinstance(body[0], ast.Return)


def _in_round(method: Function, node: ast.AST) -> bool:
    return any(
        isinstance(part, _ROUNDS) and any(inner is node for inner in ast.walk(part)) for part in ast.walk(method)
    )

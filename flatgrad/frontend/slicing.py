"""What a function's differentiated results depend on, and the user's own backward code, which falls away.

Real code computes a loss and, in the same function, its own gradients (`return loss, grads`). These results and all
that only they need are neither differentiated nor kept. `own_backward` says which results they are, by their names;
`slice_function` says which statements then have nothing left to do.

A statement is needed

- if it returns, changes an argument (`bn_param["running_mean"] = m`), draws random numbers, or calls what is unknown;
- if it binds a name that a needed statement may read afterwards;
- if it changes memory in place that such a name may share: `dscores = probs; dscores[rows, y] -= 1` is dropped where
  probs is not needed any more, and kept where it is, whatever it is called. Dropping a write is right only if nobody
  can see it, so what may share memory is taken to do so (see `sharing`);
- if it holds a needed statement, or is a `continue` or a `break` that decides whether one runs;
- if it prints, logs, asserts or raises, unless that would keep some of the user's own gradients alive.

That is a least fixpoint: nothing is needed to begin with, and every round adds what the names that are live between
needed statements ask for. Statements that are not needed are of two kinds. `backward` serves the results that fall
away, or hangs on what does; it is to be dropped. What is only `unread` computes something for nobody, and can be kept
or dropped, as `backward` reads nothing of it and the other way round.

Left out of account: an error that a dropped statement would have raised, and its time.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flatgrad.frontend.liveness import arguments, bound_names, live_after, read_before_bound, reads, root_name, stores
from flatgrad.frontend.sharing import Effects, Known, Memory, Sharing

Statements = frozenset[ast.stmt]

_NAMED = re.compile(r"(\w*_)?caches?|grads?|gradients?")
_GRADIENT = ("d{0}", "d_{0}", "grad_{0}", "{0}_grad", "dL_d{0}", "dLd{0}")


@dataclass(frozen=True, slots=True)
class Slice:
    """The statements of a function, nested ones included, the bodies of nested functions not.

    Attributes:
        needed: those that stay, with every statement around them.
        backward: those that only serve results that fall away, or that read what these compute.
        unread: the rest: nothing needed reads what they compute, and `backward` has no part in it.
        idle: names that needed assignments bind beside others and that nothing reads: grads in `loss, grads = 0.0, {}`.
    """

    needed: Statements
    backward: Statements
    unread: Statements
    idle: frozenset[ast.Name]


# The results that fall away


def own_backward(node: ast.FunctionDef) -> dict[ast.expr, str]:
    """The elements of returned tuples that are the function's own backward matter, and why: 'cache', 'gradient' or
    'display' (a tuple, dict or list of intermediates). Never the first element, nor what is returned alone.
    """
    matter = _Matter.of(node)
    found: dict[ast.expr, str] = {}
    for statement in _own_statements(node.body):
        match statement:
            case ast.Return(value=ast.Tuple(elts=[_, *others])):
                for element in others:
                    if reason := matter.reason(element):
                        found[element] = reason
    return found


def own_backward_positions(node: ast.FunctionDef) -> dict[ast.Return, dict[int, str]]:
    """The same by `return` statement and position in its tuple; every `return` with a value has an entry."""
    found = own_backward(node)
    positions: dict[ast.Return, dict[int, str]] = {}
    for statement in _own_statements(node.body):
        if isinstance(statement, ast.Return) and statement.value is not None:
            elements = statement.value.elts if isinstance(statement.value, ast.Tuple) else []
            positions[statement] = {
                position: found[element] for position, element in enumerate(elements) if element in found
            }
    return positions


@dataclass(frozen=True, slots=True)
class _Matter:
    """The names that tell what is a gradient, and what is a display.

    Attributes:
        known: the parameters, and the attributes and keys that are read from them.
        parameters: the parameters.
        displays: names that only ever stand for tuples, dicts and lists.
        variables: every name that the function binds.
    """

    known: frozenset[str]
    parameters: frozenset[str]
    displays: frozenset[str]
    variables: frozenset[str]

    @staticmethod
    def of(node: ast.FunctionDef) -> _Matter:
        parameters = frozenset(argument.arg for argument in arguments(node.args))
        fields: set[str] = set()
        for part in ast.walk(node):
            match part:
                case ast.Attribute(attr=name, ctx=ast.Load()) | ast.Subscript(slice=ast.Constant(str(name))):
                    if root_name(part) in parameters:
                        fields.add(name)
        bound = parameters | bound_names(node.body)
        return _Matter(parameters | fields, parameters, _display_names(node) - parameters, bound)

    def is_gradient(self, name: str, known: frozenset[str]) -> bool:
        return any(name == pattern.format(one) for one in known for pattern in _GRADIENT)

    def reason(self, element: ast.expr) -> str:
        """Why a result falls away; '' if it does not."""
        match element:
            case ast.Name(id=name) if name in self.parameters:
                return ""  # a step size dt beside a time t
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name):
                if _NAMED.fullmatch(name):
                    return "cache" if "cache" in name else "gradient"
                if self.is_gradient(name, self.known):
                    return "gradient"
                return "display" if isinstance(element, ast.Name) and name in self.displays else ""
            case ast.Tuple() | ast.Dict() | ast.List() | ast.ListComp() | ast.DictComp():
                return "display"
            case ast.Subscript(value=value) | ast.Attribute(value=value) | ast.BinOp(left=value, op=ast.Div()):
                return self._part(value)
            case ast.Call(func=ast.Attribute(value=value), args=given):  # `dW.ravel()`, `np.concatenate([dW, db])`
                if root_name(value) in self.variables:
                    return self._part(value)
                names = {name for one in given for name in reads(one) & self.variables}
                reasons = {self._part(ast.Name(name, ast.Load())) for name in names}
                return "gradient" if reasons == {"gradient"} else ""
        return ""

    def _part(self, element: ast.expr) -> str:
        """A part of a list or of a dict that falls away need not."""
        reason = self.reason(element)
        return "" if reason == "display" else reason


def _display_names(node: ast.FunctionDef) -> frozenset[str]:
    found: set[str] = set()
    others: set[str] = set()
    for statement in _own_statements(node.body):
        match statement:
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    for name, given in _paired(target, value):
                        if not (isinstance(given, ast.Constant) and given.value is None):
                            (found if given is not None and _is_display(given) else others).add(name)
            case ast.AugAssign(target=ast.Name(id=name), value=value):
                if not _is_display(value):
                    others.add(name)
            case _:
                heads = [part for part in ast.iter_child_nodes(statement) if not isinstance(part, ast.stmt)]
                others |= {
                    part.id
                    for head in heads
                    for part in ast.walk(head)
                    if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
                }
    return frozenset(found - others)


def _paired(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr | None]]:
    """Each name of a target with what it is given, None where that is a part of something."""
    match target, value:
        case ast.Name(id=name), _:
            yield name, value
        case ((ast.Tuple(elts=targets) | ast.List(elts=targets)), (ast.Tuple(elts=values) | ast.List(elts=values))):
            if len(targets) == len(values):
                for one, given in zip(targets, values, strict=True):
                    yield from _paired(one, given)
                return
            yield from ((name, None) for name in stores(target))
        case _:
            yield from ((name, None) for name in stores(target))


def _is_display(node: ast.expr) -> bool:
    match node:
        case ast.Tuple() | ast.Dict() | ast.List() | ast.ListComp() | ast.DictComp():
            return True
        case ast.Call(func=ast.Name(id="dict" | "list" | "tuple" | "OrderedDict")):
            return True
        case ast.BinOp(left=left, op=ast.Mult(), right=right):  # `[None] * T`
            return _is_display(left) or _is_display(right)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_display(left) and _is_display(right)
    return False


# The statements that stay


def slice_function(node: ast.FunctionDef, known: Known, ignored: Iterable[ast.expr]) -> Slice:
    """What is left of a function without some of its results.

    Args:
        node: the function.
        known: where the functions that it calls are to be found.
        ignored: the elements of returned tuples that fall away (see `own_backward`).
    """
    return _Slicing(node, known, frozenset(ignored)).run()


class _Slicing:
    def __init__(self, node: ast.FunctionDef, known: Known, ignored: frozenset[ast.expr]) -> None:
        self.node = node
        self.ignored = ignored
        self.matter = _Matter.of(node)
        self.sharing = Sharing(node, known)
        self.statements = list(_own_statements(node.body))
        self.effects: dict[ast.stmt, Effects] = {one: self.sharing.effects(one) for one in self.statements}
        self.position = {statement: position for position, statement in enumerate(self.statements)}
        self.parent = dict(_parents(self.statements))
        self.jumps = {one: self._loop_of(one) for one in self.statements if isinstance(one, ast.Continue | ast.Break)}
        self.bound = {one: _binds(one) for one in self.statements}
        self.reached = {name: self.sharing.reach(name) for name in self.sharing.names}

    def run(self) -> Slice:
        roots = frozenset(one for one in self.statements if self._acts(one))
        needed = self._closure(roots, self.ignored)
        everything = self._closure(roots | self._sinks(), frozenset())
        for report in [one for one in self.statements if self.effects[one].report and one not in needed]:
            with_it = self._closure(needed | {report}, self.ignored)
            if not self._serves_gradients(with_it - needed - {report}):
                needed = with_it
        needed = self._closure(needed | self._deletions(needed), self.ignored)
        backward = self._hanging_on(everything - needed, needed)
        rest = frozenset(self.statements) - needed - backward
        blank = frozenset(one for one in rest if _is_blank(one) and self.parent.get(one, one) in needed | {one})
        return Slice(needed | blank, backward, rest - blank, self._idle(needed))

    def _acts(self, statement: ast.stmt) -> bool:
        """Whether a statement does something that is seen outside, whatever the results are."""
        effects = self.effects[statement]
        if isinstance(statement, ast.Return) or effects.outside:
            return True
        given = any(isinstance(piece, str) for piece in effects.changed)
        return given and statement not in self._sinks()

    def _sinks(self) -> Statements:
        """Statements that put the user's own gradients and caches into an argument: `self.grads["W1"] = ...`.

        Only where nothing else of the function reads what is so named.
        """
        found: dict[ast.stmt, frozenset[str]] = {}
        for statement in self.statements:
            changed = self.effects[statement]
            fields = [self._own_field(target) for target in changed.targets]
            if not changed.outside and fields and all(fields):
                found[statement] = frozenset(fields)
        return frozenset(found)

    def _own_field(self, target: ast.expr) -> str:
        """The attribute or key of an argument that is named as a gradient; '' if there is none."""
        if root_name(target) not in self.matter.parameters or not isinstance(target, ast.Attribute | ast.Subscript):
            return ""
        part: ast.expr = target
        while isinstance(part, ast.Attribute | ast.Subscript):
            match part:
                case ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(str(name))):
                    if self._named_gradient(name):
                        return name
            part = part.value
        return ""

    def _named_gradient(self, name: str) -> bool:
        return bool(re.fullmatch("grads?|gradients?", name)) or self.matter.is_gradient(name, self.matter.known)

    def _closure(self, seeds: Statements, ignored: frozenset[ast.expr]) -> Statements:
        """The statements that some statements ask for, themselves included."""
        needed: set[ast.stmt] = set()
        for statement in seeds:
            self._add(statement, needed)
        while True:
            live = live_after(self.node, frozenset(self.statements) - needed, ignored)
            before = len(needed)
            for statement in self.statements:
                if statement not in needed and self._asked_for(statement, needed, live):
                    self._add(statement, needed)
            if len(needed) == before:
                return frozenset(needed)

    def _add(self, statement: ast.stmt, needed: set[ast.stmt]) -> None:
        needed.add(statement)
        while statement in self.parent:
            statement = self.parent[statement]
            needed.add(statement)

    def _asked_for(self, statement: ast.stmt, needed: set[ast.stmt], live: Mapping[ast.stmt, frozenset[str]]) -> bool:
        if statement in self.jumps:
            loop = self.jumps[statement]
            if isinstance(statement, ast.Break):
                return loop in needed
            return any(self._follows(one, statement, loop) for one in needed)
        after = live[statement]
        if self._has_parts(statement):  # what its head changes is seen inside as well
            after = after.union(*(live[one] for one in _own_statements([statement])))
        if isinstance(statement, ast.Delete) and all(isinstance(target, ast.Name) for target in statement.targets):
            return False
        if self.bound[statement] & after:
            return True
        effects = self.effects[statement]
        if effects.roots & after:
            return True
        return any(not effects.changed.isdisjoint(self.reached.get(name, ())) for name in after)

    def _has_parts(self, statement: ast.stmt) -> bool:
        return isinstance(statement, ast.For | ast.While | ast.If | ast.With | ast.Try | ast.Match)

    def _follows(self, one: ast.stmt, jump: ast.stmt, loop: ast.stmt) -> bool:
        """Whether a statement comes after a jump in the body of its loop."""
        if self.position[one] < self.position[jump] or one is jump:
            return False
        while one in self.parent:
            inside, one = one, self.parent[one]
            if one is loop:
                return isinstance(loop, ast.For | ast.While) and inside in loop.body
        return False

    def _loop_of(self, statement: ast.stmt) -> ast.stmt:
        while True:
            inside, statement = statement, self.parent[statement]
            if isinstance(statement, ast.For | ast.While) and inside in statement.body:
                return statement

    def _serves_gradients(self, statements: Statements) -> bool:
        """Whether some of these compute what falls away, or what is named as a gradient."""
        if not self.ignored and not self._sinks():
            return False
        roots = {name for element in self.ignored for name in reads(element)}
        for statement in statements:
            for name in self.bound[statement] | self.effects[statement].roots:
                if name in roots or self._named_gradient(name) or self.matter.is_gradient(name, self.matter.variables):
                    return True
        return False

    def _deletions(self, needed: Statements) -> Statements:
        """`del a` where everything that binds a stays."""
        gone = {name for one in self.statements if one not in needed for name in self.bound[one]}
        gone -= {name for one in self.statements if isinstance(one, ast.Delete) for name in ()}
        return frozenset(
            one
            for one in self.statements
            if isinstance(one, ast.Delete)
            and self.parent.get(one, one) in needed | {one}
            and not gone & {target.id for target in one.targets if isinstance(target, ast.Name)}
        )

    def _hanging_on(self, seeds: Statements, needed: Statements) -> Statements:
        """Statements that are not needed, and the others that read what these compute or stand inside them."""
        found = set(seeds)
        rest = [one for one in self.statements if one not in needed and one not in found]
        while True:
            made = {name for one in found for name in self.bound[one] | self.effects[one].roots}
            pieces: set[Memory] = {piece for one in found for piece in self.effects[one].changed}
            more = [one for one in rest if self._touches(one, found, made, pieces)]
            if not more:
                return frozenset(found)
            found |= set(more)
            rest = [one for one in rest if one not in found]

    def _touches(self, statement: ast.stmt, found: set[ast.stmt], made: set[str], pieces: set[Memory]) -> bool:
        if self.parent.get(statement) in found:
            return True
        if any(inner in found for inner in _own_statements([statement])):
            return True
        read = _head_reads(statement)
        if isinstance(statement, ast.Delete):
            read |= {target.id for target in statement.targets if isinstance(target, ast.Name)}
        return bool(read & made) or any(not pieces.isdisjoint(self.reached.get(name, ())) for name in read)

    def _idle(self, needed: Statements) -> frozenset[ast.Name]:
        live = live_after(self.node, frozenset(self.statements) - needed, self.ignored)
        found: set[ast.Name] = set()
        for statement in needed:
            match statement:
                case ast.Assign(targets=targets):
                    names = [name for target in targets for name in _name_targets(target)]
                    found |= {name for name in names if name.id not in live[statement]}
        return frozenset(found)


def _name_targets(target: ast.expr) -> list[ast.Name]:
    match target:
        case ast.Name():
            return [target]
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return [name for part in parts for name in _name_targets(part)]
        case ast.Starred(value=value):
            return _name_targets(value)
    return []


def _binds(statement: ast.stmt) -> frozenset[str]:
    """The names that a statement binds itself, those inside it not."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.Import() | ast.ImportFrom():
            return bound_names([statement])
        case ast.Delete():
            return frozenset()
        case ast.Match(cases=cases):
            return bound_names([ast.Match(statement.subject, [ast.match_case(one.pattern, None, []) for one in cases])])
    heads = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.expr | ast.withitem)]
    names = [handler.name for handler in getattr(statement, "handlers", []) if handler.name]
    holder = ast.Expr(ast.List(list(_expressions(heads)), ast.Load()))
    return bound_names([holder]) | frozenset(names)


def _expressions(parts: Sequence[ast.AST]) -> Iterator[ast.expr]:
    for part in parts:
        if isinstance(part, ast.withitem):
            yield part.context_expr
            if part.optional_vars is not None:
                yield part.optional_vars
        elif isinstance(part, ast.expr):
            yield part


def _head_reads(statement: ast.stmt) -> frozenset[str]:
    """The names that a statement reads itself, those inside it not."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return reads(statement)
    heads = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.expr | ast.withitem)]
    found = frozenset(name for part in heads for name in reads(part))
    return found | (stores(statement.target) if isinstance(statement, ast.AugAssign) else frozenset())


def _own_statements(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements and those inside them in the order of the text, without the bodies of nested functions."""
    for statement in statements:
        yield statement
        yield from _own_statements(_inside(statement))


def _inside(statement: ast.stmt) -> list[ast.stmt]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return []
    found: list[ast.stmt] = []
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.stmt):
            found.append(part)
        elif isinstance(part, ast.ExceptHandler | ast.match_case):
            found += part.body
    return found


def _parents(statements: Iterable[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    for statement in statements:
        for part in _inside(statement):
            yield part, statement


def _is_blank(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )

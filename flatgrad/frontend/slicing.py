"""What a function's differentiated results depend on, and the user's own backward code, which falls away.

Real code computes a loss and, in the same function, its own gradients (`return loss, grads`). These results and all
that only they need are neither differentiated nor kept. `own_backward.py` says which results they are, by their names;
`slice_function` says which statements then have nothing left to do.

A statement is needed

- if it returns, changes an argument (`bn_param["running_mean"] = m`, but not `self.grads["W"] = dW` where nothing else
  reads that), draws random numbers, or calls what is unknown;
- if it binds a name that a needed statement may read afterwards;
- if it changes memory in place that such a name may share: `dscores = probs; dscores[rows, y] -= 1` is dropped where
  probs is not needed any more, and kept where it is, whatever it is called. Dropping a write is right only if nobody
  can see it, so what may share memory is taken to do so (see `memory.py`);
- if it holds a needed statement, or is a `continue` or a `break` that decides whether one runs;
- if it prints, logs, asserts or raises, unless that would keep some of the user's own gradients alive.

That is a least fixpoint: nothing is needed to begin with, and every round adds what the names that are live between
needed statements ask for. Statements that are not needed are of two kinds. `backward` serves the results that fall
away, or hangs on what does; it is to be dropped. What is only `unread` computes something for nobody out of what is
needed; it can be kept or dropped.

Left out of account: an error that a dropped statement would have raised, and its time.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from flatgrad.frontend.liveness import (
    bound_names,
    live_after,
    own_statements,
    reads,
    root_name,
    statements_inside,
    stores,
)
from flatgrad.frontend.memory import Effects, Known, Memory
from flatgrad.frontend.own_backward import Matter
from flatgrad.frontend.sharing import Sharing

Statements = frozenset[ast.stmt]


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
        self.matter = Matter.of(node)
        self.known = known
        self.statements = list(own_statements(node.body))
        self.position = {statement: position for position, statement in enumerate(self.statements)}
        self.parent = dict(_parents(self.statements))
        self.jumps = {one: self._loop_of(one) for one in self.statements if isinstance(one, ast.Continue | ast.Break)}
        self.bound = {one: _binds(one) for one in self.statements}
        self._read(frozenset())
        self.sinks = self._sinks()
        self._read(frozenset(self.sinks))

    def _read(self, without: Statements) -> None:
        """Who shares memory with whom, leaving some statements out."""
        whole = Sharing(self.node, self.known)
        self.sharing = Sharing(self.node, self.known, without=without) if without else whole
        self.effects: dict[ast.stmt, Effects] = {
            one: (whole if one in without else self.sharing).effects(one) for one in self.statements
        }
        self.reached = {name: self.sharing.reach(name) for name in self.sharing.names}
        self.escaped = self.sharing.escaped

    def run(self) -> Slice:
        acting = frozenset(one for one in self.statements if self._acts(one))
        needed = self._closure(acting - self.sinks.keys(), self.ignored)
        while read := {one for one, name in self.sinks.items() if self._mentions(needed, name)}:
            self.sinks = {one: name for one, name in self.sinks.items() if one not in read}
            self._read(frozenset(self.sinks))
            acting = frozenset(one for one in self.statements if self._acts(one))
            needed = self._closure(acting - self.sinks.keys(), self.ignored)
        everything = self._closure(acting, frozenset())
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
        return isinstance(statement, ast.Return) or effects.outside or not effects.changed.isdisjoint(self.escaped)

    def _sinks(self) -> dict[ast.stmt, str]:
        """Statements that put the user's own gradients into an argument (`self.grads["W1"] = ...`), with its name."""
        found: dict[ast.stmt, str] = {}
        for statement in self.statements:
            effects = self.effects[statement]
            fields = {self._own_field(target) for target in effects.targets}
            if not effects.outside and len(fields) == 1 and "" not in fields:
                (found[statement],) = fields
        return found

    def _own_field(self, target: ast.expr) -> str:
        """The attribute or key of an argument that is named as a gradient; '' if there is none."""
        if root_name(target) not in self.matter.parameters:
            return ""
        part = target
        while isinstance(part, ast.Attribute | ast.Subscript):
            match part:
                case ast.Attribute(attr=name) | ast.Subscript(slice=ast.Constant(str(name))):
                    if self._named_gradient(name):
                        return name
            part = part.value
        named = isinstance(target, ast.Subscript) and isinstance(part, ast.Name) and self._named_gradient(part.id)
        return root_name(target) if named else ""

    def _named_gradient(self, name: str) -> bool:
        return bool(re.fullmatch("grads?|gradients?", name)) or self.matter.is_gradient(name, self.matter.known)

    def _mentions(self, needed: Statements, name: str) -> bool:
        """Whether needed statements may read an attribute, a key or a parameter that is so named."""
        roots = {root_name(target) for sink in self.sinks for target in self.effects[sink].targets}
        methods = {one.name: one for one in self.sharing.methods}
        rest: list[ast.AST] = [part for one in needed for part in _heads(one)]
        entered: set[str] = set()
        while rest:
            part = rest.pop()
            if part in self.ignored:
                continue
            match part:
                case ast.Attribute(attr=found) | ast.Constant(value=str(found)) | ast.Name(id=found) if found == name:
                    return True
                case ast.Call(func=ast.Attribute(value=ast.Name(id=root), attr=method)) if root in roots:
                    if method not in methods:
                        return True
                    if method not in entered:
                        rest.append(methods[method])
                        entered.add(method)
                case ast.Call(args=given) if any(isinstance(one, ast.Name) and one.id in roots for one in given):
                    return True
            rest.extend(ast.iter_child_nodes(part))
        return False

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
            after = after.union(*(live[one] for one in own_statements([statement])))
        if isinstance(statement, ast.Delete) and all(isinstance(target, ast.Name) for target in statement.targets):
            return False
        if self.bound[statement] & after:
            return True
        effects = self.effects[statement]
        changed: frozenset[Memory] = effects.changed
        if statement in self.sinks:  # nothing reads that part of the argument
            changed = frozenset(piece for piece in changed if not isinstance(piece, str))
        elif effects.roots & after:
            return True
        return any(not changed.isdisjoint(self.reached.get(name, ())) for name in after)

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
        if not self.ignored and not self.sinks:
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
        return frozenset(
            one
            for one in self.statements
            if isinstance(one, ast.Delete)
            and self.parent.get(one, one) in needed | {one}
            and all(isinstance(target, ast.Name) and target.id not in gone for target in one.targets)
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
        if any(inner in found for inner in own_statements([statement])):
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
    names = [handler.name for handler in getattr(statement, "handlers", []) if handler.name]
    holder = ast.Expr(ast.List(_heads(statement), ast.Load()))
    return bound_names([holder]) | frozenset(names)


def _heads(statement: ast.stmt) -> list[ast.expr]:
    """The expressions of a statement itself, those of statements inside it not."""
    found: list[ast.expr] = []
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, ast.withitem | ast.match_case | ast.ExceptHandler):
            found += [one for one in ast.iter_child_nodes(part) if isinstance(one, ast.expr)]
        elif isinstance(part, ast.expr):
            found.append(part)
    return found


def _head_reads(statement: ast.stmt) -> frozenset[str]:
    """The names that a statement reads itself, those inside it not."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return reads(statement)
    found = frozenset(name for part in _heads(statement) for name in reads(part))
    return found | (stores(statement.target) if isinstance(statement, ast.AugAssign) else frozenset())


def _parents(statements: Iterable[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt]]:
    for statement in statements:
        for part in statements_inside(statement):
            yield part, statement


def _is_blank(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )

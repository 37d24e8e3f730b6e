"""Functions that hand each other tuples, written as one.

`out, cache = f_forward(x)` and then `dx = f_backward(dout, cache)`: what the one hands to the other is no number and no
array, so neither is a step of its own with a gradient. A function that does this is read as if the statements of both
stood in it, each under names of its own; so is one that calls such a function. What the compiler writes is of this
kind: that is how it reads its own modules.

A function whose own backward code alone does so stays as it is, as that code falls away.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.flattened import (
    blocks_of,
    bound_in,
    calls_in,
    is_plain,
    matched_arguments,
    paired,
    without_docstring,
)
from flatgrad.frontend.inlining import Unfolding
from flatgrad.frontend.liveness import own_statements, root_name
from flatgrad.frontend.memory import Known
from flatgrad.frontend.own_backward import Matter, own_backward
from flatgrad.frontend.slicing import slice_function
from flatgrad.frontend.source import Module, read_module
from flatgrad.frontend.splitting import drop_idle, split_containers
from flatgrad.frontend.tuples import take_apart
from flatgrad.gates.entry import BY_PATH, OWN
from flatgrad.ir.core import Span

# More calls than this are not written out in one function.
MOST_CALLS = 200


@dataclass(frozen=True, slots=True)
class Unfolded:
    """A module whose functions are flat, and the places of its lines in the text that was read: one that ends in line 0
    is the line as it stands there, so many columns further right.

    `names`: the functions that were written out.
    """

    module: Module
    places: Mapping[int, Span]
    names: frozenset[str] = frozenset()

    def placed(self, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
        """The diagnostics with the places of the text that was read: a statement that was moved is shown whole."""
        return [
            replace(
                one,
                span=self._span(one.span),
                labels=tuple((self._span(span) or span, text) for span, text in one.labels),
            )
            for one in diagnostics
        ]

    def _span(self, span: Span | None) -> Span | None:
        if span is None or not self.places:
            return span
        there = self.places.get(span.line)
        if there is None or there.end_line != 0:
            return there
        lines = there.line - span.line
        shift = there.column
        return Span(span.line + lines, span.column + shift, span.end_line + lines, span.end_column + shift)


def unfold(module: Module, wanted: Sequence[str]) -> Unfolded:
    """The module with those of the wanted functions written out that hand tuples from one function to another."""
    flat = _Flat(module)
    written = {name: node for name in wanted if (node := flat.function(name)) is not None}
    return _rewritten(module, written) if written else Unfolded(module, {})


class _Flat:
    """Writes functions out, callees first."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.functions = {name: node for name, node in module.functions.items() if name not in module.borrowed.pairs}
        self.hands: dict[str, bool] = {}

    def function(self, name: str) -> ast.FunctionDef | None:
        """The function written out; None where it stays as it is."""
        node = self.functions.get(name)
        if node is None or name in self.module.methods or not self._hands_on(name):
            return None
        node = copy.deepcopy(node)
        described = self._docstring(node)
        for _ in range(MOST_CALLS):
            if not Unfolding(self, node).once():
                break
        if described is not None:
            node.body.insert(0, described)
        drop_idle(node)
        while split_containers(node):
            for block in blocks_of(node):
                take_apart(block, 0, (), node)
            drop_idle(node)
        return ast.fix_missing_locations(node)

    def _docstring(self, node: ast.FunctionDef) -> ast.Expr | None:
        """What is said of the parameters of the first function that is written out, where they are handed to it under
        their own names, and nothing is said of them here: its shapes hold for them."""
        if without_docstring(node.body) is not node.body:
            return None
        own = {argument.arg for argument in node.args.args}
        for statement in node.body:
            for call in calls_in(statement):
                called = self.callee(call, frozenset(own))
                if called is None:
                    continue
                given = {a.id: p for p, a in (matched_arguments(called, call) or {}).items() if isinstance(a, ast.Name)}
                if all(name == parameter for name, parameter in given.items() if name in own):
                    first = called.body[0]
                    if without_docstring(called.body) is not called.body and isinstance(first, ast.Expr):
                        return copy.deepcopy(first)
                    return self._docstring(called)
                return None
        return None

    def callee(self, node: ast.Call, shadowed: frozenset[str]) -> ast.FunctionDef | None:
        """The function of the file that is called, where it can be written out in the place of the call."""
        if not isinstance(node.func, ast.Name) or node.func.id in shadowed or f"{OWN}.{node.func.id}" in BY_PATH:
            return None
        found = self.functions.get(node.func.id)
        if found is not None and self._calls_itself(found.name):
            return None  # there is no end to writing it out
        return found if found is not None and is_plain(found) and matched_arguments(found, node) is not None else None

    def _calls_itself(self, name: str) -> bool:
        reached: list[str] = [name]
        for one in reached:
            called = {part.id for part in ast.walk(self.functions[one]) if isinstance(part, ast.Name)}
            if name in called:
                return True
            reached += [other for other in sorted(called & self.functions.keys()) if other not in reached]
        return False

    def written_out(self, node: ast.Call, shadowed: frozenset[str]) -> ast.FunctionDef | None:
        """The function that is called, where it has to be written out in a function that hands tuples on: one that
        gives an array for arrays stays a call."""
        called = self.callee(node, shadowed)
        if called is None:
            return None
        base = called.name.removesuffix("_forward").removesuffix("_backward")
        in_pair = called.name.endswith("_backward") or f"{base}_backward" in self.functions
        return (
            called if in_pair or _gives_tuples(called) or _taken_apart(called) or self._hands_on(called.name) else None
        )

    # Which functions

    def _hands_on(self, name: str) -> bool:
        """Whether a function hands a tuple from one function to another, or calls one that does."""
        if name not in self.hands:
            self.hands[name] = False
            node = self.functions[name]
            ignored = frozenset(own_backward(node, self.functions))
            sliced = slice_function(node, Known(self.module), ignored) if ignored else None
            dropped = sliced.backward if sliced is not None else frozenset()
            self.hands[name] = self._has_pair(node, dropped)
        return self.hands[name]

    def _has_pair(self, node: ast.FunctionDef, dropped: frozenset[ast.stmt]) -> bool:
        shadowed = frozenset(bound_in(node))
        tuples: set[str] = set()
        statements = [one for one in own_statements(node.body) if one not in dropped]
        names = {
            call.func.id
            for statement in statements
            for call in calls_in(statement)
            if isinstance(call.func, ast.Name) and call.func.id in self.functions
        }
        if any(f"{name.removesuffix('_forward')}_backward" in names - {name} for name in names):
            return True  # what is written for the one would bear the name of the other
        for statement in statements:
            for call in calls_in(statement):
                called = self.callee(call, shadowed)
                if called is None:
                    continue
                if self._hands_on(called.name):
                    return True
                matched = matched_arguments(called, call) or {}
                apart = _taken_apart(called)
                for parameter, argument in matched.items():
                    root = root_name(argument)
                    if root in tuples or (parameter in apart and root in shadowed and self._from_call(node, root)):
                        return True
            match statement:
                case ast.Assign(targets=[target], value=ast.Call() as call):
                    called = self.callee(call, shadowed)
                    if called is not None:
                        tuples |= _tuples_among(called, target)
        return False

    def _from_call(self, node: ast.FunctionDef, name: str) -> bool:
        for statement in own_statements(node.body):
            match statement:
                case ast.Assign(targets=[ast.Tuple(elts=parts)], value=ast.Call() as call):
                    if any(isinstance(part, ast.Name) and part.id == name for part in parts):
                        return self.callee(call, frozenset()) is not None
        return False


def _tuples_among(called: ast.FunctionDef, target: ast.expr) -> set[str]:
    """The names of a target that are given tuples, lists or dicts by a call."""
    returned = called.body[-1].value if isinstance(called.body[-1], ast.Return) else None
    displays = Matter.of(called).displays
    found: set[str] = set()
    for one, given in paired(target, returned):
        shown = isinstance(given, ast.Tuple | ast.List | ast.Dict) or (
            isinstance(given, ast.Name) and given.id in displays
        )
        if isinstance(one, ast.Name) and shown:
            found.add(one.id)
    return found


def _gives_tuples(called: ast.FunctionDef) -> bool:
    """Whether one of several results is a tuple, a list or a dict."""
    returned = called.body[-1].value if isinstance(called.body[-1], ast.Return) else None
    displays = Matter.of(called).displays
    return isinstance(returned, ast.Tuple) and any(
        isinstance(one, ast.Tuple | ast.List | ast.Dict) or (isinstance(one, ast.Name) and one.id in displays)
        for one in returned.elts
    )


def _taken_apart(node: ast.FunctionDef) -> set[str]:
    """The parameters that a function unpacks."""
    parameters = {argument.arg for argument in node.args.args}
    return {
        statement.value.id
        for statement in node.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Tuple)
        and isinstance(statement.value, ast.Name)
        and statement.value.id in parameters
    }


def _rewritten(module: Module, written: Mapping[str, ast.FunctionDef]) -> Unfolded:
    """The text with these functions in the place of those that bear their names."""
    lines: list[str] = []
    places: dict[int, Span] = {}
    number = 1
    by_line = {module.functions[name].lineno: name for name in written}
    while number <= len(module.lines):
        name = by_line.get(number)
        if name is None:
            lines.append(module.lines[number - 1])
            places[len(lines)] = Span(number, 0, 0, 0)
            number += 1
            continue
        node = written[name]
        text = ast.unparse(node)
        first = len(lines)
        lines += text.split("\n")
        fresh = ast.parse(text).body[0]
        for old, new in zip(_statements(node), _statements(fresh), strict=True):
            line = getattr(old, "lineno", number)
            shown = module.lines[line - 1] if 0 < line <= len(module.lines) else ""
            span = Span(line, len(shown) - len(shown.lstrip()), line, len(shown.rstrip()))
            for inner in range(new.lineno, (new.end_lineno or new.lineno) + 1):
                places[first + inner] = span
        number = (module.functions[name].end_lineno or number) + 1
    again = read_module("\n".join(lines), module.filename)
    return Unfolded(replace(again, borrowed=module.borrowed, methods=module.methods), places, frozenset(written))


def _statements(node: ast.AST) -> list[ast.stmt]:
    found = [node] if isinstance(node, ast.stmt) else []
    for part in ast.iter_child_nodes(node):
        if isinstance(part, ast.stmt):
            found += _statements(part)
    return found

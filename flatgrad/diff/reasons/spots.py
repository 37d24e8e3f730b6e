"""A statement that may be at fault, with what is in scope there: what the rules of mutation look at."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from flatgrad.diff.reasons.rewriting import (
    Mutation,
    Swap,
    expression,
    inner,
    place_of,
    statement_of,
    swapped,
    target_of,
    terms,
    value_of,
)
from flatgrad.diff.reasons.surroundings import Code, Scope


@dataclass(frozen=True, slots=True)
class Spot:
    """A statement under suspicion.

    Attributes:
        target: the gradient that is wrong, as text; empty for one that is returned as an expression.
        own: the statement makes the gradient itself, or returns it; else a value that the gradient is computed from.
        last: it is the last statement that makes the gradient.
        shape: of the right gradient at the first inputs; of another value, the shape that it has.
        crashed: it raises, or its value has another shape.
    """

    code: Code
    statement: ast.stmt
    scope: Scope
    target: str
    variable: str
    own: bool
    last: bool
    shape: tuple[int, ...]
    crashed: bool

    @property
    def line(self) -> int:
        return self.statement.lineno

    @property
    def value(self) -> ast.expr | None:
        return value_of(self.statement)

    def terms(self) -> list[ast.expr]:
        """What may be scaled or added to, see `rewriting.terms`; nothing of `x /= n`."""
        scaling = isinstance(self.statement, ast.AugAssign) and isinstance(self.statement.op, ast.Mult | ast.Div)
        return [] if self.value is None or scaling else terms(self.value)

    def expressions(self) -> list[ast.expr]:
        """All expressions of the value, outermost first."""
        return [] if self.value is None else [self.value, *inner(self.value)]

    def text(self, node: ast.expr) -> str:
        return self.code.spelling.of(node)

    def atoms(self) -> list[ast.expr]:
        """The names, attributes and entries that the statement reads, and that have a value."""
        found = [node for node in self.expressions() if ast.unparse(node) in self.scope.values]
        target = target_of(self.statement)
        if isinstance(target, ast.Subscript):
            # The condition of `dx[h <= 0] = 0` reads values too.
            found += [
                node
                for one in ast.walk(target.slice)
                if isinstance(one, ast.Compare)
                for node in ast.walk(one)
                if isinstance(node, ast.expr) and ast.unparse(node) in self.scope.values
            ]
        return found

    def read(self) -> set[str]:
        return {ast.unparse(node) for node in self.atoms()}

    def holds_values(self, text: str) -> bool:
        """It is an array of numbers, or a number that is no size."""
        shape = self.scope.shape(text)
        return shape is not None and (shape != () or not self.scope.integer(text))

    def gradient(self, text: str) -> bool:
        return text in self.code.gradients

    def unjudged_gradient(self) -> bool:
        """The statement computes another gradient than the wrong one."""
        target = target_of(self.statement)
        return not self.own and target is not None and self.gradient(ast.unparse(target))

    def numbers(self) -> list[str]:
        """Sizes and settings, the same for the whole run: what may be a constant factor. One text for each value."""
        homework = self.code.homework
        given = {*homework.parameters, *homework.attributes, *self.code.constants}
        found: dict[tuple[float | None, ...], str] = {}
        for text in sorted(self.scope.scalars(), key=lambda one: (not one.isidentifier(), len(one))):
            name = text.rpartition(".")[2]
            known = self.scope.integer(text) or name in given or "'" in text
            if known and not self.gradient(text) and name not in self.code.counters:
                values = tuple(None if one is None else float(one) for one in self.scope.values[text])
                if set(values) not in ({1.0}, {0.0}):
                    found.setdefault(values, text)
        return list(found.values())

    def gradient_read(self) -> bool:
        """The statement reads the gradient that it assigns."""
        return self.value is not None and any(ast.unparse(one) == self.target for one in self.expressions())

    def gradients(self) -> list[str]:
        """Gradients in scope, those that nothing reads first, the nearest first."""
        own = {self.target}
        found = [one for one in self.scope.values if self.gradient(one) and one not in own and self.holds_values(one)]
        return sorted(found, key=lambda one: (self.code.reads(one) > 0, -self._bound_at(one)))

    def _bound_at(self, text: str) -> int:
        """The last line before this one that assigns it."""
        lines = [
            node.lineno
            for node in self.code.backward
            if node.lineno < self.line and (target := target_of(node)) is not None and ast.unparse(target) == text
        ]
        return max(lines, default=0)

    def forwards(self) -> list[str]:
        """Values in scope that are no gradients: those of the right gradient's shape first."""
        found = [one for one in self.scope.values if not self.gradient(one) and self.holds_values(one)]
        found = [one for one in found if not self.scope.index(one) and one != self.target]
        return sorted(found, key=lambda one: self.scope.shape(one) != self.shape)

    def alike(self, one: str, other: str) -> float:
        """How much two names look the same, 0 to 1."""
        return difflib.SequenceMatcher(None, one, other).ratio()

    def swap(self, swaps: Sequence[Swap], reason: str, detail: str, cost: float, hint: str = "") -> Mutation:
        """Nodes of the statement replaced by others."""
        made = swapped(self.statement, swaps)

        def repair() -> str:
            return self.code.spelling.changed(self.statement, swaps)

        return Mutation({place_of(self.statement): (made,)}, reason, detail, self.line, repair, cost, hint)

    def instead(self, text: str, reason: str, detail: str, cost: float, hint: str = "") -> Mutation:
        """Another statement in the place of this one."""
        made = statement_of(text, self.statement)
        return Mutation({place_of(self.statement): (made,)}, reason, detail, self.line, lambda: text, cost, hint)

    def after(self, text: str, reason: str, detail: str, cost: float, hint: str = "") -> Mutation:
        """Another statement behind this one."""
        made = statement_of(text, self.statement)

        def repair() -> str:
            return f"{self.code.spelling.of(self.statement)}\n{text}"

        changes = {place_of(self.statement): (self.statement, made)}
        return Mutation(changes, reason, detail, self.line, repair, cost, hint)

    def before(self, text: str, repair: str, reason: str, detail: str, cost: float, hint: str = "") -> Mutation:
        """Another statement in front of this one; `repair` is what may be written in place of both."""
        made = statement_of(text, self.statement)
        changes = {place_of(self.statement): (made, self.statement)}
        return Mutation(changes, reason, detail, self.line, lambda: repair, cost, hint)

    def parsed(self, text: str) -> ast.expr:
        return expression(text)

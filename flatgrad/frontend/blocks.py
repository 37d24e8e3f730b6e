"""Blocks of statements: what is kept while one is read, what leaves it, and how it is read again."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.buffers import Buffers
from flatgrad.frontend.entries import EntryLowering
from flatgrad.frontend.environment import Binding, Element, Filled, Poison, values_of
from flatgrad.frontend.gathered import GatheredLowering
from flatgrad.frontend.statements import Surroundings
from flatgrad.frontend.trees import changes, leaves, places_in, rebuilt, sharing
from flatgrad.ir.core import Literal, Relation, Span, Stage, Step, Value

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _State:
    """All that reading a statement changes, so that it can be read again."""

    body: list[Step]
    environment: dict[str, Binding]
    names: dict[Span, Value]
    stages: list[Stage]
    buffers: Buffers
    rewritten: dict[Stage, Value]
    questions: dict[Span, Value]
    elements: dict[Value, Element]
    kept_unnamed: set[Value]
    notes: list[Diagnostic]


class BlockLowering(GatheredLowering):
    """Lowers blocks; `statement` and `returned` are the function's own business, `block` that of its control flow."""

    node: ast.FunctionDef
    expressions: EntryLowering

    def __init__(
        self, context: Surroundings, live: Mapping[ast.stmt, frozenset[str]], dropped: frozenset[ast.stmt]
    ) -> None:
        super().__init__(context)
        # What only the user's own backward code needs.
        self.dropped = dropped
        self.live_after = live
        self.heads: list[Relation] = []
        # How many loops and branches are around, and the dicts that are written to.
        self.nested = 0
        self.changed_dicts: set[Value] = set()
        # How forward reads what loops and branches hand out in tuples, lists and dicts.
        self.places: dict[Value, str] = {}
        self.stored: dict[Stage, str] = {}
        # Values that are strings.
        self.texts: set[Value] = set()
        # The names of layers that are called by themselves: `self.fc1(x)`.
        self.layers: frozenset[str] = frozenset()
        # The classes of the file whose objects attributes hold.
        self.layer_classes: Mapping[str, frozenset[str]] = {}
        # Of the loops around the statement at hand: what each hands on, and whether it can be left by `break`.
        self.loops: list[tuple[Mapping[str, Binding], bool, ast.stmt]] = []

    def emit(self, step: Step, view: bool) -> None:
        super().emit(step, view)
        self.expressions.taken(step)

    def at_head(self, step: Relation) -> None:
        """A step that comes before all others."""
        self.heads.append(step)
        self.buffers.relation(step, view=True)

    def block(self, statements: Sequence[ast.stmt]) -> tuple[Value, ...] | None:
        """Lower statements; the results of the block around them if they leave it, None if they run to their end."""
        raise NotImplementedError

    def statement(self, statement: ast.stmt) -> None:
        raise NotImplementedError

    def aside(self, statement: ast.If) -> bool:
        raise NotImplementedError

    def returned(self, statement: ast.Return) -> tuple[Value, ...]:
        raise NotImplementedError

    def changes_nothing(self, node: ast.expr) -> bool:
        """Whether working out an expression changes no value; what may change one is refused."""
        raise NotImplementedError

    def has_effects(self, node: ast.expr) -> bool:
        """Whether working out an expression draws at random or says something."""
        raise NotImplementedError

    @contextmanager
    def _inside(self) -> Iterator[list[Step]]:
        """A block of its own; what its names stand for is forgotten at its end."""
        outer_body, outer_names = self.body, dict(self.environment)
        self.body = []
        self.nested += 1
        try:
            yield self.body
        finally:
            self.nested -= 1
            self.body = outer_body
            self.environment.clear()
            self.environment.update(outer_names)

    def _values(self, binding: Binding) -> list[Value]:
        """The leaves of a binding as values."""
        found = leaves(binding)
        assert found is not None
        return [self.constant(leaf) if isinstance(leaf, Literal) else leaf for leaf in found]

    def _rebind(self, name: str, form: Binding, fresh: Iterator[Value], made: dict[int, Binding]) -> None:
        """Bind a name to the same form of other values; what is a part of a tuple stays that when it is named."""
        bound = rebuilt(form, fresh, made)
        self.places.update(places_in(name, bound))
        if not isinstance(bound, Value | Filled):
            self.kept_unnamed |= {value for value in values_of(bound) if not value.name}
        self.environment[name] = bound

    def _shared(self, statement: ast.stmt, forms: Mapping[str, Binding]) -> None:
        names = [name for name, form in forms.items() if changes(form) or sharing([form])]
        self.error(
            "FG030",
            f"{' and '.join(names[:2])} are one list or dict on one way, and not on another",
            statement,
            "",
            "make a copy: `list(...)`, `dict(...)`",
        )
        for name in forms:
            self.environment[name] = Poison.at(name)

    def poison(self, statement: ast.stmt) -> None:
        for part in ast.walk(statement):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                self.environment[part.id] = Poison.at(part.id)

    def _state(self) -> _State:
        return _State(
            list(self.body),
            dict(self.environment),
            dict(self.names),
            list(self.stages),
            self.buffers.copy(),
            dict(self.rewritten),
            dict(self.questions),
            dict(self.elements),
            set(self.kept_unnamed),
            list(self.expressions.notes),
        )

    def _restore(self, state: _State) -> None:
        self.body[:] = state.body
        _refill(self.environment, state.environment)
        _refill(self.names, state.names)
        _refill(self.rewritten, state.rewritten)
        _refill(self.questions, state.questions)
        _refill(self.elements, state.elements)
        self.stages[:] = state.stages
        self.kept_unnamed.clear()
        self.kept_unnamed.update(state.kept_unnamed)
        self.expressions.notes[:] = state.notes
        self.buffers.become(state.buffers)


def _refill(mine: dict[K, V], kept: dict[K, V]) -> None:
    mine.clear()
    mine.update(kept)

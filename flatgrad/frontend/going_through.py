"""What is gone through element by element while a function is read: comprehensions and generators."""

from __future__ import annotations

import ast
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Self

from flatgrad.frontend.container_operators import OperatorLowering
from flatgrad.frontend.displays import MOST_ROUNDS
from flatgrad.frontend.environment import Binding, Dictionary, Key, Poison, Structure
from flatgrad.frontend.expression_base import elements_of


class GoingThroughLowering(OperatorLowering):
    """Lowers comprehensions, round by round."""

    frames: tuple[dict[str, Binding], ...]

    @abstractmethod
    def within(self, frame: dict[str, Binding]) -> Self:
        """The same lowering inside a comprehension or a function, whose names are in `frame`."""

    @abstractmethod
    def applied(
        self,
        function: Binding,
        positional: Sequence[tuple[Binding, ast.expr]],
        keywords: dict[str, tuple[Binding, ast.expr]],
        node: ast.Call,
    ) -> Binding:
        """The result of a function for arguments that are known."""

    def iterated(self, node: ast.expr) -> tuple[Binding, ...] | None:
        """What an expression gives element by element; None where it is refused."""
        bound = self.lower(node)
        match bound:
            case Poison():
                return None
            case Structure() | Dictionary():
                return elements_of(bound)
            case _:
                self.dynamic_sequence(node)
                return None

    def dynamic_sequence(self, node: ast.expr) -> None:
        """What is gone through has a length that is known only when the program runs."""
        self.error(
            "FG030",
            f"how many elements {ast.unparse(node)} has is known only when the program runs",
            node,
            "",
            "go through a tuple or a list that is written out, or write a loop",
        )

    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Binding:
        frame: dict[str, Binding] = {}
        span = self._span(node)
        if isinstance(node, ast.DictComp):
            pairs: dict[Key, Binding] = {}

            def pair(there: GoingThroughLowering) -> bool:
                key = there.key(node.key)
                if key is not None:
                    pairs[key.value] = there.lower(node.value)  # type: ignore[index]
                return key is not None

            done = self._rounds(node.generators, frame, pair)
            return Dictionary(tuple(pairs.items()), span) if done else Poison.at()
        element = node.elt
        items: list[Binding] = []

        def one(there: GoingThroughLowering) -> bool:
            items.append(there.lower(element))
            if len(items) > MOST_ROUNDS:
                there.too_long(node)
            return len(items) <= MOST_ROUNDS

        if not self._rounds(node.generators, frame, one):
            return Poison.at()
        return Structure(tuple(items), isinstance(node, ast.ListComp), span, isinstance(node, ast.GeneratorExp))

    def _rounds(
        self,
        generators: Sequence[ast.comprehension],
        frame: dict[str, Binding],
        body: Callable[[GoingThroughLowering], bool],
    ) -> bool:
        """Go through the generators of a comprehension; False where something is refused.

        What is gone through first is evaluated outside of the comprehension. Functions made inside it see the last
        element once it is over: one frame serves all rounds.
        """
        if not generators:
            return body(self)
        first, *rest = generators
        if first.is_async:
            self.error("FG030", "an asynchronous comprehension is not understood", first.target)
            return False
        items = self.iterated(first.iter)
        if items is None:
            return False
        there = self if any(one is frame for one in self.frames) else self.within(frame)
        for item in items:
            if not there.assign(frame, first.target, item, first.iter):
                return False
            tests = [there.decided(test) for test in first.ifs]
            if None in tests:
                test = first.ifs[tests.index(None)]
                self.error("FG030", "this condition is known only when the program runs", test, "", "write a loop")
                return False
            if all(tests) and not there._rounds(rest, frame, body):
                return False
        return True

    def assign(self, frame: dict[str, Binding], target: ast.expr, bound: Binding, node: ast.expr) -> bool:
        """Bind the names of a target that stands nowhere in the function's own text; False where it is refused."""
        match target:
            case ast.Name(id=name):
                frame[name] = bound
                return not isinstance(bound, Poison)
            case ast.Starred(value=value):
                return self.assign(frame, value, bound, node)
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                items = self.unpack_into(bound, targets, node)
                return all(self.assign(frame, one, item, node) for one, item in zip(targets, items, strict=True))
        self.error("FG033", "this target is not understood", target, "", "bind a plain name")
        return False

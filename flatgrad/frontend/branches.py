"""Branches that run to their end: what an `if` changes has two origins afterwards, as has `a if test else b`."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from flatgrad.frontend.environment import Binding, Filled, Poison
from flatgrad.frontend.listed import ListedLowering
from flatgrad.frontend.source import span_of
from flatgrad.frontend.trees import is_poisoned, leaves, same_form, sharing
from flatgrad.ir.core import UNBOUND, Block, Branch, Call, Literal, Span, Stage, Step, Type, Value


class BranchLowering(ListedLowering):
    """Lowers branches to blocks with results."""

    def _branched(
        self,
        test: Value,
        then: Block,
        orelse: Block,
        stage: Stage | None,
        names: Sequence[str],
        span: Span | None = None,
    ) -> tuple[Value, ...]:
        """Append a branch. Where both arms hand out what one name stands for, the result bears it."""
        outs = []
        for one, other, name in zip(then.results, orelse.results, names, strict=True):
            name = name or (one.name if one.name == other.name and span is None else "")
            out = Value(name, Type.open(name or "either"))
            outs.append(out)
            self.buffers.joined(out, (one, other))
        self.stage = stage
        span = span or (None if stage is None else stage.span)
        self.emit(Branch(tuple(outs), test, then, orelse, stage, span), view=False)
        return tuple(outs)

    def _merge(
        self,
        statement: ast.If,
        test: Value,
        arms: tuple[list[ast.stmt], list[ast.stmt]],
        stage: Stage | None,
        live: frozenset[str],
    ) -> None:
        """A branch that runs to the end of both arms: what it changes and what is read later has two origins."""
        before = dict(self.environment)
        bodies: list[list[Step]] = []
        ends: list[dict[str, Binding]] = []
        at_first, after = self.expressions.uses.known(), []
        for arm in arms:
            with self._inside() as body:
                self.expressions.uses.either([at_first])
                self.block(arm)
                bodies.append(body)
                ends.append(dict(self.environment))
                after.append(self.expressions.uses.known())
        self.expressions.uses.either(after)
        then, orelse = ends
        merged: list[str] = []
        stored = self.in_arms()
        for name in dict.fromkeys([*then, *orelse]):
            if name in stored.values():
                if name in then and name in orelse:
                    self.environment[name] = then[name]
            elif then.get(name) is not orelse.get(name) and (name in live or name in stored):
                merged.append(name)
            elif then.get(name) is not before.get(name):
                self.environment.pop(name, None)
                if then.get(name) is orelse.get(name) and name in then:
                    self.environment[name] = then[name]
        results: tuple[list[Value], list[Value]] = ([], [])
        forms: dict[str, Binding] = {}
        labels: list[str] = []
        for name in merged:
            one, other = then.get(name), orelse.get(name)
            form = one if one is not None else other
            assert form is not None
            if is_poisoned(form) or (other is not None and is_poisoned(other)):
                self.environment[name] = Poison.at(name)
                continue
            parts = [self._arm_values(binding, form, body) for binding, body in ((one, bodies[0]), (other, bodies[1]))]
            if parts[0] is None or parts[1] is None or (one and other and not same_form(one, other)):
                self.error(
                    "FG030",
                    f"{name} is one kind of thing or another after this",
                    statement,
                    "tuples and lists of different lengths, or a function and a number",
                    "give it the same form on both ways",
                )
                self.environment[name] = Poison.at(name)
                continue
            results[0].extend(parts[0])
            results[1].extend(parts[1])
            plain = isinstance(form, Value | Literal | Filled) and name not in stored
            labels += [name if plain else ""] * len(parts[0])
            forms[name] = form
        blocks = [Block((), tuple(body), tuple(found)) for body, found in zip(bodies, results, strict=True)]
        if not any(block.body for block in blocks) and not results[0]:
            return
        outs = iter(self._branched(test, blocks[0], blocks[1], stage, labels))
        if len({sharing(arm[name] for name in forms if name in arm) for arm in ends}) > 1:
            self._shared(statement, forms)
            return
        made: dict[int, Binding] = {}
        for name, form in forms.items():
            self._rebind(name, form, outs, made)
        for name in stored.keys() & forms.keys():
            places = {self.elements.get(arm[name]) for arm in ends}  # type: ignore[arg-type]
            bound, place = self.environment[name], places.pop()
            if not places and place is not None and isinstance(bound, Value):
                self.elements[bound] = place

    def _arm_values(self, binding: Binding | None, form: Binding, body: list[Step]) -> list[Value] | None:
        """The leaves of what a name stands for at the end of an arm, None for each leaf where it is not bound."""
        outer, self.body = self.body, body
        try:
            if binding is not None:
                return self._values(binding) if leaves(binding) is not None else None
            found = leaves(form)
            return None if found is None else [self.constant(UNBOUND) for _ in found]
        finally:
            self.body = outer

    def conditional(self, node: ast.IfExp) -> Binding:
        """`a if test else b`."""
        test = self.test(node.test)
        if isinstance(test, Poison):
            return test
        if isinstance(test, Literal):
            return self.expressions.lower(node.body if test.value else node.orelse)
        blocks: list[Block] = []
        for arm in (node.body, node.orelse):
            outer, self.body = self.body, []
            try:
                found = self.expressions.operand(arm)
                if isinstance(found, Poison):
                    return found
                called = next((step for step in self.body if isinstance(step, Call)), None)
                if called is not None:
                    self.error(
                        "FG030",
                        f"a call of {called.function} inside a conditional expression is not understood",
                        arm,
                        "forward would call it on both ways",
                        "write it as an if statement",
                    )
                    return Poison.at()
                value = self.constant(found) if isinstance(found, Literal) else found
                blocks.append(Block((), tuple(self.body), (value,)))
            finally:
                self.body = outer
        return self._branched(test, blocks[0], blocks[1], self.stage, ("",), span_of(self.module, node))[0]

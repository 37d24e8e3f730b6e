"""What backward needs of forward, and how it gets it: from the cache, from a line that forward gains, or once more.

A value that bears a name is cached under it. A part of an expression is computed again where that costs nothing or
little, else forward gains a line that names it. Sizes are read off whatever is in the cache anyway.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from flatgrad.differentiate.rules import refusal_at
from flatgrad.emit.holes import Hole
from flatgrad.emit.names import place_name
from flatgrad.emit.recomputing import FREE
from flatgrad.emit.residual_state import described_entry, is_view, one_of
from flatgrad.emit.sizes import Sizes
from flatgrad.emit.spell import spell
from flatgrad.emit.steps import no_name
from flatgrad.frontend.environment import Element
from flatgrad.gates.entry import has_effect
from flatgrad.ir.core import Call, Kind, Loop, Relation, Span, Step, Value, is_constant_entry


@dataclass(slots=True, eq=False)
class Residuals(Sizes):
    """Collects what backward reads while its text is written; `settle_sizes` settles it."""

    def expression(self, value: Value) -> ast.expr:
        """A forward value, as backward writes it."""
        producer = self._producers.get(value)
        if value in self._filled:
            self.containers.setdefault(value.name, self._filled[value])
            return ast.Name(value.name, ast.Load())
        element = self.lowered.elements.get(value)
        if element is not None and self._keeps(element) and value not in self.lowered.overwritten:
            return self._element(element)
        if self.steps.path(value) or self.steps.is_param(value):
            return self._of_step(value, producer)
        if isinstance(producer, Loop) and value is producer.count:
            return self._extra(self.steps.counter(producer))
        if self._bearers.get(value.name) == 1 and isinstance(producer, Relation) and producer.gate == "dim":
            return self.size(producer)
        if is_constant_entry(producer):
            if (producer.args[0], producer.attrs["key"]) in self.lowered.written:
                message = f"{described_entry(producer)} is written in forward, and backward needs it as it was"
                raise refusal_at(message, None, "keep it in a variable before it is written")
            return spell(producer, self.operand, self.names)
        if self._has_name(value):
            return self._named(value)
        written = self._written_out(value)
        if written is not None:
            return self._named(written)
        assert producer is not None
        inline = value in self.steps.inline and not any(arg in self.lowered.overwritten for arg in producer.operands())
        if isinstance(producer, Relation) and inline and not has_effect(producer):
            # No line can be put into a conditional expression: the same arm of backward computes it once more.
            return one_of(producer, value, spell(producer, self.operand, self.names))
        if isinstance(producer, Relation) and self.hoisted.get(value) is None and self._recomputed(value, 0):
            if producer.gate in ("dim", "size", "shape", "ndim"):
                return self.size(producer)
            return one_of(producer, value, spell(producer, self.operand, self.names))
        return self._extra(self._hoist(value, producer))

    def filled_by(self, value: Value) -> ast.expr | None:
        """The list of which a value is the last element that a loop has put there, where nothing was in it before."""
        loop = self._producers.get(value)
        if not isinstance(loop, Loop) or value not in loop.outs or value.name or loop.stage is None:
            return None
        place = loop.outs.index(value)
        element = self.lowered.elements.get(loop.handed[place])
        if element is None or loop.inits[place] not in self.unbound or not self._keeps(element):
            return None
        self.containers.setdefault(element.container, loop.stage)
        return ast.Name(element.container, ast.Load())

    def like(self, value: Value) -> ast.expr:
        """A value of which only shape and dtype are read: it may have been written to."""
        if self.steps.path(value) or self.steps.is_param(value) or value in self._filled:
            return self.expression(value)
        loop = self._producers.get(value)
        if isinstance(loop, Loop) and value in loop.outs and not value.name:
            # What a loop carries begins with the shape that it ends with, where that is known to stay.
            init = loop.inits[loop.outs.index(value)]
            if init.type.shape == value.type.shape and init.type.kind is Kind.ARRAY:
                return self.like(init)
        handed = self.steps.handed_by(value, self._producers.get(value))
        if handed is not None and handed in self.steps.kept:
            # The last of what the rounds handed on is kept anyway.
            hole = Hole()
            self.steps.last.setdefault(value, []).append(hole)
            return hole
        if self._has_name(value) and not self._is_entry(value):
            stage = self.lowered.overwritten.get(value)
            if stage is not None and value.type.kind is Kind.OPEN:
                # `h += y` leaves the shape of an array as it is, but not that of a number
                return self._kept_before(value, stage)
            node = ast.Name(value.name, ast.Load())
            self.kept.setdefault(value, []).append(node)
            return node
        producer = self._producers.get(value)
        if isinstance(producer, Relation) and (producer.span is None or is_view(producer) or producer.gate in FREE):
            return one_of(producer, value, spell(producer, self.like_operand, self.names))
        assert producer is not None
        return self._extra(self._hoist(value, producer))

    def _is_entry(self, value: Value) -> bool:
        return is_constant_entry(self._producers.get(value))

    def _written_out(self, value: Value) -> Value | None:
        """The array that holds a value as `np.exp(x, out=y)` has written it, while nothing else is written there."""
        user = self._users.get(value)
        if user is None or user.gate != "write" or user.args[1] is not value or "mode" in user.attrs:
            return None
        same = user.out.type.shape == value.type.shape and user.out.type.kind is Kind.ARRAY
        whole = user.attrs["index"] == (Ellipsis,) and user.out not in self.lowered.overwritten
        made = self._producers.get(value)
        return user.out if same and whole and made is not None and made.span is None else None

    def _keeps(self, element: Element) -> bool:
        """Whether the user's own list or dict is there at the end: its name is bound once, in no loop and no branch."""
        alone = len(self.steps.path(element.index)) == 1
        return (
            self._bound[element.container] == 1
            and alone
            and self.steps.loop_of(element.index) not in self.steps.in_arms
        )

    def _element(self, element: Element) -> ast.expr:
        """What a loop of the user's own has collected: `hs[t - 1]`."""
        loop = self.steps.loop_of(element.index)
        assert loop.stage is not None
        self.containers.setdefault(element.container, loop.stage)
        index: ast.expr = ast.Name(self.steps.index_name(element.index), ast.Load())
        if element.shift:
            op = ast.Add() if element.shift > 0 else ast.Sub()
            index = ast.BinOp(index, op, ast.Constant(abs(element.shift)))
        return ast.Subscript(ast.Name(element.container, ast.Load()), index, ast.Load())

    def heads_of(self, index: Value) -> list[ast.stmt]:
        """The lines that a round of the backward loop begins with: parts of arrays that forward has a name for."""
        found = self._heads.get(index, {})
        self._headed.add(index)
        return [ast.Assign([ast.Name(name, ast.Store())], value) for name, value in found.items()]

    def cache_of(self, call: Call, name: str) -> ast.expr:
        """The cache of a call, as backward hands it on."""
        if not self.steps.path(call.outs[0]):
            return ast.Name(name, ast.Load())
        hole = Hole()
        self.steps.kept.setdefault(self.steps.cache_of(call, name), []).append(hole)
        return hole

    def _of_step(self, value: Value, producer: Step | None) -> ast.expr:
        if self.steps.is_index(value):
            return ast.Name(self.steps.index_name(value), ast.Load())
        if isinstance(producer, Relation) and self._again(value, producer):
            expression = one_of(producer, value, spell(producer, self.operand, self.names))
            # What sizes are read from is found when the heads of the rounds stand already.
            index = self.steps.path(value)[-1].index
            in_arm = len(self.arms.get(value, ())) > len(self.arms.get(index, ()))
            alone = self._settling or self._bearers[value.name] > 1 or value.type.kind is Kind.SCALAR or in_arm
            if not value.name or alone:
                return expression
            heads = self._heads.setdefault(index, {})
            if value.name not in heads:
                if index in self._headed:
                    return expression  # a shape: they are settled when the loop has been written
                heads[value.name] = expression
            return ast.Name(value.name, ast.Load())
        if isinstance(producer, Loop) and value is producer.count:
            name = self.steps.counter(producer)
        elif producer is not None and not value.name:
            name = self._hoist(value, producer)
        elif producer is None and not value.name:
            # A part of a tuple or a dict that is carried: kept with what the rounds hand on, or not at all.
            name = self.steps.begins_with(value)
            if value in self.lowered.places:
                name = self.steps.names.get(value) or self.scope.take(place_name(self.lowered.places[value]))
            elif not name or self._bearers[name] != 1:
                raise no_name(self._loop_span(value))
        else:
            name = value.name
        hole = Hole()
        self.steps.kept.setdefault(value, []).append(hole)
        self.steps.names.setdefault(value, name)
        return hole

    def _loop_span(self, value: Value) -> Span | None:
        """Where the loop of a carried value stands."""
        stage = self.steps.path(value)[-1].stage
        return None if stage is None else stage.span

"""Lists of arrays that the function is given: their elements, parts and lengths, and what a loop over them binds."""

from __future__ import annotations

import ast
from dataclasses import replace

from flatgrad.frontend.environment import Binding, Listed, Poison
from flatgrad.frontend.stored import StoredLowering
from flatgrad.ir.core import ZERO, Attribute, Literal, Operand, Relation, Type, Value


class ListedLowering(StoredLowering):
    """Lowers what is read of lists."""

    def listed(self, bound: Binding | None) -> Listed | None:
        """The list of arrays that something is; None where it is none."""
        if isinstance(bound, Value):
            depth = self.expressions.lists.get(bound)
            return None if depth is None else Listed(bound, depth)
        return bound if isinstance(bound, Listed) else None

    def _bind_name(self, target: ast.Name, name: str, bound: Binding, value: ast.expr) -> None:
        # Under another name, too, it is a list, of which the elements have gradients.
        super()._bind_name(target, name, self.listed(bound) or bound, value)

    def length_of(self, sequence: Listed, node: ast.expr | None) -> Operand:
        """`len(weights)`, `len(weights[1:])`"""
        place = None if node is None else self.expressions.place(node)
        if sequence.stop is None:
            whole = self._counted(sequence, "len({0})", place)
            return whole if sequence.first is ZERO else self._apart(whole, sequence.first, place)
        return sequence.stop if sequence.first is ZERO else self._apart(sequence.stop, sequence.first, place)

    def stop_of(self, sequence: Listed) -> Operand:
        """The place behind the last element."""
        return self._counted(sequence, "len({0})", None) if sequence.stop is None else sequence.stop

    def _apart(self, stop: Operand, first: Operand, place: object) -> Value:
        text = "max(_0 - _1, 0)" if isinstance(first, Value) else f"max(_0 - {first.text}, 0)"
        operands = tuple(one for one in (stop, first) if isinstance(one, Value))
        if isinstance(stop, Literal):
            text = text.replace("_0", stop.text).replace("_1", "_0")
        return self._opaque(text, operands)

    def _counted(self, sequence: Listed, text: str, place: object, *more: Value) -> Value:
        """A number that hangs on the length of the list: `{0}` in the text stands for the list, `{1}` for more."""
        operands: list[Value] = [sequence.value]
        whole = "_0"
        for key in sequence.keys:
            if isinstance(key, Value):
                whole += f"[_{len(operands)}]"
                operands.append(key)
            else:
                whole += f"[{key.text}]"
        names = [f"_{len(operands) + k}" for k in range(len(more))]
        return self._opaque(text.format(whole, *names), (*operands, *more), place)

    def _opaque(self, text: str, operands: tuple[Value, ...], place: object = None) -> Value:
        size = Value("", Type.open("length"))
        attrs: dict[str, Attribute] = {"text": text, "holds": "count"}
        self.emit(Relation((size,), "opaque", operands, attrs, None, place), view=False)  # type: ignore[arg-type]
        return size

    def element_of(self, sequence: Listed, index: ast.expr, node: ast.expr) -> Binding:
        """`weights[i]`, `weights[1:]`"""
        if isinstance(index, ast.Slice):
            return self._part(sequence, index)
        key = self.key(index)
        if isinstance(key, Poison):
            return key
        place = self._place(sequence, key)
        if place is None:
            return self.expressions.error(
                "FG030",
                f"which element of a part of {sequence.value.name} this is, is not known",
                node,
                "",
                f"read {sequence.value.name} itself, at a place counted from its own beginning",
            )
        return self.item_of(sequence, place, node)

    def item_at(self, sequence: Listed, position: int, node: ast.expr) -> Binding:
        """The element at a position of a list or a part that is unpacked."""
        place = self._place(sequence, Literal(position, str(position)))
        assert place is not None
        return self.item_of(sequence, place, None)

    def items_of(self, sequence: Listed, before: int, after: int) -> tuple[Binding, ...] | None:
        """What `first, *rest = weights` binds: `before` elements, the list of the others, `after` elements."""
        if not sequence.is_whole:
            return None
        stop = None if not after else self._counted(sequence, f"len({{0}}) - {after}", None)
        rest = replace(sequence, first=Literal(before, str(before)) if before else ZERO, stop=stop)
        places = [*range(before), *range(-after, 0)]
        found = [self.item_of(sequence, Literal(place, str(place)), None) for place in places]
        return (*found[:before], rest, *found[before:])

    def _place(self, sequence: Listed, key: Operand) -> Operand | None:
        """Where an element of a part stands in the whole list."""
        if sequence.is_whole:
            return key
        number = key.value if isinstance(key, Literal) else None
        if not isinstance(number, int):
            return None
        if sequence.backwards:
            # `weights[::-1][0]`
            if sequence.first is not ZERO or sequence.stop is not None:
                return None
            return Literal(-number - 1, str(-number - 1))
        if number < 0:
            if sequence.stop is None:
                return key
            return self.shifted(sequence.stop, number)
        return self.shifted(sequence.first, number)

    def shifted(self, place: Operand, by: int) -> Operand:
        """`place + by`"""
        if isinstance(place, Literal):
            assert isinstance(place.value, int)
            return Literal(place.value + by, str(place.value + by))
        if not by:
            return place
        out = Value("", Type.open("place"))
        gate = "add" if by > 0 else "subtract"
        self.emit(Relation((out,), gate, (place, Literal(abs(by), str(abs(by))))), view=False)
        return out

    def item_of(self, sequence: Listed, key: Operand, node: ast.expr | None) -> Binding:
        """The element at a place: what a check proves of it holds where it is read again."""
        keys = (*sequence.keys, key)
        if len(keys) < sequence.depth:
            return Listed(sequence.value, sequence.depth, keys)
        operands = (sequence.value, *keys)
        for step in self.body:
            if isinstance(step, Relation) and step.gate == "entry" and step.args == operands:
                return step.out
        out = Value("", Type.open("item"))
        place = None if node is None else self.expressions.place(node)
        self.emit(Relation((out,), "entry", operands, {"list": True}, None, place), view=True)
        return out

    def _part(self, sequence: Listed, part: ast.Slice) -> Binding:
        """`weights[1:]`, `weights[:-1]`, `weights[::-1]`"""
        expressions = self.expressions
        step = None if part.step is None else expressions.static(expressions.lower(part.step))
        backwards = part.step is not None and step is not None and step.value == -1
        whole = part.lower is None and part.upper is None
        if part.step is not None and not (step is not None and step.value == 1) and not (backwards and whole):
            return self._not_understood(part)
        if not sequence.is_whole and not (backwards and whole and not sequence.backwards):
            return self._not_understood(part)
        if backwards:
            return replace(sequence, backwards=True)
        first: Operand = ZERO
        stop: Operand | None = None
        if part.lower is not None:
            known = expressions.static(expressions.lower(part.lower))
            number = None if known is None else known.value
            if not isinstance(number, int):
                return self._not_understood(part)
            first = Literal(number, str(number)) if number > 0 else ZERO
            if number < 0:
                first = self._counted(sequence, f"max(len({{0}}) - {-number}, 0)", None)
        if part.upper is not None:
            bound = expressions.operand(part.upper)
            known = expressions.static(bound)
            number = None if known is None else known.value
            if isinstance(bound, Poison):
                return bound
            if isinstance(number, int):
                text = f"min(len({{0}}), {number})" if number >= 0 else f"len({{0}}) - {-number}"
                stop = self._counted(sequence, text, None)
            elif isinstance(bound, Value):
                stop = self._counted(sequence, "len({0}[:{1}])", None, bound)
            else:
                return self._not_understood(part)
        return replace(sequence, first=first, stop=stop)

    def _not_understood(self, part: ast.expr) -> Poison:
        return self.expressions.error(
            "FG030",
            "this part of a list of arrays is not understood",
            part,
            "`ws[k:]`, `ws[:k]`, `ws[k:l]` and `ws[::-1]` are, where k is a constant",
            "run over the places: `for i in range(len(ws))`",
        )

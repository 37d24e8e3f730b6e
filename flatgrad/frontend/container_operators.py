"""Operators between tuples, lists, dicts and strings that are known while a function is read."""

from __future__ import annotations

import ast

from flatgrad.frontend.displays import MOST_ROUNDS, DisplayLowering
from flatgrad.frontend.environment import Binding, Dictionary, Structure
from flatgrad.frontend.strings import formatted, operated, text_literal
from flatgrad.ir.core import Attribute, Literal, Operand, Value


class OperatorLowering(DisplayLowering):
    """Lowers `+`, `*`, `|`, `%` and f-strings."""

    def joined(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        structures = [one for one in (first, second) if isinstance(one, Structure)]
        match node.op:
            case ast.Add() if isinstance(first, Structure) and isinstance(second, Structure):
                if first.is_list is not second.is_list or first.once or second.once:
                    return self.error("FG034", "a list and a tuple cannot be joined", node, "", "make both a list")
                return Structure(first.items + second.items, first.is_list, self._span(node))
            case ast.Add() if self.is_shape(first) or self.is_shape(second):
                return self._longer_shape(node, first, second)
            case ast.Mult() if structures:
                count = self.static(second if isinstance(first, Structure) else first)
                if count is None or not isinstance(count.value, int) or structures[0].once:
                    return self.error(
                        "FG034",
                        "a list or a tuple times a number repeats it",
                        node,
                        "",
                        "make it an array first: `np.array(...)`",
                    )
                if count.value * len(structures[0].items) > MOST_ROUNDS:
                    return self.too_long(node)
                return Structure(structures[0].items * count.value, structures[0].is_list, self._span(node))
            case ast.BitOr() if isinstance(first, Dictionary) and isinstance(second, Dictionary):
                return Dictionary(tuple((dict(first.items) | dict(second.items)).items()), self._span(node))
        return self._joined_text(node, first, second)

    def _longer_shape(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        """`(n,) + x.shape[1:]`: a longer tuple, and no sum of arrays."""
        operands: list[Operand] = []
        texts: list[str] = []
        for one in (first, second):
            items = one.items if isinstance(one, Structure) and not one.is_list and not one.once else (one,)
            if items == (one,) and not self.is_shape(one):
                return None
            parts: list[str] = []
            for item in items:
                if isinstance(item, Value):
                    parts.append(f"_{len(operands)}")
                    operands.append(item)
                elif isinstance(item, Literal):
                    parts.append(item.text)
                else:
                    return None
            texts.append(parts[0] if items == (one,) else f"({', '.join(parts)},)" if parts else "()")
        attrs: dict[str, Attribute] = {"text": " + ".join(texts), "holds": "shape"}
        out = self._relation("opaque", tuple(operands), attrs, self.place(node))
        self.shapes.add(out)
        return out

    def _joined_text(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        one, other = self.static(first), self.static(second)
        texts = [literal for literal in (one, other) if literal is not None and isinstance(literal.value, str)]
        if not texts:
            return None
        values = None if other is None else other.value
        if isinstance(second, Structure) and isinstance(node.op, ast.Mod):
            parts = [self.static(item) for item in second.items]
            if None in parts:
                return self.dynamic_string(node)
            values = tuple(part.value for part in parts if part is not None)  # type: ignore[assignment]
        elif one is None or other is None:
            return self.dynamic_string(node)
        text = operated(node.op, None if one is None else one.value, values)
        if text is None:
            return self.error("FG034", f"{ast.unparse(node)} is no string", node)
        return text_literal(text)

    def joined_string(self, node: ast.JoinedStr) -> Binding:
        parts: list[str] = []
        for part in node.values:
            match part:
                case ast.Constant(value=str(text)):
                    parts.append(text)
                case ast.FormattedValue(value=value, conversion=conversion, format_spec=form):
                    literal = self.static(self.lower(value))
                    specification = self.joined_string(form) if isinstance(form, ast.JoinedStr) else text_literal("")
                    if literal is None or not isinstance(specification, Literal):
                        return self.dynamic_string(node)
                    text_of = formatted(literal.value, conversion, str(specification.value))
                    if text_of is None:
                        return self.error("FG034", f"{ast.unparse(node)} is no string", node)
                    parts.append(text_of)
        return text_literal("".join(parts))

    def dynamic_string(self, node: ast.expr) -> Binding:
        """A string that is known only when the program runs."""
        return self.error(
            "FG030",
            "a string that is known only when the program runs is not understood yet",
            node,
            "",
            "make it of constants",
        )

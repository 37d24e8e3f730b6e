"""Tuples, lists and dicts that are written out, and their elements, which are known while a function is read."""

from __future__ import annotations

import ast
from abc import abstractmethod

from flatgrad.frontend.environment import Binding, Dictionary, Key, Poison, Structure
from flatgrad.frontend.expression_base import elements_of
from flatgrad.frontend.expressions import ExpressionLowering
from flatgrad.ir.core import Literal, Operand, Span

# More rounds than this are not written out.
MOST_ROUNDS = 100


class DisplayLowering(ExpressionLowering):
    """Lowers displays and elements."""

    def display(self, node: ast.Tuple | ast.List | ast.Dict) -> Binding:
        if isinstance(node, ast.Dict):
            return self._dict(node)
        items: list[Binding] = []
        for element in node.elts:
            if isinstance(element, ast.Starred):
                rest = self.iterated(element.value)
                if rest is None:
                    return Poison.at()
                items.extend(rest)
            else:
                items.append(self.lower(element))
        return Structure(tuple(items), isinstance(node, ast.List), self._span(node))

    @abstractmethod
    def iterated(self, node: ast.expr) -> tuple[Binding, ...] | None:
        """What an expression gives element by element; None where it is refused."""

    def _dict(self, node: ast.Dict) -> Binding:
        found: dict[Key, Binding] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                inner = self.lower(value)
                if not isinstance(inner, Dictionary):
                    return self._poisoned(inner) or self.error(
                        "FG030", "what is in this dict is known only when the program runs", value
                    )
                found |= dict(inner.items)
                continue
            literal = self.key(key)
            if literal is None:
                return Poison.at()
            found[literal.value] = self.lower(value)  # type: ignore[index]
        return Dictionary(tuple(found.items()), self._span(node))

    def key(self, node: ast.expr) -> Literal | None:
        """A key of a dict, which has to be a constant; None where it is refused."""
        bound = self.lower(node)
        literal = self.static(bound)
        if literal is None or isinstance(literal.value, complex):
            if not isinstance(bound, Poison):
                self.error(
                    "FG030", "a key that is known only when the program runs is not understood yet", node, "",
                    "use a constant string or number",
                )  # fmt: skip
            return None
        return literal

    def element(self, base: Structure | Dictionary, index: ast.expr) -> Binding:
        if isinstance(base, Dictionary):
            literal = self.key(index)
            return Poison.at() if literal is None else self.item(base, literal, index)
        if base.once:
            return self.error("FG034", "this can be gone through, but has no elements", index, "", "write `list(...)`")
        if isinstance(index, ast.Slice):
            return self._part(base, index)
        bound = self.lower(index)
        literal = self.static(bound)
        position = None if literal is None else literal.value
        if isinstance(position, int):
            if -len(base.items) <= position < len(base.items):
                return base.items[position]
            what = "list" if base.is_list else "tuple"
            return self.error("FG038", f"the {what} has {len(base.items)} elements", index, "there is none here")
        if isinstance(bound, Poison):
            return bound
        return self.error(
            "FG030", "this index into a list or tuple is not understood yet", index, "", "use a constant position"
        )

    def _part(self, base: Structure, part: ast.Slice) -> Binding:
        bounds: list[int | None] = []
        for bound in (part.lower, part.upper, part.step):
            literal = None if bound is None else self.static(self.lower(bound))
            value = None if literal is None else literal.value
            known = bound is None or literal is not None
            if not known or not isinstance(value, int | None) or (bound is part.step and value == 0):
                return self.error(
                    "FG030", "this part of a list or tuple is not understood yet", part, "", "use constant bounds"
                )
            bounds.append(value)
        return Structure(base.items[slice(*bounds)], base.is_list, base.span)

    def item(self, base: Dictionary, key: Literal, node: ast.expr) -> Binding:
        found = base.get(key.value)  # type: ignore[arg-type]
        if found is not None:
            return found
        known = ", ".join(repr(name) for name, _ in base.items) or "none"
        return self.error("FG038", f"the dict has no key {key.value!r}", node, "", f"its keys: {known}")

    def contained(
        self, negated: bool, left: tuple[Binding, ast.expr], right: tuple[Binding, ast.expr], place: Span | None
    ) -> Operand:
        (item, item_node), (container, node) = left, right
        one, whole = self.static(item), self.static(container)
        if isinstance(container, Structure | Dictionary):
            elements = elements_of(container)
            literals = [self.static(element) for element in elements]
            if one is not None and None not in literals:
                found = any(literal is not None and literal.value == one.value for literal in literals)
                return Literal(found is not negated, repr(found is not negated))
            if not elements:
                return Literal(negated, repr(negated))
            asked = self.as_operand(item, item_node)
            operands = [self.as_operand(element, node) for element in elements]
            parts = [
                self.apply_operator(
                    "NotEq" if negated else "Eq", (asked, operand), place if len(operands) == 1 else None
                )
                for operand in operands
            ]
            total = parts[0]
            for part in parts[1:]:
                total = self.apply_operator(
                    "And" if negated else "Or", (total, part), place if part is parts[-1] else None
                )
            return total
        if one is not None and whole is not None and isinstance(one.value, str) and isinstance(whole.value, str):
            found = one.value in whole.value
            return Literal(found is not negated, repr(found is not negated))
        pair = (self.as_operand(item, item_node), self.as_operand(container, node))
        return self.apply_operator("NotIn" if negated else "In", pair, place)

    def too_long(self, node: ast.AST) -> Poison:
        return self.error(
            "FG039", f"more than {MOST_ROUNDS} elements are not written out one by one", node, "", "use an array"
        )

    def _poisoned(self, bound: Binding) -> Poison | None:
        return bound if isinstance(bound, Poison) else None

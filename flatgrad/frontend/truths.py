"""Tests and comparisons, folded where their outcome is known while a function is read."""

from __future__ import annotations

import ast
from collections.abc import Callable

from flatgrad.frontend.constants import CONSTANTS, ordered
from flatgrad.frontend.environment import Binding, Closure, Dictionary, Poison, Static, Structure
from flatgrad.frontend.known_names import NameLowering
from flatgrad.ir.core import Literal, Operand, Span

# Comparisons that are put together of others.
_CONTAINMENT = (ast.In, ast.NotIn)
_IDENTITY = (ast.Is, ast.IsNot)


class TruthLowering(NameLowering):
    """Lowers comparisons, `and`, `or`, `not` and conditional expressions."""

    def test(self, node: ast.expr) -> Operand:
        """An expression of which only the truth value is asked: a literal where that is known now."""
        match node:
            case ast.BoolOp():
                bound = self._logical(node, self._truth_of_part)
            case _:
                bound = self.lower(node)
        decided = self.truth(bound)
        if decided is not None:
            return Literal(decided, repr(decided))
        return self.as_operand(bound, node)

    def decided(self, node: ast.expr) -> bool | None:
        """The truth value of an expression where it is known now. Nothing is emitted, and nothing complained of."""
        probe = self.aside()
        bound = probe.test(node)
        return bound.value if isinstance(bound, Literal) and isinstance(bound.value, bool) else None

    def truth(self, bound: Binding) -> bool | None:
        """The truth value of something, where it is known now."""
        match bound:
            case Structure(items=items, once=once):
                return True if once else bool(items)
            case Dictionary(items=items):
                return bool(items)
            case Closure():
                return True
            case Static(path=path) if path not in CONSTANTS:
                return True
            case _:
                literal = self.static(bound)
                return None if literal is None else bool(literal.value)

    def _truth_of_part(self, node: ast.expr) -> Binding:
        """A part of an `and` or `or` of which only the truth value is asked: it may be anything."""
        operand = self.test(node)
        if isinstance(operand, Literal | Poison) or operand in self._truths or isinstance(node, ast.Compare):
            return operand
        return self._relation("bool", (operand,), {}, None)

    def _negated(self, node: ast.expr, inner: ast.expr) -> Binding:
        operand = self.test(inner)
        if isinstance(operand, Literal) and isinstance(operand.value, bool):
            return Literal(not operand.value, repr(not operand.value))
        return self.apply_operator("Not", (operand,), self.place(node))

    def _logical(self, node: ast.BoolOp, lowered: Callable[[ast.expr], Binding]) -> Binding:
        """`a and b and c`: an operand that is known to decide ends it, one that is known not to falls away."""
        stops = isinstance(node.op, ast.Or)
        total: Binding | None = None
        for position, value in enumerate(node.values):
            bound = lowered(value)
            if isinstance(bound, Poison):
                return bound
            decided = self.truth(bound)
            last = position == len(node.values) - 1
            if total is None and (decided is stops or last):
                return bound
            if decided is (not stops) and not last:
                continue
            if total is None:
                total = bound
            else:
                place = self.place(node) if last else None
                operands = (self.as_operand(total, node), self.as_operand(bound, value))
                total = self.apply_operator(type(node.op).__name__, operands, place)
            if decided is stops:
                break
        assert total is not None
        return total

    def _chosen(self, node: ast.IfExp) -> Binding:
        decided = self.decided(node.test)
        if decided is None:
            return Poison.at() if self.probing else self.branch(node)
        chosen = node.body if decided else node.orelse
        return self.in_place_of(node, chosen).lower(chosen)

    def branch(self, node: ast.IfExp) -> Binding:
        """A conditional expression whose test is known only when the program runs."""
        return self.error(
            "FG030", "a conditional expression is not understood yet", node, "", "write it as an if statement"
        )

    def _compared(self, node: ast.Compare) -> Binding:
        """A comparison; of a chain each part, of which what stands in the middle is evaluated once."""
        nodes = [node.left, *node.comparators]
        first = self.lower(nodes[0])
        total: Operand | None = None
        for position, op in enumerate(node.ops):
            second = self.lower(nodes[position + 1])
            if isinstance(first, Poison) or isinstance(second, Poison):
                return Poison.at()
            place = self.place(node) if len(node.ops) == 1 else None
            part = self._comparison(op, (first, nodes[position]), (second, nodes[position + 1]), place)
            decided = self.truth(part)
            if total is None or self.truth(total) is True:
                total = part
            elif decided is not True:
                total = self.apply_operator("And", (total, part), self.place(node) if op is node.ops[-1] else None)
            if decided is False:
                break
            first = second
        assert total is not None
        return total

    def _comparison(
        self, op: ast.cmpop, left: tuple[Binding, ast.expr], right: tuple[Binding, ast.expr], place: Span | None
    ) -> Operand:
        (first, first_node), (second, second_node) = left, right
        if isinstance(op, _CONTAINMENT):
            return self.contained(isinstance(op, ast.NotIn), left, right, place)
        one, other = self.static(first), self.static(second)
        if isinstance(op, _IDENTITY):
            return self._identity(op, left, right, place)
        if one is not None and other is not None and isinstance(op, ast.Eq | ast.NotEq):
            equal = (one.value == other.value) is isinstance(op, ast.Eq)
            return Literal(equal, repr(equal))
        if one is not None and other is not None:
            order = ordered(op, one.value, other.value)
            if order is not None:
                return Literal(order, repr(order))
        operands = (self.as_operand(first, first_node), self.as_operand(second, second_node))
        return self.apply_operator(type(op).__name__, operands, place)

    def _identity(
        self, op: ast.cmpop, left: tuple[Binding, ast.expr], right: tuple[Binding, ast.expr], place: Span | None
    ) -> Operand:
        """`x is None`, `x is not None`, and the same of True and False."""
        if isinstance(left[0], Literal) and not isinstance(right[0], Literal):
            left, right = right, left
        (first, first_node), (second, _) = left, right
        single = second if isinstance(second, Literal) and isinstance(second.value, bool | None) else None
        if single is None:
            return self.error("FG030", "`is` is understood with None only", right[1], "", "compare with `==`")
        known = self.static(first)
        same = None if known is None else known.value is single.value
        if isinstance(first, Structure | Dictionary | Closure) or (isinstance(first, Static) and known is None):
            same = False
        if same is not None:
            same = same is isinstance(op, ast.Is)
            return Literal(same, repr(same))
        operands = (self.as_operand(first, first_node), single)
        return self.apply_operator(type(op).__name__, operands, place)

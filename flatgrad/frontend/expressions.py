"""Expressions to relations: names, literals, operators, calls, attributes, indices.

The same code reads the user's functions and the backward spellings of the gate table.
"""

from __future__ import annotations

import ast
from abc import abstractmethod

from flatgrad.frontend.environment import Binding, Poison
from flatgrad.frontend.indices import IndexLowering
from flatgrad.ir.core import Literal


class ExpressionLowering(IndexLowering):
    """Lowers every kind of expression, those with containers, closures and calls in them by its subclasses."""

    def lower(self, node: ast.expr) -> Binding:
        match node:
            case ast.Constant(value=value):
                return self._constant(node, value)
            case ast.Name():
                return self._name(node)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)) if not isinstance(
                number, bool
            ):
                return Literal(-number, ast.unparse(node))
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return self._negated(node, inner)
            case ast.UnaryOp(op=op, operand=inner):
                return self.apply_operator(type(op).__name__, (self.operand(inner),), self.place(node))
            case ast.BinOp(op=op, left=left, right=right):
                return self._binary(node, type(op).__name__, left, right)
            case ast.Compare():
                return self._compared(node)
            case ast.BoolOp():
                return self._logical(node, self.lower)
            case ast.IfExp():
                return self._chosen(node)
            case ast.Call():
                return self.call(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript(value=value, slice=index):
                return self._subscript(node, value, index)
            case ast.Tuple() | ast.List() | ast.Dict():
                return self.display(node)
            case ast.ListComp() | ast.GeneratorExp() | ast.DictComp():
                return self.comprehension(node)
            case ast.Lambda():
                return self.closure(node)
            case ast.JoinedStr():
                return self.joined_string(node)
            case _:
                what = _EXPRESSIONS.get(type(node), f"a {type(node).__name__} expression")
                return self.error("FG030", f"{what} is not understood yet", node, "", "write it as staged assignments")

    def _constant(self, node: ast.expr, value: object) -> Binding:
        if value is None or isinstance(value, bool | int | float | str):
            return Literal(value, ast.unparse(node))
        return self.error("FG034", f"{ast.unparse(node)} is not a real number", node)

    def _binary(self, node: ast.BinOp, gate: str, left: ast.expr, right: ast.expr) -> Binding:
        first, second = self.lower(left), self.lower(right)
        if isinstance(first, Poison) or isinstance(second, Poison):
            return Poison.at()
        joined = self.joined(node, first, second)
        if joined is not None:
            return joined
        operands = (self.as_operand(first, left), self.as_operand(second, right))
        return self.apply_operator(gate, operands, self.place(node))

    @abstractmethod
    def joined(self, node: ast.BinOp, first: Binding, second: Binding) -> Binding | None:
        """What an operator makes of containers and strings; None where it computes with numbers."""

    @abstractmethod
    def display(self, node: ast.Tuple | ast.List | ast.Dict) -> Binding:
        """A tuple, list or dict that is written out."""

    @abstractmethod
    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Binding:
        """A comprehension or a generator."""

    @abstractmethod
    def joined_string(self, node: ast.JoinedStr) -> Binding:
        """An f-string."""

    @abstractmethod
    def closure(self, node: ast.Lambda) -> Binding:
        """A lambda."""

    @abstractmethod
    def call(self, node: ast.Call) -> Binding:
        """A call: `frontend.calls` knows what can be called."""


_EXPRESSIONS: dict[type[ast.expr], str] = {
    ast.SetComp: "a set comprehension",
    ast.Set: "a set",
    ast.NamedExpr: "an assignment expression",
    ast.Starred: "a starred expression",
    ast.Await: "await",
    ast.Yield: "yield",
}

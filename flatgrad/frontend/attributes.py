"""Attributes of arrays, shapes above all, and what is unpacked into several names."""

from __future__ import annotations

import ast

from flatgrad.frontend.constants import FINFO, FLOATS
from flatgrad.frontend.environment import Binding, Dictionary, Poison, Static, Structure
from flatgrad.frontend.expression_base import elements_of
from flatgrad.frontend.source import dotted_path
from flatgrad.frontend.truths import TruthLowering
from flatgrad.gates.entry import BY_PATH
from flatgrad.ir.core import Attribute, Literal, Span, Value


class AttributeLowering(TruthLowering):
    """Lowers attributes, and calls that ask for a shape."""

    def _attribute(self, node: ast.Attribute) -> Binding:
        path = dotted_path(self.module, node, frozenset(self.environment))
        if path is not None:
            return self.leads_nowhere(path, node) or Static(self.module.borrowed.called.get(path, path))
        match node.value:
            case ast.Call(func=function, args=[kind], keywords=[]) if self._path(function) == "numpy.finfo":
                number = FINFO.get(FLOATS.get(self._path(kind) or "", ""), {}).get(node.attr)
                if number is not None:
                    return Literal(number, ast.unparse(node))
        value = self.lower(node.value)
        if isinstance(value, Poison):
            return value
        if isinstance(value, Value) and value in self.objects:
            # A setting of an object: no gradient goes there.
            attrs: dict[str, Attribute] = {"text": f"_0.{node.attr}", "holds": "anything"}
            return self._relation("opaque", (value,), attrs, self.place(node))
        if isinstance(value, Value | Literal):
            operand = self.as_operand(value, node.value)
            if isinstance(operand, Value):
                match node.attr:
                    case "shape":
                        return self._shape_of(operand, self.place(node), of_array=True)
                    case "ndim" | "size":
                        return self._relation(node.attr, (operand,), {}, self.place(node))
                    case "dtype":
                        return self._relation("dtype", (operand,), {}, self.place(node))
                for gate, spelling in BY_PATH.get(f".{node.attr}", []):
                    if not spelling.text.endswith(")"):
                        return self._relation(gate.name, (operand,), dict(gate.attributes), self.place(node), gate.view)
        return self.error("FG021", f"no gate for .{node.attr}", node, "", "`flatgrad gates` lists what is understood")

    def _shape_call(self, node: ast.Call, gate: str, argument: ast.expr) -> Binding:
        bound = self.lower(argument)
        if gate == "len" and isinstance(bound, Structure | Dictionary):
            return Literal(len(bound.items), str(len(bound.items)))
        literal = self.static(bound)
        if gate == "len" and literal is not None and isinstance(literal.value, str):
            return Literal(len(literal.value), str(len(literal.value)))
        operand = self.as_operand(bound, argument)
        if isinstance(operand, Poison):
            return operand
        if not isinstance(operand, Value):
            return self.error("FG034", f"{ast.unparse(node)} of a constant", node)
        if gate == "shape":
            return self._shape_of(operand, self.place(node))
        if gate == "len":
            return self._relation("dim", (operand,), {"axis": 0, "rank": None}, self.place(node))
        return self._relation(gate, (operand,), {}, self.place(node))

    def _shape_of(self, operand: Value, span: Span | None, of_array: bool = False) -> Value:
        """`x.shape` (which only an array has) or `np.shape(x)`."""
        out = self._relation("shape", (operand,), {"of_array": True} if of_array else {}, span)
        self._shapes[out] = operand
        self._asked[out] = of_array
        return out

    def unpack(self, bound: Binding, count: int, node: ast.expr, starred: bool) -> tuple[Binding, ...]:
        """The elements of what is unpacked into `count` targets, none of them starred."""
        if isinstance(bound, Poison):
            return (bound,) * count
        if isinstance(bound, Structure | Dictionary):
            items = elements_of(bound)
            if len(items) == count:
                return items
            return tuple([self.error("FG035", f"{len(items)} values for {count} names", node)] * count)
        if isinstance(bound, Value) and bound in self._shapes:
            array = self._shapes[bound]
            return tuple(
                self._relation("dim", (array,), {"axis": axis, "rank": count, "of_array": self._asked[bound]}, None)
                for axis in range(count)
            )
        if isinstance(bound, Value):
            return tuple(
                self._relation("read", (bound,), {"index": (position,), "length": count}, None, view=True)
                for position in range(count)
            )
        return tuple([self.error("FG035", "this cannot be unpacked", node)] * count)

    def unpack_into(self, bound: Binding, targets: list[ast.expr], node: ast.expr) -> tuple[Binding, ...]:
        """What each target is bound to where something is unpacked; a starred one to a list of what is left."""
        starred = [position for position, target in enumerate(targets) if isinstance(target, ast.Starred)]
        if not starred:
            return self.unpack(bound, len(targets), node, False)
        if isinstance(bound, Poison):
            return (bound,) * len(targets)
        if not isinstance(bound, Structure | Dictionary):
            return (
                self.error(
                    "FG035",
                    "how many values are left for the starred name is known only when the program runs",
                    targets[starred[0]],
                    "",
                    "read them by position: `first, rest = x[0], x[1:]`",
                ),
            ) * len(targets)
        items = elements_of(bound)
        before, after = starred[0], len(targets) - starred[0] - 1
        if len(items) < before + after:
            return (self.error("FG035", f"{len(items)} values for {before + after} names or more", node),) * len(
                targets
            )
        rest = Structure(items[before : len(items) - after], True, self._span(node))
        return (*items[:before], rest, *items[len(items) - after :])

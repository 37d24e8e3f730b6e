"""What is made of a list that a loop has filled: parts of it, and arrays of all of its elements."""

from __future__ import annotations

import ast
from dataclasses import replace

from flatgrad.frontend.collecting import CollectingLowering
from flatgrad.frontend.environment import Binding, Collected, Poison
from flatgrad.frontend.source import span_of
from flatgrad.ir.core import Attribute, Literal, Relation, Type, Value

# What makes an array of a list of arrays of one shape, each under an axis of its own.
STACKED = frozenset({"numpy.array", "numpy.asarray", "numpy.stack", "builtins.sum"})
# What joins the elements of a list along an axis that they have, or get first where they have too few.
JOINED = {
    "numpy.concatenate": "concatenate",
    "numpy.vstack": "vstack",
    "numpy.hstack": "hstack",
    "numpy.column_stack": "column_stack",
    "numpy.dstack": "dstack",
}
# What reads a list as an array, and needs nothing but its shape afterwards.
SUMMED = frozenset({"numpy.sum", "numpy.mean"})
# What reads a list as an array.
REDUCED = frozenset(
    f"numpy.{name}" for name in ("max", "min", "amax", "amin", "prod", "std", "var", "cumsum", "median", "average")
)


class GatheredLowering(CollectingLowering):
    """Lowers what reads a list as a whole."""

    def collected(self, node: ast.expr) -> Collected | None:
        """The list that an expression is, where a loop has filled it: `hs`, `hs[1:]`, `list(hs)`, `reversed` not."""
        match node:
            case ast.Name(id=name):
                found = self.environment.get(name)
                return found if isinstance(found, Collected) and found.is_list else None
            case ast.Subscript(value=value, slice=ast.Slice() as part) if (inner := self.collected(value)) is not None:
                return self.part_of(inner, part, node)
            case (
                ast.Call(func=ast.Name(id="list" | "tuple" as called), args=[value], keywords=[])
                | ast.Call(func=ast.Attribute(value=value, attr="copy" as called), args=[], keywords=[])
            ) if called not in self.environment:
                return self.collected(value)
        return None

    def part_of(self, whole: Collected, part: ast.Slice, node: ast.expr) -> Collected | None:
        """`hs[1:]`: a list of its own, of the elements that it names."""
        every = self.environment.get(whole.every)
        if whole.index is not None or not isinstance(every, Value) or isinstance(every, Poison):
            return None
        template = self.expressions.index(part)
        if template is None:
            return None
        found = self.expressions.read(every, template)
        name = f"{ast.unparse(node)} in line {span_of(self.module, node).line}"
        self.environment[f"{name}[:]"] = found
        if whole.name in self.packed:
            self.packed |= {name}
        return replace(whole, name=name, first=None, end="", ends=(), pivot=None)

    def length_so_far(self, binding: Collected, node: ast.Call) -> Binding:
        """`len(hs)`, in a loop that fills it as well: every round before has added one element."""
        span = span_of(self.module, node)
        size = Value("", Type.open("length"))
        if binding.index is None:
            every = self.expressions.as_operand(binding, node)
            if isinstance(every, Value) and not isinstance(every, Poison):
                attrs: dict[str, Attribute] = {"axis": 0, "rank": None, "list": True}
                self.emit(Relation((size,), "dim", (every,), attrs, None, span), view=False)
                return size
            return every
        place = self.place_in(binding)
        more = int(binding.stored in self.environment)
        self.emit(Relation((size,), "add", (place, Literal(more, str(more))), {}, None, span), view=False)
        return size

    def gathered(self, binding: Collected, node: ast.Call, path: str) -> Binding | None:
        """`np.stack(hs, axis=1)`, `np.array(hs)`, `np.concatenate(hs)`, `sum(losses)`; None for any other function."""
        path = {"builtins.max": "numpy.max", "builtins.min": "numpy.min"}.get(path, path)
        if path not in STACKED and path not in JOINED and path not in REDUCED:
            return None
        every = self.expressions.as_operand(binding, node)
        if not isinstance(every, Value) or isinstance(every, Poison):
            return every
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        if len(node.args) == 2 and path in ("numpy.stack", "numpy.concatenate"):
            named["axis"] = node.args[1]
        elif len(node.args) == 2 and path in ("numpy.array", "numpy.asarray"):
            named["dtype"] = node.args[1]
        elif len(node.args) != 1 and path not in REDUCED:
            return self._not_understood(node)
        if path == "builtins.sum":
            attrs: dict[str, Attribute] = {"axis": 0, "dtype": None, "keepdims": False}
            return self._not_understood(node) if named else self._made("sum", every, attrs, node)
        if path in REDUCED or (named.keys() == {"dtype"} and path in ("numpy.array", "numpy.asarray")):
            stacked = Value("", Type.open(binding.name))
            self.emit(
                Relation((stacked,), "stacked", (every,), {"axis": 0}, None, span_of(self.module, node.args[0])),
                view=False,
            )
            given = [(argument, self.expressions.lower(argument)) for argument in node.args[1:]]
            keywords = {str(k): (self.expressions.lower(value), value) for k, value in named.items()}
            if path not in REDUCED:
                given = []
            return self.expressions.applied_to(
                node, path, stacked, [(bound, argument) for argument, bound in given], keywords
            )
        known = self.expressions.static(self.expressions.lower(named["axis"])) if "axis" in named else None
        axis = known.value if known is not None else 0
        if named.keys() - {"axis"} or (known is None and named) or not isinstance(axis, int):
            return self._not_understood(node)
        form = JOINED.get(path)
        return self._made("stacked", every, {"axis": axis} if form is None else {"axis": axis, "form": form}, node)

    def _made(self, gate: str, every: Value, attrs: dict[str, Attribute], node: ast.Call) -> Value:
        out = Value("", Type.open(every.name))
        self.emit(Relation((out,), gate, (every,), attrs, None, span_of(self.module, node)), view=False)
        return out

    def _not_understood(self, node: ast.Call) -> Poison:
        return self.expressions.error(
            "FG023", f"this form of {ast.unparse(node.func)} is not understood for a list", node, "", ""
        )

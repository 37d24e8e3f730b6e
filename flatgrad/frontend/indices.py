"""Elements and parts of arrays: indices as templates of constants and values."""

from __future__ import annotations

import ast

from flatgrad.frontend.attributes import AttributeLowering
from flatgrad.frontend.constants import CONSTANTS
from flatgrad.frontend.environment import (
    Binding,
    Closure,
    Collected,
    Dictionary,
    Filled,
    Listed,
    Poison,
    Static,
    Structure,
)
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Attribute, Literal, Slice, Value


class IndexLowering(AttributeLowering):
    """Lowers subscripts."""

    def _subscript(self, node: ast.Subscript, value: ast.expr, index: ast.expr) -> Binding:
        joiner = self._path(value) if isinstance(value, ast.Attribute | ast.Name) else None
        if joiner in ("numpy.c_", "numpy.r_"):
            return self._joiner(node, joiner, index)
        base = self.lower(value)
        if isinstance(base, Poison):
            return base
        if isinstance(base, Structure | Dictionary):
            return self.element(base, index)
        template = self.index(index)
        if template is None:
            return Poison.at()
        operand = self.as_operand(base, value)
        if isinstance(operand, Poison):
            return operand
        if not isinstance(operand, Value):
            return self.error("FG034", f"{ast.unparse(value)} has no elements", value)
        if operand in self._shapes:
            if len(template) == 1 and isinstance(template[0], int):
                attrs: dict[str, Attribute] = {"axis": template[0], "rank": None, "of_array": self._asked[operand]}
                return self._relation("dim", (self._shapes[operand],), attrs, self.place(node))
            if len(template) == 1 and isinstance(template[0], Slice):
                return self._relation("subshape", (self._shapes[operand],), {"index": template}, self.place(node))
            return self.error(
                "FG030",
                "this index into a shape is not understood yet",
                index,
                "",
                "use a constant position, as in x.shape[0]",
            )
        return self._relation(
            "read", (operand,), {"index": template}, self.place(node), view=not self._copies(template)
        )

    def _joiner(self, node: ast.Subscript, path: str, index: ast.expr) -> Binding:
        """`np.c_[a, b]`, `np.r_[a, b]`: what is joined stands where an index does."""
        parts = index.elts if isinstance(index, ast.Tuple) else [index]
        for part in parts:
            known = self.static(self.aside().lower(part)) if not isinstance(part, ast.Slice) else None
            if isinstance(part, ast.Slice | ast.Starred) or (known is not None and isinstance(known.value, str)):
                return self.error(
                    "FG023", f"this form of {ast.unparse(node.value)} is not understood", part, "", "give it arrays"
                )
        operands = tuple(self.operand(part) for part in parts)
        return self._relation(path.rpartition(".")[2], operands, {}, self.place(node))

    def _copies(self, template: tuple[Attribute, ...]) -> bool:
        """Whether an index is known to be fancy: a list, a comparison, a range."""
        return any(isinstance(item, Value) and item in self._index_arrays for item in template)

    def read(self, array: Value, template: tuple[Attribute, ...]) -> Value:
        """`array[template]`, where it does not stand in the text."""
        return self._relation("read", (array,), {"index": template}, None, view=True)

    def transposed(self, array: Value) -> Value:
        """`array.T`, where it does not stand in the text."""
        return self._relation("transpose", (array,), dict(TABLE["transpose"].attributes), None, view=True)

    def index(self, node: ast.expr) -> tuple[Attribute, ...] | None:
        """The items of an index; None where one is not understood."""
        if isinstance(node, ast.Name) and isinstance(self.environment.get(node.id), Structure):
            return self._named_index(node)
        nodes = node.elts if isinstance(node, ast.Tuple) else [node]
        errors = len(self.errors)
        items = tuple(self._index_item(item) for item in nodes)
        if len(items) == 1 and items[0] in self._tuples:
            # `i = (0, 1); x[i]` is x[0, 1], not x[[0, 1]].
            self.error("FG030", "a tuple as an index is not understood yet", node, "", "write its parts: `x[i, j]`")
        return items if len(self.errors) == errors and not any(isinstance(i, Poison) for i in items) else None

    def _named_index(self, node: ast.Name) -> tuple[Attribute, ...] | None:
        """`i = (0, 1); x[i]` is `x[0, 1]`, `i = [0, 1]; x[i]` two rows."""
        structure = self.environment[node.id]
        assert isinstance(structure, Structure)
        if structure.is_list:
            array = self.as_operand(structure, node)
            return (array,) if isinstance(array, Value) and not isinstance(array, Poison) else None
        if all(isinstance(item, Literal | Value) for item in structure.items):
            return tuple(self.attribute(item, node) for item in structure.items)
        self.error("FG030", "this tuple as an index is not understood", node, "", "write the index out: `x[i, j]`")
        return None

    def _index_item(self, node: ast.expr) -> Attribute:
        match node:
            case ast.Slice(lower=lower, upper=upper, step=step):
                return Slice(*(None if part is None else self._index_item(part) for part in (lower, upper, step)))
            case ast.Constant(value=value) if value is Ellipsis:
                return Ellipsis
            case _:
                bound = self.lower(node)
                if isinstance(bound, Structure):
                    array = self.as_operand(bound, node)
                    if isinstance(array, Value) and not bound.is_list:
                        self._tuples.add(array)
                    return array if isinstance(array, Value) else None
                return self.attribute(bound, node)

    def attribute(self, bound: Binding, node: ast.expr) -> Attribute:
        match bound:
            case Literal(value=value):
                if isinstance(value, complex):
                    self.error("FG034", "a complex number is not understood", node)
                    return None
                return value
            case Value():
                return bound
            case Structure(items=items):
                return tuple(self.attribute(item, node) for item in items)
            case Static(path=path):
                if path in CONSTANTS:
                    return CONSTANTS[path]
                return path
            case Closure() | Dictionary() | Collected() | Filled() | Listed():
                self.error("FG034", f"{ast.unparse(node)} is neither a number nor an array", node)
                return None

"""Expressions to relations: names, literals, operators, calls, attributes, indices.

The same code reads the user's functions and the backward spellings of the gate table.
"""

from __future__ import annotations

import ast
import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.constants import CONSTANTS, constant_facts, folded, static_number
from flatgrad.frontend.environment import Binding, Emit, Poison, Static, Structure
from flatgrad.frontend.source import Module, dotted_path, python2_name, span_of, star_import
from flatgrad.gates.entry import BY_PATH, TABLE
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Slice, Span, Type, Value

# Gates whose result is an array wherever it is an index at all.
INDEX_GATES = frozenset(
    {"array_of", "arange", "argsort", "nonzero", "flatnonzero", "invert", "logical_not", "logical_and", "logical_or"}
    | {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "isnan", "isfinite"}
)


class ExpressionLowering(ABC):
    """Lowers expressions in one environment; relations go to `emit`, errors and notes are collected."""

    def __init__(
        self,
        module: Module,
        environment: Mapping[str, Binding],
        names: dict[Span, Value],
        emit: Emit,
        errors: list[Diagnostic],
    ) -> None:
        self.module = module
        self.environment = environment
        self.names = names
        self.emit = emit
        self.errors = errors
        self.notes: list[Diagnostic] = []
        self._shapes: dict[Value, Value] = {}
        self._asked: dict[Value, bool] = {}
        self._index_arrays: set[Value] = set()
        # Arrays that stand for tuples.
        self._tuples: set[Attribute] = set()
        self._constants: dict[str, Literal | None] = {}

    # Entry points

    def operand(self, node: ast.expr) -> Operand:
        return self.as_operand(self.lower(node), node)

    def as_operand(self, bound: Binding, node: ast.expr) -> Operand:
        match bound:
            case Value() | Literal():
                return bound
            case Structure(span=span):
                # A display where an array is asked for: `x @ [1, 2]`, `np.sum([a, b])`
                return self._relation("array_of", self._sequence(bound, node), {"dtype": None}, span)
            case Static(path=path):
                if path in CONSTANTS:
                    return Literal(CONSTANTS[path], ast.unparse(node))
                return self.error("FG034", f"{ast.unparse(node)} is not a number", node)

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
            case ast.UnaryOp(op=op, operand=inner):
                return self.apply_operator(type(op).__name__, (self.operand(inner),), self._span(node))
            case ast.BinOp(op=op, left=left, right=right):
                return self._binary(node, type(op).__name__, left, right)
            case ast.Compare(left=left, ops=[op], comparators=[right]):
                operands = (self.operand(left), self.operand(right))
                return self.apply_operator(type(op).__name__, operands, self._span(node))
            case ast.BoolOp(op=op, values=values):
                return self._logical(node, type(op).__name__, values)
            case ast.Call():
                return self.call(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript(value=value, slice=index):
                return self._subscript(node, value, index)
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                if any(isinstance(element, ast.Starred) for element in elements):
                    return self.error("FG030", "a starred element is not understood yet", node)
                items = tuple(self.lower(element) for element in elements)
                return Structure(items, isinstance(node, ast.List), self._span(node))
            case _:
                what = _EXPRESSIONS.get(type(node), f"a {type(node).__name__} expression")
                return self.error("FG030", f"{what} is not understood yet", node, "", "write it as staged assignments")

    # Leaves

    def _constant(self, node: ast.expr, value: object) -> Binding:
        if value is None or isinstance(value, bool | int | float | str):
            return Literal(value, ast.unparse(node))
        return self.error("FG034", f"{ast.unparse(node)} is not a real number", node)

    def name_operand(self, node: ast.Name) -> Operand:
        return self.as_operand(self._name(node), node)

    def _name(self, node: ast.Name) -> Binding:
        if node.id in self.environment:
            bound = self.environment[node.id]
            if isinstance(bound, Value):
                self.names[self._span(node)] = bound
            return bound
        if node.id in self.module.constants:
            constant = self._module_constant(node)
            if constant is not None:
                return constant
        path = dotted_path(self.module, node, frozenset(self.environment))
        if path is not None or node.id in self.module.functions:
            return Static(path or node.id, node.id)
        old = python2_name(self.module, node)
        if old is not None:
            self.errors.append(old)
            return Poison.at()
        star = star_import(self.module)
        if star is not None:
            return self.error(
                "FG020",
                f"where the name {node.id} comes from is not known",
                node,
                f"`{star.text}` may bind it",
                "import it by name",
            )
        known = [*self.environment, *self.module.constants, *self.module.functions]
        near = difflib.get_close_matches(node.id, known, 1)
        return self.error(
            "FG020",
            f"the name {node.id} is not known here",
            node,
            "bound nowhere in the function or at the head of the module" if not near else "",
            f"did you mean {near[0]}?" if near else "pass it as a parameter",
        )

    def _module_constant(self, node: ast.Name) -> Binding | None:
        """A module constant; a number keeps its name as its text, so that the generated line reads the same."""
        expression = self.module.constants[node.id]
        value = static_number(expression, self.module)
        if value is not None:
            return Literal(value, node.id)
        out = Value("", Type.open(node.id))
        self.emit(
            Relation(
                (out,),
                "constant",
                (Literal(None, node.id),),
                constant_facts(self.module, node.id),
                None,
                self._span(node),
            ),
            view=False,
        )
        return out

    # Operators

    def _binary(self, node: ast.BinOp, gate: str, left: ast.expr, right: ast.expr) -> Binding:
        first, second = self.lower(left), self.lower(right)
        if isinstance(first, Structure) and isinstance(second, Structure) and gate == "Add":
            return Structure(first.items + second.items, first.is_list, self._span(node))
        if gate == "Mult" and (isinstance(first, Structure) or isinstance(second, Structure)):
            return self.error(
                "FG034",
                "a list or a tuple times a number repeats it",
                node,
                "",
                "make it an array first: `np.array(...)`",
            )
        operands = (self.as_operand(first, left), self.as_operand(second, right))
        return self.apply_operator(gate, operands, self._span(node))

    def apply_operator(
        self, path: str, operands: tuple[Operand, ...], span: Span | None, into: bool = False
    ) -> Operand:
        """Apply an operator by the class name of its node; `into` marks an augmented assignment."""
        if any(isinstance(operand, Poison) for operand in operands):
            return Poison.at()
        if path not in BY_PATH:
            self.errors.append(
                Diagnostic("FG021", f"no gate for the operator {path}", span, "its gradient is not known to flatgrad")
            )
            return Poison.at()
        constant = folded(path, operands)
        if constant is not None:
            return constant
        gate, _ = BY_PATH[path][0]
        attrs: dict[str, Attribute] = {"into": True} if into else {}
        return self._relation(gate.name, operands, attrs, span)

    def _logical(self, node: ast.expr, path: str, values: list[ast.expr]) -> Binding:
        total = self.operand(values[0])
        for value in values[1:]:
            total = self.apply_operator(path, (total, self.operand(value)), self._span(node))
        return total

    def _relation(
        self,
        gate: str,
        operands: tuple[Operand, ...],
        attrs: Mapping[str, Attribute],
        span: Span | None,
        view: bool | None = None,
    ) -> Value:
        if any(isinstance(operand, Poison) for operand in operands):
            return Poison.at()
        out = Value("", Type.open(gate))
        if gate in INDEX_GATES:
            self._index_arrays.add(out)
        entry = TABLE.get(gate)
        shares = view if view is not None else entry is not None and entry.view
        self.emit(Relation((out,), gate, operands, attrs, None, span), view=shares)
        return out

    @abstractmethod
    def call(self, node: ast.Call) -> Binding:
        """A call: `frontend.calls` knows what can be called."""

    # Attributes, shapes and indices

    def _attribute(self, node: ast.Attribute) -> Binding:
        path = dotted_path(self.module, node, frozenset(self.environment))
        if path is not None:
            return Static(path)
        value = self.lower(node.value)
        if isinstance(value, Poison):
            return value
        if not isinstance(value, Structure):
            operand = self.as_operand(value, node.value)
            if isinstance(operand, Value):
                match node.attr:
                    case "shape":
                        return self._shape_of(operand, self._span(node), of_array=True)
                    case "ndim" | "size":
                        return self._relation(node.attr, (operand,), {}, self._span(node))
                    case "dtype":
                        return self._relation("dtype", (operand,), {}, self._span(node))
                for gate, spelling in BY_PATH.get(f".{node.attr}", []):
                    if not spelling.text.endswith(")"):
                        return self._relation(gate.name, (operand,), dict(gate.attributes), self._span(node), gate.view)
        return self.error("FG021", f"no gate for .{node.attr}", node, "", "`flatgrad gates` lists what is understood")

    def _shape_call(self, node: ast.Call, gate: str, argument: ast.expr) -> Binding:
        bound = self.lower(argument)
        if isinstance(bound, Structure):
            if gate == "len":
                return Literal(len(bound.items), str(len(bound.items)))
            bound = self.as_operand(bound, argument)
        operand = self.as_operand(bound, argument)
        if isinstance(operand, Poison):
            return operand
        if not isinstance(operand, Value):
            return self.error("FG034", f"{ast.unparse(node)} of a constant", node)
        if gate == "shape":
            return self._shape_of(operand, self._span(node))
        if gate == "len":
            return self._relation("dim", (operand,), {"axis": 0, "rank": None}, self._span(node))
        return self._relation(gate, (operand,), {}, self._span(node))

    def _shape_of(self, operand: Value, span: Span, of_array: bool = False) -> Value:
        """`x.shape` (which only an array has) or `np.shape(x)`."""
        out = self._relation("shape", (operand,), {"of_array": True} if of_array else {}, span)
        self._shapes[out] = operand
        self._asked[out] = of_array
        return out

    def unpack(self, bound: Binding, count: int, node: ast.expr, starred: bool) -> tuple[Binding, ...]:
        """The elements of what is unpacked into `count` targets."""
        if starred:
            return tuple([self.error("FG030", "a starred target is not understood yet", node)] * count)
        if isinstance(bound, Poison):
            return (bound,) * count
        if isinstance(bound, Structure):
            if len(bound.items) == count:
                return bound.items
            return tuple([self.error("FG035", f"{len(bound.items)} values for {count} names", node)] * count)
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

    def _subscript(self, node: ast.Subscript, value: ast.expr, index: ast.expr) -> Binding:
        base = self.lower(value)
        if isinstance(base, Poison):
            return base
        if isinstance(base, Structure):
            position = static_number(index, self.module)
            if isinstance(position, int) and -len(base.items) <= position < len(base.items):
                return base.items[position]
            return self.error(
                "FG030", "this index into a list or tuple is not understood yet", index, "", "use a constant position"
            )
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
                return self._relation("dim", (self._shapes[operand],), attrs, self._span(node))
            if len(template) == 1 and isinstance(template[0], Slice):
                return self._relation("subshape", (self._shapes[operand],), {"index": template}, self._span(node))
            return self.error(
                "FG030",
                "this index into a shape is not understood yet",
                index,
                "",
                "use a constant position, as in x.shape[0]",
            )
        return self._relation(
            "read", (operand,), {"index": template}, self._span(node), view=not self._copies(template)
        )

    def _copies(self, template: tuple[Attribute, ...]) -> bool:
        """Whether an index is known to be fancy: a list, a comparison, a range."""
        return any(isinstance(item, Value) and item in self._index_arrays for item in template)

    def read(self, array: Value, template: tuple[Attribute, ...]) -> Value:
        """`array[template]`, where it does not stand in the text."""
        return self._relation("read", (array,), {"index": template}, None, view=True)

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

    def _sequence(self, structure: Structure, node: ast.expr) -> tuple[Operand, ...]:
        """The elements of a display as operands; a display inside it is an array of its own."""
        return tuple(self.as_operand(item, node) for item in structure.items)

    # Errors

    def error(self, code: str, message: str, node: ast.AST, label: str = "", help: str = "") -> Poison:
        self.errors.append(Diagnostic(code, message, self._span(node), label, help))
        return Poison.at()

    def note(self, code: str, message: str, node: ast.AST, label: str) -> None:
        self.notes.append(Diagnostic(code, message, self._span(node), label, severity="note"))

    def _path(self, node: ast.expr) -> str | None:
        return dotted_path(self.module, node, frozenset(self.environment))

    def _span(self, node: ast.AST) -> Span:
        return span_of(self.module, node)


_EXPRESSIONS: dict[type[ast.expr], str] = {
    ast.IfExp: "a conditional expression",
    ast.Lambda: "a lambda",
    ast.ListComp: "a list comprehension",
    ast.GeneratorExp: "a generator",
    ast.DictComp: "a dict comprehension",
    ast.SetComp: "a set comprehension",
    ast.Dict: "a dict",
    ast.Set: "a set",
    ast.JoinedStr: "an f-string",
    ast.NamedExpr: "an assignment expression",
    ast.Compare: "a chain of comparisons",
    ast.Starred: "a starred expression",
    ast.Await: "await",
    ast.Yield: "yield",
}

"""Expressions to relations: names, literals, operators, calls, attributes, indices.

The same code reads the user's functions and the backward spellings of the gate table.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Callable, Mapping
from typing import Protocol

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.environment import Binding, Lowered, Poison, Static, Structure
from flatgrad.frontend.source import Module, dotted_path, python2_name, span_of, star_import
from flatgrad.gates.binding import Bound, Unbindable, bind
from flatgrad.gates.entry import BY_PATH, TABLE
from flatgrad.ir.core import Attribute, Call, Literal, Operand, Relation, Slice, Span, Step, Type, Value

# What a dotted name stands for where it is a number.
CONSTANTS: dict[str, float | None] = {
    "numpy.pi": 3.141592653589793,
    "numpy.e": 2.718281828459045,
    "numpy.euler_gamma": 0.5772156649015329,
    "numpy.inf": float("inf"),
    "numpy.nan": float("nan"),
    "numpy.newaxis": None,
    "math.pi": 3.141592653589793,
    "math.e": 2.718281828459045,
    "math.tau": 6.283185307179586,
    "math.inf": float("inf"),
}


# Gates whose result is an array wherever it is an index at all.
INDEX_GATES = frozenset(
    {"array_of", "arange", "argsort", "nonzero", "flatnonzero", "invert", "logical_not", "logical_and", "logical_or"}
    | {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "isnan", "isfinite"}
)


class Emit(Protocol):
    def __call__(self, step: Step, view: bool) -> None: ...


class ExpressionLowering:
    """Lowers expressions in one environment; relations go to `emit`, errors and notes are collected."""

    def __init__(
        self,
        module: Module,
        callee: Callable[[str], Lowered],
        inlined: frozenset[str],
        environment: Mapping[str, Binding],
        names: dict[Span, Value],
        emit: Emit,
        errors: list[Diagnostic],
    ) -> None:
        self.module = module
        self.callee = callee
        self.inlined = inlined
        self.environment = environment
        self.names = names
        self.emit = emit
        self.errors = errors
        self.notes: list[Diagnostic] = []
        self._shapes: dict[Value, Value] = {}
        self._asked: dict[Value, bool] = {}
        self._index_arrays: set[Value] = set()
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
                return self._call(node)
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
        value = _static_number(expression, self.module)
        if value is not None:
            return Literal(value, node.id)
        out = Value("", Type.open(node.id))
        self.emit(
            Relation(
                (out,),
                "constant",
                (Literal(None, node.id),),
                _constant_facts(self.module, node.id),
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
        folded = _fold(path, operands)
        if folded is not None:
            return folded
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

    # Calls

    def _call(self, node: ast.Call) -> Binding:
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                return self.error("FG030", "a starred argument is not understood yet", argument)
        if any(keyword.arg is None for keyword in node.keywords):
            return self.error("FG030", "** in a call is not understood yet", node)
        path = dotted_path(self.module, node.func, frozenset(self.environment))
        if (
            isinstance(node.func, ast.Name)
            and node.func.id in self.module.functions
            and node.func.id not in self.environment
        ):
            return self._local_call(node, node.func.id)
        if path is not None:
            return self._gate_call(node, path)
        if isinstance(node.func, ast.Attribute):
            return self._method_call(node, node.func)
        function = self.lower(node.func)
        if isinstance(function, Poison):
            return function
        return self.error("FG022", f"{ast.unparse(node.func)} is not a function that flatgrad can see", node.func)

    def _method_call(self, node: ast.Call, function: ast.Attribute) -> Binding:
        receiver = self.as_operand(self.lower(function.value), function.value)
        if isinstance(receiver, Poison):
            return receiver
        return self._bound_call(node, f".{function.attr}", (receiver,), function)

    def _gate_call(self, node: ast.Call, path: str) -> Binding:
        special = _SPECIAL_CALLS.get(path)
        if special is not None and not node.keywords and len(node.args) == 1:
            return self._shape_call(node, special, node.args[0])
        return self._bound_call(node, path, (), node.func)

    def _bound_call(self, node: ast.Call, path: str, leading: tuple[Operand, ...], place: ast.expr) -> Binding:
        spoken = ast.unparse(place)
        if path not in BY_PATH:
            return self.error(
                "FG021",
                f"no gate for {spoken}",
                place,
                "its gradient is not known to flatgrad",
                "`flatgrad gates` lists what is understood",
            )
        arguments: list[Binding] = [*leading, *(self.lower(argument) for argument in node.args)]
        keywords = {keyword.arg: self.lower(keyword.value) for keyword in node.keywords if keyword.arg}
        everything = [*arguments, *keywords.values()]
        if any(isinstance(argument, Poison) for argument in everything):
            return Poison.at()
        try:
            bound = bind(path, arguments, keywords, lambda one: isinstance(one, Structure))
        except Unbindable as error:
            return self.error(
                "FG023",
                f"this form of {spoken} is not understood",
                node,
                str(error),
                "`flatgrad gates` lists the forms that are",
            )
        nodes = {id(value): argument for value, argument in zip(arguments[len(leading) :], node.args, strict=True)}
        nodes |= {id(keywords[k.arg]): k.value for k in node.keywords if k.arg}
        return self.apply_gate(bound, node, nodes, self._span(node))

    def apply_gate(
        self, bound: Bound[Binding], node: ast.expr, nodes: Mapping[int, ast.expr], span: Span | None
    ) -> Binding:
        """The relation that a bound call stands for; several results come as a Structure."""
        gate = bound.gate
        operands: list[Operand] = []
        attrs: dict[str, Attribute] = {}
        for name in gate.operands:
            if name in bound.spelling.starred:
                operands.extend(self.as_operand(one, nodes.get(id(one), node)) for one in bound.rest)
            elif name == "xs" and name in bound.operands:
                sequence = bound.operands[name]
                if not isinstance(sequence, Structure):
                    return self.error(
                        "FG023",
                        f"{gate.name} is understood on a list or tuple display only",
                        nodes.get(id(sequence), node),
                        "",
                        "write the elements out: `[a, b]`",
                    )
                operands.extend(self._sequence(sequence, node))
            elif name in bound.operands:
                value = bound.operands[name]
                operands.append(self.as_operand(value, nodes.get(id(value), node)))
        if any(isinstance(operand, Poison) for operand in operands):
            return Poison.at()
        for name in gate.attributes:
            if name in bound.spelling.starred:
                parts = tuple(self.attribute(one, nodes.get(id(one), node)) for one in bound.rest)
                # `x.reshape(2, 3)` and `x.reshape((2, 3))` are one
                attrs[name] = parts[0] if len(parts) == 1 else parts
            elif name in bound.attributes:
                value = bound.attributes[name]
                attrs[name] = self.attribute(value, nodes.get(id(value), node))
            else:
                attrs[name] = bound.spelling.defaults.get(name, gate.attributes[name])
        if gate.name in _SEVERAL:
            return self._several(gate.name, tuple(operands), attrs, node, span, gate.view)
        return self._relation(gate.name, tuple(operands), attrs, span, gate.view)

    def _several(
        self,
        gate: str,
        operands: tuple[Operand, ...],
        attrs: Mapping[str, Attribute],
        node: ast.expr,
        span: Span | None,
        view: bool,
    ) -> Binding:
        count = _SEVERAL[gate]
        sections = attrs.get("sections")
        if count is None and isinstance(sections, int):
            count = sections
        elif count is None and isinstance(sections, tuple):
            count = len(sections) + 1
        if count is None:
            return self.error("FG023", f"{gate} is understood with a constant number of parts only", node)
        outs = tuple(Value("", Type.open(gate)) for _ in range(count))
        self.emit(Relation(outs, gate, operands, attrs, None, span), view=view)
        return Structure(outs, True, self._span(node))

    def _local_call(self, node: ast.Call, name: str) -> Binding:
        callee = self.callee(name)
        parameters = [value.name for value in callee.function.block.params]
        arguments: dict[str, Operand] = {}
        if len(node.args) > len(parameters):
            return self.error("FG024", f"{name} takes {len(parameters)} arguments", node)
        for parameter, argument in zip(parameters, node.args, strict=False):
            arguments[parameter] = self.operand(argument)
        for keyword in node.keywords:
            assert keyword.arg is not None
            if keyword.arg not in parameters or keyword.arg in arguments:
                return self.error("FG024", f"{name} has no parameter {keyword.arg} left", node)
            arguments[keyword.arg] = self.operand(keyword.value)
        defaults = defaults_of(callee.node)
        for parameter in parameters:
            if parameter in arguments:
                continue
            if parameter not in defaults:
                return self.error("FG024", f"{name} needs {parameter}", node)
            arguments[parameter] = self.operand(defaults[parameter])
        ordered = tuple(arguments[parameter] for parameter in parameters)
        if any(isinstance(operand, Poison) for operand in ordered):
            return Poison.at()
        outs = tuple(Value("", Type.open(name)) for _ in callee.results)
        if name in self.inlined:
            self._inline(callee, ordered, outs, self._span(node))
        else:
            params = callee.function.block.params
            shares = any(callee.roots[result.value] & set(params) for result in callee.results)
            changed = [p.name for p in params if p in callee.overwritten]
            if changed:
                return self.error(
                    "FG042",
                    f"{name} changes its argument {', '.join(changed)}",
                    node,
                    "a helper that writes into what it is given is not understood yet",
                    "let it write into a copy",
                )
            self.emit(Call(outs, name, ordered, None, self._span(node)), view=shares)
        return outs[0] if len(outs) == 1 else Structure(outs, False, self._span(node))

    def _inline(self, callee: Lowered, operands: tuple[Operand, ...], outs: tuple[Value, ...], span: Span) -> None:
        """The callee's relations in place of the call: they have no text of their own but the last."""
        known: dict[Value, Operand] = dict(zip(callee.function.block.params, operands, strict=True))
        (result,) = callee.results
        for step in callee.function.block.body:
            assert isinstance(step, Relation)
            final = result.value in step.outs
            fresh = outs if final else tuple(Value("", one.type) for one in step.outs)
            known |= zip(step.outs, fresh, strict=True)
            args = tuple(known[arg] if isinstance(arg, Value) else arg for arg in step.args)
            attrs = {name: _replace(attribute, known) for name, attribute in step.attrs.items()}
            entry = TABLE.get(step.gate)
            self.emit(
                Relation(fresh, step.gate, args, attrs, None, span if final else None),
                view=entry is not None and entry.view,
            )

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
            position = _static_number(index, self.module)
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
        nodes = node.elts if isinstance(node, ast.Tuple) else [node]
        errors = len(self.errors)
        items = tuple(self._index_item(item) for item in nodes)
        return items if len(self.errors) == errors and not any(isinstance(i, Poison) for i in items) else None

    def _index_item(self, node: ast.expr) -> Attribute:
        match node:
            case ast.Slice(lower=lower, upper=upper, step=step):
                return Slice(*(None if part is None else self._index_item(part) for part in (lower, upper, step)))
            case ast.Constant(value=value) if value is Ellipsis:
                return Ellipsis
            case ast.Call(func=function, args=[count], keywords=[]) if self._path(function) == "builtins.range":
                # NumPy reads `x[range(N), y]` as `x[np.arange(N), y]`
                arange = bind("numpy.arange", [self.lower(count)], {}, lambda one: isinstance(one, Structure))
                return self.attribute(self.apply_gate(arange, node, {}, self._span(node)), node)
            case _:
                bound = self.lower(node)
                if isinstance(bound, Structure):
                    array = self.as_operand(bound, node)
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


# How many results a gate has, None where an attribute decides.
_SEVERAL: dict[str, int | None] = {
    "slogdet": 2,
    "tril_indices": 2,
    "triu_indices": 2,
    "split": None,
    "array_split": None,
    "hsplit": None,
    "vsplit": None,
    "dsplit": None,
}

_SPECIAL_CALLS = {
    "numpy.shape": "shape",
    "numpy.ndim": "ndim",
    "numpy.size": "size",
    "builtins.len": "len",
}

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


def defaults_of(node: ast.FunctionDef) -> dict[str, ast.expr]:
    """The default of each parameter that has one."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    found = dict(
        zip([a.arg for a in positional[len(positional) - len(arguments.defaults) :]], arguments.defaults, strict=True)
    )
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            found[argument.arg] = default
    return found


def _replace(attribute: Attribute, known: Mapping[Value, Operand]) -> Attribute:
    match attribute:
        case Value():
            operand = known.get(attribute, attribute)
            if isinstance(operand, Literal):
                assert not isinstance(operand.value, complex)
                return operand.value
            return operand
        case Slice(start, stop, step):
            return Slice(_replace(start, known), _replace(stop, known), _replace(step, known))
        case tuple():
            return tuple(_replace(part, known) for part in attribute)
        case _:
            return attribute


def _static_number(node: ast.expr, module: Module) -> int | float | None:
    """The value of an expression of constants, None where it is anything else."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name) if name in module.constants:
            return _static_number(module.constants[name], module)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            number = _static_number(operand, module)
            return None if number is None else -number
        case ast.BinOp(left=left, op=op, right=right):
            first, second = _static_number(left, module), _static_number(right, module)
            if first is None or second is None:
                return None
            return _number(type(op).__name__, first, second)
        case ast.Attribute():
            path = dotted_path(module, node, frozenset())
            return CONSTANTS.get(path) if path is not None else None
        case _:
            return None


def _number(operator: str, first: int | float, second: int | float) -> int | float | None:
    try:
        match operator:
            case "Add":
                return first + second
            case "Sub":
                return first - second
            case "Mult":
                return first * second
            case "Div":
                return first / second
            case "FloorDiv":
                return first // second
            case "Mod":
                return first % second
            case "Pow":
                result = first**second
                return result if isinstance(result, int | float) else None
    except (ZeroDivisionError, OverflowError):
        return None
    return None


def _fold(path: str, operands: tuple[Operand, ...]) -> Literal | None:
    """A literal for an operator on literals: the text stays what was written."""
    values = [operand.value for operand in operands if isinstance(operand, Literal)]
    if len(values) != len(operands) or any(isinstance(v, bool | str | complex) or v is None for v in values):
        return None
    numbers = [value for value in values if isinstance(value, int | float)]
    result = _number(path, *numbers) if len(numbers) == 2 else (-numbers[0] if path == "USub" else None)
    if result is None:
        return None
    return Literal(result, repr(result))


def _constant_facts(module: Module, name: str) -> dict[str, Attribute]:
    """What the text tells of a module constant that is no number.

    `X: "6 3 float" = ...` stands for an array that `flatgrad.compile` has at hand: its shape and dtype are facts.
    """
    for statement in module.tree.body:
        match statement:
            case ast.AnnAssign(
                target=ast.Name(id=target), annotation=ast.Constant(value=str(claim)), value=ast.Constant(value=value)
            ) if target == name and value is Ellipsis:
                *dims, dtype = claim.split()
                nesting: Attribute = None
                for dim in reversed(dims):
                    nesting = (int(dim), nesting)
                return {"value": nesting or (), "dtype": dtype}
    return {"value": _constant_shape(module.constants[name])}


def _constant_shape(node: ast.expr) -> Attribute:
    """The nesting of a display of numbers, so that its shape is known: `[[1, 2], [3, 4]]` is (2, (2, None)).

    "unknown" for everything whose shape the text does not tell: calls, names, and displays of them.
    """
    match node:
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            inner = tuple(_constant_shape(element) for element in elements)
            return "unknown" if "unknown" in inner else (len(elements), *inner[:1])
        case ast.Constant(value=value) if value is not Ellipsis:
            return None
        case ast.UnaryOp(operand=ast.Constant()):
            return None
    return "unknown"

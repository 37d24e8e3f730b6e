"""Calls of gates: their arguments, and the relations that they stand for."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from flatgrad.frontend.closures import Argument, ClosureLowering
from flatgrad.frontend.comprehending import is_scalar
from flatgrad.frontend.constants import FOLDED, folded_call
from flatgrad.frontend.environment import Binding, Closure, Dictionary, Poison, Structure
from flatgrad.frontend.standardised import standardised
from flatgrad.gates.binding import Bound, Unbindable, bind
from flatgrad.gates.entry import BY_PATH
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Span, Type, Value

_ON_ITS_OWN = "draw it in a statement of its own"

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

# Functions that give a tuple where they are given several arrays.
_ONE_BY_ONE = frozenset({"numpy.atleast_1d", "numpy.atleast_2d", "numpy.atleast_3d"})

_SPECIAL_CALLS = {
    "numpy.shape": "shape",
    "numpy.ndim": "ndim",
    "numpy.size": "size",
    "builtins.len": "len",
}


class GateCallLowering(ClosureLowering):
    """Lowers calls of functions and methods of the table."""

    def _with_arguments(
        self, node: ast.Call, applied: Callable[[list[Argument], dict[str, Argument]], Binding]
    ) -> Binding:
        """The result for the arguments of a call, those with stars taken apart."""
        given: list[Argument] = []
        named: dict[str, Argument] = {}
        for argument in node.args:
            if not isinstance(argument, ast.Starred):
                given.append((self.lower(argument), argument))
                continue
            whole = self._starred_shape(node, argument.value)
            if whole is not None:
                given.append((whole, argument.value))
                continue
            items = self.iterated(argument.value)
            if items is None:
                return Poison.at()
            given.extend((item, argument.value) for item in items)
        for keyword in node.keywords:
            bound = self.lower(keyword.value)
            if keyword.arg is not None:
                named[keyword.arg] = (bound, keyword.value)
            elif isinstance(bound, Dictionary):
                named |= {str(key): (value, keyword.value) for key, value in bound.items}
            elif not isinstance(bound, Poison):
                return self.error("FG030", "what is in this dict is known only when the program runs", keyword.value)
        everything = [bound for bound, _ in (*given, *named.values())]
        if any(isinstance(bound, Poison) for bound in everything):
            return Poison.at()
        return applied(given, named)

    def _starred_shape(self, node: ast.Call, argument: ast.expr) -> Binding | None:
        """What a draw or `reshape` is given as `*x.shape`, and as nothing else: the shape as a whole."""
        if len(node.args) > 1 or not isinstance(node.func, ast.Attribute | ast.Name):
            return None
        path = self._path(node.func) or (f".{node.func.attr}" if isinstance(node.func, ast.Attribute) else "")
        # An array takes its new shape as one tuple just as well.
        drawn = any(gate.effect and "shape" in spelling.starred for gate, spelling in BY_PATH.get(path, []))
        if not drawn and path != ".reshape":
            return None
        probe = self.aside()
        if not probe.is_shape(probe.lower(argument)):
            return None
        return self.lower(argument)

    def _index_item(self, node: ast.expr) -> Attribute:
        match node:
            case ast.Call(func=function, args=[inner], keywords=[]) if self._path(
                function
            ) == "builtins.list" and isinstance(self.lower(inner), Value):
                # NumPy reads `x[rows, list(y)]` as `x[rows, y]`
                return super()._index_item(inner)
            case ast.Call(func=function, args=[count], keywords=[]) if self._path(function) == "builtins.range":
                # NumPy reads `x[range(N), y]` as `x[np.arange(N), y]`
                arange = bind("numpy.arange", [self.lower(count)], {}, is_sequence)
                return self.attribute(self.apply_gate(arange, node, {}, self.place(node)), node)
        return super()._index_item(node)

    def _gate_call(self, node: ast.Call, path: str) -> Binding:
        special = _SPECIAL_CALLS.get(path)
        if special is not None and not node.keywords and len(node.args) == 1:
            return self._shape_call(node, special, node.args[0])
        if path == "numpy.size" and not node.keywords and len(node.args) == 2:
            return self._size_along(node, node.args[0], node.args[1])
        if path == "numpy.result_type" and not node.keywords:
            return self._with_arguments(node, lambda given, named: self._result_type(node, given))
        if path in _ONE_BY_ONE and not node.keywords and len(node.args) > 1:
            return self._with_arguments(node, lambda given, named: self._each(node, path, given))
        through = self.through("builtins.sum" if self._adds_numbers(path, node) else path, node)
        if through is not None:
            return through
        standard = standardised(path, node, self.module.imports)
        if standard is not None:
            closure = Closure(standard, {}, self.frames)
            return self._with_arguments(node, lambda given, named: self.written_out(closure, given, named, node))
        known = path in BY_PATH or path in FOLDED or path == "builtins.str"
        found = self._with_arguments(
            node, lambda given, named: self._bound_call(node, path, (), node.func, given, named)
        )  # fmt: skip
        place = self._span(node.func)
        if isinstance(found, Poison) and not known and not any(error.span == place for error in self.errors):
            # Not looked at, as an argument is refused already: it would be refused next.
            return self._no_gate(node.func)
        return found

    def _each(self, node: ast.Call, path: str, given: Sequence[Argument]) -> Binding:
        """`np.atleast_2d(a, b)`: what the function makes of each."""
        (gate, _), *_ = BY_PATH[path]
        operands = [self.as_operand(bound, argument) for bound, argument in given]
        if any(isinstance(operand, Poison) for operand in operands):
            return Poison.at()
        items = tuple(self._relation(gate.name, (operand,), {}, None) for operand in operands)
        return Structure(items, False, self._span(node))

    def _adds_numbers(self, path: str, node: ast.Call) -> bool:
        """`np.sum([np.sum(W * W) for W in weights])` is `sum` of them."""
        match node:
            case ast.Call(args=[ast.ListComp(elt=element)], keywords=[]) if path == "numpy.sum":
                return is_scalar(self.module, element)
        return False

    def _size_along(self, node: ast.Call, array: ast.expr, along: ast.expr) -> Binding:
        """`np.size(x, 0)`"""
        operand, axis = self.operand(array), self.static(self.lower(along))
        if isinstance(operand, Poison):
            return operand
        if axis is None or not isinstance(axis.value, int) or not isinstance(operand, Value):
            return self.error("FG023", "this form of np.size is not understood", node, "", "write `x.shape[axis]`")
        return self._relation("dim", (operand,), {"axis": axis.value, "rank": None}, self.place(node))

    def _result_type(self, node: ast.Call, given: Sequence[Argument]) -> Binding:
        """`np.result_type(x, 0.0)`: a dtype, which only settles that of another array."""
        operands = [self.as_operand(bound, argument) for bound, argument in given]
        if any(isinstance(operand, Poison) for operand in operands):
            return Poison.at()
        values = [operand for operand in operands if isinstance(operand, Value)]
        literals = [operand for operand in operands if isinstance(operand, Literal)]
        texts = [f"_{values.index(one)}" if isinstance(one, Value) else one.text for one in operands]
        attrs: dict[str, Attribute] = {"text": f"{ast.unparse(node.func)}({', '.join(texts)})", "holds": "dtype"}
        if any(isinstance(one.value, float) for one in literals):
            attrs["floating"] = True
        return self._relation("opaque", tuple(values), attrs, self.place(node))

    def _no_gate(self, place: ast.expr) -> Poison:
        spoken = ast.unparse(place)
        return self.error(
            "FG021",
            f"no gate for {spoken}",
            place,
            "its gradient is not known to flatgrad",
            "`flatgrad gates` lists what is understood; a gate of your own is declared as in docs/your-own-gates.md",
        )

    def _bound_call(
        self,
        node: ast.Call,
        path: str,
        leading: tuple[Operand, ...],
        place: ast.expr,
        given: Sequence[Argument] | None = None,
        named: Mapping[str, Argument] | None = None,
    ) -> Binding:
        """The relation of a gate; the arguments are those of the call where none are given."""
        if given is None or named is None:
            return self._with_arguments(node, lambda g, n: self._bound_call(node, path, leading, place, g, n))
        spoken = ast.unparse(place)
        literals = [literal for bound, _ in given if (literal := self.static(bound)) is not None]
        if path in FOLDED and len(literals) == len(given) and not named and not leading:
            result = folded_call(path, [literal.value for literal in literals], ast.unparse(node))
            if result is not None:
                return result
        if path == "builtins.str":
            return self.dynamic_string(node)
        if path not in BY_PATH:
            return self._no_gate(place)
        arguments: list[Binding] = [*leading, *(bound for bound, _ in given)]
        try:
            bound = bind(path, arguments, {name: one for name, (one, _) in named.items()}, is_sequence)
        except Unbindable as error:
            return self.error(
                "FG023",
                f"this form of {spoken} is not understood",
                node,
                str(error),
                "`flatgrad gates` lists the forms that are",
            )
        nodes = {id(value): argument for value, argument in (*given, *named.values())}
        return self.apply_gate(bound, node, nodes, self.place(node))

    def apply_gate(
        self, bound: Bound[Binding], node: ast.expr, nodes: Mapping[int, ast.expr], span: Span | None
    ) -> Binding:
        """The relation that a bound call stands for; several results come as a Structure."""
        gate = bound.gate
        if gate.effect and span is None:
            return self.error("FG039", "what is drawn here cannot be named", node, "", _ON_ITS_OWN)
        operands: list[Operand] = []
        attrs: dict[str, Attribute] = {}
        for name in gate.operands:
            if name in bound.spelling.starred:
                operands.extend(self.as_operand(one, nodes.get(id(one), node)) for one in bound.rest)
            elif name == "xs" and name in bound.operands:
                sequence = bound.operands[name]
                if not isinstance(sequence, Structure) or sequence.once:
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
        # `x.astype(dtype, copy=False)` may be x itself.
        shares = gate.view or (gate.name == "astype" and attrs.get("copy") is False)
        return self._relation(gate.name, tuple(operands), attrs, span, shares)

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
        return Structure(outs, gate.endswith("split"), self._span(node))


def is_sequence(bound: Binding) -> bool:
    """Whether NumPy reads something as a sequence of operands."""
    return isinstance(bound, Structure) and not bound.once

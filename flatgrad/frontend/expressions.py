"""Expressions to relations: names, literals, operators, calls, attributes, indices.

The same code reads the user's functions and the backward spellings of the gate table.
"""

from __future__ import annotations

import ast
import copy
import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Self

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.constants import (
    CONSTANTS,
    FINFO,
    FLOATS,
    constant_facts,
    folded,
    is_spelled,
    ordered,
    static_constant,
)
from flatgrad.frontend.environment import (
    Binding,
    Closure,
    Collected,
    Dictionary,
    Emit,
    Filled,
    Poison,
    Static,
    Structure,
)
from flatgrad.frontend.source import Module, dotted_path, python2_name, span_of, star_import
from flatgrad.gates.entry import BY_PATH, TABLE
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Slice, Span, Type, Value

# Gates whose result is an array wherever it is an index at all.
INDEX_GATES = frozenset(
    {"array_of", "arange", "argsort", "nonzero", "flatnonzero", "invert", "logical_not", "logical_and", "logical_or"}
    | {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "isnan", "isfinite"}
)


# Comparisons that are put together of others, and how NumPy's own names call the parts.
_CONTAINMENT = (ast.In, ast.NotIn)
_IDENTITY = (ast.Is, ast.IsNot)
# Gates that give a truth value of Python's own: they need not be asked for it.
_TRUTHS = frozenset({"not", "and", "or", "in", "not_in", "is", "is_not", "bool"})


class ExpressionLowering(ABC):
    """Lowers expressions in one environment; relations go to `emit`, errors and notes are collected.

    Attributes:
        known: the literal that a value holds, where a name was bound to one.
    """

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
        self.known: dict[Value, Literal] = {}
        # Whether the relations are thrown away: see `aside`.
        self.probing = False
        self._truths: set[Value] = set()
        # Values that are shapes, in whole or in part.
        self.shapes: set[Value] = set()

    # Entry points

    def operand(self, node: ast.expr) -> Operand:
        return self.as_operand(self.lower(node), node)

    def as_operand(self, bound: Binding, node: ast.expr) -> Operand:
        match bound:
            case Value() | Literal():
                return bound
            case Structure(once=True):
                return self.error(
                    "FG034", f"{ast.unparse(node)} is no sequence", node, "", "write `list(...)` around it"
                )
            case Structure():
                # A display where an array is asked for: `x @ [1, 2]`. The name of one stands for a list in the text.
                place = self.place(node) if isinstance(node, ast.List | ast.Tuple) else None
                return self._relation("array_of", self._sequence(bound, node), {"dtype": None}, place)
            case Static(path=path) if path in CONSTANTS:
                return Literal(CONSTANTS[path], ast.unparse(node))
            case Static() | Closure() | Dictionary() | Collected() | Filled():
                what = "a dict" if isinstance(bound, Dictionary | Filled) else ast.unparse(node)
                return self.error("FG034", f"{what} is not a number", node)

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

    def static(self, bound: Binding | None) -> Literal | None:
        """The literal that something is known to be while the function is read."""
        if isinstance(bound, Literal):
            return bound
        if isinstance(bound, Static) and bound.path in CONSTANTS:
            return Literal(CONSTANTS[bound.path], bound.path)
        return self.known.get(bound) if isinstance(bound, Value) else None

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
                self.read_name(node, bound)
            if isinstance(bound, Structure) and bound.once:
                return self.error(
                    "FG030",
                    f"what {node.id} holds can be gone through once only",
                    node,
                    "",
                    f"write `{node.id} = list(...)`",
                )
            return bound
        if node.id in self.module.constants:
            constant = self._module_constant(node)
            if constant is not None:
                return constant
        path = dotted_path(self.module, node, frozenset(self.environment))
        nowhere = self.leads_nowhere(self.module.imports.get(node.id, node.id), node)
        if nowhere is not None:
            return nowhere
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

    def leads_nowhere(self, path: str, node: ast.expr) -> Poison | None:
        """The error for an import that is not found in the project, if it is one."""
        absent = None
        while path and absent is None:
            absent = self.module.borrowed.absent.get(path)
            path = path.rpartition(".")[0]
        if absent is None:
            return None
        if absent.found:
            self.errors.extend(absent.found)
            return Poison.at()
        return self.error(absent.code, absent.message, node, absent.label, absent.help)

    def read_name(self, node: ast.Name, bound: Value) -> None:
        """Take down which value a name in the text denotes."""
        self.names[self._span(node)] = bound

    def _module_constant(self, node: ast.Name) -> Binding | None:
        """A module constant; a number keeps its name as its text, so that the generated line reads the same."""
        expression = self.module.constants[node.id]
        value = static_constant(expression, self.module)
        if value is not None:
            return Literal(value, self.constant_text(node.id, value))
        if isinstance(expression, ast.Dict | ast.Tuple | ast.List) and is_spelled(expression):
            return self.at_top().lower(expression)
        self.constant_text(node.id, None)
        out = Value("", Type.open(node.id))
        self.emit(
            Relation(
                (out,),
                "constant",
                (Literal(None, node.id),),
                constant_facts(self.module, node.id),
                None,
                self.place(node),
            ),
            view=False,
        )
        return out

    # Operators

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
        out = self._relation(gate.name, operands, attrs, span)
        literals = tuple(literal for operand in operands if (literal := self.static(operand)) is not None)
        number = folded(path, literals) if len(literals) == len(operands) else None
        if number is not None:
            self.known[out] = number
        return out

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
        if gate in _TRUTHS:
            self._truths.add(out)
        if gate in ("shape", "subshape"):
            self.shapes.add(out)
        entry = TABLE.get(gate)
        shares = view if view is not None else entry is not None and entry.view
        self.emit(Relation((out,), gate, operands, attrs, None, span), view=shares)
        return out

    # Tests

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

    # What subclasses know of

    @abstractmethod
    def contained(
        self, negated: bool, left: tuple[Binding, ast.expr], right: tuple[Binding, ast.expr], place: Span | None
    ) -> Operand:
        """`item in container`."""

    @abstractmethod
    def display(self, node: ast.Tuple | ast.List | ast.Dict) -> Binding:
        """A tuple, list or dict that is written out."""

    @abstractmethod
    def comprehension(self, node: ast.ListComp | ast.GeneratorExp | ast.DictComp) -> Binding:
        """A comprehension or a generator."""

    @abstractmethod
    def element(self, base: Structure | Dictionary, index: ast.expr) -> Binding:
        """`xs[1]`, `xs[1:]` or `d["k"]`."""

    @abstractmethod
    def joined_string(self, node: ast.JoinedStr) -> Binding:
        """An f-string."""

    @abstractmethod
    def closure(self, node: ast.Lambda) -> Binding:
        """A lambda."""

    @abstractmethod
    def call(self, node: ast.Call) -> Binding:
        """A call: `frontend.calls` knows what can be called."""

    # Where an expression stands

    def place(self, node: ast.expr) -> Span | None:
        """Where a relation stands in the text: None where the text is gone through more than once."""
        return self._span(node)

    def in_place_of(self, whole: ast.expr, part: ast.expr) -> Self:
        """For a part of an expression that is all that there is to it."""
        return self

    def aside(self) -> Self:
        """The same lowering, of which nothing comes: to see what an expression would be."""
        probe = copy.copy(self)
        probe.emit = lambda step, view: None
        probe.errors, probe.notes, probe.names, probe.probing = [], [], {}, True
        return probe

    def at_top(self) -> Self:
        """The same lowering where only the names of the module are known."""
        there = copy.copy(self)
        there.environment = {}
        return there

    def constant_text(self, name: str, value: object) -> str:
        """How a constant of the module is written."""
        return name

    # Attributes, shapes and indices

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

    def is_shape(self, bound: Binding) -> bool:
        """Whether something is the shape of an array, the length of which the text does not tell."""
        return isinstance(bound, Value) and bound in self.shapes

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
            case Closure() | Dictionary() | Collected() | Filled():
                self.error("FG034", f"{ast.unparse(node)} is neither a number nor an array", node)
                return None

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


def elements_of(bound: Structure | Dictionary) -> tuple[Binding, ...]:
    """What is gone through: the elements of a tuple or a list, the keys of a dict."""
    if isinstance(bound, Structure):
        return bound.items
    return tuple(Literal(key, repr(key)) for key, _ in bound.items)


_EXPRESSIONS: dict[type[ast.expr], str] = {
    ast.SetComp: "a set comprehension",
    ast.Set: "a set",
    ast.NamedExpr: "an assignment expression",
    ast.Starred: "a starred expression",
    ast.Await: "await",
    ast.Yield: "yield",
}

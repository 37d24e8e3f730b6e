"""What reading expressions keeps, and what all of them are made of: relations, literals, places, errors."""

from __future__ import annotations

import ast
import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

from flatgrad.diagnostics import Diagnostic
from flatgrad.frontend.constants import CONSTANTS, folded
from flatgrad.frontend.environment import (
    Binding,
    Closure,
    Collected,
    Dictionary,
    Emit,
    Filled,
    Listed,
    Poison,
    Static,
    Structure,
)
from flatgrad.frontend.source import Module, dotted_path, span_of
from flatgrad.gates.entry import BY_PATH, TABLE
from flatgrad.ir.core import Attribute, Literal, Operand, Relation, Span, Type, Value

# Gates whose result is an array wherever it is an index at all.
INDEX_GATES = frozenset(
    {"array_of", "arange", "argsort", "nonzero", "flatnonzero", "invert", "logical_not", "logical_and", "logical_or"}
    | {"greater", "greater_equal", "less", "less_equal", "equal", "not_equal", "isnan", "isfinite"}
)
# Gates that give a truth value of Python's own: they need not be asked for it.
_TRUTHS = frozenset({"not", "and", "or", "in", "not_in", "is", "is_not", "bool"})


class ExpressionBase(ABC):
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
        # Parameters that are objects with settings: `function: object`.
        self.objects: set[Value] = set()
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

    @abstractmethod
    def lower(self, node: ast.expr) -> Binding:
        """What an expression stands for."""

    @abstractmethod
    def contained(
        self, negated: bool, left: tuple[Binding, ast.expr], right: tuple[Binding, ast.expr], place: Span | None
    ) -> Operand:
        """`item in container`."""

    @abstractmethod
    def element(self, base: Structure | Dictionary, index: ast.expr) -> Binding:
        """`xs[1]`, `xs[1:]` or `d["k"]`."""

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
            case Static() | Closure() | Dictionary() | Collected() | Filled() | Listed():
                what = "a dict" if isinstance(bound, Dictionary | Filled) else ast.unparse(node)
                return self.error("FG034", f"{what} is not a number", node)

    def static(self, bound: Binding | None) -> Literal | None:
        """The literal that something is known to be while the function is read."""
        if isinstance(bound, Literal):
            return bound
        if isinstance(bound, Static) and bound.path in CONSTANTS:
            return Literal(CONSTANTS[bound.path], bound.path)
        return self.known.get(bound) if isinstance(bound, Value) else None

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

    def _sequence(self, structure: Structure, node: ast.expr) -> tuple[Operand, ...]:
        """The elements of a display as operands; a display inside it is an array of its own."""
        return tuple(self.as_operand(item, node) for item in structure.items)

    def is_text(self, node: ast.expr) -> bool:
        """Whether an expression is a string, as far as its form tells."""
        return isinstance(node, ast.Constant) and isinstance(node.value, str)

    def renamed(self, value: Value, named: Value) -> None:
        """A value that is known under another identity from now on."""
        if value in self.shapes:
            self.shapes.add(named)

    def is_shape(self, bound: Binding) -> bool:
        """Whether something is the shape of an array, the length of which the text does not tell."""
        return isinstance(bound, Value) and bound in self.shapes

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

"""A `Site` made of operands that are there: what the shape, dtype and backward rules of an entry ask."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flatgrad.gates.entry import Gate
from flatgrad.ir.core import Attribute, DType, Kind, Literal, Operand, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.solver import Solver, broadcast
from flatgrad.proving.running import Env


class RefusedUse(Exception):
    """A rule's own `site.refuse`."""


# The Site

MODES = ("known", "ranks", "unknown", "dynamic")


@dataclass(slots=True)
class ConcreteSite:
    """A `Site` over given operand types. `fresh` names are made by the solver."""

    attrs: Mapping[str, Attribute]
    count: int
    operands: dict[str, Operand]
    solver: Solver = field(default_factory=Solver)
    result: Shape | None = None
    result_types: tuple[DType, ...] = ()

    def operand(self, name: str) -> Operand:
        return self.operands[name]

    def type(self, name: str) -> Type:
        if name.startswith("z"):
            assert self.result is not None, "the result has no type in a shape rule"
            return Type(_kind(self.shape("z")), DType.FLOAT, self.shape("z"))
        operand = self.operands[name]
        if isinstance(operand, Literal):
            return Type(Kind.SCALAR, DType.of(operand.value), SCALAR)
        return Type(operand.type.kind, operand.type.dtype, self.shape(name), operand.type.number)

    def shape(self, name: str) -> Shape:
        if name == "z":
            assert self.result is not None, "the result has no shape in a shape rule"
            return self.solver.resolve(self.result)
        operand = self.operands[name]
        return SCALAR if isinstance(operand, Literal) else self.solver.resolve(operand.shape)

    def rank(self, name: str) -> int | None:
        return self.shape(name).rank

    def constant(self, name: str) -> Any:
        operand = self.operands[name]
        return operand.value if isinstance(operand, Literal) else None

    def same_dim(self, first: Dim, second: Dim) -> None:
        self.solver.same_dim(first, second)

    def exact_rank(self, name: str, rank: int) -> Shape:
        return self.solver.fix_rank(self.shape(name), rank)

    def grow_front(self, name: str, count: int) -> Shape:
        return self.solver.grow_front(self.shape(name), count)

    def grow_back(self, name: str, count: int) -> Shape:
        return self.solver.grow_back(self.shape(name), count)

    def broadcast(self, *shapes: Shape) -> Shape:
        total = SCALAR
        for shape in shapes:
            total = broadcast(total, shape, self.solver, self.solver.fresh("b"))
        return total

    def unknown(self) -> Shape:
        return Shape.unknown(self.solver.fresh("u"))

    def dim_given_by(self, value: Value, reason: Hashable) -> Dim:
        return self.fresh_dim()

    def fresh_dim(self) -> Dim:
        return Dim.symbol(self.solver.fresh("d"))

    def number(self, attribute: Attribute) -> Dim | None:
        match attribute:
            case bool():
                return None
            case int():
                return Dim.of(attribute)
            case Value():
                return attribute.type.number
        return None

    def integer(self, attribute: Attribute) -> Dim | None:
        return self.number(attribute)

    def attribute_type(self, value: Value) -> Type:
        return value.type

    def refuse(self, message: str, help: str = "") -> Exception:
        return RefusedUse(f"{message} {help}".strip())


def _kind(shape: Shape) -> Kind:
    return Kind.OPEN if shape.rank is None else Kind.ARRAY if shape.rank else Kind.SCALAR


def dtype_of(value: Any) -> DType:
    kind = np.asarray(value).dtype.kind
    return {"f": DType.FLOAT, "i": DType.INT, "u": DType.INT, "b": DType.BOOL}.get(kind, DType.NONE)


def site_for(
    entry: Gate, env: Env, mode: str, literals: frozenset[str] = frozenset(), whole: DType = DType.INT
) -> ConcreteSite:
    """A site for the operands in `env`.

    Modes: `known` (every dim), `ranks` (ranks known, dims are symbols), `unknown` (nothing), `dynamic` (shapes known,
    integers in attributes are values of the run). `whole` is what integer operands are declared to be.
    """
    xs = env.get("xs", ())
    names = [n for n in entry.operands if n != "xs"] + [f"x{k}" for k in range(len(xs))]
    operands: dict[str, Operand] = {}
    for name in names:
        value = env[name]
        if name in literals:
            operands[name] = Literal(value, repr(value))
            continue
        shape = np.shape(value) if not isinstance(value, slice | tuple) else ()
        known = Shape.of(*shape)
        if mode == "ranks":
            known = Shape.of(*(f"{name}.{axis}" for axis in range(len(shape))))
        elif mode == "unknown":
            known = Shape.unknown(f"{name}*")
        operands[name] = Value(
            name, Type(_kind(known), whole if dtype_of(value) is DType.INT else dtype_of(value), known)
        )
    attrs = {name: env[name] for name in entry.attributes}
    if mode == "dynamic":
        attrs = {name: _dynamic(name, value) for name, value in attrs.items()}
    return ConcreteSite(attrs, len(xs), operands)


def _dynamic(name: str, value: Any) -> Any:
    match value:
        case bool():
            return value
        case int():
            return Value(name, Type(Kind.SCALAR, DType.INT, SCALAR, Dim.symbol(name)))
        case tuple():
            return tuple(_dynamic(f"{name}[{k}]", part) for k, part in enumerate(value))
    return value

"""One use of a gate, as its shape, dtype and backward rules see it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import lru_cache

from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.gates.entry import TABLE, Gate
from flatgrad.ir.core import Attribute, DType, Kind, Literal, Operand, Relation, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.solver import Solver, broadcast

TypeOf = Callable[[Value], Type]


def literal_type(literal: Literal) -> Type:
    match literal.value:
        case bool():
            return Type(Kind.SCALAR, DType.BOOL, SCALAR)
        case int(value):
            return Type(Kind.SCALAR, DType.INT, SCALAR, Dim.of(value))
        case float():
            return Type(Kind.SCALAR, DType.FLOAT, SCALAR)
        case _:
            return Type(Kind.OTHER, DType.NONE, SCALAR)


class RelationSite:
    """A `gates.entry.Site` over one relation. `label` names what the rule leaves open, the same at every visit."""

    def __init__(self, relation: Relation, type_of: TypeOf, solver: Solver, label: str) -> None:
        self.relation = relation
        self.gate: Gate = TABLE[relation.gate]
        self.attrs: Mapping[str, Attribute] = relation.attrs
        self.count = (
            len(relation.args) - sum(name != "xs" for name in self.gate.operands)
            if "xs" in self.gate.operands
            else len(relation.args)
        )
        self._type_of = type_of
        self._solver = solver
        self._label = label
        self._opened = 0

    def operand(self, name: str) -> Operand:
        if name in ("z", "z0"):
            return self.relation.out
        if name == "z1":
            return self.relation.outs[1]
        return self.relation.args[self._position(name)]

    def _position(self, name: str) -> int:
        if name.startswith("x") and name[1:].isdigit():
            return int(name[1:]) + (len(self.gate.operands) - 1 if self.gate.operands[-1] == "xs" else 0)
        return self.gate.operands.index(name)

    def has(self, name: str) -> bool:
        return name in self.gate.operands and self._position(name) < len(self.relation.args)

    def type(self, name: str) -> Type:
        operand = self.operand(name)
        return literal_type(operand) if isinstance(operand, Literal) else self._type_of(operand)

    def shape(self, name: str) -> Shape:
        return self._solver.resolve(self.type(name).shape)

    def rank(self, name: str) -> int | None:
        return self.shape(name).rank

    def constant(self, name: str) -> int | float | str | bool | None:
        operand = self.operand(name)
        if isinstance(operand, Literal) and not isinstance(operand.value, complex):
            return operand.value
        return None

    def same_dim(self, first: Dim, second: Dim) -> None:
        self._solver.same_dim(first, second)

    def exact_rank(self, name: str, rank: int) -> Shape:
        return self._solver.fix_rank(self.type(name).shape, rank)

    def grow_front(self, name: str, count: int) -> Shape:
        return self._solver.grow_front(self.type(name).shape, count)

    def grow_back(self, name: str, count: int) -> Shape:
        return self._solver.grow_back(self.type(name).shape, count)

    def broadcast(self, *shapes: Shape) -> Shape:
        total = SCALAR
        for shape in shapes:
            self._opened += 1
            name = f"{self._label}.{self._opened}"
            total = broadcast(self._solver.resolve(total), self._solver.resolve(shape), self._solver, name)
        return total

    def unknown(self) -> Shape:
        self._opened += 1
        return Shape.unknown(f"{self._label}.{self._opened}")

    def dim_given_by(self, value: Value, reason: Hashable) -> Dim:
        # A function that is called twice has other numbers each time: the label says which call it is.
        key = (self._label.rpartition(":")[0], value, reason)
        return self._solver.resolve_dim(self._solver.given.setdefault(key, self.fresh_dim()))

    def fresh_dim(self) -> Dim:
        self._opened += 1
        return Dim.symbol(f"{self._label}.{self._opened}")

    def number(self, attribute: Attribute) -> Dim | None:
        number = self.integer(attribute)
        return None if number is None or number.signed else number

    def integer(self, attribute: Attribute) -> Dim | None:
        if isinstance(attribute, bool):
            return None
        if isinstance(attribute, int):
            return Dim.of(attribute)
        if isinstance(attribute, Value):
            number = self._type_of(attribute).number
            return None if number is None else self._solver.resolve_dim(number)
        return None

    def attribute_type(self, value: Value) -> Type:
        return self._type_of(value)

    def refuse(self, message: str, help: str = "") -> Exception:
        return Refused((Diagnostic("FG023", message, self.relation.span, "", help),))


@lru_cache(maxsize=256)
def _parsed(signature: str) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    """The core dims of each operand, and of the result."""
    inputs, output = signature.replace(" ", "").split("->")
    operands = tuple(tuple(filter(None, part.split(","))) for part in inputs[1:-1].split("),("))
    return operands, tuple(filter(None, output[1:-1].split(",")))


def gufunc(site: RelationSite, signature: str) -> Shape:
    """The result shape of a gufunc signature such as `(n,k),(k,m)->(n,m)`; loop dims broadcast.

    Core dims of one label are equal whenever the line runs, which NumPy's products enforce.
    """
    operands, labels_out = _parsed(signature)
    core: dict[str, Dim] = {}
    loops: list[Shape] = []
    names = [name for name in site.gate.operands if name != "xs"] or [f"x{k}" for k in range(site.count)]
    if len(operands) != len(names):
        names = names[: len(operands)]
    for name, labels in zip(names, operands, strict=True):
        if not site.has(name):
            continue
        shape = site.grow_back(name, len(labels)) if labels else site.shape(name)
        dims = shape.dims
        for position, label in enumerate(labels):
            dim = shape.dim(position - len(labels))
            if dim is None:
                dim = site.fresh_dim()
            if label in core:
                site.same_dim(core[label], dim)
            core.setdefault(label, dim)
        if not labels:
            loops.append(shape)
        elif dims is not None:
            loops.append(Shape(dims[: len(dims) - len(labels)]))
        elif len(shape.back) >= len(labels):
            loops.append(Shape(shape.front, shape.middle, shape.back[: len(shape.back) - len(labels)]))
        else:
            loops.append(site.unknown())
    loop = site.broadcast(*loops)
    tail = tuple(core[label] for label in labels_out)
    if loop.middle is None:
        return Shape(loop.front + tail)
    return Shape(loop.front, loop.middle, loop.back + tail)


def promoted(types: list[Type]) -> DType:
    """NumPy's promotion, as far as it matters here."""
    dtypes = [one.dtype for one in types]
    if DType.FLOAT in dtypes:
        return DType.FLOAT
    if DType.OPEN in dtypes:
        return DType.OPEN
    if all(one is DType.BOOL for one in dtypes) and dtypes:
        return DType.BOOL
    return DType.INT

"""Rewrites of one relation as it is built: what a person would not write is not built in the first place.

`x * 1`, `x ** 1`, `--x`, the transpose of a transpose, a reshape to the shape it has, literals that meet in a product,
and the spreading of a gradient that broadcasts anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Attribute, DType, Kind, Literal, Operand, Relation, Slice, Type, Value, is_literal
from flatgrad.ir.dims import Shape


class Building(Protocol):
    definitions: dict[Value, Relation]

    def add(
        self, gate: str, *args: Operand, attrs: Mapping[str, Attribute] | None = None, name: str = ""
    ) -> Operand: ...
    def type(self, operand: Operand) -> Type: ...


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Another relation to build instead."""

    gate: str
    args: tuple[Operand, ...]
    attrs: Mapping[str, Attribute] = field(default_factory=dict)


Found = Operand | Rewritten | None


def simplified(build: Building, gate: str, args: tuple[Operand, ...], attrs: Mapping[str, Attribute]) -> Found:
    """Something simpler of the same value, or None."""
    match gate:
        case "multiply":
            return _product(build, *args) or _unspread(build, gate, args, attrs)
        case "divide":
            return _quotient(build, *args) or _unspread(build, gate, args, attrs)
        case "add":
            if is_literal(args[1], 0):
                return args[0]
            if is_literal(args[0], 0):
                return args[1]
            return _unspread(build, gate, args, attrs)
        case "subtract":
            if is_literal(args[1], 0):
                return args[0]
            return _unspread(build, gate, args, attrs)
        case "negative":
            inner = _made_by(build, args[0], "negative")
            if inner is not None:
                return inner.args[0]
            return _unspread(build, gate, args, attrs)
        case "power":
            if is_literal(args[1], 1):
                return args[0]
            return None
        case "broadcast_to":
            return _spread(build, args[0], attrs)
        case "reshape":
            return _reshape(build, args[0], attrs)
        case "matmul":
            for position, arg in enumerate(args):
                inner = _made_by(build, arg, "negative")
                if inner is not None:
                    positive = (*args[:position], inner.args[0], *args[position + 1 :])
                    return Rewritten("negative", (build.add("matmul", *positive, attrs=attrs),))
            return None
        case "transpose":
            return _transpose(build, args[0], attrs)
        case "swapaxes" if _swaps_matrices(build, gate, args[0], attrs):
            for name in ("transpose", "swapaxes"):
                inner = _made_by(build, args[0], name)
                if inner is not None and _swaps_matrices(build, name, inner.args[0], inner.attrs):
                    return inner.args[0]
            inner = _made_by(build, args[0], "matmul")
            if inner is not None and all(_is_stack(build.type(arg).shape) for arg in inner.args):
                # (np.swapaxes(q, -1, -2) @ dz).swapaxes(-1, -2) as np.swapaxes(dz, -1, -2) @ q
                other, one = (build.add("swapaxes", arg, attrs=attrs) for arg in inner.args)
                return Rewritten("matmul", (one, other))
            return None
        case "read":
            index = attrs["index"]
            if isinstance(index, tuple) and all(item == Slice() or item is Ellipsis for item in index):
                return args[0]
            return _read_of_sum(build, args[0], index)
        case "spread":
            inner = _made_by(build, args[0], "spread")
            if inner is not None:
                return Rewritten("spread", (inner.args[0], args[1]))
            if build.type(args[0]).shape == build.type(args[1]).shape:
                return args[0]
            return None
        case "sum":
            return _sum(build, args[0], attrs)
        case _:
            if gate in TABLE and TABLE[gate].elementwise and len(args) == 1:
                return _unspread(build, gate, args, attrs)
            return None


def _made_by(build: Building, operand: Operand, gate: str) -> Relation | None:
    if not isinstance(operand, Value) or operand.name:
        return None
    relation = build.definitions.get(operand)
    return relation if relation is not None and relation.gate == gate else None


def _literal(value: float) -> Literal:
    return Literal(value, repr(value))


def _number(operand: Operand) -> float | None:
    if isinstance(operand, Literal) and isinstance(operand.value, int | float) and not isinstance(operand.value, bool):
        return operand.value
    return None


def _product(build: Building, left: Operand, right: Operand) -> Found:
    if is_literal(right, 1):
        return left
    if is_literal(left, 1):
        return right
    if is_literal(right, -1):
        return Rewritten("negative", (left,))
    number = _number(right)
    if number is not None:
        # Two literals meet in one: (dz * 2) * 0.5, (dz / 2) * 2. The text of a constant that has a name is kept.
        inner = _made_by(build, left, "multiply")
        if (
            inner is not None
            and (first := _plain_number(inner.args[1])) is not None
            and _plain_number(right) is not None
        ):
            return Rewritten("multiply", (inner.args[0], _literal(_tidy(first * number))))
        inner = _made_by(build, left, "divide")
        if inner is not None and (first := _plain_number(inner.args[1])) and _plain_number(right) is not None:
            factor = number / first
            if factor == int(factor):
                return Rewritten("multiply", (inner.args[0], _literal(int(factor))))
        inner = _made_by(build, left, "divide")
        factors = None if inner is None else _made_by(build, inner.args[0], "multiply")
        first = None if factors is None else _plain_number(factors.args[1])
        if inner is not None and factors is not None and first is not None and _plain_number(right) is not None:
            # dz * 0.5 / z * 2
            product = build.add("multiply", factors.args[0], _literal(_tidy(first * number)))
            return Rewritten("divide", (product, inner.args[1]))
    inner = _made_by(build, right, "multiply")
    if inner is not None and build.type(right).dtype is not DType.INT:
        # dz * (0.5 * reg) as dz * reg * 0.5: the literal may meet another one. A product of integers may wrap around.
        for literal, other in (inner.args, inner.args[::-1]):
            if _plain_number(literal) is not None:
                return Rewritten("multiply", (build.add("multiply", left, other), literal))
    inner = _made_by(build, left, "negative")
    return None if inner is None else Rewritten("negative", (build.add("multiply", inner.args[0], right),))


def _plain_number(operand: Operand) -> float | None:
    number = _number(operand)
    if number is None or not isinstance(operand, Literal) or operand.text[:1].isalpha():
        return None
    return number


def _tidy(number: float) -> float:
    return int(number) if number == int(number) else number


def _quotient(build: Building, left: Operand, right: Operand) -> Found:
    if is_literal(right, 1):
        return left
    inner = _made_by(build, left, "negative")
    return None if inner is None else Rewritten("negative", (build.add("divide", inner.args[0], right),))


def _spread(build: Building, source: Operand, attrs: Mapping[str, Attribute]) -> Found:
    """`np.broadcast_to(g, np.shape(x))` as the spreading of a gradient over x."""
    shape = attrs["shape"]
    if isinstance(shape, Value):
        definition = build.definitions.get(shape)
        if definition is not None and definition.gate == "shape":
            return Rewritten("spread", (source, definition.args[0]))
    return None


def _reshape(build: Building, source: Operand, attrs: Mapping[str, Attribute]) -> Found:
    shape = attrs["shape"]
    if not isinstance(shape, Value) or shape.type.kind is not Kind.SHAPE:
        return None
    if build.type(source).shape == shape.type.shape and build.type(source).kind is Kind.ARRAY:
        return source
    spread = _made_by(build, source, "spread")
    definition = build.definitions.get(shape)
    if (
        spread is not None
        and build.type(spread.args[0]).shape.is_scalar
        and definition is not None
        and definition.gate == "shape"
    ):
        return Rewritten("spread", (spread.args[0], definition.args[0]))
    return None


def _is_stack(shape: Shape) -> bool:
    """Of matrices, of which the number of dims is open."""
    return shape.middle is not None and len(shape.back) >= 2


def _swaps_matrices(build: Building, gate: str, source: Operand, attrs: Mapping[str, Attribute]) -> bool:
    """Whether a relation swaps the last two axes and leaves the others."""
    if gate == "swapaxes":
        return {attrs.get("axis1"), attrs.get("axis2")} == {-1, -2}
    rank, axes = build.type(source).shape.rank, attrs.get("axes")
    while isinstance(axes, tuple) and len(axes) == 1 and isinstance(axes[0], tuple):
        axes = axes[0]
    if rank is None or rank < 2 or not isinstance(axes, tuple) or not all(isinstance(axis, int) for axis in axes):
        return False
    return axes == (*range(rank - 2), rank - 1, rank - 2)


def _transpose(build: Building, source: Operand, attrs: Mapping[str, Attribute]) -> Found:
    if attrs.get("axes") is not None:
        inner = _made_by(build, source, "matmul")
        rank = build.type(source).shape.rank
        if inner is None or not _swaps_matrices(build, "transpose", source, attrs):
            return None
        if not all(build.type(arg).shape.rank == rank for arg in inner.args):
            return None
        # (np.swapaxes(q, -1, -2) @ dz).transpose(0, 2, 1) as np.swapaxes(dz, -1, -2) @ q
        swap: dict[str, Attribute] = {"axis1": -1, "axis2": -2}
        other, one = (build.add("swapaxes", arg, attrs=swap) for arg in inner.args)
        return Rewritten("matmul", (one, other))
    if build.type(source).shape.rank in (0, 1):
        return source
    inner = _made_by(build, source, "transpose")
    if inner is not None and inner.attrs.get("axes") is None:
        return inner.args[0]
    inner = _made_by(build, source, "negative")
    if inner is not None:
        return Rewritten("negative", (build.add("transpose", inner.args[0], attrs=attrs),))
    inner = _made_by(build, source, "outer")
    if inner is not None:
        return Rewritten("outer", inner.args[::-1], inner.attrs)
    inner = _made_by(build, source, "matmul")
    if inner is not None and all(build.type(arg).shape.rank == 2 for arg in inner.args):
        # (x.T @ dz).T as dz.T @ x
        first, second = (build.add("transpose", arg, attrs=attrs) for arg in inner.args)
        return Rewritten("matmul", (second, first))
    return None


def _read_of_sum(build: Building, source: Operand, index: Attribute) -> Found:
    """`x.sum(axis=1, keepdims=True)[:, 0]` as `x.sum(axis=1)`."""
    inner = _made_by(build, source, "negative")
    if inner is not None:
        return Rewritten("negative", (build.add("read", inner.args[0], attrs={"index": index}),))
    inner = _made_by(build, source, "sum")
    if inner is None or inner.attrs.get("keepdims") is not True or not isinstance(index, tuple):
        return None
    rank = build.type(inner.args[0]).shape.rank
    axis = inner.attrs.get("axis")
    axes = axis if isinstance(axis, tuple) else (axis,)
    if rank is None or not all(isinstance(one, int) for one in axes):
        return None
    taken = {position for position, item in enumerate(index) if item == 0 and isinstance(item, int)}
    rest = [item for position, item in enumerate(index) if position not in taken]
    if taken != {one % rank for one in axes if isinstance(one, int)} or any(item != Slice() for item in rest):
        return None
    return Rewritten("sum", inner.args, {**inner.attrs, "keepdims": False})


def _sum(build: Building, source: Operand, attrs: Mapping[str, Attribute]) -> Found:
    """A factor that does not run along the summed axes is taken out of the sum: `(a * b).sum(axis=0) / c`."""
    axis, keepdims = attrs.get("axis"), attrs.get("keepdims")
    if not isinstance(keepdims, bool) or not isinstance(source, Value) or source.name:
        return None
    relation = build.definitions.get(source)
    if relation is None:
        return None
    whole = build.type(source).shape
    if whole.is_scalar:
        return source
    if relation.gate == "negative":
        return Rewritten("negative", (build.add("sum", relation.args[0], attrs=attrs),))
    if relation.gate not in ("multiply", "divide") or whole.rank is None:
        return None
    left, right = relation.args
    axes = tuple(range(whole.rank)) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
    if not all(isinstance(one, int) for one in axes):
        return None
    summed = {one % whole.rank for one in axes if isinstance(one, int)}
    if build.type(left).shape == whole and _stays(build.type(right).shape, whole.rank, summed, keepdims):
        return Rewritten(relation.gate, (build.add("sum", left, attrs=attrs), right))
    if (
        relation.gate == "multiply"
        and build.type(right).shape == whole
        and _stays(build.type(left).shape, whole.rank, summed, keepdims)
    ):
        return Rewritten("multiply", (left, build.add("sum", right, attrs=attrs)))
    return None


def _stays(shape: Shape, rank: int, summed: set[int], keepdims: bool) -> bool:
    """Whether a factor of this shape is the same along the summed axes, and still broadcasts without them."""
    if shape.dims is None or len(shape.dims) > rank:
        return False
    lead = rank - len(shape.dims)
    if any(axis >= lead and shape.dims[axis - lead].constant != 1 for axis in summed):
        return False
    return keepdims or not shape.dims or (summed == set(range(len(summed))) and len(summed) <= lead)


def _unspread(build: Building, gate: str, args: tuple[Operand, ...], attrs: Mapping[str, Attribute]) -> Found:
    """Spreading that an elementwise relation does by itself, or that can wait until after it."""
    spreads = [_made_by(build, arg, "spread") for arg in args]
    first = next((spread for spread in spreads if spread is not None), None)
    if first is None:
        return None
    target = first.args[1]
    shape = build.type(target).shape
    others = [arg for arg, spread in zip(args, spreads, strict=True) if spread is None]
    bare = tuple(arg if spread is None else spread.args[0] for arg, spread in zip(args, spreads, strict=True))
    # A Python float times a boolean array is float64 whatever the model computes in: there the gradient is spread
    # before, as an array of the model's own dtype.
    if any(build.type(arg).shape == shape and build.type(arg).dtype in (DType.FLOAT, DType.OPEN) for arg in others):
        return Rewritten(gate, bare, attrs)
    if any(build.type(arg).dtype in (DType.BOOL, DType.INT) and not build.type(arg).shape.is_scalar for arg in others):
        return None
    if all(_fits(build.type(arg).shape, shape) for arg in others):
        return Rewritten("spread", (build.add(gate, *bare, attrs=attrs), target))
    return None


def _fits(shape: Shape, target: Shape) -> bool:
    """Whether a value of this shape broadcasts into the target without making it larger."""
    if shape.is_scalar or shape == target:
        return True
    if shape.dims is None:
        return False
    tail = target.front if target.middle is None else target.back
    if len(shape.dims) > len(tail):
        return False
    return all(
        one == two or one.constant == 1
        for one, two in zip(shape.dims, tail[len(tail) - len(shape.dims) :], strict=True)
    )

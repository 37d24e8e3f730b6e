"""The shape of `x[index]`, and what an index is: basic or fancy, with or without repeats."""

from __future__ import annotations

import enum
from collections.abc import Callable

from flatgrad.ir.core import Attribute, DType, Kind, Slice, Type, Value
from flatgrad.ir.dims import Dim, Shape
from flatgrad.ir.solver import Solver, broadcast

TypeOf = Callable[[Value], Type]


class Style(enum.Enum):
    """How an index reads, from the mildest: only new axes and full slices; a view; copies; the same element twice."""

    NEW_AXES = "new axes"
    BASIC = "basic"
    DISTINCT = "fancy, every element once"
    REPEATING = "fancy, elements may repeat"


def index_shape(shape: Shape, index: tuple[Attribute, ...], type_of: TypeOf, solver: Solver, label: str) -> Shape:
    """The shape of `x[index]` for x of `shape`. What the line enforces of x's rank is unified."""
    consumed = sum(_consumes(item, type_of) or 0 for item in index)
    unclear = any(_consumes(item, type_of) is None for item in index)
    if unclear:
        return Shape.unknown(label)
    if Ellipsis not in index:
        shape = solver.grow_front(shape, consumed)
        if shape.middle is not None and len(shape.front) < consumed:
            return Shape.unknown(label)
        return _walk(shape, index, type_of, solver, label)
    position = index.index(Ellipsis)
    before = sum(_consumes(item, type_of) or 0 for item in index[:position])
    after = consumed - before
    if shape.dims is None:
        if before:
            shape = solver.grow_front(shape, before)
        if after:
            shape = solver.grow_back(shape, after)
    if len(shape.front if shape.middle is not None else shape.front) < before:
        return Shape.unknown(label)
    if shape.middle is None:
        gap = len(shape.front) - consumed
        if gap < 0:
            return Shape.unknown(label)
        expanded = (*index[:position], *([Slice()] * gap), *index[position + 1 :])
        return _walk(shape, expanded, type_of, solver, label)
    if any(_is_advanced(item, type_of) for item in index) or len(shape.back) < after:
        return Shape.unknown(label)
    head = _walk(Shape(shape.front), index[:position], type_of, solver, label)
    tail_dims = shape.back[len(shape.back) - after :] if after else ()
    tail = _walk(Shape(tail_dims), index[position + 1 :], type_of, solver, label)
    return Shape(head.front, shape.middle, shape.back[: len(shape.back) - after] + tail.front)


def _walk(shape: Shape, index: tuple[Attribute, ...], type_of: TypeOf, solver: Solver, label: str) -> Shape:
    """The shape for an index without an ellipsis, whose items meet dims at the front of the shape."""
    axis = 0
    dims: list[Dim] = []
    advanced: Shape | None = None
    place = 0
    gaps = 0
    previous_advanced = False
    for count, item in enumerate(index):
        if item is None:
            dims.append(Dim.of(1))
            previous_advanced = False
        elif isinstance(item, Slice):
            dims.append(_slice_dim(shape.front[axis], item, type_of, f"{label}.{count}"))
            axis += 1
            previous_advanced = False
        elif _is_advanced(item, type_of):
            assert isinstance(item, Value)
            one = type_of(item)
            part = Shape((Dim.symbol(f"{label}.mask{count}"),)) if one.dtype is DType.BOOL else solver.resolve(one.shape)
            if advanced is None:
                advanced, place = part, len(dims)
            else:
                gaps += not previous_advanced
                advanced = broadcast(advanced, part, solver, f"{label}.{count}")
            axis += _consumes(item, type_of) or 0
            previous_advanced = True
        else:
            # An integer among advanced indices is one of them.
            if any(_is_advanced(other, type_of) for other in index):
                if advanced is None:
                    advanced, place = Shape(()), len(dims)
                else:
                    gaps += not previous_advanced
                previous_advanced = True
            axis += 1
    rest = Shape(shape.front[axis:], shape.middle, shape.back)
    if advanced is None:
        return _joined(Shape(tuple(dims)), rest)
    if gaps:
        place = 0
    front, back = Shape(tuple(dims[:place])), Shape(tuple(dims[place:]))
    if advanced.middle is not None and rest.middle is not None:
        return Shape.unknown(label)
    return _joined(_joined(front, advanced), _joined(back, rest))


def _joined(first: Shape, second: Shape) -> Shape:
    if first.middle is None:
        return Shape(first.front + second.front, second.middle, second.back)
    return Shape(first.front, first.middle, first.back + second.front)


def _consumes(item: Attribute, type_of: TypeOf) -> int | None:
    """How many dims of x an item uses up; None where that is not known."""
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, Value):
        known = type_of(item)
        if known.dtype is DType.BOOL:
            return known.shape.rank
        if known.dtype is DType.OPEN and known.kind is not Kind.SCALAR:
            return None if known.shape.rank is None else 1
    return 1


def _is_advanced(item: Attribute, type_of: TypeOf) -> bool:
    return isinstance(item, Value) and type_of(item).kind is not Kind.SCALAR


def _slice_dim(dim: Dim, item: Slice, type_of: TypeOf, label: str) -> Dim:
    """The length of a slice, where it is the same for every value of the symbols; else a new symbol."""
    if item == Slice():
        return dim
    start = Dim.of(0) if item.start is None else _bound(item.start, dim, type_of)
    stop = dim if item.stop is None else _bound(item.stop, dim, type_of)
    if item.step == -1 and item.start is None and item.stop is None:
        return dim
    if item.step not in (None, 1) or start is None or stop is None:
        return Dim.symbol(label)
    if dim.constant is not None and start.constant is not None and stop.constant is not None:
        return Dim.of(len(range(*slice(start.constant, stop.constant).indices(dim.constant))))
    if not (_never_negative(start) and _never_negative(dim - stop)):
        return Dim.symbol(label)
    length = stop - start
    whole = item.start is None or item.stop is None
    if _never_negative(length) or (whole and (dim - length).constant == 1):
        return length
    return Dim.symbol(label)


def _bound(attribute: Attribute, dim: Dim, type_of: TypeOf) -> Dim | None:
    if isinstance(attribute, int):
        return Dim.of(attribute) if attribute >= 0 else dim + attribute
    if isinstance(attribute, Value):
        return type_of(attribute).number
    return None


def _never_negative(dim: Dim) -> bool:
    return all(coefficient >= 0 for _, coefficient in dim.terms)


def index_style(index: tuple[Attribute, ...], type_of: TypeOf, counts_up: Callable[[Value], bool]) -> Style:
    """How an index reads. `counts_up` tells an index array that is known to hold distinct integers in one row, such
    as `np.arange(N)`."""
    values = [item for item in index if isinstance(item, Value)]
    advanced = [item for item in values if type_of(item).kind is not Kind.SCALAR]
    if not advanced:
        plain = all(item is None or item is Ellipsis or item == Slice() for item in index)
        return Style.NEW_AXES if plain else Style.BASIC
    if all(type_of(item).dtype is DType.BOOL for item in advanced) and len(advanced) == 1:
        return Style.DISTINCT
    for item in advanced:
        # One coordinate that never repeats makes the whole element unique, as long as the others only run beside it.
        if counts_up(item) and all(_runs_beside(type_of(item), type_of(other)) for other in advanced):
            return Style.DISTINCT
    return Style.REPEATING


def _runs_beside(counter: Type, other: Type) -> bool:
    if other.dtype is DType.BOOL or counter.shape.rank != 1:
        return False
    return other.shape.is_scalar or (other.shape.rank == 1 and other.shape in (counter.shape, Shape.of(1)))

"""The shape of `x[index]`, and what an index is: basic or fancy, with or without repeats."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from types import EllipsisType

from flatgrad.facts.windows import number_of, window_length
from flatgrad.ir.core import Attribute, DType, Kind, Literal, Loop, Operand, Slice, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
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
    uses = [_consumes(item, type_of) for item in index]
    if None in uses:
        return Shape.unknown(label)
    consumed = sum(count or 0 for count in uses)
    if Ellipsis not in index:
        shape = solver.grow_front(shape, consumed)
        if len(shape.front) < consumed:
            return Shape.unknown(label)
        return _walk(shape, index, type_of, solver, label)
    position = index.index(Ellipsis)
    before = sum(count or 0 for count in uses[:position])
    after = consumed - before
    if shape.middle is not None:
        shape = solver.grow_front(shape, before)
        shape = solver.grow_back(shape, after)
    if shape.middle is None:
        gap = len(shape.front) - consumed
        if gap < 0:
            return Shape.unknown(label)
        # An ellipsis that stands for no dim still keeps advanced items apart.
        middle: tuple[Attribute, ...] = (Slice(),) * gap or (Ellipsis,)
        expanded = (*index[:position], *middle, *index[position + 1 :])
        return _walk(shape, expanded, type_of, solver, label)
    if len(shape.front) < before or len(shape.back) < after or any(_is_advanced(item, type_of) for item in index):
        return Shape.unknown(label)
    cut = len(shape.back) - after
    head = _walk(Shape(shape.front), index[:position], type_of, solver, f"{label}.head")
    tail = _walk(Shape(shape.back[cut:]), index[position + 1 :], type_of, solver, f"{label}.tail")
    return Shape(head.front, shape.middle, shape.back[:cut] + tail.front)


def _walk(shape: Shape, index: tuple[Attribute, ...], type_of: TypeOf, solver: Solver, label: str) -> Shape:
    """The shape for an index without an ellipsis, whose items meet dims at the front of the shape."""
    # An integer among advanced items is one of them.
    fancy = any(_is_advanced(item, type_of) for item in index)
    axis = 0
    dims: list[Dim] = []
    advanced: Shape | None = None
    place = 0
    apart = False
    beside = False
    for count, item in enumerate(index):
        if item is None or item is Ellipsis:
            dims += [] if item is Ellipsis else [Dim.of(1)]
            beside = False
        elif isinstance(item, Slice):
            window = window_length(shape.front[axis], item, type_of, solver)
            dims.append(_slice_dim(shape.front[axis], item, type_of, f"{label}.{count}") if window is None else window)
            axis += 1
            beside = False
        else:
            if fancy:
                part = _advanced_shape(item, type_of, solver, f"{label}.mask{count}")
                if advanced is None:
                    advanced, place = part, len(dims)
                else:
                    apart = apart or not beside
                    advanced = broadcast(advanced, part, solver, f"{label}.{count}")
                beside = True
            axis += _consumes(item, type_of) or 0
    rest = Shape(shape.front[axis:], shape.middle, shape.back)
    if advanced is None:
        return _joined(Shape(tuple(dims)), rest)
    if apart:
        place = 0
    if advanced.middle is not None and rest.middle is not None:
        return Shape.unknown(label)
    front, back = Shape(tuple(dims[:place])), Shape(tuple(dims[place:]))
    return _joined(_joined(front, advanced), _joined(back, rest))


def _advanced_shape(item: Attribute, type_of: TypeOf, solver: Solver, label: str) -> Shape:
    """What one item adds to the common shape of the advanced ones: a mask the number of its true elements."""
    if not isinstance(item, Value):
        return SCALAR
    one = type_of(item)
    if one.dtype is DType.BOOL:
        return Shape((Dim.symbol(label),))
    return SCALAR if one.kind is Kind.SCALAR else solver.resolve(one.shape)


def _joined(first: Shape, second: Shape) -> Shape:
    if first.middle is None:
        return Shape(first.front + second.front, second.middle, second.back)
    return Shape(first.front, first.middle, first.back + second.front)


def _consumes(item: Attribute, type_of: TypeOf) -> int | None:
    """How many dims of x an item uses up; None where that, or what comes in their place, is not known."""
    match item:
        case None | EllipsisType():
            return 0
        case Slice():
            return 1
        case bool():
            return None
        case int():
            return 1
        case Value():
            known = type_of(item)
            if known.kind in (Kind.SHAPE, Kind.OTHER):
                # A tuple is an index of several items.
                return None
            if known.dtype is DType.BOOL:
                # A single True or False takes no dim and adds one.
                return known.shape.rank or None
            if known.dtype is DType.OPEN and known.kind is not Kind.SCALAR:
                # It may be a mask.
                return None
            return 1
        case _:
            return None


def _is_advanced(item: Attribute, type_of: TypeOf) -> bool:
    return isinstance(item, Value) and (type_of(item).kind is not Kind.SCALAR or type_of(item).dtype is DType.BOOL)


@dataclass(frozen=True, slots=True)
class _Place:
    """A bound of a slice: `distance`, which is never negative, from the front or, then a constant, from the end."""

    distance: Dim
    from_end: bool


def _slice_dim(dim: Dim, item: Slice, type_of: TypeOf, label: str) -> Dim:
    """The length of a slice, where it is the same expression for every value of the symbols; else a new symbol."""
    if item.start is None and item.stop is None and item.step in (None, 1, -1):
        return dim
    bounds = [number_of(part, type_of) for part in (item.start, item.stop, item.step)]
    known = [None if bound is None else bound.constant for bound in bounds]
    if dim.constant is not None and all(k is not None or p is None for k, p in zip(known, _parts(item), strict=True)):
        return Dim.of(len(range(dim.constant)[slice(*known)])) if known[2] != 0 else Dim.symbol(label)
    length = None
    if item.step in (None, 1):
        start = _Place(Dim.of(0), False) if item.start is None else _place(bounds[0], dim)
        stop = _Place(Dim.of(0), True) if item.stop is None else _place(bounds[1], dim)
        length = None if start is None or stop is None else _length(dim, start, stop)
    return Dim.symbol(label) if length is None else length


def _parts(item: Slice) -> tuple[Attribute, Attribute, Attribute]:
    return item.start, item.stop, item.step


def _place(number: Dim | None, dim: Dim) -> _Place | None:
    """Where a bound points to; None where it may count from the front or from the end."""
    if number is None:
        return None
    if number.constant is not None and number.constant < 0:
        return _Place(-number, True)
    if number.never_negative:
        return _Place(number, False)
    # `x[: N - 1]`: for N = 0 the bound is -1, which counts from the end and leaves nothing, too.
    return _Place(Dim.of(1), True) if (dim - number).constant == 1 else None


def _length(dim: Dim, start: _Place, stop: _Place) -> Dim | None:
    """The number of elements between two places, of which either may lie beyond the other end."""
    if not start.from_end:
        if stop.from_end:
            return (dim - stop.distance - start.distance).clipped()
        return (stop.distance - start.distance).clipped() if (dim - stop.distance).never_negative else None
    if not stop.from_end or not (dim - start.distance).never_negative:
        return None
    return (start.distance - stop.distance).clipped()


def index_style(index: tuple[Attribute, ...], type_of: TypeOf, counts_up: Callable[[Value], bool]) -> Style:
    """How an index reads. `counts_up` tells an index array that is known to hold distinct integers in one row, such
    as `np.arange(N)`."""
    values = [item for item in index if isinstance(item, Value)]
    advanced = [item for item in values if _is_advanced(item, type_of)]
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


def tells_apart(loop: Loop) -> bool:
    """Whether the counter of a loop, taken as an index, is another element in every round.

    From -2 to 2 it is not: in an array of three rows `x[-2]` is `x[1]`.
    """
    if not loop.bounds:
        return True
    start, stop, step = (_integer(bound) for bound in loop.bounds)
    if step is None or step == 0:
        return False
    if step > 0:
        return start is not None and (start >= 0 or (stop is not None and stop <= 0))
    return (stop is not None and stop >= -1) or (start is not None and start < 0)


def _integer(operand: Operand) -> int | None:
    value = operand.value if isinstance(operand, Literal) else None
    return value if isinstance(value, int) else None

"""The type of a value that comes from one of several places: the arms of a branch, the rounds of a loop.

A dim that differs gets a symbol of its own, a shape whose rank differs an unknown middle.
"""

from __future__ import annotations

from flatgrad.ir.core import DType, Kind, Type
from flatgrad.ir.dims import Dim, Shape


def joined(one: Type, other: Type, label: str) -> Type:
    """What holds of a value that is either; `label` names what is left open."""
    nothing = [known for known in (one, other) if not _is_nothing(known)]
    if len(nothing) == 1:
        # None, or a name that is not bound: who reads the value finds the other one, or an error.
        return nothing[0]
    kind = one.kind if one.kind is other.kind else Kind.OPEN
    dtype = one.dtype if one.dtype is other.dtype else _wider(one.dtype, other.dtype)
    number = one.number if one.number == other.number else None
    return Type(kind, dtype, _shape(one.shape, other.shape, label), number)


def entering(known: Type, back: Type, label: str) -> Type:
    """What holds of a carried value on entry of a round: `known` so far, and what a round hands `back`.

    `label` is that of the loop, and a number. What a round names by itself is another thing in the next one.
    """
    inner = f"{label}.in"
    if not _is_nothing(known):
        return joined(known, back, inner)
    rounds = label.rpartition(".")[0] + "."
    shape = back.shape
    if shape.middle is not None and shape.middle.startswith(rounds):
        return Type(back.kind, back.dtype, Shape.unknown(inner))

    def dims(found: tuple[Dim, ...], side: str) -> tuple[Dim, ...]:
        return tuple(
            Dim.symbol(f"{inner}.{side}{axis}") if any(name.startswith(rounds) for name in dim.atoms()) else dim
            for axis, dim in enumerate(found)
        )

    return Type(back.kind, back.dtype, Shape(dims(shape.front, ""), shape.middle, dims(shape.back, "-")))


def stable(known: Type, back: Type, label: str) -> bool:
    """Whether what a round hands back is no news."""
    wider = entering(known, back, label)
    return (wider.kind, wider.dtype, wider.shape) == (known.kind, known.dtype, known.shape)


def leaving(known: Type, label: str) -> Type:
    """What holds of a carried value after the loop: a dim that differs from round to round is another one then."""
    names = {name for dim in (*known.shape.front, *known.shape.back) for name in dim.symbols()}
    inner, outer = f"{label}.in", f"{label}.out"
    renamed = {name: Dim.symbol(outer + name[len(inner) :]) for name in names if name.startswith(inner)}
    middle = known.shape.middle
    if middle is not None and middle.startswith(inner):
        middle = outer + middle[len(inner) :]
    front = tuple(dim.substitute(renamed) for dim in known.shape.front)
    back = tuple(dim.substitute(renamed) for dim in known.shape.back)
    return Type(known.kind, known.dtype, Shape(front, middle, back), None)


def _is_nothing(one: Type) -> bool:
    return one.kind is Kind.OTHER and one.dtype is DType.NONE


def _wider(one: DType, other: DType) -> DType:
    if DType.NONE in (one, other):
        return DType.OPEN
    if {one, other} == {DType.INT, DType.BOOL}:
        return DType.INT
    return DType.OPEN


def _shape(one: Shape, other: Shape, label: str) -> Shape:
    if one == other:
        return one
    alike = (one.middle, len(one.front), len(one.back)) == (other.middle, len(other.front), len(other.back))
    if alike:
        front, back = (
            _dims(first, second, f"{label}.{side}")
            for first, second, side in ((one.front, other.front, ""), (one.back, other.back, "-"))
        )
        return Shape(front, one.middle, back)
    # As many last dims as both show, whatever stands before them.
    ends = [shape.front if shape.middle is None else shape.back for shape in (one, other)]
    shown = min(map(len, ends))
    first, second = (end[len(end) - shown :] for end in ends)
    return Shape((), label, _dims(first, second, f"{label}.-"))


def _dims(one: tuple[Dim, ...], other: tuple[Dim, ...], label: str) -> tuple[Dim, ...]:
    return tuple(
        first if first == second else Dim.symbol(f"{label}{axis}")
        for axis, (first, second) in enumerate(zip(one, other, strict=True))
    )

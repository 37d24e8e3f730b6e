"""Summing a gradient down to the shape of the operand that was broadcast: decided here, once, for all gates."""

from __future__ import annotations

from flatgrad.differentiate.builder import Builder
from flatgrad.ir.core import Literal, Operand, Value
from flatgrad.ir.dims import Dim, Shape


def summed_to(builder: Builder, gradient: Operand, operand: Value, core: int = 0) -> Operand:
    """`gradient`, of the shape of the operands broadcast together, summed to the shape of `operand`.

    Shapes that are known give the axes; else the module's own `unbroadcast` decides when it runs. The last `core` dims
    belong to the gate and do not broadcast.
    """
    whole, part = builder.type(gradient).shape, operand.type.shape
    if whole == part or isinstance(gradient, Literal):
        return gradient
    if core and whole.rank == part.rank == core:
        return gradient
    if part.is_scalar:
        return builder.add("sum", gradient, attrs={"axis": None, "dtype": None, "keepdims": False})
    found = summed_axes(whole, part)
    if found is None:
        return builder.add("unbroadcast", gradient, operand)
    leading, ones = found
    if ones:
        axis = _one_or_tuple(ones)
        gradient = builder.add("sum", gradient, attrs={"axis": axis, "dtype": None, "keepdims": True})
    if leading:
        axis = _one_or_tuple(leading)
        gradient = builder.add("sum", gradient, attrs={"axis": axis, "dtype": None, "keepdims": False})
    return gradient


def summed_axes(whole: Shape, part: Shape) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The leading axes that `part` lacks and the axes in which it has size 1 and `whole` has not; None where shapes do
    not tell."""
    if whole.middle != part.middle or len(whole.back) != len(part.back):
        return None
    lead = len(whole.front) - len(part.front)
    if lead < 0:
        return None
    ones: list[int] = []
    aligned = [
        *((lead + axis, whole.front[lead + axis], dim) for axis, dim in enumerate(part.front)),
        *((axis - len(part.back), whole.back[axis], dim) for axis, dim in enumerate(part.back)),
    ]
    for axis, large, small in aligned:
        if large == small:
            continue
        if small != Dim.of(1):
            return None
        ones.append(axis)
    return tuple(range(lead)), tuple(ones)


def _one_or_tuple(axes: tuple[int, ...]) -> int | tuple[int, ...]:
    return axes[0] if len(axes) == 1 else axes

"""Helpers that give nothing but sizes: integers, and tuples of integers, through which no gradient goes."""

from __future__ import annotations

from flatgrad.analysis import useful
from flatgrad.diagnostics import Diagnostic, Refused
from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import DType, Kind, Relation, every_step


def sizes_given(typed: Lowered) -> tuple[str, ...]:
    """For each result whether it is an 'integer' or a 'shape'; nothing where one is neither."""
    found: list[str] = []
    for result in typed.results:
        one = result.value.type
        if one.dtype is not DType.INT or one.kind not in (Kind.SCALAR, Kind.SHAPE):
            return ()
        found.append("shape" if one.kind is Kind.SHAPE else "integer")
    return tuple(found) if len(found) == typed.width else ()


def settling(typed: Lowered) -> frozenset[int]:
    """The parameters, by position, that such tuples are made of by a floating path: what they are given must be
    integers, and carry no gradient."""
    leaves = frozenset(
        arg
        for step in every_step(typed.function.block)
        if isinstance(step, Relation) and step.attrs.get("sizes")
        for arg in step.operands()
    )
    reaching = useful(typed.function.block, leaves)
    return frozenset(k for k, param in enumerate(typed.function.block.params) if param in reaching)


def check_sizes(typed: Lowered) -> None:
    """Refuses tuples of something else than integers among the results.

    Raises:
        Refused: FG061.
    """
    for step in every_step(typed.function.block):
        if isinstance(step, Relation) and step.attrs.get("sizes"):
            if any(arg.type.dtype is DType.FLOAT or arg.type.shape.least_rank for arg in step.operands()):
                message = f"{typed.function.name} returns nothing to differentiate"
                help = "return the loss or the output; of tuples, those of integers are understood"
                raise Refused((Diagnostic("FG061", message, step.span, "", help),))

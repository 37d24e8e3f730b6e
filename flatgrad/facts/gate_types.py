"""The types that a relation of the table gives its results, from those of its operands."""

from __future__ import annotations

from collections.abc import Callable

from flatgrad.facts.site import RelationSite, gufunc, promoted
from flatgrad.facts.structural import operand_type
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import DType, Kind, Relation, Type, Value
from flatgrad.ir.dims import Dim, Shape
from flatgrad.ir.solver import Solver


def gate_types(site: RelationSite, step: Relation, type_of: Callable[[Value], Type], solver: Solver) -> list[Type]:
    """The types that a table gate's own rules give its results."""
    gate = TABLE[step.gate]
    rule = gate.shape
    found = rule if isinstance(rule, str) else rule(site)
    shapes = list(found) if isinstance(found, tuple | list) else [found] * len(step.outs)
    resolved = [solver.resolve(gufunc(site, one) if isinstance(one, str) else one) for one in shapes]
    if len(resolved) != len(step.outs):
        raise site.refuse(f"{step.gate} has {len(resolved)} results here", "give each of them a name: `a, b = ...`")
    operands = [operand_type(arg, type_of) for arg in step.args]
    dtype = _gate_dtype(site, operands)
    if step.attrs.get("into") and operands[0].kind is Kind.ARRAY:
        return [operands[0]]
    types = []
    for shape in resolved:
        number = arithmetic_number(step, type_of) if shape.is_scalar and dtype is DType.INT else None
        types.append(Type(_kind(step, gate.view, shape, operands), dtype, shape, number))
    return types


# Gates whose result is an array even where it has no dims: it can be written to.
_KEEPS_ARRAY = {
    "zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like", "empty_like", "copy", "array", "astype",
    "where", "tensordot", "cross", "roll", "pad",
}  # fmt: skip


def _kind(step: Relation, view: bool, shape: Shape, operands: list[Type]) -> Kind:
    if shape.is_scalar:
        return Kind.OPEN if view or step.gate in _KEEPS_ARRAY else Kind.SCALAR
    if shape.least_rank:
        return Kind.ARRAY
    if any(one.kind is Kind.ARRAY for one in operands) and not view and shape == operands[0].shape:
        return Kind.ARRAY
    return Kind.OPEN


def _gate_dtype(site: RelationSite, operands: list[Type]) -> DType:
    rule = site.gate.dtype
    if isinstance(rule, DType):
        return rule
    if callable(rule):
        return rule(site)
    if rule == "float":
        return DType.FLOAT
    if rule == "same":
        return site.type("x").dtype if site.has("x") else promoted(operands)
    return promoted(operands)


def arithmetic_number(step: Relation, type_of: Callable[[Value], Type]) -> Dim | None:
    """Integer arithmetic on sizes, kept symbolic."""
    numbers: list[Dim] = []
    for arg in step.args:
        number = operand_type(arg, type_of).number
        if number is None:
            return None
        numbers.append(number)
    paths = {spelling.path for spelling in TABLE[step.gate].spellings}
    if len(numbers) == 1:
        return -numbers[0] if "USub" in paths else None
    if len(numbers) != 2:
        return None
    first, second = numbers
    if "Add" in paths:
        return first + second
    if "Sub" in paths:
        return first - second
    if "Mult" in paths:
        return first * second
    if "FloorDiv" in paths:
        return first // second
    if "Mod" in paths:
        return first % second
    return None

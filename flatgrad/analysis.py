"""Activity: which values can carry a gradient from the parameters that are asked for to the results."""

from __future__ import annotations

from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Attribute, Block, Call, Operand, Relation, Step, Value

PASSING = frozenset({"alias", "read", "write", "let", "copy_of"})


def varied(block: Block, wrt: frozenset[Value]) -> frozenset[Value]:
    """The values that depend on `wrt` by a floating path."""
    found = set(wrt)
    for step in block.body:
        if any(value in found for value in differentiable_operands(step)):
            found.update(out for out in step.outs if out.type.dtype.differentiable)
    return frozenset(found)


def useful(block: Block, results: frozenset[Value]) -> frozenset[Value]:
    """The values that `results` depend on by a floating path."""
    found = set(results)
    for step in reversed(block.body):
        if any(out in found for out in step.outs):
            found.update(value for value in differentiable_operands(step) if value.type.dtype.differentiable)
    return frozenset(found)


def differentiable_operands(step: Step) -> list[Value]:
    """The operands that hand a gradient on: none where the gate has no backward rule."""
    if isinstance(step, Call):
        return list(step.operands())
    arguments = [arg for arg in step.args if isinstance(arg, Value)]
    if step.gate in PASSING:
        return arguments
    gate = TABLE.get(step.gate)
    if gate is None or not gate.backward:
        return []
    if "xs" in gate.backward:
        fixed = len(gate.operands) - 1
        return [arg for arg in step.args[fixed:] if isinstance(arg, Value)]
    return [
        arg
        for name, arg in zip(gate.operands, step.args, strict=False)
        if isinstance(arg, Value) and name in gate.backward
    ]


def augmented(step: Relation) -> tuple[Operand | Attribute, ...]:
    """What stands on both sides of the augmented assignment that a relation is, or that the group it is ends in."""
    into = step.attrs.get("into")
    return into if isinstance(into, tuple) else step.args

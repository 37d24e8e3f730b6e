"""Activity: which values can carry a gradient from the parameters that are asked for to the results."""

from __future__ import annotations

from flatgrad.gates.entry import DECLARED, TABLE
from flatgrad.ir.core import (
    Attribute,
    Block,
    Branch,
    Call,
    Loop,
    Operand,
    Relation,
    Slice,
    Step,
    Value,
    values_in,
)

PASSING = frozenset(
    {"alias", "read", "write", "let", "copy_of", "entry", "collection", "stacked", "dict_of", "imported", "container"}
)
# The arguments of a draw that are shapes.
SIZES = frozenset({"size", "shape"})


def varied(block: Block, wrt: frozenset[Value]) -> frozenset[Value]:
    """The values that depend on `wrt` by a floating path, those inside loops and branches included."""
    found = set(wrt)
    _vary(block, found)
    return frozenset(found)


def _vary(block: Block, found: set[Value]) -> None:
    for step in block.body:
        match step:
            case Loop():
                _pass(step.inits, step.carried, found)
                before = -1
                while before != len(found):
                    before = len(found)
                    _vary(step.body, found)
                    _pass(step.handed, step.carried, found)
                _pass(step.carried, step.outs, found)
            case Relation(gate="layer"):
                found.update(step.outs)  # a layer has weights of its own
            case Branch():
                for arm in step.arms:
                    _vary(arm, found)
                    _pass(arm.results, step.outs, found)
            case _:
                if any(value in found for value in differentiable_operands(step)):
                    found.update(out for out in step.outs if out.type.dtype.differentiable)


def _pass(sources: tuple[Value, ...], targets: tuple[Value, ...], found: set[Value]) -> None:
    for source, target in zip(sources, targets, strict=True):
        if source in found and target.type.dtype.differentiable:
            found.add(target)


def useful(block: Block, results: frozenset[Value]) -> frozenset[Value]:
    """The values that `results` depend on by a floating path, those inside loops and branches included."""
    found = set(results)
    _use(block, found)
    return frozenset(found)


def _use(block: Block, found: set[Value]) -> None:
    for step in reversed(block.body):
        match step:
            case Loop():
                _pass(step.outs, step.carried, found)
                _pass(step.outs, step.handed, found)
                before = -1
                while before != len(found):
                    before = len(found)
                    _use(step.body, found)
                    _pass(step.carried, step.handed, found)
                _pass(step.carried, step.inits, found)
            case Branch():
                for arm in step.arms:
                    _pass(step.outs, arm.results, found)
                    _use(arm, found)
            case _:
                if any(out in found for out in step.outs):
                    found.update(value for value in differentiable_operands(step) if value.type.dtype.differentiable)


def layer_gradients(step: Relation) -> tuple[int, ...]:
    """For each thing that the backward pass of a layer returns, the argument whose gradient it is; -1: of none."""
    gives = step.attrs.get("gives", (0,))
    assert isinstance(gives, tuple)
    return tuple(one for one in gives if isinstance(one, int))


def differentiable_operands(step: Step) -> list[Value]:
    """The operands that hand a gradient on: none where the gate has no backward rule.

    A loop or a branch is taken as a whole: all that it begins with and reads may hand one on.
    """
    if isinstance(step, Call):
        return [
            arg
            for k, arg in enumerate(step.args)
            if isinstance(arg, Value) and (step.passing is None or k in step.passing)
        ]
    if not isinstance(step, Relation):
        return list(step.operands())
    arguments = [arg for arg in step.args if isinstance(arg, Value)]
    if step.gate in ("entry", "unbroadcast"):
        return arguments[:1]
    if step.gate in ("put", "item_add"):
        return [arg for arg in step.args[:2] if isinstance(arg, Value)]
    if step.gate == "layer":
        given = layer_gradients(step)
        return [arg for k, arg in enumerate(step.args[1:]) if k in given and isinstance(arg, Value)]
    if step.gate == "write" and "mode" not in step.attrs and is_whole(step.attrs["index"]):
        return [value for value in step.args[1:] if isinstance(value, Value)]
    if step.gate in PASSING:
        return arguments
    gate = TABLE.get(step.gate)
    if gate is not None and gate.effect:
        # What is drawn hangs on these, and no rule says how: a gradient that would flow into them is refused.
        return [value for name, one in step.attrs.items() if name not in SIZES for value in values_in(one)]
    if gate is None or not gate.backward:
        return []
    if "xs" in gate.backward:
        fixed = len(gate.operands) - 1
        return [arg for arg in step.args[fixed:] if isinstance(arg, Value)]
    found = [
        arg
        for name, arg in zip(gate.operands, step.args, strict=False)
        if isinstance(arg, Value) and name in gate.backward
    ]
    if gate.section == DECLARED:
        # A gradient that would flow into an attribute is refused in the walk: nobody has said that it is zero.
        found += [value for attribute in step.attrs.values() for value in values_in(attribute)]
    return found


def augmented(step: Relation) -> tuple[Operand | Attribute, ...]:
    """What stands on both sides of the augmented assignment that a relation is, or that the group it is ends in."""
    into = step.attrs.get("into")
    return into if isinstance(into, tuple) else step.args


def is_whole(index: Attribute) -> bool:
    """Whether an index leaves nothing of an array out: `a[...]`, `a[:]`."""
    return isinstance(index, tuple) and all(item is Ellipsis or item == Slice() for item in index)

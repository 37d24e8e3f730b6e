"""Names that may not be bound: what only a loop or one arm of a branch binds, and None.

Such a value has no shape where nothing has bound it. A program that runs all the same does not read it there.
"""

from __future__ import annotations

from collections.abc import Iterator

from flatgrad.ir.core import Block, Branch, Literal, Loop, Relation, Step, Value, bound_values, inner_blocks


def maybe_unbound(block: Block) -> frozenset[Value]:
    """The values of a block, and of the blocks inside it, that may stand for nothing."""
    found: set[Value] = set()
    count = -1
    while count < len(found):
        count = len(found)
        _collect(block, found)
    return frozenset(found)


def _collect(block: Block, found: set[Value]) -> None:
    for step in block.body:
        for inner in inner_blocks(step):
            _collect(inner, found)
        match step:
            case Relation(gate="constant", args=(Literal(value=None, text="None"),), attrs=attrs) if not attrs:
                found.add(step.out)
            case Relation(gate="alias" | "let", args=(Value() as source,)) if source in found:
                found.add(step.out)
            case Loop():
                for init, param, back, out in zip(step.inits, step.carried, step.handed, step.outs, strict=True):
                    if init in found or back in found:
                        found |= {param, out}
            case Branch():
                for out, *ends in zip(step.outs, step.then.results, step.orelse.results, strict=True):
                    if any(end in found for end in ends):
                        found.add(out)


def arms_around(block: Block) -> dict[Value, tuple[Block, ...]]:
    """For each value that an arm of a branch binds, the arms around it, the outermost first."""
    found: dict[Value, tuple[Block, ...]] = {}

    def visit(inside: Block, around: tuple[Block, ...]) -> None:
        if around:
            found.update((value, around) for value in inside.params)
        for step in inside.body:
            if around:
                found.update((value, around) for value in bound_values(step))
            for inner in inner_blocks(step):
                visit(inner, (*around, inner) if isinstance(step, Branch) else around)

    visit(block, ())
    return found


def always_read(block: Block) -> frozenset[Value]:
    """The values that are read whatever way the program takes: who comes to its end has had them bound."""
    return frozenset(value for step in block.body for value in _reads(step)) | frozenset(block.results)


def _reads(step: Step) -> Iterator[Value]:
    match step:
        case Relation(gate="alias"):
            return
        case Loop():
            yield from (bound for bound in step.bounds if isinstance(bound, Value))
        case Branch():
            if isinstance(step.test, Value):
                yield step.test
        case _:
            yield from step.operands()

"""Functions that call themselves: what they give is guessed from the arms in which they do not, and then proved.

If the results have certain shapes where the function does not call itself, and have them in the other arms too as long
as its own calls have them, then they always do.
"""

from __future__ import annotations

from dataclasses import replace

from flatgrad.frontend.environment import Lowered
from flatgrad.ir.core import Block, Branch, Call, Relation, Step, Type, every_step, inner_blocks


def base_case(lowered: Lowered) -> Block | None:
    """The block of a function without the arms in which it calls itself; None where it always does."""
    return _without(lowered.function.block, lowered.function.name)


def _calls(step: Step, name: str) -> bool:
    if isinstance(step, Call):
        return step.function == name
    return any(_calls(inner, name) for block in inner_blocks(step) for inner in every_step(block))


def _without(block: Block, name: str) -> Block | None:
    body: list[Step] = []
    for step in block.body:
        if not _calls(step, name):
            body.append(step)
            continue
        match step:
            case Branch():
                then, orelse = _without(step.then, name), _without(step.orelse, name)
                if then is not None and orelse is not None:
                    body.append(replace(step, then=then, orelse=orelse))
                elif (arm := then or orelse) is not None:
                    ends = zip(step.outs, arm.results, strict=True)
                    body += [*arm.body, *(Relation((out,), "alias", (end,), {}, step.stage) for out, end in ends)]
                else:
                    return None
            case _:
                return None
    return replace(block, body=tuple(body))


def is_proved(typed: Lowered, base: Lowered) -> bool:
    """Whether the results of a function have the shapes that they have where it does not call itself, and these are
    shapes in the dims of its parameters."""
    symbols = {
        name
        for param in typed.function.block.params
        for dim in (*param.type.shape.front, *param.type.shape.back)
        for name in dim.symbols()
    }
    return all(
        _same(one.value.type, other.value.type, symbols) for one, other in zip(typed.results, base.results, strict=True)
    )


def _same(one: Type, other: Type, symbols: set[str]) -> bool:
    known = {name for dim in one.shape.front for name in dim.symbols()}
    return one.shape.rank is not None and one.shape == other.shape and one.kind is other.kind and known <= symbols

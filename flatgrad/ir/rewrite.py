"""Steps with other values in them, regions included."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from flatgrad.ir.core import Block, Branch, Call, Loop, Operand, Relation, Step, Value, with_values

Replacement = Callable[[Value], Value]


def with_operands(step: Step, renamed: Mapping[Value, Value]) -> Step:
    """The step with some of the values that it reads replaced, inside its blocks too; what it binds stays."""
    if not any(value in renamed for value in step.operands()):
        return step
    return mapped(step, lambda value: renamed.get(value, value))


def mapped(step: Step, of: Replacement) -> Step:
    """The step with every value in it replaced, those that it binds as well."""

    def operand(one: Operand) -> Operand:
        return of(one) if isinstance(one, Value) else one

    def several(values: tuple[Value, ...]) -> tuple[Value, ...]:
        return tuple(of(value) for value in values)

    match step:
        case Relation():
            attrs = {name: with_values(attribute, of) for name, attribute in step.attrs.items()}
            args = tuple(operand(arg) for arg in step.args)
            return Relation(several(step.outs), step.gate, args, attrs, step.stage, step.span)
        case Call():
            args = tuple(operand(arg) for arg in step.args)
            return replace(step, outs=several(step.outs), args=args)
        case Loop():
            return Loop(
                several(step.outs),
                several(step.inits),
                tuple(operand(one) for one in step.bounds),
                mapped_block(step.body, of),
                None if step.condition is None else mapped_block(step.condition, of),
                step.breaks,
                None if step.count is None else of(step.count),
                step.backwards,
                step.stage,
                step.span,
            )
        case Branch():
            return Branch(
                several(step.outs),
                operand(step.test),
                mapped_block(step.then, of),
                mapped_block(step.orelse, of),
                step.stage,
                step.span,
            )


def mapped_block(block: Block, of: Replacement) -> Block:
    """The block with every value in it replaced."""
    return Block(
        tuple(of(param) for param in block.params),
        tuple(mapped(step, of) for step in block.body),
        tuple(of(result) for result in block.results),
    )

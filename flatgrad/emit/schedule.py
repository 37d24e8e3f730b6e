"""From the relations of a backward block to statements: what is folded into an expression, what gets a line.

A line is what a person would write as one: a step of a named gradient, a write into an array, a call, and a part of an
expression that is used more than once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from flatgrad.emit.order import END, order_of
from flatgrad.ir.core import (
    Block,
    Branch,
    Kind,
    Literal,
    Loop,
    Operand,
    Relation,
    Step,
    Value,
    bound_values,
    every_step,
    inner_blocks,
    values_in,
)
from flatgrad.ir.rewrite import mapped, with_operands

# Relations that are statements by nature.
STATEMENTS = frozenset(
    {
        "update",
        "scatter",
        "write",
        "item_add",
        "dict_add",
        "call_backward",
        "zeros_for",
        "zeros_of",
        "or_zeros",
        "copy_of",
    }
)
# Of those, the ones that write into the buffer of their first operand.
WRITES = frozenset({"update", "scatter", "write", "item_add", "dict_add"})
# What may be written twice rather than named: it costs nothing to compute again.
FREE = frozenset({"dim", "shape", "ndim", "size", "transpose", "subshape", "dtype"})
SCALAR_ARITHMETIC = frozenset({"add", "subtract", "multiply", "divide", "negative"})


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """A block whose relations are lines, and the definitions of all that is folded into them."""

    block: Block
    folded: Mapping[Value, Relation]


def live_block(block: Block) -> Block:
    """The block without the steps that its results do not depend on."""
    needed = set(block.results)
    kept: list[Step] = []
    for step in reversed(block.body):
        if not any(out in needed for out in bound_values(step)) and not _calls_layer(step):
            continue
        match step:
            case Loop():
                step = replace(step, body=live_block(step.body))
            case Branch():
                wanted = [k for k, out in enumerate(step.outs) if out in needed]
                arms = [replace(arm, results=tuple(arm.results[k] for k in wanted)) for arm in step.arms]
                outs = tuple(step.outs[k] for k in wanted)
                step = replace(step, outs=outs, then=live_block(arms[0]), orelse=live_block(arms[1]))
        kept.append(step)
        needed.update(step.operands())
    return replace(block, body=tuple(kept[::-1]))


def _calls_layer(step: Step) -> bool:
    """Whether a step runs the backward pass of a layer, which sets the gradients of its weights."""
    if isinstance(step, Relation):
        return step.gate == "layer_backward"
    return any(_calls_layer(inner) for block in inner_blocks(step) for inner in every_step(block))


def schedule(block: Block) -> Schedule:
    """Decide the lines of a backward block."""
    block = live_block(block)
    uses: dict[Value, int] = {}
    _count(block, uses, {}, 0)
    for value in block.results:
        uses[value] = uses.get(value, 0) + 2
    # What is written into is a variable.
    apart = {
        line.args[0]
        for line in every_step(block)
        if isinstance(line, Relation) and line.gate in WRITES and isinstance(line.args[0], Value)
    }
    while True:
        folded: dict[Value, Relation] = {}
        lines = _lines(block, uses, apart, folded)
        late = _read_too_late(block, lines, folded)
        if not late:
            break
        apart |= late
    return _coalesced(Schedule(lines, folded))


def _count(block: Block, uses: dict[Value, int], depth: dict[Value, int], loops: int) -> None:
    """How often each value is read; in a loop that it is not from, once more than it could be written there."""

    def read(value: Value) -> None:
        uses[value] = uses.get(value, 0) + (1 if depth.get(value, loops) == loops else 2)

    for param in block.params:
        depth[param] = loops
    for step in block.body:
        match step:
            case Relation():
                for value in _distinct(step):
                    read(value)
            case Loop():
                for value in step.inits:
                    uses[value] = uses.get(value, 0) + 2
                for value in (one for one in step.bounds if isinstance(one, Value)):
                    read(value)
                _count(step.body, uses, depth, loops + 1)
            case Branch():
                if isinstance(step.test, Value):
                    read(step.test)
                for arm in step.arms:
                    _count(arm, uses, depth, loops)
                    for value in arm.results:
                        uses[value] = uses.get(value, 0) + 2
        for value in bound_values(step):
            depth[value] = loops
    if loops:
        for value in block.results:
            uses[value] = uses.get(value, 0) + 2


def _lines(block: Block, uses: Mapping[Value, int], apart: set[Value], folded: dict[Value, Relation]) -> Block:
    lines: list[Step] = []
    for step in block.body:
        match step:
            case Relation() if step.out not in apart and _folds(step, uses, folded):
                folded[step.out] = step
            case Loop():
                lines.append(replace(step, body=_lines(step.body, uses, apart, folded)))
            case Branch():
                then = _lines(step.then, uses, apart, folded)
                lines.append(replace(step, then=then, orelse=_lines(step.orelse, uses, apart, folded)))
            case _:
                lines.append(step)
    return replace(block, body=tuple(lines))


def _read_too_late(block: Block, lines: Block, folded: Mapping[Value, Relation]) -> set[Value]:
    """Folded relations that read a buffer before it is written to, in a line that comes after the write."""
    order = {step: position for position, step in enumerate(s for s in every_step(block) if isinstance(s, Relation))}
    written: dict[Value, int] = {}
    relations = [line for line in every_step(lines) if isinstance(line, Relation)]
    for line in relations:
        if line.gate in WRITES and isinstance(line.args[0], Value):
            written[line.args[0]] = order[line]
    if not written:
        return set()
    late: set[Value] = set()
    for line in relations:
        pending = [inner for value in line.operands() if (inner := folded.get(value)) is not None]
        while pending:
            relation = pending.pop()
            for value in relation.operands():
                if order[relation] < written.get(value, -1) < order[line]:
                    late.add(relation.out)
                if (inner := folded.get(value)) is not None:
                    pending.append(inner)
    return late


def _coalesced(found: Schedule) -> Schedule:
    """A part of an expression that is also the first contribution to a variable is computed under its name."""
    order = order_of(found.block, found.folded)
    renamed: dict[Value, Value] = {}
    dropped: set[Step] = set()
    for block in _blocks(found.block):
        lines = [line for line in block.body if isinstance(line, Relation)]
        made = {
            line.out: line
            for line in lines
            if not line.out.name and line.gate not in STATEMENTS and len(line.outs) == 1
        }
        first_write: dict[Value, int] = {}
        for line in (one for one in every_step(found.block) if isinstance(one, Relation)):
            if line.gate in WRITES and isinstance(line.args[0], Value):
                first_write.setdefault(line.args[0], order.start[line])
        for line in lines:
            source = line.args[0] if line.args else None
            if line.gate != "let" or not isinstance(source, Value) or source not in made or source in renamed:
                continue
            if source.type.kind is line.out.type.kind and max(order.uses[source]) < first_write.get(line.out, END):
                renamed[source] = line.out
                dropped.add(line)
    if not renamed:
        return found

    def kept(block: Block) -> Block:
        body: list[Step] = []
        for step in block.body:
            if step in dropped:
                continue
            match step:
                case Loop():
                    step = replace(step, body=kept(step.body))
                case Branch():
                    step = replace(step, then=kept(step.then), orelse=kept(step.orelse))
            body.append(mapped(step, lambda value: renamed.get(value, value)))
        return replace(block, body=tuple(body))

    folded = {value: with_relation_operands(relation, renamed) for value, relation in found.folded.items()}
    return Schedule(kept(found.block), folded)


def _blocks(block: Block) -> Iterator[Block]:
    yield block
    for step in block.body:
        for inner in inner_blocks(step):
            yield from _blocks(inner)


def with_relation_operands(relation: Relation, renamed: Mapping[Value, Value]) -> Relation:
    """The relation with some of its operands replaced."""
    found = with_operands(relation, renamed)
    assert isinstance(found, Relation)
    outs = relation.outs
    return Relation(outs, found.gate, found.args, found.attrs, found.stage, found.span)


def _distinct(relation: Relation) -> Iterator[Value]:
    # The dtype of a first contribution is read beside the contribution itself, and costs nothing.
    if relation.gate == "zeros_of":
        yield from (value for attribute in relation.attrs.values() for value in values_in(attribute))
        return
    if relation.gate == "zeros_for":
        yield from (value for value in relation.args[:1] if isinstance(value, Value))
        return
    yield from relation.operands()


def _folds(relation: Relation, uses: Mapping[Value, int], folded: Mapping[Value, Relation]) -> bool:
    if len(relation.outs) != 1 or relation.gate in STATEMENTS or relation.out.name:
        return False
    count = uses.get(relation.out, 0)
    if count == 1:
        return True
    if relation.gate in FREE:
        return all(not isinstance(arg, Value) or arg not in folded for arg in relation.args)
    if relation.gate in SCALAR_ARITHMETIC and relation.out.type.kind is Kind.SCALAR:
        return all(_leaf(arg, folded) for arg in relation.args)
    return False


def _leaf(operand: Operand, folded: Mapping[Value, Relation]) -> bool:
    return isinstance(operand, Literal) or operand not in folded or folded[operand].gate in FREE

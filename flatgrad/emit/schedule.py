"""From the relations of a backward block to statements: what is folded into an expression, what gets a line.

A line is what a person would write as one: a step of a named gradient, a write into an array, a call, and a part of an
expression that is used more than once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flatgrad.ir.core import Block, Kind, Literal, Operand, Relation, Value

# Relations that are statements by nature.
STATEMENTS = frozenset({"update", "scatter", "write", "call_backward", "zeros_for", "copy_of"})
# What may be written twice rather than named: it costs nothing to compute again.
FREE = frozenset({"dim", "shape", "ndim", "size", "transpose", "subshape", "dtype"})
SCALAR_ARITHMETIC = frozenset({"add", "subtract", "multiply", "divide", "negative"})


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """The relations that are lines, in order, and the definitions of all that is folded into them."""

    lines: tuple[Relation, ...]
    folded: Mapping[Value, Relation]
    results: tuple[Value, ...]
    params: tuple[Value, ...]


def live_relations(block: Block) -> list[Relation]:
    """The relations that the results depend on."""
    needed = set(block.results)
    kept: list[Relation] = []
    for step in reversed(block.body):
        assert isinstance(step, Relation)
        if any(out in needed for out in step.outs):
            kept.append(step)
            needed.update(step.operands())
    return kept[::-1]


def schedule(block: Block) -> Schedule:
    """Decide the lines of a backward block."""
    body = live_relations(block)
    uses: dict[Value, int] = {}
    for relation in body:
        for value in _distinct(relation):
            uses[value] = uses.get(value, 0) + 1
    for value in block.results:
        uses[value] = uses.get(value, 0) + 2
    folded: dict[Value, Relation] = {}
    lines: list[Relation] = []
    for relation in body:
        if _folds(relation, uses, folded):
            folded[relation.out] = relation
        else:
            lines.append(relation)
    return Schedule(tuple(lines), folded, block.results, block.params)


def _distinct(relation: Relation) -> Iterator[Value]:
    # The dtype of a first contribution is read beside the contribution itself, and costs nothing.
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
    return isinstance(operand, Literal) or operand not in folded


def leaves(line: Relation, folded: Mapping[Value, Relation]) -> Iterator[Value]:
    """The values that a line reads, through all that is folded into it."""
    pending = list(line.operands())
    while pending:
        value = pending.pop()
        inner = folded.get(value)
        if inner is None:
            yield value
        else:
            pending.extend(inner.operands())

"""From the relations of a backward block to statements: what is folded into an expression, what gets a line.

A line is what a person would write as one: a step of a named gradient, a write into an array, a call, and a part of an
expression that is used more than once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flatgrad.ir.core import Block, Kind, Literal, Operand, Relation, Value, values_in, with_values

# Relations that are statements by nature.
STATEMENTS = frozenset({"update", "scatter", "write", "call_backward", "zeros_for", "zeros_of", "or_zeros", "copy_of"})
# Of those, the ones that write into the buffer of their first operand.
WRITES = frozenset({"update", "scatter", "write"})
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
    apart: set[Value] = set()
    while True:
        folded: dict[Value, Relation] = {}
        lines: list[Relation] = []
        for relation in body:
            if relation.out not in apart and _folds(relation, uses, folded):
                folded[relation.out] = relation
            else:
                lines.append(relation)
        late = _read_too_late(body, lines, folded)
        if not late:
            break
        apart |= late
    found = Schedule(tuple(lines), folded, block.results, block.params)
    return _coalesced(found)


def _read_too_late(body: list[Relation], lines: list[Relation], folded: Mapping[Value, Relation]) -> set[Value]:
    """Folded relations that read a buffer before it is written to, in a line that comes after the write."""
    order = {relation: position for position, relation in enumerate(body)}
    written: dict[Value, int] = {}
    for line in lines:
        if line.gate in WRITES and isinstance(line.args[0], Value):
            written[line.args[0]] = order[line]
    if not written:
        return set()
    late: set[Value] = set()
    for line in lines:
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
    positions: dict[Value, list[int]] = {}
    first_write: dict[Value, int] = {}
    for position, line in enumerate(found.lines):
        for value in leaves(line, found.folded):
            positions.setdefault(value, []).append(position)
        if line.gate in WRITES and isinstance(line.args[0], Value):
            first_write.setdefault(line.args[0], position)
    renamed: dict[Value, Value] = {}
    dropped: set[Relation] = set()
    made = {
        line.out: line
        for line in found.lines
        if not line.out.name and line.gate not in STATEMENTS and len(line.outs) == 1
    }
    for line in found.lines:
        source = line.args[0] if line.args else None
        if line.gate != "let" or not isinstance(source, Value) or source not in made or source in renamed:
            continue
        if source.type.kind is line.out.type.kind and max(positions[source]) < first_write.get(
            line.out, len(found.lines)
        ):
            renamed[source] = line.out
            dropped.add(line)
    if not renamed:
        return found
    lines = []
    for line in found.lines:
        if line in dropped:
            continue
        if line.out in renamed:
            line = Relation((renamed[line.out],), line.gate, line.args, line.attrs, line.stage)
        lines.append(with_operands(line, renamed))
    folded = {value: with_operands(relation, renamed) for value, relation in found.folded.items()}
    return Schedule(tuple(lines), folded, found.results, found.params)


def with_operands(relation: Relation, renamed: Mapping[Value, Value]) -> Relation:
    """The relation with some of its operands replaced."""
    if not any(value in renamed for value in relation.operands()):
        return relation
    args = tuple(renamed.get(arg, arg) if isinstance(arg, Value) else arg for arg in relation.args)
    attrs = {
        name: with_values(attribute, lambda value: renamed.get(value, value))
        for name, attribute in relation.attrs.items()
    }
    return Relation(relation.outs, relation.gate, args, attrs, relation.stage, relation.span)


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

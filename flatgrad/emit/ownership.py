"""In place or not: which lines of the backward pass may write into a buffer, and where a copy makes that so.

A buffer may be written to if and only if it is nobody else's (no forward value, no upstream gradient) and no value
that is read afterwards may share it. Where that does not hold, the first line of the variable makes it owned:
`dx = dz.copy()`.
Gradients that are returned are the caller's own: each in a buffer that no other shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flatgrad.emit.schedule import STATEMENTS, WRITES, Schedule, leaves, with_operands
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import Kind, Relation, Value

EXTERNAL = Value("<external>", None)  # type: ignore[arg-type]
# Views that NumPy hands out read-only.
READ_ONLY = frozenset({"diag", "diagonal", "broadcast_to"})
MOST_ROUNDS = 50


def with_ownership(schedule: Schedule) -> tuple[Schedule, frozenset[Relation]]:
    """The schedule with copies where they are needed, and the `update` lines that must not be written in place."""
    for _ in range(MOST_ROUNDS):
        copied, apart = _conflicts(schedule)
        if not copied:
            return schedule, apart
        schedule = _with_copies(schedule, copied)
    raise RecursionError("the copies of a backward pass do not settle")


def _with_copies(schedule: Schedule, copied: set[Value]) -> Schedule:
    """A copy where each of the values is first bound; a value that no `let` binds gets one of its own."""
    lines: list[Relation] = []
    renamed: dict[Value, Value] = {}
    inner: dict[Value, Relation] = {}
    for line in schedule.lines:
        line = with_operands(line, renamed)
        if line.out in copied and line.gate != "let" and line.gate not in STATEMENTS:
            # `dv = dout[i]` becomes `dv = dout[i].copy()`
            part = Value("", line.out.type)
            inner[part] = Relation((part,), line.gate, line.args, line.attrs, line.stage)
            lines.append(Relation(line.outs, "copy_of", (part,), {}, line.stage))
            continue
        if line.gate == "let" and line.out in copied:
            line = Relation(line.outs, "copy_of", line.args, line.attrs, line.stage)
        lines.append(line)
        for out in line.outs:
            if out in copied and line.gate in STATEMENTS and line.gate != "copy_of":
                fresh = Value(out.name, out.type)
                lines.append(Relation((fresh,), "copy_of", (out,), {}, line.stage))
                renamed[out] = fresh
    heads: list[Relation] = []
    for param in schedule.params:
        if param in copied:
            fresh = Value(param.name, param.type)
            renamed[param] = fresh
            heads.append(Relation((fresh,), "copy_of", (param,)))
    if heads:
        lines = [*heads, *(with_operands(line, renamed) for line in lines)]
    folded = inner | {value: with_operands(relation, renamed) for value, relation in schedule.folded.items()}
    results = tuple(renamed.get(value, value) for value in schedule.results)
    return replace(schedule, lines=tuple(lines), folded=folded, results=results)


def _conflicts(schedule: Schedule) -> tuple[set[Value], frozenset[Relation]]:
    last: dict[Value, int] = {}
    for position, line in enumerate(schedule.lines):
        for value in leaves(line, schedule.folded):
            last[value] = position
    for value in schedule.results:
        last[value] = len(schedule.lines)
    roots: dict[Value, frozenset[Value]] = {param: frozenset((EXTERNAL,)) for param in schedule.params}
    sharing: dict[Value, list[Value]] = {}
    # Where the chain of a variable begins: the line that a copy is made in.
    origin: dict[Value, Value] = {param: param for param in schedule.params}
    bound: set[Value] = set()
    copied: set[Value] = set()
    apart: set[Relation] = set()
    for position, line in enumerate(schedule.lines):
        found = _roots(line, roots, schedule.folded)
        if line.gate in WRITES:
            base = line.args[0]
            assert isinstance(base, Value)
            others = {value for root in found for value in sharing.get(root, ()) if value is not base}
            read_later = {value for value in others if last.get(value, -1) > position}
            kept = last.get(base, -1) > position
            if kept or (EXTERNAL in found and line.gate == "update" and origin.get(base) in schedule.params):
                apart.add(line)
                found = frozenset() if line.out.type.kind is Kind.SCALAR else frozenset((line.out,))
            elif EXTERNAL in found:
                copied.add(origin.get(base, base))
            elif read_later and origin.get(base) in bound:
                copied.add(origin[base])
            else:
                copied |= {origin.get(value, value) for value in read_later}
            if base in origin:
                origin[line.out] = origin[base]
        elif line.gate == "let":
            origin[line.out] = line.out
            bound.add(line.out)
        for out in line.outs:
            # Gradients that another function returns are the caller's own, each for itself.
            roots[out] = frozenset((out,)) if line.gate == "call_backward" else found
            if line.gate == "or_zeros":
                roots[out] = frozenset((EXTERNAL,))
            for root in roots[out]:
                sharing.setdefault(root, []).append(out)
    seen: set[Value] = set()
    # What owns its buffer keeps it; what only shares it gets a copy.
    for result in sorted(schedule.results, key=lambda value: value not in roots.get(value, ())):
        owners = roots.get(result, frozenset((EXTERNAL,)))
        if EXTERNAL in owners or owners & seen:
            copied.add(origin.get(result, result))
        seen |= owners
    return copied, frozenset(apart)


def _roots(
    line: Relation, roots: Mapping[Value, frozenset[Value]], folded: Mapping[Value, Relation]
) -> frozenset[Value]:
    """The buffers that the result of a line may share; none for a number, which nobody can write into."""
    inner = line
    while True:
        if inner.gate in READ_ONLY:
            return frozenset((EXTERNAL,))
        shares = inner.gate in ("let", "alias", "read", *WRITES) or (inner.gate in TABLE and TABLE[inner.gate].view)
        if (
            inner.gate == "spread"
            and inner.args
            and isinstance(inner.args[0], Value)
            and inner.args[0].type.kind is Kind.ARRAY
        ):
            # np.broadcast_to: read-only, and of the gradient's own memory
            return frozenset((EXTERNAL,))
        if not shares:
            return frozenset() if line.out.type.kind is Kind.SCALAR else frozenset((line.out,))
        source = inner.args[0]
        if not isinstance(source, Value):
            return frozenset()
        if source in folded:
            inner = folded[source]
            continue
        if source in roots:
            return roots[source]
        return frozenset((EXTERNAL,))

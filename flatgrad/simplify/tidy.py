"""What a person would write in fewer lines: sums of two gradients, elements that are set once, parts put side by side.

Works on whole backward blocks, when all contributions are known; `peephole` simplifies single relations before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

from flatgrad.facts.indexing import tells_apart
from flatgrad.ir.core import (
    Attribute,
    Block,
    Branch,
    Kind,
    Loop,
    Relation,
    Slice,
    Step,
    Value,
    bound_values,
    every_step,
)
from flatgrad.ir.dims import Dim
from flatgrad.ir.rewrite import with_operands
from flatgrad.simplify.summing import summed_over_loops

WRITES = frozenset({"update", "scatter", "write", "item_add", "dict_add"})


def tidied(block: Block) -> Block:
    """The same backward block in fewer lines."""
    block = summed_over_loops(block, _uses(block))
    block = _set_once(block)
    uses = _uses(block)
    return _joined(_summed(block, uses), uses)


def _uses(block: Block) -> Counter[Value]:
    """How often each value is read, results of blocks included."""
    found: Counter[Value] = Counter(block.results)
    for step in every_step(block):
        match step:
            case Loop():
                found.update(step.inits)
                found.update(one for one in step.bounds if isinstance(one, Value))
                found.update(step.body.results)
            case Branch():
                found.update([step.test] if isinstance(step.test, Value) else [])
                found.update(step.then.results)
                found.update(step.orelse.results)
            case _:
                found.update(step.operands())
    return found


def _summed(block: Block, uses: Counter[Value], in_loop: bool = False) -> Block:
    """In a loop, `dh = dnext` and then `dh += dx` are one sum, and a second name for what it carries is none."""
    body: list[Step] = []
    for step in block.body:
        match step:
            case Loop():
                step = replace(step, body=_summed(step.body, uses, True))
            case Branch():
                step = replace(step, then=_summed(step.then, uses), orelse=_summed(step.orelse, uses))
        body.append(step)
    made = {out: step for step in body for out in bound_values(step)}
    position = 0
    while position < len(body):
        step = body[position]
        source = step.args[0] if isinstance(step, Relation) and step.gate == "let" else None
        if not isinstance(step, Relation) or not isinstance(source, Value) or uses[step.out] != 1:
            position += 1
            continue
        origin = made.get(source)
        if not in_loop or source not in block.params:
            position += 1
            continue
        expression = isinstance(origin, Relation) and not source.name and origin.gate != "call_backward"
        reader = next((at for at in range(position + 1, len(body)) if step.out in body[at].operands()), None)
        if expression or reader is None:
            position += 1
            continue
        user = body[reader]
        between = body[position + 1 : reader]
        changed = any(
            isinstance(one, Relation) and one.gate in WRITES and one.args[0] is source
            for other in between
            for one in _steps(other)
        )
        plain = isinstance(user, Relation) and user.gate == "update" and user.args[0] is step.out
        if plain and isinstance(user, Relation) and user.attrs["op"] == "+" and not changed:
            body[reader] = Relation(user.outs, "add", (source, user.args[1]), {}, user.stage, user.span)
            del body[position]
            continue
        carried = isinstance(user, Relation) and user.gate not in WRITES
        if carried and not changed and step.out not in block.results:
            body[reader] = with_operands(user, {step.out: source})
            del body[position]
            continue
        position += 1
    return replace(block, body=tuple(body))


def _steps(step: Step) -> Iterator[Step]:
    yield step
    for inner in (step.body,) if isinstance(step, Loop) else step.arms if isinstance(step, Branch) else ():
        yield from every_step(inner)


# Elements that are set once


def _set_once(block: Block) -> Block:
    """Zeros to which each round of a loop adds at another place: the round sets it."""
    uses = _uses(block)
    zeros = {step.out for step in every_step(block) if isinstance(step, Relation) and step.gate == "zeros_for"}
    chosen: set[Relation] = set()
    _find(block, {}, uses, zeros, chosen)
    return _with_sets(block, chosen) if chosen else block


def _find(
    block: Block,
    alone: Mapping[Value, tuple[Value, ...]],
    uses: Counter[Value],
    zeros: set[Value],
    chosen: set[Relation],
) -> None:
    """`alone`: values that are zeros but for what rounds before have set, with the indices that tell these apart."""
    for step in block.body:
        match step:
            case Loop():
                inner: dict[Value, tuple[Value, ...]] = {}
                for init, param, result in zip(step.inits, step.carried, step.body.results, strict=True):
                    if uses[init] != 1 or uses[param] != 1 or uses[result] != 1 or result is param:
                        continue
                    if not tells_apart(step):
                        continue
                    if init in zeros:
                        inner[param] = (step.index,)
                    elif init in alone:
                        inner[param] = (*alone[init], step.index)
                _find(step.body, inner, uses, zeros, chosen)
            case Relation(gate="scatter", args=[Value() as base, *_]) if step.attrs["mode"] == "add" and base in alone:
                index = step.attrs["index"]
                assert isinstance(index, tuple)
                apart = all(counter in index for counter in alone[base])
                if apart and step.out in block.results and Ellipsis not in index:
                    chosen.add(step)
            case _:
                pass


def _with_sets(block: Block, chosen: set[Relation]) -> Block:
    body: list[Step] = []
    for step in block.body:
        match step:
            case Relation() if step in chosen:
                step = replace(step, attrs={**step.attrs, "mode": "set"})
            case Loop():
                step = replace(step, body=_with_sets(step.body, chosen))
            case Branch():
                step = replace(step, then=_with_sets(step.then, chosen), orelse=_with_sets(step.orelse, chosen))
        body.append(step)
    return replace(block, body=tuple(body))


# Parts side by side


def _joined(block: Block, uses: Counter[Value]) -> Block:
    """Zeros that are filled part by part, each part once and the whole of it, are the parts side by side."""
    body: list[Step] = []
    for step in block.body:
        match step:
            case Loop():
                step = replace(step, body=_joined(step.body, uses))
            case Branch():
                step = replace(step, then=_joined(step.then, uses), orelse=_joined(step.orelse, uses))
        body.append(step)
    for zeros in [one for one in body if isinstance(one, Relation) and one.gate == "zeros_for"]:
        chain: list[Relation] = []
        value = zeros.out
        while uses[value] == 1:
            following = next((one for one in body if value in one.operands()), None)
            if not isinstance(following, Relation) or following.gate != "scatter" or following.args[0] is not value:
                break
            chain.append(following)
            value = following.out
        while len(chain) > 1 and (whole := _side_by_side(zeros, chain)) is None:
            # What comes after the parts may be more than parts.
            chain.pop()
        if len(chain) > 1 and whole is not None:
            gone = {zeros, *chain[:-1]}
            body = [whole if one is chain[-1] else one for one in body if one not in gone]
    return replace(block, body=tuple(body))


def _side_by_side(zeros: Relation, chain: list[Relation]) -> Relation | None:
    """One relation that puts the parts together, in their order; None where they leave gaps or overlap."""
    shape = zeros.out.type.shape
    rank = shape.rank
    if rank not in (1, 2) or zeros.out.type.kind is not Kind.ARRAY:
        return None
    size = shape.front[-1]
    parts: list[tuple[Dim, Dim, Relation]] = []
    for step in chain:
        index, gradient = step.attrs["index"], step.args[1]
        if step.attrs["mode"] != "add" or not isinstance(index, tuple) or not isinstance(gradient, Value):
            return None
        *leading, last = index
        if len(index) != rank or any(item != Slice() for item in leading) or not isinstance(last, Slice):
            return None
        start = Dim.of(0) if last.start is None else _number(last.start)
        stop = size if last.stop is None else _number(last.stop)
        if last.step is not None or start is None or stop is None or gradient.type.shape.rank != rank:
            return None
        if gradient.type.shape.front[-1] != stop - start or gradient.type.shape.front[:-1] != shape.front[:-1]:
            return None
        parts.append((start, stop, step))
    ordered: list[Relation] = []
    place = Dim.of(0)
    while parts:
        found = next((part for part in parts if part[0] == place), None)
        if found is None:
            return None
        parts.remove(found)
        ordered.append(found[2])
        place = found[1]
    if place != size:
        return None
    args = tuple(step.args[1] for step in ordered)
    last_step = chain[-1]
    attrs: dict[str, Attribute] = {} if rank == 2 else {"axis": 0}
    gate = "hstack" if rank == 2 else "concatenate"
    return Relation(last_step.outs, gate, args, attrs, last_step.stage, last_step.span)


def _number(bound: Attribute) -> Dim | None:
    if isinstance(bound, int) and not isinstance(bound, bool):
        return Dim.of(bound)
    return bound.type.number if isinstance(bound, Value) else None

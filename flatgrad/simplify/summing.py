"""A gradient that loops add up element by element is the sum over their counters, in one line.

`db[f] += dout[n, f, i, j]` for every n, f, i and j there is makes `db = dout.sum(axis=(0, 2, 3))`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from flatgrad.ir.core import (
    Attribute,
    Block,
    Branch,
    Loop,
    Operand,
    Relation,
    Slice,
    Step,
    Value,
    bound_values,
    every_step,
    inner_blocks,
    is_literal,
)
from flatgrad.ir.dims import Dim

# What does something besides.
_EFFECTS = frozenset({"call_backward", "layer_backward"})


@dataclass(frozen=True, slots=True)
class _Nest:
    """Loops, each inside the one before, that carry one value; `places`: its position in each."""

    loops: tuple[Loop, ...]
    places: tuple[int, ...]
    last: Relation


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of an array: the axes at which it is read at a counter, and those that are left of the others."""

    whole: Value
    counters: Mapping[Value, int]
    rest: tuple[int, ...]


def summed_over_loops(block: Block, uses: Mapping[Value, int]) -> Block:
    """The same backward block, with such sums taken after the loops.

    Args:
        uses: how often each value is read, results of blocks included.
    """
    body: list[Step] = []
    for step in block.body:
        match step:
            case Loop():
                step = replace(step, body=summed_over_loops(step.body, uses))
            case Branch():
                step = replace(
                    step, then=summed_over_loops(step.then, uses), orelse=summed_over_loops(step.orelse, uses)
                )
        body.append(step)
    zeros = {step.out: step for step in body if isinstance(step, Relation) and step.gate == "zeros_for"}
    position = 0
    while position < len(body):
        loop = body[position]
        found = _first_sum(loop, zeros, uses) if isinstance(loop, Loop) else None
        if not isinstance(loop, Loop) or found is None:
            position += 1
            continue
        nest, whole = found
        rest = _without(nest.loops, nest.places, nest.last)
        body[position : position + 1] = [whole] if rest is None else [rest, whole]
        start = zeros[loop.inits[nest.places[0]]]
        position -= body.index(start) < position
        body.remove(start)
    return replace(block, body=tuple(body))


def _first_sum(loop: Loop, zeros: Mapping[Value, Relation], uses: Mapping[Value, int]) -> tuple[_Nest, Relation] | None:
    for place, init in enumerate(loop.inits):
        nest = _nest(loop, place, uses) if init in zeros and uses[init] == 1 else None
        whole = None if nest is None else _whole(nest, zeros[init])
        if nest is not None and whole is not None:
            # A loop that carries nothing else is gone.
            gone = next((every_step(one.body) for one in nest.loops if len(one.outs) == 1), ())
            if not any(isinstance(one, Relation) and one.gate in _EFFECTS for one in gone):
                return nest, whole
    return None


def _nest(loop: Loop, place: int, uses: Mapping[Value, int]) -> _Nest | None:
    """The loops that a value goes through untouched, down to the one relation that adds to it."""
    loops, places = [loop], [place]
    while True:
        value, handed = loop.carried[place], loop.body.results[place]
        if loop.condition is not None or loop.breaks or loop.count is not None or len(loop.bounds) != 3:
            return None
        start, _, step = loop.bounds
        if not is_literal(start, 0) or not is_literal(step, 1) or uses[value] != 1 or uses[handed] != 1:
            return None
        reader = next((one for one in loop.body.body if value in one.operands()), None)
        if isinstance(reader, Loop) and value in reader.inits:
            loop, place = reader, reader.inits.index(value)
            if reader.outs[place] is not handed:
                return None
            loops.append(loop)
            places.append(place)
        elif isinstance(reader, Relation) and reader.args[0] is value and reader.outs == (handed,):
            return _Nest(tuple(loops), tuple(places), reader)
        else:
            return None


def _whole(nest: _Nest, zeros: Relation) -> Relation | None:
    """The sum that the loops of a nest make, where they run over all there is."""
    last, total = nest.last, zeros.out.type.shape.dims
    adds = (last.gate == "scatter" and last.attrs["mode"] == "add") or (
        last.gate == "update" and last.attrs["op"] == "+"
    )
    index = last.attrs["index"] if last.gate == "scatter" else ()
    part = _part(last.args[1], nest.loops[0].body) if adds else None
    if part is None or total is None or not isinstance(index, tuple):
        return None
    dims = part.whole.type.shape.dims
    rounds = {loop.index: _number(loop.bounds[1]) for loop in nest.loops}
    if dims is None or part.counters.keys() != rounds.keys():
        return None
    if any(dims[axis] != rounds[counter] for counter, axis in part.counters.items()):
        return None
    kept = _kept(index, len(total), part)
    if kept is None or kept != sorted(kept) or [dims[axis] for axis in kept] != list(total):
        return None
    summed = tuple(axis for axis in range(len(dims)) if axis not in kept)
    if not summed:
        return None
    axis: Attribute = summed[0] if len(summed) == 1 else summed
    first = nest.loops[0]
    attrs: dict[str, Attribute] = {"axis": axis, "dtype": None, "keepdims": False}
    return Relation((first.outs[nest.places[0]],), "sum", (part.whole,), attrs, first.stage, first.span)


def _part(operand: Operand, body: Block) -> _Part | None:
    """What a round adds, where that is a part of an array from outside, or a sum over axes of one."""
    made = {one.out: one for one in every_step(body) if isinstance(one, Relation)}
    step = made.get(operand) if isinstance(operand, Value) else None
    summed: tuple[Attribute, ...] = ()
    if step is not None and step.gate == "sum" and step.attrs["keepdims"] is False and step.attrs["dtype"] is None:
        axis, inner = step.attrs["axis"], step.args[0]
        summed = axis if isinstance(axis, tuple) else (axis,)
        step = made.get(inner) if isinstance(inner, Value) else None
    if step is None or step.gate != "read" or not isinstance(step.args[0], Value):
        return None
    whole, index = step.args[0], step.attrs["index"]
    rank = whole.type.shape.rank
    if not isinstance(index, tuple) or rank is None or whole in _bound_in(body):
        return None
    counters: dict[Value, int] = {}
    rest: list[int] = []
    for axis_of, item in enumerate((*index, *[Slice()] * (rank - len(index)))):
        if isinstance(item, Value) and item not in counters:
            counters[item] = axis_of
        elif item == Slice():
            rest.append(axis_of)
        else:
            return None
    if not all(isinstance(one, int) and 0 <= one < len(rest) for one in summed):
        return None
    return _Part(whole, counters, tuple(one for place, one in enumerate(rest) if place not in summed))


def _bound_in(body: Block) -> set[Value]:
    found = set(body.params)
    for step in every_step(body):
        found.update(bound_values(step))
        for inner in inner_blocks(step):
            found.update(inner.params)
    return found


def _kept(index: tuple[Attribute, ...], rank: int, part: _Part) -> list[int] | None:
    """For each axis of the gradient the axis of the array that runs along it."""
    rest = iter(part.rest)
    kept: list[int | None] = []
    for item in (*index, *[Slice()] * (rank - len(index))):
        if isinstance(item, Value):
            kept.append(part.counters.get(item))
        else:
            kept.append(next(rest, None) if item == Slice() else None)
    found = [one for one in kept if one is not None]
    return found if len(found) == len(kept) == rank and next(rest, None) is None else None


def _number(bound: Operand) -> Dim | None:
    if isinstance(bound, Value):
        return bound.type.number
    return Dim.of(bound.value) if isinstance(bound.value, int) and not isinstance(bound.value, bool) else None


def _without(loops: tuple[Loop, ...], places: tuple[int, ...], last: Relation) -> Loop | None:
    """The loops of a nest without the value that they carry; None where they carry no other."""
    loop, place = loops[0], places[0]
    if len(loops) > 1:
        inner = _without(loops[1:], places[1:], last)
        body = tuple(inner if one is loops[1] else one for one in loop.body.body)
    else:
        body = tuple(None if one is last else one for one in loop.body.body)
    if len(loop.outs) == 1:
        return None

    def others(values: tuple[Value, ...]) -> tuple[Value, ...]:
        return (*values[:place], *values[place + 1 :])

    index, *carried = loop.body.params
    block = Block((index, *others(tuple(carried))), tuple(filter(None, body)), others(loop.body.results))
    return replace(loop, outs=others(loop.outs), inits=others(loop.inits), body=block)

"""Integers that are no sizes: what a user gives as `stride` or `pad`.

Nothing says what a caller gives. But a line that runs on integers only has been given one: `range(n)`, a slice from
`i * stride`, a width of `np.pad`. What such an integer is made of by arithmetic are integers too: with a float or an
array among its parts it would be one itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flatgrad.facts.indexing import TypeOf
from flatgrad.facts.structural import operand_type
from flatgrad.gates.entry import TABLE
from flatgrad.ir.core import DType, Operand, Relation, Slice, Value, is_literal
from flatgrad.ir.dims import Dim, Quotient

_ARITHMETIC = frozenset({"Add", "Sub", "Mult", "FloorDiv", "Mod", "USub"})

Makers = Mapping[Value, Relation]


def integers_in(step: Relation, makers: Makers) -> Iterator[Value]:
    """The values that must be single integers where a relation runs."""
    if step.gate == "pad":
        widths = step.attrs["pad_width"]
        # In a flat tuple there may be arrays.
        for row in widths if isinstance(widths, tuple) else ():
            yield from (end for end in (row if isinstance(row, tuple) else ()) if isinstance(end, Value))
    elif step.gate in ("zeros", "ones", "empty", "full"):
        dims = step.attrs["shape"]
        yield from (one for one in (dims if isinstance(dims, tuple) else ()) if isinstance(one, Value))
    elif step.gate in ("read", "write"):
        index = step.attrs["index"]
        for item in index if isinstance(index, tuple) else ():
            bounds = (item.start, item.stop, item.step) if isinstance(item, Slice) else ()
            # What is given as it is may be None, which is no bound.
            yield from (one for one in bounds if isinstance(one, Value) and _is_arithmetic(one, makers))


def parts_of(value: Value, makers: Makers) -> tuple[Value, ...]:
    """What is an integer where this value is one: its other name, or the operands of its arithmetic."""
    step = makers.get(value)
    if step is None or not (step.gate == "alias" or _is_arithmetic(value, makers)):
        return ()
    return tuple(arg for arg in step.args if isinstance(arg, Value))


def _is_arithmetic(value: Value, makers: Makers) -> bool:
    step = _maker(value, makers)
    if step is None or step.gate not in TABLE:
        return False
    return not _ARITHMETIC.isdisjoint(spelling.path for spelling in TABLE[step.gate].spellings)


def cut_down(step: Relation, makers: Makers, type_of: TypeOf, given: Mapping[Value, Dim]) -> Dim | None:
    """What `int(x)` and `math.floor(x)` hold, symbolically: of quotients of integers, rounded down or with 1 added.

    `int(a / b)` alone is none of these: where a is a little less than 0 it is 0, and `a // b` is not. Floats hold the
    quotients of integers closely enough up to 2**53.

    `given`: the symbols of what may be an integer; where it is none, a quotient by it is as good.
    """
    if step.gate == "math.floor":
        return _rounded_down(step, makers, type_of, given)
    number = operand_type(step.args[0], type_of).number
    inner = _maker(step.args[0], makers)
    if number is not None or inner is None or inner.gate not in TABLE:
        return number
    paths = {spelling.path for spelling in TABLE[inner.gate].spellings}
    if "numpy.floor" in paths:
        return _rounded_down(inner, makers, type_of, given)
    for one, other in (inner.args, inner.args[::-1]) if "Add" in paths else ():
        ends = _divided(other, makers, type_of, given) if is_literal(one, 1) else None
        if ends is not None:
            return Quotient(*ends, steps=True).substitute({}) + 1
    return None


def _rounded_down(step: Relation, makers: Makers, type_of: TypeOf, given: Mapping[Value, Dim]) -> Dim | None:
    ends = _divided(step.args[0], makers, type_of, given)
    return None if ends is None else ends[0] // ends[1]


def _maker(operand: Operand, makers: Makers) -> Relation | None:
    origin = _origin(operand, makers)
    return makers.get(origin) if isinstance(origin, Value) else None


def _origin(operand: Operand, makers: Makers) -> Operand:
    """What an operand is another name of."""
    while isinstance(operand, Value) and operand in makers and makers[operand].gate == "alias":
        operand = makers[operand].args[0]
    return operand


def _divided(operand: Operand, makers: Makers, type_of: TypeOf, given: Mapping[Value, Dim]) -> tuple[Dim, Dim] | None:
    """What an operand is the quotient of: an integer, and another one or what may be one."""
    step = _maker(operand, makers)
    if step is None or step.gate != "divide":
        return None
    first, second = (operand_type(arg, type_of).number for arg in step.args)
    divisor = _origin(step.args[1], makers)
    if second is None and isinstance(divisor, Value) and operand_type(divisor, type_of).dtype is DType.OPEN:
        second = given.get(divisor)
    return None if first is None or second is None else (first, second)

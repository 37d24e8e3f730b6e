"""Softmax, log-softmax and logsumexp, with and without the shift by a maximum, across statements.

All three are the same up to a shift of x that is constant along the axes: softmax and log-softmax do not see it, and
logsumexp moves by it. So no gradient flows through the maximum, exactly, ties included.

Without a shift, exp(x) may overflow. The logarithms are infinite then, and exp(log-softmax) would be a zero that looks
like a probability: there backward divides the exponentials by their sum, which gives nan.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flatgrad.groups.graph import Found, Graph, called
from flatgrad.groups.reduced import Axis, Reduced, covers, reduced, reduction, restoration, restores, same_axes
from flatgrad.ir.core import Attribute, Operand, Relation, Slice, Value

SHIFTS = ("max", "min", "mean")
SUMS = ("sum", "builtin_sum")


# From which forward values backward gets the probabilities: `p`; `logp`; `e` and `s`; `scores` and `total`.
Source = tuple[tuple[str, Attribute], ...]


@dataclass(frozen=True, slots=True)
class Normal:
    """A softmax or log-softmax of each of `inputs` (which differ by a shift), outermost first, along `axis`."""

    inputs: tuple[Value, ...]
    axis: Axis
    source: Source


@dataclass(frozen=True, slots=True)
class Total:
    """The logsumexp of `of`. `keepdims`, `stands`: as of a reduction.

    `parts`: the exponentials and their sum, where they may overflow.
    """

    of: Value
    axis: Axis
    keepdims: bool
    stands: bool
    parts: tuple[Value, Value] | None = None


def softmax(graph: Graph, operand: Operand) -> Normal | None:
    """What an operand is the softmax of."""
    exponential = graph.relation(operand, "exp")
    if exponential is None:
        return _ratio(graph, operand)
    known = _difference(graph, exponential.args[0])
    if known is None or known.source[0][0] != "logp":
        return None
    return replace(known, source=(("p", exponential.out),))


def log_softmax(graph: Graph, operand: Operand) -> Normal | None:
    """What an operand is the logarithm of the softmax of."""
    logarithm = graph.relation(operand, "log")
    return _difference(graph, operand) if logarithm is None else _ratio(graph, logarithm.args[0])


def _ratio(graph: Graph, operand: Operand) -> Normal | None:
    """exp(x) / sum(exp(x))"""
    relation = graph.relation(operand, "divide", "softmax")
    if relation is None or relation.gate == "softmax":
        return None if relation is None else _of_library(relation, "p")
    exponential = graph.relation(relation.args[0], "exp")
    total = reduced(graph, relation.args[1], *SUMS)
    if exponential is None or total is None or not total.stands or not graph.same(total.operand, relation.args[0]):
        return None
    exponent = exponential.args[0]
    if not isinstance(exponent, Value):
        return None
    return Normal(unshifted(graph, exponent, total.axis), total.axis, (("p", relation.out),))


def _difference(graph: Graph, operand: Operand) -> Normal | None:
    """x - logsumexp(x)"""
    relation = graph.relation(operand, "subtract", "log_softmax")
    if relation is None or relation.gate == "log_softmax":
        return None if relation is None else _of_library(relation, "logp")
    x, total = relation.args[0], logsumexp(graph, relation.args[1])
    if total is None or not total.stands or not isinstance(x, Value) or not graph.same(x, total.of):
        return None
    source: Source = (("logp", relation.out),)
    if total.parts is not None:
        e, s = total.parts
        source = (("e", e), ("s", s), ("axis_of_s", _missing_axis(graph, relation.args[1], total)), *source)
    return Normal(unshifted(graph, x, total.axis), total.axis, source)


def _missing_axis(graph: Graph, operand: Operand, total: Total) -> Axis:
    """The axis that the sum of exponentials lacks where the logarithm of it has it; None where it lacks none."""
    return total.axis if restoration(graph, operand) is not None else None


def _of_library(relation: Relation, name: str) -> Normal | None:
    x, axis = relation.args[0], relation.attrs["axis"]
    if isinstance(x, Value) and (axis is None or type(axis) is int):
        return Normal((x,), axis, ((name, relation.out),))
    return None


def logsumexp(graph: Graph, operand: Operand) -> Total | None:
    """What an operand is the logsumexp of."""
    restoring = restoration(graph, operand)
    if restoring is not None:
        inner = _log_of_sum(graph, restoring.args[0]) or _shifted_total(graph, restoring.args[0])
        if inner is None or inner.keepdims or not restores(restoring, inner.axis, inner.of.type.shape.rank):
            return None
        return replace(inner, keepdims=True, stands=True)
    return _log_of_sum(graph, operand) or _shifted_total(graph, operand)


def _log_of_sum(graph: Graph, operand: Operand) -> Total | None:
    """log(sum(exp(x)))"""
    relation = graph.relation(operand, "log", "logsumexp")
    if relation is None:
        return None
    if relation.gate == "logsumexp":
        known = reduction(relation, None)
        return None if known is None else Total(known.operand, known.axis, known.keepdims, known.stands)
    known = reduced(graph, relation.args[0], *SUMS)
    exponential = None if known is None else graph.relation(known.operand, "exp")
    if known is None or exponential is None or not isinstance(exponential.args[0], Value):
        return None
    exponent, summed = exponential.args[0], relation.args[0]
    assert isinstance(summed, Value)
    parts = None if _is_bounded(graph, exponent, known.axis) else (known.operand, summed)
    return Total(exponent, known.axis, known.keepdims, known.stands, parts)


def _is_bounded(graph: Graph, exponent: Value, axis: Axis) -> bool:
    """Whether an exponent is x less the maximum of x: no exponential of it is larger than 1."""
    difference = graph.relation(exponent, "subtract")
    if difference is None or not isinstance(difference.args[0], Value):
        return False
    shift = _shift(graph, difference.args[1], difference.args[0], axis)
    return shift is not None and shift.relation.gate == "max"


def _shifted_total(graph: Graph, operand: Operand) -> Total | None:
    """m + log(sum(exp(x - m)))"""
    relation = graph.relation(operand, "add")
    if relation is None:
        return None
    for outside, rest in (relation.args, relation.args[::-1]):
        restoring = restoration(graph, rest)
        total = _log_of_sum(graph, rest) if restoring is None else logsumexp(graph, rest)
        difference = None if total is None else graph.relation(total.of, "subtract")
        if total is None or difference is None:
            continue
        x, inside = difference.args
        if isinstance(x, Value):
            shift = _shift(graph, inside, x, total.axis)
            if shift is not None and total.parts is None and _is_same_shift(graph, shift, inside, outside, total):
                return replace(total, of=x)
    return None


def unshifted(graph: Graph, exponent: Value, axis: Axis) -> tuple[Value, ...]:
    """x and x - m where the exponent is x - m for a shift m, else the exponent alone; the outermost first."""
    difference = graph.relation(exponent, "subtract")
    if difference is not None:
        x, inside = difference.args
        if isinstance(x, Value) and _shift(graph, inside, x, axis) is not None:
            return (x, exponent)
    return (exponent,)


def _shift(graph: Graph, operand: Operand, x: Value, axis: Axis) -> Reduced | None:
    """An operand as what x is reduced to, constant along the axes, where it leaves the shape of x as it is."""
    known = reduced(graph, operand, *SHIFTS)
    if known is None or not known.stands or not graph.same(known.operand, x):
        return None
    return known if covers(known.axis, axis, known.rank) else None


def _is_same_shift(graph: Graph, shift: Reduced, inside: Operand, outside: Operand, total: Total) -> bool:
    """Whether what is added to a logsumexp is the shift inside, and leaves the shape of the logsumexp as it is."""
    if graph.same(inside, outside):
        return total.keepdims or not shift.keepdims
    if not total.keepdims and same_axes(shift.axis, total.axis, shift.rank) and _is_flat(graph, outside, inside, total):
        return True
    other = reduced(graph, outside, *SHIFTS)
    if other is None or other.relation.gate != shift.relation.gate or not graph.same(other.operand, shift.operand):
        return False
    if not same_axes(other.axis, shift.axis, shift.rank):
        return False
    if other.axis is None and not other.keepdims:
        return True
    return same_axes(other.axis, total.axis, shift.rank) and other.keepdims == total.keepdims


def _is_flat(graph: Graph, operand: Operand, whole: Operand, total: Total) -> bool:
    """Whether an operand is `whole` without its dim of size 1: `m[:, 0]`, `np.squeeze(m, axis=1)`, `m.squeeze()`."""
    relation = graph.relation(operand, "read", "squeeze")
    if relation is None or not isinstance(total.axis, int) or not graph.same(relation.args[0], whole):
        return False
    rank = total.of.type.shape.rank
    place = total.axis % rank if rank else total.axis
    if relation.gate == "squeeze":
        axis = relation.attrs["axis"]
        return isinstance(axis, int) and (axis % rank if rank else axis) == place
    return place >= 0 and relation.attrs["index"] == (*[Slice()] * place, 0)


# Groups


def softmax_groups(graph: Graph, relation: Relation) -> list[Found]:
    """The groups whose result the relation computes, the largest first."""
    if relation.gate in ("divide", "exp"):
        return _normals("softmax", "softmax", softmax(graph, relation.out))
    found: list[Found] = []
    if relation.gate in ("subtract", "log"):
        found = _normals("log_softmax", "log-softmax", log_softmax(graph, relation.out))
    if relation.gate in ("add", "log"):
        total = logsumexp(graph, relation.out)
        if total is not None:
            attrs: dict[str, Attribute] = {"axis": total.axis, "keepdims": total.keepdims}
            if total.parts is not None:
                attrs |= {"e": total.parts[0], "s": total.parts[1]}
            found.append(Found("group.logsumexp", (total.of,), attrs, (total.of,), called("logsumexp", total.of)))
    return found


def _normals(gate: str, spoken: str, known: Normal | None) -> list[Found]:
    if known is None:
        return []
    attrs: dict[str, Attribute] = {"axis": known.axis}
    if gate == "log_softmax":
        attrs |= {name: value for name, value in known.source if name != "logp"}
    return [Found(f"group.{gate}", (x,), attrs, (x,), called(spoken, x)) for x in known.inputs]

"""Softmax, log-softmax and logsumexp, with and without the shift by a maximum, across statements.

All three are the same up to a shift of x that is constant along the axes: softmax and log-softmax do not see it, and
logsumexp moves by it. So no gradient flows through the maximum, exactly, ties included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flatgrad.groups.graph import Found, Graph, called
from flatgrad.groups.reduced import Axis, Reduced, covers, reduced, reduction, restoration, restores, same_axes
from flatgrad.ir.core import Operand, Relation, Slice, Value

SHIFTS = ("max", "min", "mean")
SUMS = ("sum", "builtin_sum")


@dataclass(frozen=True, slots=True)
class Normal:
    """A softmax or log-softmax of each of `inputs` (which differ by a shift), outermost first, along `axis`."""

    inputs: tuple[Value, ...]
    axis: Axis


@dataclass(frozen=True, slots=True)
class Total:
    """The logsumexp of `of`. `keepdims`, `stands`: as of a reduction."""

    of: Value
    axis: Axis
    keepdims: bool
    stands: bool


def softmax(graph: Graph, operand: Operand) -> Normal | None:
    """What an operand is the softmax of."""
    logarithm = graph.relation(operand, "exp")
    return _ratio(graph, operand) if logarithm is None else _difference(graph, logarithm.args[0])


def log_softmax(graph: Graph, operand: Operand) -> Normal | None:
    """What an operand is the logarithm of the softmax of."""
    logarithm = graph.relation(operand, "log")
    return _difference(graph, operand) if logarithm is None else _ratio(graph, logarithm.args[0])


def _ratio(graph: Graph, operand: Operand) -> Normal | None:
    """exp(x) / sum(exp(x))"""
    relation = graph.relation(operand, "divide", "softmax")
    if relation is None or relation.gate == "softmax":
        return None if relation is None else _of_library(relation)
    exponential = graph.relation(relation.args[0], "exp")
    total = reduced(graph, relation.args[1], *SUMS)
    if exponential is None or total is None or not total.stands or not graph.same(total.operand, relation.args[0]):
        return None
    exponent = exponential.args[0]
    return Normal(unshifted(graph, exponent, total.axis), total.axis) if isinstance(exponent, Value) else None


def _difference(graph: Graph, operand: Operand) -> Normal | None:
    """x - logsumexp(x)"""
    relation = graph.relation(operand, "subtract", "log_softmax")
    if relation is None or relation.gate == "log_softmax":
        return None if relation is None else _of_library(relation)
    x, total = relation.args[0], logsumexp(graph, relation.args[1])
    if total is None or not total.stands or not isinstance(x, Value) or not graph.same(x, total.of):
        return None
    return Normal(unshifted(graph, x, total.axis), total.axis)


def _of_library(relation: Relation) -> Normal | None:
    x, axis = relation.args[0], relation.attrs["axis"]
    if isinstance(x, Value) and (axis is None or type(axis) is int):
        return Normal((x,), axis)
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
    return Total(exponential.args[0], known.axis, known.keepdims, known.stands)


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
            if shift is not None and _is_same_shift(graph, shift, inside, outside, total):
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
            attrs = {"axis": total.axis, "keepdims": total.keepdims}
            found.append(Found("group.logsumexp", (total.of,), attrs, (total.of,), called("logsumexp", total.of)))
    return found


def _normals(gate: str, spoken: str, known: Normal | None) -> list[Found]:
    if known is None:
        return []
    return [Found(f"group.{gate}", (x,), {"axis": known.axis}, (x,), called(spoken, x)) for x in known.inputs]

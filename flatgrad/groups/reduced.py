"""Reductions along axes, however their result is made to stand against what was reduced.

`e.sum(axis=1, keepdims=True)`, `e.sum(axis=1)[:, None]`, `e.sum()` and `e.sum(axis=0)` all broadcast against `e` as
the sum with `keepdims` does; `e.sum(axis=1)` does not, whatever the shapes happen to be.
"""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.groups.graph import Graph
from flatgrad.ir.core import Attribute, Operand, Relation, Slice, Value

Axis = int | tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Reduced:
    """A reduction of `operand`.

    Attributes:
        keepdims: its result has dims of size 1 where the axes were.
        stands: its result broadcasts against the operand as if it had.
    """

    relation: Relation
    operand: Value
    axis: Axis
    keepdims: bool
    stands: bool

    @property
    def rank(self) -> int | None:
        return self.operand.type.shape.rank


def reduced(graph: Graph, operand: Operand, *gates: str) -> Reduced | None:
    """The reduction by one of `gates` that an operand is, dims put back or not."""
    restoring = restoration(graph, operand)
    inner = operand if restoring is None else restoring.args[0]
    relation = graph.relation(inner, *gates)
    return None if relation is None else reduction(relation, restoring)


def reduction(relation: Relation, restoring: Relation | None) -> Reduced | None:
    """A relation as a reduction whose dims `restoring` puts back; None where that does not become clear."""
    source, attrs = relation.args[0], relation.attrs
    builtin = relation.gate == "builtin_sum"
    axis = 0 if builtin else attrs.get("axis")
    keepdims = attrs.get("keepdims", False)
    plain = ("dtype", "out", "weights", "b")
    if not isinstance(source, Value) or any(attrs.get(name) is not None for name in plain):
        return None
    if attrs.get("ddof", 0) != 0 or attrs.get("returned", False) or attrs.get("return_sign", False):
        return None
    if not isinstance(keepdims, bool) or not _is_axis(axis):
        return None
    assert axis is None or isinstance(axis, int | tuple)
    known: Axis = axis  # type: ignore[assignment]
    rank = source.type.shape.rank
    if restoring is None:
        return Reduced(relation, source, known, keepdims, keepdims or broadcasts_back(known, rank))
    if keepdims or not restores(restoring, known, rank):
        return None
    return Reduced(relation, source, known, True, True)


def restoration(graph: Graph, operand: Operand) -> Relation | None:
    """The relation by which an operand got new dims of size 1: `s[:, None]`, `np.expand_dims(s, 1)`."""
    relation = graph.relation(operand, "read", "expand_dims", "reshape")
    if relation is None or not isinstance(relation.args[0], Value):
        return None
    if relation.gate == "read":
        index = relation.attrs["index"]
        if not isinstance(index, tuple) or None not in index:
            return None
        if not all(item is None or item is Ellipsis or item == Slice() for item in index):
            return None
    return relation


def restores(restoring: Relation, axis: Axis, rank: int | None) -> bool:
    """Whether the new dim is where `axis` was, for every rank that is possible."""
    if not isinstance(axis, int):
        return False
    place = axis % rank if rank else axis
    if restoring.gate == "expand_dims":
        new = restoring.attrs["axis"]
        return isinstance(new, int) and not isinstance(new, bool) and (new % rank if rank else new) == place
    if restoring.gate == "reshape":
        shape = restoring.attrs["shape"]
        column = isinstance(shape, tuple) and len(shape) == 2 and type(shape[1]) is int and shape[1] == 1
        return rank == 2 and place == 1 and column
    index = restoring.attrs["index"]
    assert isinstance(index, tuple)
    items = list(index)
    if items == [Ellipsis, None]:
        return place == -1 or (rank is not None and place == rank - 1)
    while items and (items[-1] == Slice() or items[-1] is Ellipsis):
        items.pop()
    return place >= 0 and items == [*[Slice()] * place, None]


def _is_axis(axis: Attribute) -> bool:
    if isinstance(axis, tuple):
        return all(type(part) is int for part in axis)
    return axis is None or type(axis) is int


def broadcasts_back(axis: Axis, rank: int | None) -> bool:
    """Whether broadcasting puts the dims back by itself: those of all axes, and the leading ones."""
    if axis is None:
        return True
    axes = normalised(axis, rank)
    if rank is not None and len(axes) == rank:
        return True
    return sorted(axes) == list(range(len(axes)))


def normalised(axis: int | tuple[int, ...], rank: int | None) -> frozenset[int]:
    """The axes as a set, counted from the front where the rank is known."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    return frozenset(one % rank for one in axes) if rank else frozenset(axes)


def same_axes(first: Axis, second: Axis, rank: int | None) -> bool:
    return _all_axes(first, rank) == _all_axes(second, rank)


def covers(larger: Axis, smaller: Axis, rank: int | None) -> bool:
    """Whether the first reduces every axis that the second does."""
    if larger is None:
        return True
    one, two = _all_axes(larger, rank), _all_axes(smaller, rank)
    return one is not None and two is not None and two <= one


def _all_axes(axis: Axis, rank: int | None) -> frozenset[int] | None:
    if axis is not None:
        return normalised(axis, rank)
    return None if rank is None else frozenset(range(rank))

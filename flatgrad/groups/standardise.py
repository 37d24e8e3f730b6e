"""Standardisation: x less its mean, over the root of its variance, as in batch and layer normalisation."""

from __future__ import annotations

from flatgrad.groups.graph import Found, Graph, called
from flatgrad.groups.reduced import Axis, Reduced, normalised, reduced, reduction, restoration, restores, same_axes
from flatgrad.ir.core import Attribute, Operand, Relation, Value
from flatgrad.ir.dims import Dim

MEANS = ("mean", "average")


def standardise_groups(graph: Graph, relation: Relation) -> list[Found]:
    """(x - mean(x)) / sqrt(var(x) + eps), or times the inverse of the root."""
    if relation.gate == "divide":
        sides: tuple[tuple[Operand, ...], ...] = (relation.args,)
    elif relation.gate == "multiply":
        sides = (relation.args, relation.args[::-1])
    else:
        return []
    for centred, scale in sides:
        known = _centred(graph, centred)
        if known is None or not isinstance(scale, Value):
            continue
        x, axis = known
        found = _deviation(graph, scale, x, centred, axis, inverse=relation.gate == "multiply")
        if found is None:
            continue
        (eps,) = found
        attrs: dict[str, Attribute] = {"axis": axis, "std": scale, "inverse": relation.gate == "multiply"}
        if eps is not None and graph.carries(eps):
            assert isinstance(eps, Value)
            return [Found("group.standardise", (x, eps), attrs, (x, eps), called("standardisation", x))]
        return [Found("group.standardise", (x,), attrs, (x,), called("standardisation", x))]
    return []


def _centred(graph: Graph, operand: Operand) -> tuple[Value, Axis] | None:
    """x and the axes where an operand is x less its own mean."""
    difference = graph.relation(operand, "subtract")
    if difference is None or not isinstance(difference.args[0], Value):
        return None
    x = difference.args[0]
    mean = _mean(graph, difference.args[1])
    if mean is None or not mean.stands or not graph.same(mean.operand, x):
        return None
    return x, mean.axis


def _mean(graph: Graph, operand: Operand) -> Reduced | None:
    """A mean, or a sum over how many numbers it was taken of."""
    known = reduced(graph, operand, *MEANS)
    if known is not None:
        return known
    restoring = restoration(graph, operand)
    ratio = graph.relation(operand if restoring is None else restoring.args[0], "divide")
    if ratio is None:
        return None
    inner = restoration(graph, ratio.args[0]) if restoring is None else restoring
    total = graph.relation(ratio.args[0] if restoring is not None or inner is None else inner.args[0], "sum")
    known = None if total is None else reduction(total, inner)
    count = graph.dim(ratio.args[1])
    if known is None or count is None:
        return None
    return known if count == _count(known) else None


def _count(known: Reduced) -> Dim | None:
    """How many numbers go into one of a reduction."""
    shape, rank = known.operand.type.shape, known.rank
    if rank is None:
        axis = known.axis
        return shape.dim(axis) if isinstance(axis, int) else None
    axes = range(rank) if known.axis is None else normalised(known.axis, rank)
    count = Dim.of(1)
    for axis in axes:
        count = count * shape.front[axis]
    return count


def _deviation(
    graph: Graph, scale: Operand, x: Value, centred: Operand, axis: Axis, inverse: bool
) -> tuple[Operand | None] | None:
    """What is added to the variance, (None,) where nothing is; None where the scale is not the deviation of x."""
    restoring = restoration(graph, scale)
    root = scale if restoring is None else restoring.args[0]
    if inverse:
        one = graph.relation(root, "divide", "reciprocal", "power")
        if one is None:
            return None
        if one.gate == "power":
            if graph.number(one.args[1]) != -0.5:
                return None
            return _variance_and_eps(graph, one.args[0], x, centred, axis, restoring)
        if one.gate == "divide" and graph.number(one.args[0]) != 1:
            return None
        root = one.args[-1]
    library = graph.relation(root, "std")
    if library is not None:
        known = reduction(library, restoring)
        return (None,) if known is not None and _fits(graph, known, x, centred, axis) else None
    squared = graph.relation(root, "sqrt", "power")
    if squared is None or (squared.gate == "power" and graph.number(squared.args[1]) != 0.5):
        return None
    return _variance_and_eps(graph, squared.args[0], x, centred, axis, restoring)


def _variance_and_eps(
    graph: Graph, operand: Operand, x: Value, centred: Operand, axis: Axis, restoring: Relation | None
) -> tuple[Operand | None] | None:
    if _is_variance(graph, operand, x, centred, axis, restoring):
        return (None,)
    total = graph.relation(operand, "add")
    if total is None:
        return None
    for variance, eps in (total.args, total.args[::-1]):
        single = not isinstance(eps, Value) or eps.type.shape.is_scalar
        if single and _is_variance(graph, variance, x, centred, axis, restoring):
            return (eps,)
    return None


def _is_variance(
    graph: Graph, operand: Operand, x: Value, centred: Operand, axis: Axis, restoring: Relation | None
) -> bool:
    """Whether an operand, its dims put back by `restoring`, is the variance of x along the axes of its mean."""
    own = restoration(graph, operand)
    if own is not None and restoring is not None:
        return False
    relation = graph.relation(operand if own is None else own.args[0], "var")
    if relation is not None:
        known = reduction(relation, own or restoring)
        return known is not None and _fits(graph, known, x, centred, axis)
    mean = _mean(graph, operand)
    if mean is None or not same_axes(mean.axis, axis, mean.rank) or not _is_square(graph, mean.operand, centred):
        return False
    if restoring is None:
        return mean.stands
    return not mean.keepdims and restores(restoring, mean.axis, mean.rank)


def _fits(graph: Graph, known: Reduced, x: Value, centred: Operand, axis: Axis) -> bool:
    of_x = graph.same(known.operand, x) or graph.same(known.operand, centred)
    return of_x and known.stands and same_axes(known.axis, axis, known.rank)


def _is_square(graph: Graph, operand: Operand, base: Operand) -> bool:
    relation = graph.relation(operand, "power", "square", "multiply")
    if relation is None or not graph.same(relation.args[0], base):
        return False
    match relation.gate:
        case "power":
            return graph.number(relation.args[1]) == 2
        case "multiply":
            return graph.same(relation.args[1], base)
    return True

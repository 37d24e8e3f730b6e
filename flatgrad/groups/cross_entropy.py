"""Softmax cross-entropy: with integer labels or with rows of probabilities, summed, averaged or row by row.

Followed from the logarithms of the probabilities upwards: the label's one of each row is picked (or the row is weighed
with a row of Y), then come signs, sums, means and divisions by numbers that carry no gradient, in any order and over
any number of statements.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from flatgrad.facts.indexing import Style, index_style
from flatgrad.groups.graph import Found, Graph, called
from flatgrad.groups.reduced import Axis, normalised, reduction
from flatgrad.groups.softmax import Normal, Source, log_softmax, logsumexp, softmax, unshifted
from flatgrad.ir.core import Attribute, DType, Kind, Operand, Relation, Type, Value
from flatgrad.ir.dims import Dim

MOST_FACTORS = 16
PASSED = frozenset({"negative", "positive", "alias", "sum", "builtin_sum", "mean", "average", "divide", "multiply"})


@dataclass(frozen=True, slots=True)
class Loss:
    """What a value is: a sum over the labels' log-probabilities, scaled.

    Attributes:
        inputs: the scores, with a shift and without.
        axis: the classes' axis.
        source: from which forward values backward gets the probabilities.
        index: the index of the label's element in each row, or None where `weights` are given.
        weights: rows of probabilities, of the shape of the scores.
        rows: the value holds one number for each row; else their sum.
        elements: the value still holds one number for each class.
        scale: from the inside out, what the sum was divided by or multiplied with; `negative` flips the sign.
    """

    inputs: tuple[Value, ...]
    axis: int
    source: Source
    index: tuple[Attribute, ...] | None = None
    weights: Value | None = None
    rows: bool = True
    elements: bool = False
    negative: bool = False
    scale: tuple[tuple[str, Attribute], ...] = ()


def losses(graph: Graph) -> dict[Value, Loss]:
    """Every value that is such a sum."""
    known: dict[Value, Loss] = {}
    for step in graph.lowered.function.block.body:
        if isinstance(step, Relation) and len(step.outs) == 1 and step.out in graph.varied:
            loss = _first(graph, step) or _passed(graph, step, known)
            if loss is not None:
                known[step.out] = loss
    return known


def cross_entropy_groups(graph: Graph, known: dict[Value, Loss], relation: Relation) -> list[Found]:
    """The groups whose result the relation computes, the largest first."""
    loss = known.get(relation.out)
    if loss is None or loss.elements:
        return []
    return [_group(loss, x) for x in loss.inputs]


def _group(loss: Loss, x: Value) -> Found:
    attrs: dict[str, Attribute] = {
        "axis": loss.axis,
        "rows": loss.rows,
        "negative": loss.negative,
        "scale": loss.scale,
        **dict(loss.source),
    }
    if loss.weights is not None:
        args: tuple[Operand, ...] = (x, loss.weights)
        return Found(
            "group.cross_entropy", args, attrs, (x, loss.weights), called("softmax cross-entropy", x, loss.weights)
        )
    assert loss.index is not None
    labels = loss.index[loss.axis]
    said = called("softmax cross-entropy", x, labels) if isinstance(labels, Value) else "softmax cross-entropy"
    return Found("group.label_cross_entropy", (x,), {"index": loss.index, **attrs}, (x,), said)


# The logarithms of the probabilities of the labels


def _first(graph: Graph, step: Relation) -> Loss | None:
    match step.gate:
        case "read":
            normal = log_softmax(graph, step.args[0])
            return None if normal is None else _picked(graph, step, normal)
        case "log":
            read = graph.relation(step.args[0], "read")
            normal = None if read is None else softmax(graph, read.args[0])
            return None if read is None or normal is None else _picked(graph, read, normal)
        case "add" | "subtract":
            return _against_total(graph, step)
        case "multiply":
            return _weighed(graph, step)
    return None


def _picked(graph: Graph, read: Relation, normal: Normal) -> Loss | None:
    """One element of each row: `p[np.arange(N), y]`, the row's classes along the softmax axis."""
    shape, index = normal.inputs[-1].type.shape, read.attrs["index"]
    axis = None if shape.rank is None else _class_axis(normal.axis, shape.rank)
    if axis is None or not isinstance(index, tuple) or len(index) != shape.rank:
        return None
    labels = index[axis]
    if not (type(labels) is int or (isinstance(labels, Value) and labels.type.dtype is DType.INT)):
        return None
    if shape.rank == 1:
        # One row alone
        single = not isinstance(labels, Value) or labels.type.kind is Kind.SCALAR
        return Loss(normal.inputs, axis, normal.source, index=index, rows=False) if single else None
    rows = index[1 - axis]
    if shape.rank != 2 or not isinstance(rows, Value) or not _counts(graph, rows, shape.front[1 - axis]):
        return None
    if index_style(index, _type_of, lambda value: value is rows) is not Style.DISTINCT:
        return None
    return Loss(normal.inputs, axis, normal.source, index=index)


def _against_total(graph: Graph, step: Relation) -> Loss | None:
    """logsumexp(x) - x[rows, y], or its negative"""
    first, second = step.args
    sides: tuple[tuple[Operand, Operand, bool], ...]
    if step.gate == "subtract":
        sides = ((second, first, True), (first, second, False))
    else:
        minus = [graph.relation(arg, "negative") for arg in step.args]
        sides = tuple(
            (inner.args[0], other, True)
            for inner, other in zip(minus, (second, first), strict=True)
            if inner is not None
        )
    for picked, rest, negative in sides:
        read, total = graph.relation(picked, "read"), logsumexp(graph, rest)
        if read is None or total is None or total.keepdims or not isinstance(rest, Value):
            continue
        if not graph.same(read.args[0], total.of):
            continue
        # The scores and their total are at hand, or their exponentials; the probabilities are not.
        source: Source = (("scores", total.of), ("total", rest))
        if total.parts is not None:
            source = (("e", total.parts[0]), ("s", total.parts[1]), ("axis_of_s", total.axis))
        loss = _picked(graph, read, Normal(unshifted(graph, total.of, total.axis), total.axis, source))
        if loss is not None:
            return replace(loss, negative=negative)
    return None


def _weighed(graph: Graph, step: Relation) -> Loss | None:
    """Y * log(p), with Y of the shape of p."""
    for logarithm, weights in (step.args, step.args[::-1]):
        if not isinstance(weights, Value) or weights.type.dtype is DType.BOOL:
            continue
        normal = log_softmax(graph, logarithm)
        if normal is None or not isinstance(logarithm, Value):
            continue
        shape = normal.inputs[-1].type.shape
        axis = None if shape.rank is None else _class_axis(normal.axis, shape.rank)
        if axis is None or weights.type.shape != shape:
            continue
        source = (*normal.source, *(() if normal.source[-1][0] == "logp" else (("logp", logarithm),)))
        return Loss(normal.inputs, axis, source, weights=weights, elements=True)
    return None


def _class_axis(axis: Axis, rank: int) -> int | None:
    """The one axis of a softmax, counted from the front."""
    if axis is None:
        return 0 if rank == 1 else None
    axes = normalised(axis, rank)
    return next(iter(axes)) if len(axes) == 1 else None


def _counts(graph: Graph, rows: Value, length: Dim) -> bool:
    """Whether an index array is 0, 1, ... up to a length, all of it."""
    counter = graph.relation(rows, "arange", "arange with a start")
    if counter is None or counter.attrs.get("dtype") is not None:
        return False
    if counter.gate != "arange" and (counter.attrs.get("start") != 0 or counter.attrs.get("step", 1) != 1):
        return False
    return rows.type.shape.rank == 1 and rows.type.shape.front[0] == length


def _type_of(value: Value) -> Type:
    return value.type


# Signs, sums and scales


def _passed(graph: Graph, step: Relation, known: dict[Value, Loss]) -> Loss | None:
    if step.gate not in PASSED:
        return None
    first = step.args[0]
    loss = known.get(first) if isinstance(first, Value) else None
    match step.gate:
        case "alias" | "positive":
            return loss
        case "negative":
            return None if loss is None else replace(loss, negative=not loss.negative)
        case "divide":
            return None if loss is None else _scaled(graph, loss, "divide", step.args[1])
        case "multiply":
            if loss is not None:
                return _scaled(graph, loss, "multiply", step.args[1])
            second = step.args[1]
            other = known.get(second) if isinstance(second, Value) else None
            return None if other is None else _scaled(graph, other, "multiply", first)
        case _:
            return None if loss is None else _summed(step, loss)


def _scaled(graph: Graph, loss: Loss, gate: str, factor: Operand) -> Loss | None:
    """Times or divided by one number that no gradient flows to: a constant or a size."""
    if len(loss.scale) == MOST_FACTORS:
        return None
    if isinstance(factor, Value):
        if factor.type.dtype is not DType.INT or not factor.type.shape.is_scalar:
            return None
        return replace(loss, scale=(*loss.scale, (gate, factor)))
    number = graph.number(factor)
    if number is None or number == 0:
        return None
    if number == -1:
        return replace(loss, negative=not loss.negative)
    return replace(loss, scale=(*loss.scale, (gate, number)))


def _summed(step: Relation, loss: Loss) -> Loss | None:
    known = reduction(step, None)
    if known is None or known.keepdims or not loss.rows:
        return None
    rank = known.rank
    if rank is None:
        return None
    axes = frozenset(range(rank)) if known.axis is None else normalised(known.axis, rank)
    whole = axes == frozenset(range(rank))
    if loss.elements and not whole:
        if axes != {loss.axis}:
            return None
        summed = replace(loss, elements=False, rows=True)
    elif whole:
        summed = replace(loss, elements=False, rows=False)
    else:
        return None
    if step.gate not in ("mean", "average"):
        return summed
    # A mean divides by how many it was taken of: a size of the array that it reduces.
    return replace(summed, scale=(*summed.scale, ("mean", (known.operand, *sorted(axes)))))

"""ReLU and leaky ReLU in the spellings that take several relations; each keeps the gradient at 0 that its spelling has.

`np.maximum(x, 0)`, `x * (x > 0)`, `np.where(x > 0, x, 0)` and `np.clip(x, 0, None)` are one relation each: their own
rules are what one would write.
"""

from __future__ import annotations

from dataclasses import dataclass

from flatgrad.groups.graph import Found, Graph, called
from flatgrad.ir.core import Operand, Relation, Value

ABSOLUTE = ("abs", "fabs", "math.fabs")
ABOVE = ("greater", "greater_equal")
BELOW = ("less", "less_equal")


def kink_groups(graph: Graph, relation: Relation) -> list[Found]:
    """The groups whose result the relation computes."""
    match relation.gate:
        case "divide" | "multiply":
            return _relu(graph, relation)
        case "where":
            return _leaky_where(graph, relation)
        case "maximum":
            return _leaky_maximum(graph, relation)
        case "add":
            return _leaky_sum(graph, relation)
    return []


def _relu(graph: Graph, relation: Relation) -> list[Found]:
    """(x + abs(x)) / 2"""
    first, second = relation.args
    if relation.gate == "divide":
        total = first if graph.number(second) == 2 else None
    else:
        total = first if graph.number(second) == 0.5 else second if graph.number(first) == 0.5 else None
    added = None if total is None else graph.relation(total, "add")
    if added is None:
        return []
    for x, size in (added.args, added.args[::-1]):
        absolute = graph.relation(size, *ABSOLUTE)
        if absolute is not None and isinstance(x, Value) and graph.same(absolute.args[0], x):
            return [Found("group.relu", (x,), {}, (x,), called("ReLU", x))]
    return []


def _slope(graph: Graph, operand: Operand, x: Operand) -> Operand | None:
    """The slope where an operand is a multiple of x."""
    product = graph.relation(operand, "multiply")
    if product is None:
        return None
    first, second = product.args
    if graph.same(second, x):
        return first
    return second if graph.same(first, x) else None


def _leaky_where(graph: Graph, relation: Relation) -> list[Found]:
    """np.where(x > 0, x, a * x) and np.where(x < 0, a * x, x)"""
    mask, first, second = relation.args
    for x, low, tests in ((first, second, ABOVE), (second, first, BELOW)):
        slope, test = _slope(graph, low, x), graph.relation(mask, *tests)
        if slope is None or test is None or not isinstance(x, Value):
            continue
        if graph.same(test.args[0], x) and graph.number(test.args[1]) == 0:
            return [_leaky(graph, mask, x, slope, above=tests is ABOVE)]
    return []


def _leaky_maximum(graph: Graph, relation: Relation) -> list[Found]:
    """np.maximum(x, a * x) with a constant a between 0 and 1; the first of the two wins at 0"""
    for x, low in (relation.args, relation.args[::-1]):
        slope = _slope(graph, low, x)
        number = None if slope is None else graph.number(slope)
        if isinstance(x, Value) and number is not None and 0 < number < 1:
            attrs = {"slope": number, "first": x is relation.args[0]}
            return [Found("group.leaky_relu", (x,), attrs, (x,), called("leaky ReLU", x))]
    return []


@dataclass(frozen=True, slots=True)
class _Masked:
    """`value * mask`, where the mask compares `tested` with 0."""

    value: Value
    mask: Value
    tested: Operand
    strict: bool


def _leaky_sum(graph: Graph, relation: Relation) -> list[Found]:
    """x * (x > 0) + a * x * (x <= 0)"""
    for high, low in (relation.args, relation.args[::-1]):
        upper, lower = _masked(graph, high, ABOVE), _masked(graph, low, BELOW)
        if upper is None or lower is None or upper.strict == lower.strict:
            continue
        x, slope = upper.value, _slope(graph, lower.value, upper.value)
        if slope is not None and graph.same(upper.tested, x) and graph.same(lower.tested, x):
            return [_leaky(graph, upper.mask, x, slope, above=True)]
    return []


def _masked(graph: Graph, operand: Operand, tests: tuple[str, ...]) -> _Masked | None:
    product = graph.relation(operand, "multiply")
    if product is None:
        return None
    for value, mask in (product.args, product.args[::-1]):
        test = graph.relation(mask, *tests)
        if (
            test is not None
            and isinstance(value, Value)
            and isinstance(mask, Value)
            and graph.number(test.args[1]) == 0
        ):
            return _Masked(value, mask, test.args[0], test.gate in ("greater", "less"))
    return None


def _leaky(graph: Graph, mask: Operand, x: Value, slope: Operand, above: bool) -> Found:
    inputs = (x, slope) if isinstance(slope, Value) and graph.carries(slope) else (x,)
    return Found("group.sloped", (mask, x, slope), {"above": above}, inputs, called("leaky ReLU", x))

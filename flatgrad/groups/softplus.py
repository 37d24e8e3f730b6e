"""The softplus that overflows nowhere: max(x, 0) + log1p(exp(-abs(x)))."""

from __future__ import annotations

from fractions import Fraction

from flatgrad.groups import algebra
from flatgrad.groups.elementwise import Form
from flatgrad.groups.graph import Found, Graph, called
from flatgrad.ir.core import Operand, Relation, Value


def softplus_groups(graph: Graph, known: dict[Value, Form], relation: Relation) -> list[Found]:
    """The group where the relation adds the two parts of it."""
    if relation.gate != "add":
        return []
    for positive, rest in (relation.args, relation.args[::-1]):
        x = _positive_part(graph, positive)
        form = known.get(rest) if isinstance(rest, Value) else None
        if x is None or form is None or not form.is_log:
            continue
        absolute = graph.relation(form.leaf, "abs", "fabs", "math.fabs")
        if absolute is None or not graph.same(absolute.args[0], x):
            continue
        if algebra.softplus_factor(form.ratio) == Fraction(-1):
            return [Found("group.softplus", (x,), {}, (x,), called("softplus", x))]
    return []


def _positive_part(graph: Graph, operand: Operand) -> Value | None:
    """x where an operand is max(x, 0)."""
    relation = graph.relation(operand, "maximum", "builtins.max", "fmax")
    if relation is None:
        return None
    for x, zero in (relation.args, relation.args[::-1]):
        if graph.number(zero) == 0 and isinstance(x, Value):
            return x
    return None

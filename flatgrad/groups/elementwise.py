"""Sigmoid, tanh, softplus and log-sigmoid in the ways people write them, across statements.

Each value that is computed from exponentials of multiples of one other value, its leaf, gets an exact form; what
equals a sigmoid of the leaf is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from flatgrad.groups import algebra
from flatgrad.groups.algebra import Ratio, TooLarge
from flatgrad.groups.graph import Found, Graph, called
from flatgrad.groups.reduced import is_literal
from flatgrad.ir.core import Operand, Relation, Value

SEEDS = {
    "exp": algebra.of_exp,
    "math.exp": algebra.of_exp,
    "expm1": lambda c: algebra.of_exp(c) - Ratio(algebra.ONE),
    "math.expm1": lambda c: algebra.of_exp(c) - Ratio(algebra.ONE),
    "tanh": algebra.of_tanh,
    "math.tanh": algebra.of_tanh,
    "expit": lambda c: (Ratio(algebra.ONE) + algebra.of_exp(-c)).inverse(),
}
MOST_FACTORS = 6


@dataclass(frozen=True, slots=True)
class Form:
    """A value as `ratio`, or `log(ratio)`, where E is exp of the leaf.

    `points` are values on the way that are a known multiple of the leaf: where a group may begin.
    """

    leaf: Value
    ratio: Ratio
    is_log: bool
    points: tuple[tuple[Fraction, Value], ...]


def forms(graph: Graph) -> dict[Value, Form]:
    """The form of every value that has one."""
    found: dict[Value, Form] = {}
    for step in graph.lowered.function.block.body:
        if not isinstance(step, Relation) or len(step.outs) != 1:
            continue
        try:
            form = _form(graph, step, found)
        except TooLarge:
            form = None
        if form is not None and len(form.points) <= algebra.MOST_TERMS:
            found[step.out] = form
    return found


def elementwise_groups(graph: Graph, known: dict[Value, Form], relation: Relation) -> list[Found]:
    """The groups whose result the relation computes, the largest first."""
    if relation.gate in SEEDS:
        return []
    form = known.get(relation.out)
    if form is None:
        return []
    if form.is_log:
        return [
            *_named(form, algebra.softplus_factor(form.ratio), "softplus"),
            *_named(form, algebra.sigmoid_factor(form.ratio), "log_sigmoid", "log-sigmoid"),
        ]
    return [
        *_named(form, algebra.sigmoid_factor(form.ratio), "sigmoid"),
        *_named(form, algebra.tanh_factor(form.ratio), "tanh"),
    ]


def _named(form: Form, factor: Fraction | None, name: str, spoken: str = "") -> list[Found]:
    """The group on the value that is `factor` times the leaf, or a sigmoid of a multiple of the leaf."""
    if factor is None:
        return []
    found = []
    for own, value in form.points:
        if own == factor:
            attrs = {"scale": 1} if name == "sigmoid" else {}
            gate = "tanh" if name == "tanh" else f"group.{name}"
            found.append(Found(gate, (value,), attrs, (value,), called(spoken or name, value)))
    if name == "sigmoid" and factor != 1:
        scale = int(factor) if factor.denominator == 1 else float(factor)
        found.append(Found("group.sigmoid", (form.leaf,), {"scale": scale}, (form.leaf,), called(name, form.leaf)))
    return found


# Forms


def _form(graph: Graph, step: Relation, known: dict[Value, Form]) -> Form | None:
    if step.gate in SEEDS:
        return _seed(graph, step.args[0], SEEDS[step.gate])
    parts = [known.get(arg) if isinstance(arg, Value) else None for arg in step.args]
    if step.gate == "logaddexp":
        return _logaddexp(graph, step)
    if not any(parts):
        return None
    match step.gate:
        case "alias" | "positive":
            return parts[0]
        case "negative":
            return _negated(parts[0])
        case "reciprocal":
            return _plain(parts[0], lambda r: r.inverse())
        case "square":
            return _plain(parts[0], lambda r: r**2)
        case "power":
            exponent = graph.number(step.args[1])
            if exponent is None or exponent not in (-2, -1, 1, 2):
                return None
            return _plain(parts[0], lambda r: r ** int(exponent))
        case "log" | "math.log" if len(step.args) == 1:
            return _log(parts[0], Ratio(()))
        case "log1p" | "math.log1p":
            return _log(parts[0], Ratio(algebra.ONE))
        case "add" | "subtract" | "multiply" | "divide":
            return _arithmetic(graph, step, *parts)
    return None


def _seed(graph: Graph, argument: Operand, form: Callable[[Fraction], Ratio]) -> Form | None:
    found = _multiple(graph, argument)
    if found is None:
        return None
    leaf, factor, points = found
    return Form(leaf, form(factor), False, points)


def _multiple(graph: Graph, operand: Operand) -> tuple[Value, Fraction, tuple[tuple[Fraction, Value], ...]] | None:
    """An operand as a multiple of another value: that value, the factor, and the multiples on the way, by factor."""
    if not isinstance(operand, Value):
        return None
    chain: list[tuple[Fraction, Value]] = [(Fraction(1), operand)]
    for _ in range(MOST_FACTORS):
        of_last, last = chain[-1]
        step = _factored(graph, last)
        if step is None:
            break
        factor, inner = step
        # last = factor * inner
        chain.append((of_last * factor, inner))
    total, leaf = chain[-1]
    # chain holds operand = f * value; the value itself is total / f times the leaf.
    return leaf, total, tuple((total / f, value) for f, value in reversed(chain))


def _factored(graph: Graph, value: Value) -> tuple[Fraction, Value] | None:
    """A value as (number, other value) where it is their product."""
    relation = graph.relation(value, "negative", "positive", "multiply", "divide")
    if relation is None:
        return None
    first = relation.args[0]
    if relation.gate in ("negative", "positive"):
        sign = Fraction(-1 if relation.gate == "negative" else 1)
        return (sign, first) if isinstance(first, Value) else None
    second = relation.args[1]
    for number, inner in ((graph.number(second), first), (graph.number(first), second)):
        if number and abs(number) < 1e6 and isinstance(inner, Value):
            if relation.gate == "multiply":
                return Fraction(number), inner
            if inner is first:
                return 1 / Fraction(number), inner
    return None


def _plain(form: Form | None, change: Callable[[Ratio], Ratio]) -> Form | None:
    if form is None or form.is_log:
        return None
    return Form(form.leaf, change(form.ratio), False, form.points)


def _negated(form: Form | None) -> Form | None:
    """-r; -log(r) is log(1 / r)"""
    if form is None:
        return None
    return Form(form.leaf, form.ratio.inverse() if form.is_log else -form.ratio, form.is_log, form.points)


def _log(form: Form | None, more: Ratio) -> Form | None:
    if form is None or form.is_log:
        return None
    return Form(form.leaf, form.ratio + more, True, form.points)


def _logaddexp(graph: Graph, step: Relation) -> Form | None:
    """log(exp(0) + exp(x))"""
    for zero, other in (step.args, step.args[::-1]):
        if is_literal(zero, 0) or (isinstance(zero, Value) and graph.number(zero) == 0):
            found = _multiple(graph, other)
            if found is not None:
                leaf, factor, points = found
                return Form(leaf, Ratio(algebra.ONE) + algebra.of_exp(factor), True, points)
    return None


def _arithmetic(graph: Graph, step: Relation, first: Form | None, second: Form | None) -> Form | None:
    """Of two forms of one leaf, of a form and a number, or of a logarithm and a multiple of its leaf."""
    form = first or second
    assert form is not None
    if form.is_log:
        return _sum_with_log(graph, step, form, first is None)
    ratios: list[Ratio] = []
    points = list(form.points)
    for arg, part in zip(step.args, (first, second), strict=True):
        if part is not None:
            if part.is_log or not graph.same(part.leaf, form.leaf):
                return None
            ratios.append(part.ratio)
            points += [point for point in part.points if point not in points]
            continue
        number = graph.number(arg)
        if number is None:
            return None
        ratios.append(algebra.of_number(number))
    one, two = ratios
    match step.gate:
        case "add":
            total = one + two
        case "subtract":
            total = one - two
        case "multiply":
            total = one * two
        case _:
            total = one / two
    return Form(form.leaf, total, False, tuple(points))


def _sum_with_log(graph: Graph, step: Relation, form: Form, log_is_second: bool) -> Form | None:
    """log(r) + c * x is log(r * E**c)."""
    other = step.args[0] if log_is_second else step.args[1]
    if step.gate not in ("add", "subtract") or not isinstance(other, Value):
        return None
    found = _multiple(graph, other)
    if found is None or not graph.same(found[0], form.leaf):
        return None
    _, factor, points = found
    ratio = form.ratio
    if step.gate == "subtract" and log_is_second:
        ratio = ratio.inverse()
    elif step.gate == "subtract":
        factor = -factor
    merged = (*form.points, *(point for point in points if point not in form.points))
    return Form(form.leaf, ratio * algebra.of_exp(factor), True, merged)

"""Sigmoid, tanh, softplus and log-sigmoid in the ways people write them, across statements.

Each value that is computed from exponentials of multiples of one other value, its leaf, gets an exact form; what
equals a sigmoid of the leaf is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from math import isfinite

from flatgrad.groups import algebra
from flatgrad.groups.algebra import MOST_BITS, Ratio, TooLarge
from flatgrad.groups.graph import Found, Graph, called
from flatgrad.ir.core import Operand, Relation, Value

SEEDS = {
    "exp": algebra.of_exp,
    "math.exp": algebra.of_exp,
    "expm1": lambda c: algebra.of_exp(c) - Ratio(algebra.ONE),
    "math.expm1": lambda c: algebra.of_exp(c) - Ratio(algebra.ONE),
    "tanh": algebra.of_tanh,
    "math.tanh": algebra.of_tanh,
    "cosh": lambda c: (algebra.of_exp(c) + algebra.of_exp(-c)) / algebra.of_number(2),
    "sinh": lambda c: (algebra.of_exp(c) - algebra.of_exp(-c)) / algebra.of_number(2),
    "expit": lambda c: (Ratio(algebra.ONE) + algebra.of_exp(-c)).inverse(),
}
PRODUCTS = frozenset({"negative", "positive", "multiply", "divide", "alias"})
MOST_POINTS = 6


@dataclass(frozen=True, slots=True)
class Form:
    """A value as `ratio`, or `log(ratio)`, where E is exp of the leaf.

    `points` are values on the way that are a known multiple of the leaf: where a group may begin.
    """

    leaf: Value
    ratio: Ratio
    is_log: bool
    points: tuple[tuple[Fraction, Value], ...]


@dataclass(frozen=True, slots=True)
class Multiple:
    """A value as `factor * leaf`, by way of `inner`, which is a multiple of the leaf too."""

    leaf: Value
    factor: Fraction
    inner: Value | None


@dataclass(slots=True, eq=False)
class Forms:
    """What is known of the values of a block so far, from the top."""

    graph: Graph
    multiples: dict[Value, Multiple] = field(default_factory=dict)
    of: dict[Value, Form] = field(default_factory=dict)


def forms(graph: Graph) -> dict[Value, Form]:
    """The form of every value that has one."""
    known = Forms(graph)
    for step in graph.lowered.function.block.body:
        if not isinstance(step, Relation) or len(step.outs) != 1:
            continue
        if step.gate in PRODUCTS:
            multiple = _multiple(known, step)
            if multiple is not None:
                known.multiples[step.out] = multiple
        try:
            form = _form(known, step)
        except TooLarge:
            continue
        if form is not None and len(form.points) <= 4 * MOST_POINTS:
            known.of[step.out] = form
    return known.of


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
    """The group on a value that is `factor` times the leaf; a sigmoid may be one of a multiple of the value."""
    if factor is None:
        return []
    gate = name if name == "tanh" else f"group.{name}"
    found = []
    for own, value in sorted(form.points, key=lambda point: point[0] != factor):
        scale = factor / own
        if name == "sigmoid":
            attrs = {"scale": int(scale) if scale.denominator == 1 else float(scale)}
            found.append(Found(gate, (value,), attrs, (value,), called(name, value)))
        elif scale == 1:
            found.append(Found(gate, (value,), {}, (value,), called(spoken or name, value)))
    return found


# Forms


def _form(known: Forms, step: Relation) -> Form | None:
    graph = known.graph
    if step.gate in SEEDS:
        return _seed(known, step.args[0], SEEDS[step.gate])
    parts = [known.of.get(arg) if isinstance(arg, Value) else None for arg in step.args]
    if step.gate == "logaddexp":
        return _logaddexp(known, step)
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
            return _arithmetic(known, step, *parts)
    return None


def _seed(known: Forms, argument: Operand, form: Callable[[Fraction], Ratio]) -> Form | None:
    if not isinstance(argument, Value):
        return None
    leaf, factor, points = _points(known, argument)
    return Form(leaf, form(factor), False, points)


def _points(known: Forms, value: Value) -> tuple[Value, Fraction, tuple[tuple[Fraction, Value], ...]]:
    """The leaf of a value, how many times it the value is, and the values between the two, the innermost first."""
    multiple = known.multiples.get(value)
    if multiple is None:
        return value, Fraction(1), ((Fraction(1), value),)
    points = [(multiple.factor, value)]
    inner = multiple.inner
    while inner is not None and len(points) < MOST_POINTS:
        further = known.multiples.get(inner)
        points.append((Fraction(1) if further is None else further.factor, inner))
        inner = None if further is None else further.inner
    return multiple.leaf, multiple.factor, tuple(reversed(points))


def _multiple(known: Forms, step: Relation) -> Multiple | None:
    """What a relation computes as a number times another value."""
    found = _factored(known.graph, step)
    if found is None:
        return None
    factor, inner = found
    if step.gate == "alias":
        return known.multiples.get(inner, Multiple(inner, factor, inner))
    of_inner = known.multiples.get(inner)
    total = factor if of_inner is None else factor * of_inner.factor
    if not total or total.numerator.bit_length() + total.denominator.bit_length() > MOST_BITS // 4:
        return None
    return Multiple(inner if of_inner is None else of_inner.leaf, total, inner)


def _factored(graph: Graph, step: Relation) -> tuple[Fraction, Value] | None:
    """A relation as (number, other value) where it is their product."""
    first = step.args[0]
    if len(step.args) == 1:
        sign = Fraction(-1 if step.gate == "negative" else 1)
        return (sign, first) if isinstance(first, Value) else None
    second = step.args[1]
    for number, inner in ((graph.number(second), first), (graph.number(first), second)):
        if number and isfinite(number) and isinstance(inner, Value):
            if step.gate == "multiply":
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


def _logaddexp(known: Forms, step: Relation) -> Form | None:
    """log(exp(0) + exp(x))"""
    for zero, other in (step.args, step.args[::-1]):
        if known.graph.number(zero) == 0 and isinstance(other, Value):
            leaf, factor, points = _points(known, other)
            return Form(leaf, Ratio(algebra.ONE) + algebra.of_exp(factor), True, points)
    return None


def _arithmetic(known: Forms, step: Relation, first: Form | None, second: Form | None) -> Form | None:
    """Of two forms of one leaf, of a form and a number, or of a logarithm and a multiple of its leaf."""
    form = first or second
    assert form is not None
    if form.is_log:
        return _sum_with_log(known, step, form, first is None)
    ratios: list[Ratio] = []
    points = list(form.points)
    for arg, part in zip(step.args, (first, second), strict=True):
        if part is not None:
            if part.is_log or not known.graph.same(part.leaf, form.leaf):
                return None
            ratios.append(part.ratio)
            points += [point for point in part.points if point not in points]
            continue
        number = known.graph.number(arg)
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


def _sum_with_log(known: Forms, step: Relation, form: Form, log_is_second: bool) -> Form | None:
    """log(r) + c * x is log(r * E**c)."""
    other = step.args[0] if log_is_second else step.args[1]
    if step.gate not in ("add", "subtract") or not isinstance(other, Value):
        return None
    leaf, factor, points = _points(known, other)
    if not known.graph.same(leaf, form.leaf):
        return None
    ratio = form.ratio
    if step.gate == "subtract" and log_is_second:
        ratio = ratio.inverse()
    elif step.gate == "subtract":
        factor = -factor
    merged = (*form.points, *(point for point in points if point not in form.points))
    return Form(form.leaf, ratio * algebra.of_exp(factor), True, merged)

"""Which uses of a variable, or which other variable, a wrong gradient is the gradient of."""

from __future__ import annotations

import ast
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from flatgrad.diff.judging.case import Case, Judged
from flatgrad.diff.judging.closeness import close
from flatgrad.diff.judging.truth import Spec
from flatgrad.diff.reasons.values import Fact, Pair
from flatgrad.diff.vocabulary import joined

Floats = np.ndarray[Any, np.dtype[Any]]

# Larger gradients are not taken apart: each number costs four forward passes.
MOST_PROBED = 150
MOST_LINES = 7
MOST_SECONDS = 2.0


def contributions_by_line(case: Case, truth: Spec, variable: str, shape: tuple[int, ...]) -> dict[int, list[Spec]]:
    """The uses of a variable whose contributions can be measured, by the line of their statement."""
    found: dict[int, list[Spec]] = {}
    for spec in case.sites.contributions(variable):
        (site,) = spec.sites
        if site in truth.sites and len(truth.sites) == 1:
            continue
        if truth.each:
            spec = Spec(spec.sites, True, truth.backwards, False, variable, spec.lines, spec.text)
        if case.truths[0].shape(spec) != shape or case.truths[0].rounds(spec) != case.truths[0].rounds(truth):
            continue
        if truth.whole and len(truth.sites) > 1 and site not in truth.sites:
            continue
        found.setdefault(spec.lines[0], []).append(spec)
    return found


def some_contributions(case: Case, one: Judged, truth: Spec, pairs: Sequence[Pair]) -> Fact | None:
    """The value is the sum of the contributions of some of the uses only."""
    variable = truth.variable or one.group.variable
    if not pairs:
        return None
    shape = pairs[0].truth.shape
    if not variable or pairs[0].truth.size > MOST_PROBED or any(p.value.shape != p.truth.shape for p in pairs):
        return None
    uses = contributions_by_line(case, truth, variable, shape)
    if not 2 <= len(uses) <= MOST_LINES:
        return None
    began = time.monotonic()
    first = [pair for pair in pairs if pair.draw == 0] or list(pairs)
    measured: dict[int, list[Floats]] = {}
    for line, specs in uses.items():
        found = _summed(case, specs, first)
        if found is None or time.monotonic() - began > MOST_SECONDS:
            return None
        measured[line] = found
    for count in range(len(uses) - 1, 0, -1):
        for kept in itertools.combinations(uses, count):
            if not _is_sum(first, [measured[line] for line in kept]):
                continue
            rest = [pair for pair in pairs if all(pair is not one for one in first)]
            further = [_summed(case, uses[line], rest) for line in kept]
            if any(values is None for values in further) or (
                rest and not _is_sum(rest, [values for values in further if values is not None])
            ):
                continue
            missing = tuple(line for line in uses if line not in kept)
            return _path_fact(case, truth, variable, tuple(uses), missing)
    return None


def _is_sum(pairs: Sequence[Pair], parts: Sequence[Sequence[Floats]]) -> bool:
    sums = [np.asarray(sum(part[place] for part in parts)) for place in range(len(pairs))]
    return all(close(pair.value, total) for pair, total in zip(pairs, sums, strict=True))


def _summed(case: Case, specs: Sequence[Spec], pairs: Sequence[Pair]) -> list[Floats] | None:
    """The contributions of some uses together, for each of the pairs."""
    totals: list[Floats] | None = None
    for spec in specs:
        values: list[Floats] = []
        for draw in dict.fromkeys(pair.draw for pair in pairs):
            found = case.truths[draw].of(spec)
            if found is None or len(found) != sum(pair.draw == draw for pair in pairs):
                return None
            values += found
        if any(value.shape != pair.truth.shape for value, pair in zip(values, pairs, strict=True)):
            return None
        totals = values if totals is None else [a + b for a, b in zip(totals, values, strict=True)]
    return totals


def _path_fact(case: Case, truth: Spec, variable: str, uses: tuple[int, ...], missing: tuple[int, ...]) -> Fact:
    def said(lines: Sequence[int]) -> str:
        return f"line{'s' if len(lines) > 1 else ''} {joined([str(line) for line in lines])}"

    paths = "path" if len(missing) == 1 else "paths"
    are = "is" if len(missing) == 1 else "are"
    number = case.truths[0].shape(truth) == ()
    if not number and all(regularizing(case, variable, line) for line in missing):
        detail = f"the term in `{variable}` of the loss in {said(missing)} has no gradient here"
        return Fact("missing-term", detail, lines=missing)
    detail = f"`{variable}` is used in {said(uses)}; the {paths} through {said(missing)} {are} missing"
    return Fact("missing-path", detail, lines=missing)


def regularizing(case: Case, variable: str, line: int) -> bool:
    """Whether a forward statement adds a term to the loss in which the variable and numbers alone occur."""
    shapes = {
        case.program.sites[one.site].variable or one.key: one.shapes
        for one in case.frees[0].sites
        if case.program.sites[one.site].line == line
    }
    others = [found for name, found in shapes.items() if name and name != variable]
    if any(shape for found in others for shape in found):
        return False
    return any(
        isinstance(node, ast.Assign | ast.AugAssign | ast.Return)
        for node in ast.walk(ast.parse(case.homework.text))
        if getattr(node, "lineno", 0) == line
    )


def contributed(case: Case, truth: Spec, pairs: Sequence[Pair], without: Mapping[int, Sequence[Floats | None]]) -> bool:
    """Whether what a statement adds is what the uses of the variable in one line contribute.

    That is the value less what it would be `without` the statement.
    """
    added: list[Pair] = []
    for draw in dict.fromkeys(pair.draw for pair in pairs):
        mine = [pair for pair in pairs if pair.draw == draw]
        rest = without.get(draw, ())
        if len(rest) != len(mine):
            return False
        for pair, value in zip(mine, rest, strict=True):
            if value is None or value.shape != pair.value.shape or pair.value.size > MOST_PROBED:
                return False
            added.append(Pair(draw, pair.value - value, pair.truth))
    if not added or not truth.variable:
        return False
    uses = contributions_by_line(case, truth, truth.variable, added[0].truth.shape)
    for specs in uses.values():
        values = _summed(case, specs, added)
        if values is not None and _is_sum(added, [values]):
            return True
    return False


def other_gradient(case: Case, truth: Spec, pairs: Sequence[Pair]) -> Fact | None:
    """The value is the gradient of something else, behind the variable: a step between the two is left out."""
    if not pairs or pairs[0].value.size > MOST_PROBED:
        return None
    shape = pairs[0].value.shape
    draws = list(dict.fromkeys(pair.draw for pair in pairs))
    values = {draw: [pair.value for pair in pairs if pair.draw == draw] for draw in draws}
    for spec in _others(case, truth):
        if case.truths[0].shape(spec) != shape or spec.sites == truth.sites:
            continue
        if spec.variable and (fact := _upstream(case, spec, pairs)) is not None:
            return fact
        if all(case.truths[draw].agrees(spec, values[draw], True) for draw in draws):
            return _behind(case, truth, spec)
    return None


def _others(case: Case, truth: Spec) -> Iterator[Spec]:
    """The gradients of other variables, then of expressions without a name."""
    for variable in sorted(case.sites.variables()):
        if variable != truth.variable:
            specs = list(case.sites.per_round(variable)) if truth.each else case.sites.wholes(variable, False)
            yield from specs[:3]
    if not truth.each:
        yield from [spec for spec in case.sites.all() if not spec.variable][:40]


def _behind(case: Case, truth: Spec, spec: Spec) -> Fact:
    line = spec.lines[0]
    what = spec.variable or spec.text
    if _masking(case, line):
        return Fact(
            "mask", f"this is still the gradient of `{what}`: the mask of line {line} is not applied", lines=(line,)
        )
    meant = truth.variable or truth.text
    denial = f", not of `{meant}`" if meant and meant != what else ""
    return Fact("wrong-gradient", f"this is the gradient of `{what}`{denial}", lines=(line,))


def _upstream(case: Case, spec: Spec, pairs: Sequence[Pair]) -> Fact | None:
    """The value times the gradient of another variable is right."""
    first = [pair for pair in pairs if pair.draw == pairs[0].draw]
    for some in (first, pairs):
        values = _summed(case, [spec], some)
        if values is None or not all(
            close(pair.value * value, pair.truth) for pair, value in zip(some, values, strict=True)
        ):
            return None
    said = f"the upstream gradient, that of `{spec.variable}`, is not multiplied in"
    return Fact("upstream", said, lines=spec.lines[:1])


_MASKS = ("maximum", "minimum", "where", "clip", "abs")


def _masking(case: Case, line: int) -> bool:
    """Whether a forward statement passes on some of its entries only."""
    return any(
        isinstance(one, ast.Compare) or (isinstance(one, ast.Attribute) and one.attr in _MASKS)
        for node in ast.walk(ast.parse(case.homework.text))
        if isinstance(node, ast.stmt) and node.lineno == line and not hasattr(node, "body")
        for one in ast.walk(node)
    )

"""What the value of a wrong gradient says by itself: how it differs from the true one, the same at every draw."""

from __future__ import annotations

import ast
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flatgrad.diff.case import Case, Judged
from flatgrad.diff.closeness import close, same_gradient
from flatgrad.diff.surroundings import Scope
from flatgrad.diff.truth import Spec
from flatgrad.diff.vocabulary import joined

Floats = np.ndarray[Any, np.dtype[Any]]
Change = Callable[[Floats], Floats]

NICE = (2.0, 0.5, 4.0, 0.25, 3.0, 1 / 3)
_NICE_TEXT = {2.0: "2", 0.5: "0.5", 4.0: "4", 0.25: "0.25", 3.0: "3", 1 / 3: "1/3"}
# Relative, for factors read off values that agree to about 1e-9.
SAME = 1e-6
MOST_PROBED = 150
MOST_LINES = 7
MOST_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Pair:
    """A value and the true one, in one round of one draw."""

    draw: int
    value: Floats
    truth: Floats


@dataclass(frozen=True, slots=True)
class Fact:
    """How the value differs. `factor`: the text of what it is to be multiplied by; `lines`: forward statements it speaks of."""

    reason: str
    detail: str
    hint: str = ""
    factor: str = ""
    lines: tuple[int, ...] = ()


def pairs_of(case: Case, one: Judged, truth: Spec) -> tuple[Pair, ...]:
    """All values that there are, with their truths; nothing where one is missing."""
    found = []
    for draw, rounds in enumerate(one.forced):
        expected = case.expected(truth, draw, len(rounds)) if rounds else ()
        if expected is None or any(value is None for value in rounds):
            return ()
        found += [Pair(draw, a, b) for a, b in zip(rounds, expected, strict=True) if a is not None]
    return tuple(found)


def holds(pairs: Sequence[Pair], change: Change) -> bool:
    """Whether a change of the value makes it the true one everywhere."""
    try:
        with np.errstate(all="ignore"):
            return bool(pairs) and all(close(np.asarray(change(one.value)), one.truth) for one in pairs)
    except (ValueError, IndexError, TypeError):
        return False


def fact_of(case: Case, one: Judged, truth: Spec, pairs: Sequence[Pair], scope: Scope) -> Fact | None:
    """The plainest thing that is true of the value at every draw."""
    if not pairs:
        return None
    name = one.group.variable or one.group.target
    if not any(pair.value.any() for pair in pairs):
        return Fact("missing-path", f"it stays zero: nothing of what `{name}` contributes arrives here")
    return (
        _sign(pairs)
        or _constant(pairs)
        or _transposed(pairs)
        or _sums(pairs)
        or _shape(pairs)
        or _named_factor(pairs, inputs_of(case), scope)
        or _contributions(case, one, truth, pairs)
        or _masked(pairs)
    )


def _sign(pairs: Sequence[Pair]) -> Fact | None:
    return Fact("sign", "the sign is wrong", factor="-1") if holds(pairs, lambda a: -a) else None


def factors(pairs: Sequence[Pair]) -> dict[int, float] | None:
    """The number by which the value is to be multiplied, at each draw; None if it is no number."""
    found: dict[int, float] = {}
    for draw in dict.fromkeys(pair.draw for pair in pairs):
        mine = [pair for pair in pairs if pair.draw == draw]
        if any(pair.value.shape != pair.truth.shape for pair in mine):
            return None
        a = np.concatenate([pair.value.ravel() for pair in mine])
        b = np.concatenate([pair.truth.ravel() for pair in mine])
        if not a.any() and not b.any():
            continue
        if not np.isfinite(a).all() or not a.any():
            return None
        factor = float(a @ b / (a @ a))
        if not factor or not close(a * factor, b):
            return None
        found[draw] = factor
    return found or None


def _constant(pairs: Sequence[Pair]) -> Fact | None:
    found = factors(pairs)
    if found is None or len(found) < 2:
        return None
    values = list(found.values())
    if any(abs(value - values[0]) > SAME * abs(values[0]) for value in values):
        return None
    factor = float(np.mean(values))
    nice = next((c for c in NICE if abs(abs(factor) - c) <= SAME * c), None)
    text = _NICE_TEXT[nice] if nice is not None else f"{abs(factor):.6g}"
    sign = "-" if factor < 0 else ""
    words = {2.0: "half as large as it should be", 0.5: "twice too large"}
    said = words.get(nice or 0.0) if factor > 0 else None
    detail = f"{said}: a factor {text} is missing" if nice == 2.0 and said else ""
    detail = detail or (f"{said}: a factor 2 too many" if said else f"a factor {sign}{text} is missing")
    return Fact("factor", detail, factor=f"{sign}{text}")


def inputs_of(case: Case) -> Mapping[str, tuple[float | None, ...]]:
    """The numbers among the arguments, and the sizes of the arrays, at each draw."""
    found: dict[str, list[float | None]] = {}

    def note(text: str, draw: int, value: float) -> None:
        found.setdefault(text, [None] * len(case.draws))[draw] = value

    def take(text: str, draw: int, value: Any) -> None:
        if isinstance(value, bool | str) or value is None:
            return
        if isinstance(value, int | float | np.integer | np.floating):
            note(text, draw, float(value))
        elif isinstance(value, np.ndarray):
            for axis, size in enumerate(value.shape):
                note(f"{text}.shape[{axis}]", draw, size)
        elif isinstance(value, dict):
            for key, inside in value.items():
                take(f"{text}[{key!r}]", draw, inside)

    for draw, one in enumerate(case.draws):
        for name, value in one.arguments.items():
            take(name.removeprefix("__init__."), draw, value)
    return {text: tuple(values) for text, values in found.items()}


def numbers_in(scope: Scope, inputs: Mapping[str, tuple[float | None, ...]]) -> dict[str, tuple[float | None, ...]]:
    """What may be a constant factor: the numbers in scope first, then the numbers and sizes among the arguments."""
    named = {
        text: tuple(None if one is None else float(one) for one in scope.values[text])
        for text in scope.scalars()
        if "[" not in text or '"' in text or "'" in text
    }
    return {**named, **{text: values for text, values in inputs.items() if text not in named}}


_POWERS = (("{}", 1.0), ("{} ** 2", 2.0), ("np.sqrt({})", 0.5))
_CONSTANTS = ((1.0, ""), (2.0, "2 * "), (0.5, "0.5 * "))


def _named_factor(pairs: Sequence[Pair], inputs: Mapping[str, tuple[float | None, ...]], scope: Scope) -> Fact | None:
    wanted = factors(pairs)
    if wanted is None:
        return None
    single = all(pair.value.size == 1 for pair in pairs)
    numbers = numbers_in(scope, inputs)
    if single:
        # One number is a multiple of any other: only what is the same for all of a kind counts.
        numbers = {text: values for text, values in numbers.items() if all(v is None or v == int(v) for v in values)}
    for text, multiply in named_factors(numbers):
        values = {draw: multiply(draw) for draw in wanted}
        if all(value is not None and abs(value - wanted[d]) <= SAME * abs(wanted[d]) for d, value in values.items()):
            return _factor_fact(text)
    if single:
        return None
    first = next(iter(wanted.values()))
    return Fact("factor", f"a constant factor is wrong: {first:.6g} is missing at the first inputs")


def _factor_fact(text: str) -> Fact:
    sign, bare = text.startswith("-"), text.removeprefix("-")
    if bare.startswith("1 / "):
        detail = f"too large by the factor {bare.removeprefix('1 / ')}: it has to be divided out"
    else:
        detail = f"too small: the factor {bare} is missing"
    return Fact("factor", detail + (", and the sign is wrong" if sign else ""), factor=text)


def named_factors(
    numbers: Mapping[str, tuple[float | None, ...]],
) -> Iterator[tuple[str, Callable[[int], float | None]]]:
    """Products of numbers that have names, the plainest first."""

    def of(values: tuple[float | None, ...], power: float, constant: float) -> Callable[[int], float | None]:
        def at(draw: int) -> float | None:
            value = values[draw]
            if value is None or value <= 0:
                return None
            return float(constant * value**power)

        return at

    def product(one: Callable[[int], float | None], other: Callable[[int], float | None]) -> Any:
        def at(draw: int) -> float | None:
            a, b = one(draw), other(draw)
            return None if a is None or b is None else a * b

        return at

    for constant, said in _CONSTANTS:
        for form, power in _POWERS:
            for text, values in numbers.items():
                yield f"{said}{form.format(text)}", of(values, power, constant)
                inverse = f"({form.format(text)})" if "*" in form else form.format(text)
                top = {1.0: "1", 2.0: "2", 0.5: "0.5"}[constant]
                yield f"{top} / {inverse}", of(values, -power, constant)
    sizes = [text for text, values in numbers.items() if any(v is not None and v != 1 for v in values)]
    for one, other in itertools.combinations(sizes[:24], 2):
        a, b = of(numbers[one], 1.0, 1.0), of(numbers[other], 1.0, 1.0)
        c, d = of(numbers[one], -1.0, 1.0), of(numbers[other], -1.0, 1.0)
        yield f"{one} * {other}", product(a, b)
        yield f"{one} / {other}", product(a, d)
        yield f"{other} / {one}", product(b, c)
        yield f"1 / ({one} * {other})", product(c, d)


def _transposed(pairs: Sequence[Pair]) -> Fact | None:
    most = max(pair.value.ndim for pair in pairs)
    if most < 2 or most > 4:
        return None
    if holds(pairs, lambda a: a.T):
        return Fact("transposed", "it is the transpose of the right gradient")
    for order in itertools.permutations(range(most)):
        if holds(pairs, lambda a, order=order: a.transpose(order)):  # type: ignore[misc]
            return Fact("transposed", f"its axes are in the wrong order: .transpose{order} makes it right")
    return None


def _axes(most: int) -> Iterator[tuple[int, ...]]:
    for count in range(1, most + 1):
        yield from itertools.combinations(range(most), count)


def _sums(pairs: Sequence[Pair]) -> Fact | None:
    most = max(pair.value.ndim for pair in pairs)
    if 0 < most <= 5:
        for axes in _axes(most):

            def summed(a: Floats, axes: tuple[int, ...] = axes) -> Floats:
                return np.asarray(a.sum(axis=axes))

            if all(pair.value.size > 1 for pair in pairs) and (holds(pairs, summed) or holds(_squeezed(pairs), summed)):
                said = f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
                return Fact("not-summed", f"it has to be summed over {said}, over which the forward pass broadcasts")
    widest = max(pair.truth.ndim for pair in pairs)
    if 0 < widest <= 5:
        for axes in _axes(widest):
            smaller = [Pair(pair.draw, pair.truth, np.squeeze(pair.value)) for pair in pairs]
            if holds(smaller, lambda t, axes=axes: np.squeeze(t.sum(axis=axes))):  # type: ignore[misc]
                said = f"axis {axes[0]}" if len(axes) == 1 else f"axes {axes}"
                return Fact("wrong-axis", f"it is summed over {said} of the right gradient, which must be kept")
    return None


def _squeezed(pairs: Sequence[Pair]) -> list[Pair]:
    return [Pair(pair.draw, pair.value, np.squeeze(pair.truth)) for pair in pairs]


def _shape(pairs: Sequence[Pair]) -> Fact | None:
    if all(pair.value.shape == pair.truth.shape for pair in pairs):
        return None
    try:
        if all(close(pair.value.reshape(pair.truth.shape), pair.truth) for pair in pairs):
            shape = pairs[0].truth.shape
            return Fact(
                "shape", f"the numbers are right, but their shape is not: it has to be {shape} as in the forward pass"
            )
    except ValueError:
        pass
    if all(_inside(pair.value, pair.truth) for pair in pairs):
        return Fact("geometry", "what the forward pass padded is not cut off again")
    return None


def _inside(value: Floats, truth: Floats) -> bool:
    """The truth is the middle of the value, or the value itself."""
    if value.ndim != truth.ndim or any(a < b or (a - b) % 2 for a, b in zip(value.shape, truth.shape, strict=True)):
        return False
    cut = tuple(slice((a - b) // 2, (a - b) // 2 + b) for a, b in zip(value.shape, truth.shape, strict=True))
    return close(value[cut], truth)


def _masked(pairs: Sequence[Pair]) -> Fact | None:
    missing = False
    for pair in pairs:
        if pair.value.shape != pair.truth.shape or pair.value.size < 2:
            return None
        scale = float(np.abs(pair.truth).max()) or 1.0
        zero = np.abs(pair.truth) <= 1e-8 * scale
        if not same_gradient(np.where(zero, 0.0, pair.value), np.where(zero, 0.0, pair.truth), True):
            return None
        missing = missing or bool((np.abs(pair.value[zero]) > 1e-6 * scale).any())
    if not missing or all(not pair.truth.any() for pair in pairs):
        return None
    return Fact("mask", "it is right but for entries that have to be zero: a mask of the forward pass is not applied")


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


def _contributions(case: Case, one: Judged, truth: Spec, pairs: Sequence[Pair]) -> Fact | None:
    """The value is the sum of the contributions of some of the uses only."""
    variable = truth.variable or one.group.variable
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
            return _path_fact(case, variable, tuple(uses), missing)
    return None


def _is_sum(pairs: Sequence[Pair], parts: Sequence[Sequence[Floats]]) -> bool:
    return all(close(pair.value, sum(part[place] for part in parts)) for place, pair in enumerate(pairs))  # type: ignore[arg-type]


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


def _path_fact(case: Case, variable: str, uses: tuple[int, ...], missing: tuple[int, ...]) -> Fact:
    def said(lines: Sequence[int]) -> str:
        return f"line{'s' if len(lines) > 1 else ''} {joined([str(line) for line in lines])}"

    paths = "path" if len(missing) == 1 else "paths"
    are = "is" if len(missing) == 1 else "are"
    if all(regularizing(case, variable, line) for line in missing):
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


def contributed(
    case: Case, truth: Spec, pairs: Sequence[Pair], without: Mapping[int, Sequence[Floats | None]]
) -> bool:
    """Whether what a statement adds, the value less what it would be `without` it, is what some uses of the variable contribute."""
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
    """The value is the gradient of another variable, one behind this one: a step between the two is left out."""
    variables = sorted(case.sites.variables())
    shape = pairs[0].value.shape if pairs else ()
    for variable in variables:
        if not variable or variable == truth.variable or not pairs or pairs[0].value.size > MOST_PROBED:
            continue
        specs = list(case.sites.per_round(variable)) if truth.each else case.sites.wholes(variable, False)
        for spec in specs[:3]:
            if case.truths[0].shape(spec) != shape:
                continue
            if (factor := _upstream(case, spec, pairs)) is not None:
                return factor
            draws = dict.fromkeys(pair.draw for pair in pairs)
            values = {draw: [pair.value for pair in pairs if pair.draw == draw] for draw in draws}
            if all(case.truths[draw].agrees(spec, values[draw], True) for draw in draws):
                line = spec.lines[0]
                if _masking(case, line):
                    said = f"this is still the gradient of `{variable}`: the mask of line {line} is not applied"
                    return Fact("mask", said, lines=(line,))
                said = f"this is the gradient of `{variable}`, not of `{truth.variable}`"
                return Fact("wrong-gradient", said, lines=(line,))
    return None


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

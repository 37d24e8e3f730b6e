"""What the value of a wrong gradient says by itself: how it differs from the true one, the same at every draw."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from flatgrad.diff.judging.case import Case, Judged
from flatgrad.diff.judging.closeness import close, same_gradient
from flatgrad.diff.judging.truth import Spec
from flatgrad.diff.reasons.surroundings import Scope

Floats = np.ndarray[Any, np.dtype[Any]]
Change = Callable[[Floats], Floats]

NICE = (2.0, 0.5, 4.0, 0.25, 3.0, 1 / 3)
_NICE_TEXT = {2.0: "2", 0.5: "0.5", 4.0: "4", 0.25: "0.25", 3.0: "3", 1 / 3: "1/3"}
# Relative, for factors read off values that agree to about 1e-9.
SAME = 1e-6


@dataclass(frozen=True, slots=True)
class Pair:
    """A value and the true one, in one round of one draw."""

    draw: int
    value: Floats
    truth: Floats


@dataclass(frozen=True, slots=True)
class Fact:
    """How the value differs.

    Attributes:
        factor: the text of what it is to be multiplied by, if it is a constant factor with a name.
        lines: the forward statements that it speaks of.
    """

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


def plainest(name: str, pairs: Sequence[Pair], numbers: Mapping[str, tuple[float | None, ...]]) -> Fact | None:
    """The plainest thing that is true of the value at every draw; `numbers`: what may be a factor, see `numbers_in`."""
    if not pairs:
        return None
    if not any(pair.value.any() for pair in pairs):
        return Fact("missing-path", f"it stays zero: nothing of what `{name}` contributes arrives here")
    return (
        _sign(pairs)
        or _constant(pairs)
        or _transposed(pairs)
        or _sums(pairs)
        or _shape(pairs)
        or _named_factor(pairs, numbers)
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


def _named_factor(pairs: Sequence[Pair], numbers: Mapping[str, tuple[float | None, ...]]) -> Fact | None:
    wanted = factors(pairs)
    if wanted is None:
        return None
    single = all(pair.value.size == 1 for pair in pairs)
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


def masked(pairs: Sequence[Pair]) -> Fact | None:
    """The value is right but for entries that have to be zero."""
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

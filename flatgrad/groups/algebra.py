"""Exact algebra of elementwise expressions in exponentials of one value.

`1 / (1 + exp(-x))`, `exp(x) / (exp(x) + 1)` and `(1 + tanh(x / 2)) / 2` are fractions of sums of powers of E = exp(x),
with rational coefficients: as such they are compared, so that every spelling of a sigmoid is one. SymPy would do the
same a thousand times slower; the tests hold the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

# A sum of c * E**k: (k, c), sorted, without zeros.
Powers = tuple[tuple[Fraction, Fraction], ...]

MOST_TERMS = 8
MOST_BITS = 512
ONE: Powers = ((Fraction(0), Fraction(1)),)


class TooLarge(Exception):
    """The expression is not one that people write for a sigmoid."""


def power(exponent: Fraction) -> Powers:
    return ((exponent, Fraction(1)),)


def constant(number: Fraction) -> Powers:
    return ((Fraction(0), number),) if number else ()


def plus(first: Powers, second: Powers) -> Powers:
    sums = dict(first)
    for exponent, coefficient in second:
        sums[exponent] = sums.get(exponent, Fraction(0)) + coefficient
    return _checked(sums)


def times(first: Powers, second: Powers) -> Powers:
    sums: dict[Fraction, Fraction] = {}
    for k, a in first:
        for m, b in second:
            sums[k + m] = sums.get(k + m, Fraction(0)) + a * b
    return _checked(sums)


def negative(powers: Powers) -> Powers:
    return tuple((exponent, -coefficient) for exponent, coefficient in powers)


def _checked(sums: dict[Fraction, Fraction]) -> Powers:
    kept = tuple(sorted((k, c) for k, c in sums.items() if c))
    sizes = (part.bit_length() for pair in kept for f in pair for part in (f.numerator, f.denominator))
    if len(kept) > MOST_TERMS or max(sizes, default=0) > MOST_BITS:
        raise TooLarge
    return kept


@dataclass(frozen=True, slots=True)
class Ratio:
    """`top / bottom`, both sums of powers of E."""

    top: Powers
    bottom: Powers = ONE

    def __add__(self, other: Ratio) -> Ratio:
        if self.bottom == other.bottom:
            return Ratio(plus(self.top, other.top), self.bottom)
        top = plus(times(self.top, other.bottom), times(other.top, self.bottom))
        return Ratio(top, times(self.bottom, other.bottom))

    def __neg__(self) -> Ratio:
        return Ratio(negative(self.top), self.bottom)

    def __sub__(self, other: Ratio) -> Ratio:
        return self + -other

    def __mul__(self, other: Ratio) -> Ratio:
        return Ratio(times(self.top, other.top), times(self.bottom, other.bottom))

    def inverse(self) -> Ratio:
        if not self.top:
            raise TooLarge
        return Ratio(self.bottom, self.top)

    def __truediv__(self, other: Ratio) -> Ratio:
        return self * other.inverse()

    def __pow__(self, exponent: int) -> Ratio:
        base = self.inverse() if exponent < 0 else self
        result = Ratio(ONE)
        for _ in range(abs(exponent)):
            result = result * base
        return result


def of_number(number: int | float) -> Ratio:
    """Raises TooLarge for what no fraction holds."""
    if number != number or number in (float("inf"), float("-inf")):
        raise TooLarge
    return Ratio(constant(Fraction(number)))


def of_exp(factor: Fraction) -> Ratio:
    """exp(factor * x)"""
    return Ratio(power(factor))


def of_tanh(factor: Fraction) -> Ratio:
    """tanh(factor * x)"""
    square = power(2 * factor)
    return Ratio(plus(square, negative(ONE)), plus(square, ONE))


def sigmoid_factor(ratio: Ratio) -> Fraction | None:
    """c where the ratio is 1 / (1 + exp(-c * x)), else None."""
    return _nonzero(_shift(plus(ratio.bottom, negative(ratio.top)), ratio.top), -1)


def tanh_factor(ratio: Ratio) -> Fraction | None:
    """c where the ratio is tanh(c * x), else None."""
    return _nonzero(_shift(plus(ratio.bottom, ratio.top), plus(ratio.bottom, negative(ratio.top))), Fraction(1, 2))


def softplus_factor(ratio: Ratio) -> Fraction | None:
    """c where the ratio is 1 + exp(c * x), else None."""
    return _nonzero(_shift(plus(ratio.top, negative(ratio.bottom)), ratio.bottom), 1)


def _nonzero(shift: Fraction | None, times: int | Fraction) -> Fraction | None:
    return shift * times if shift else None


def _shift(first: Powers, second: Powers) -> Fraction | None:
    """k where first = second * E**k, else None."""
    if len(first) != len(second) or not first:
        return None
    shift = first[0][0] - second[0][0]
    moved = tuple((exponent + shift, coefficient) for exponent, coefficient in second)
    return shift if moved == first else None

"""Symbolic dimensions and shapes.

A `Dim` is a polynomial with integer coefficients over symbols: `3`, `N`, `4*H`, `N*T + 1`. A `Shape` is a tuple of
dims of which a middle part may be unknown: `(N, *x, 3)` is a first dim N, any number of unknown dims, a last dim 3.
Two unknown parts of the same name are the same dims, so that `x` and `np.exp(x)` have one shape even where nothing
else is known of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Monomial = tuple[str, ...]
# In the names of symbols that stand for integers of either sign: what a user calls `stride` or `pad` is no size.
SIGN = "±"


class Quotient(str):
    """The symbol of a quotient that is not exact for every value of its symbols; as text, that quotient.

    Attributes:
        numerator, divisor: what is divided by what.
        steps: it is `int(1 + a / b) - 1`, which is `a // b` wherever that is 0 or more, and else below 0 as well.
    """

    __slots__ = ("divisor", "numerator", "steps")
    numerator: Dim
    divisor: Dim
    steps: bool

    def __new__(cls, numerator: Dim, divisor: Dim, steps: bool = False) -> Quotient:
        self = super().__new__(cls, f"({numerator}){'/' if steps else '//'}({divisor})")
        self.numerator, self.divisor, self.steps = numerator, divisor, steps
        return self

    def of(self, numerator: int, divisor: int) -> int:
        """The quotient of two integers."""
        return int(1 + numerator / divisor) - 1 if self.steps else numerator // divisor

    def substitute(self, known: Mapping[str, Dim]) -> Dim:
        numerator, divisor = self.numerator.substitute(known), self.divisor.substitute(known)
        if self.steps and numerator.constant is not None and divisor.constant:
            return Dim.of(self.of(numerator.constant, divisor.constant))
        rounded = numerator // divisor
        if self.steps and rounded == Dim.symbol(Quotient(numerator, divisor)):
            return Dim.symbol(Quotient(numerator, divisor, True))
        return rounded


@dataclass(frozen=True, slots=True)
class Dim:
    """A polynomial: `terms` are (monomial, coefficient), sorted, without zero coefficients."""

    terms: tuple[tuple[Monomial, int], ...]

    @staticmethod
    def of(value: int | Dim) -> Dim:
        if isinstance(value, Dim):
            return value
        return Dim((((), value),)) if value else Dim(())

    @staticmethod
    def symbol(name: str) -> Dim:
        return Dim((((name,), 1),))

    @staticmethod
    def integer(name: str, label: str = "") -> Dim:
        """An integer of either sign that is known by this name, at a call by its label."""
        return Dim.symbol(f"{label}.{SIGN}{name}" if label else SIGN + name)

    @property
    def constant(self) -> int | None:
        """The integer that this dim is, or None where a symbol is in it."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and self.terms[0][0] == ():
            return self.terms[0][1]
        return None

    @property
    def as_symbol(self) -> str | None:
        """The symbol that this dim is, or None where it is anything else."""
        if len(self.terms) == 1:
            monomial, coefficient = self.terms[0]
            if coefficient == 1 and len(monomial) == 1:
                return monomial[0]
        return None

    @property
    def never_negative(self) -> bool:
        """Whether this is at least 0 for every size that its symbols may have."""
        return all(c >= 0 for _, c in self.terms) and not any(_may_be_negative(name) for name in self.symbols())

    @property
    def signed(self) -> bool:
        """Whether it hangs on an integer that is no size."""
        return any(SIGN in name for name in self.symbols())

    def clipped(self) -> Dim:
        """`max(self, 0)`: where self may be negative, a symbol of its own, written without blanks (`N-1`)."""
        if self.never_negative:
            return self
        if self.constant is not None:
            return Dim(())
        name = str(self).replace(" ", "")
        return Dim.symbol(name if self.as_symbol is None else f"max({name},0)")

    def symbols(self) -> frozenset[str]:
        return frozenset(name for monomial, _ in self.terms for name in monomial)

    def atoms(self) -> frozenset[str]:
        """The symbols, and those that quotients among them are made of."""
        found = self.symbols()
        inner = [part for name in found if isinstance(name, Quotient) for part in (name.numerator, name.divisor)]
        return found.union(*(part.atoms() for part in inner)) if inner else found

    def __add__(self, other: int | Dim) -> Dim:
        return _collect((*self.terms, *Dim.of(other).terms))

    def __neg__(self) -> Dim:
        return Dim(tuple((monomial, -coefficient) for monomial, coefficient in self.terms))

    def __sub__(self, other: int | Dim) -> Dim:
        return self + -Dim.of(other)

    def __mul__(self, other: int | Dim) -> Dim:
        return _collect((tuple(sorted(m + n)), a * b) for m, a in self.terms for n, b in Dim.of(other).terms)

    def __floordiv__(self, other: int | Dim) -> Dim:
        """The quotient where it is exact for every value of the symbols, else an opaque symbol."""
        divisor = Dim.of(other)
        number = divisor.constant
        if number and all(coefficient % number == 0 for _, coefficient in self.terms):
            return Dim(tuple((monomial, c // number) for monomial, c in self.terms))
        if self.constant is not None and number:
            return Dim.of(self.constant // number)
        if len(divisor.terms) == 1 and divisor.terms[0][1] == 1 and self.terms:
            quotient = [_divide(monomial, divisor.terms[0][0]) for monomial, _ in self.terms]
            if all(monomial is not None for monomial in quotient):
                return _collect((m, c) for m, (_, c) in zip(quotient, self.terms, strict=True) if m is not None)
        return Dim.symbol(Quotient(self, divisor))

    def __mod__(self, other: int | Dim) -> Dim:
        divisor = Dim.of(other)
        if self.constant is not None and divisor.constant:
            return Dim.of(self.constant % divisor.constant)
        return Dim.symbol(f"({self})%({divisor})")

    def substitute(self, known: Mapping[str, Dim]) -> Dim:
        if not any(name in known for name in self.atoms()):
            return self
        total = Dim(())
        for monomial, coefficient in self.terms:
            product = Dim.of(coefficient)
            for name in monomial:
                product = product * _substituted(name, known)
            total = total + product
        return total

    def __str__(self) -> str:
        if not self.terms:
            return "0"
        parts = []
        for monomial, coefficient in self.terms:
            # A symbol may be a term of its own: `(N)//(2)`, `N-1`.
            alone = coefficient == 1 and len(monomial) == 1
            factors = [name if alone or not _is_compound(name) else f"({name})" for name in monomial]
            if abs(coefficient) != 1 or not factors:
                factors.insert(0, str(abs(coefficient)))
            parts.append(("-" if coefficient < 0 else "", "*".join(factors)))
        # What is added comes first: `D - N`.
        parts.sort(key=lambda part: part[0] == "-" and not part[1].isdigit())
        first, *others = parts
        return "".join(first) + "".join(f" {sign or '+'} {text}" for sign, text in others)


def _may_be_negative(name: str) -> bool:
    return any(sign in name for sign in ("/", "%", SIGN))


def _substituted(name: str, known: Mapping[str, Dim]) -> Dim:
    if name in known:
        return known[name]
    return name.substitute(known) if isinstance(name, Quotient) else Dim.symbol(name)


def _is_compound(name: str) -> bool:
    return any(sign in name for sign in "+-/%")


def _collect(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    sums: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        sums[monomial] = sums.get(monomial, 0) + coefficient
    kept = ((monomial, c) for monomial, c in sums.items() if c)
    return Dim(tuple(sorted(kept, key=lambda term: (-len(term[0]), term[0]))))


def _divide(monomial: Monomial, divisor: Monomial) -> Monomial | None:
    rest = list(monomial)
    for name in divisor:
        if name not in rest:
            return None
        rest.remove(name)
    return tuple(rest)


@dataclass(frozen=True, slots=True)
class Shape:
    """Dims `front`, then unknown dims named `middle`, then dims `back`; without `middle`, `back` is empty."""

    front: tuple[Dim, ...]
    middle: str | None = None
    back: tuple[Dim, ...] = ()

    @staticmethod
    def of(*dims: int | str | Dim) -> Shape:
        return Shape(tuple(Dim.symbol(d) if isinstance(d, str) else Dim.of(d) for d in dims))

    @staticmethod
    def unknown(name: str) -> Shape:
        return Shape((), name)

    @property
    def dims(self) -> tuple[Dim, ...] | None:
        """Every dim, or None where the rank is unknown."""
        return self.front if self.middle is None else None

    @property
    def rank(self) -> int | None:
        return len(self.front) if self.middle is None else None

    @property
    def least_rank(self) -> int:
        return len(self.front) + len(self.back)

    @property
    def is_scalar(self) -> bool:
        return self.middle is None and not self.front

    def dim(self, axis: int) -> Dim | None:
        """The dim at an axis, negative from the end; None where it is unknown or not there."""
        if self.middle is None:
            return self.front[axis] if -len(self.front) <= axis < len(self.front) else None
        if 0 <= axis < len(self.front):
            return self.front[axis]
        if -len(self.back) <= axis < 0:
            return self.back[axis]
        return None

    def size(self) -> Dim | None:
        if self.middle is not None:
            return None
        product = Dim.of(1)
        for dim in self.front:
            product = product * dim
        return product

    def __str__(self) -> str:
        parts = [str(dim) for dim in self.front]
        if self.middle is not None:
            parts += [f"*{self.middle}", *(str(dim) for dim in self.back)]
        return "(" + ", ".join(parts) + ("," if len(parts) == 1 else "") + ")"


SCALAR = Shape(())

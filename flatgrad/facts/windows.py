"""The length of a window, `x[i * stride : i * stride + K]`: K, where no round reaches over the end.

A slice is cut off at the end of its axis. That `i * stride + K` never lies beyond it follows from the number of rounds,
`1 + (L - K) // stride` for an axis of length L: `i` is at most `(L - K) // stride`, and `i * stride` at most `L - K`.

That is so for a stride above 0. One of 0 is an error. With one below 0 there are rounds only where L is K, of which the
one round that is run is right, or where the window is larger than the array: what such a window is multiplied with has
its own size, which NumPy refuses in forward, or then where the product goes back into the slice.
"""

from __future__ import annotations

from collections.abc import Callable

from flatgrad.ir.core import Attribute, Slice, Type, Value
from flatgrad.ir.dims import Dim, Quotient
from flatgrad.ir.solver import Solver


def number_of(attribute: Attribute, type_of: Callable[[Value], Type]) -> Dim | None:
    """The integer that a bound of a slice holds, symbolically; None where that is not known."""
    if isinstance(attribute, int) and not isinstance(attribute, bool):
        return Dim.of(attribute)
    return type_of(attribute).number if isinstance(attribute, Value) else None


def window_length(dim: Dim, item: Slice, type_of: Callable[[Value], Type], solver: Solver) -> Dim | None:
    """The length of a slice that begins at a place which runs with the counters of loops and that is never cut off;
    None where that is not known."""
    start, stop = (number_of(part, type_of) for part in (item.start, item.stop))
    if start is None or stop is None or item.step not in (None, 1):
        return None
    start, stop, dim = (solver.resolve_dim(one) for one in (start, stop, dim))
    length = stop - start
    if not length.never_negative or solver.stops.keys().isdisjoint(start.atoms()):
        return None
    largest = _largest(start, solver)
    if largest is None or not (dim - largest - length).never_negative:
        return None
    return length


def _largest(start: Dim, solver: Solver) -> Dim | None:
    """What a start is at most in any round; None where that is not known, or where it may be negative."""
    total = start
    for counter in sorted(solver.stops.keys() & start.symbols()):
        total = total.substitute({counter: Dim(())})
    if not total.never_negative:
        return None
    for counter in sorted(solver.stops.keys() & start.symbols()):
        factor = _factor(start, counter)
        last = solver.resolve_dim(solver.stops[counter]) - 1
        reached = None if factor is None else _reached(factor, last)
        if reached is None:
            return None
        total = total + reached
    return total


def _factor(start: Dim, counter: str) -> Dim | None:
    """What a counter is multiplied with, where it stands alone in each product."""
    found: list[tuple[tuple[str, ...], int]] = []
    for monomial, coefficient in start.terms:
        rest = tuple(name for name in monomial if name != counter)
        if len(rest) < len(monomial) - 1:
            return None
        if len(rest) < len(monomial):
            found.append((rest, coefficient))
    factor = Dim(())
    for monomial, coefficient in found:
        product = Dim.of(coefficient)
        for name in monomial:
            product = product * Dim.symbol(name)
        factor = factor + product
    return factor


def _reached(factor: Dim, last: Dim) -> Dim | None:
    """What `factor * i` is at most for every i from 0 to `last`."""
    for name in last.symbols():
        rest = last - Dim.symbol(name)
        if isinstance(name, Quotient) and name not in rest.atoms() and name.divisor == factor:
            if rest == Dim(()) and not (factor.constant is not None and factor.constant <= 0):
                # Up to a // factor.
                return name.numerator
    return factor * last if factor.never_negative else None

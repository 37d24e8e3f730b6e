"""What symbols stand for in one run: checks that the types of values hold of the numbers that they turn out to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from flatgrad.ir.core import DType, Kind, Type, Value
from flatgrad.ir.dims import Dim, Quotient, Shape


class TypeDoesNotHold(AssertionError):
    """A value is not what its type says."""


class Instances:
    """Integers for symbols and dims for middles, learnt from the values of one run.

    A dim that is one symbol defines it; every other dim is compared as soon as its symbols are known.
    """

    def __init__(self) -> None:
        self.dims: dict[str, int] = {}
        self.middles: dict[str, tuple[int, ...]] = {}
        self.pending: list[tuple[Dim, int, str]] = []

    def observe(self, value: Value, found: Any) -> None:
        """Hold the type of a value against what it is. Raises TypeDoesNotHold."""
        name = value.name or "a value"
        one = value.type
        if found is None:
            return
        if one.kind is Kind.SHAPE:
            self._shape(one.shape, tuple(found), name)
            return
        if one.kind is Kind.DICT:
            if not isinstance(found, Mapping):
                raise TypeDoesNotHold(f"{name} is a dict, not {type(found).__name__}")
            return
        if one.kind is Kind.OTHER or isinstance(found, np.dtype):
            return
        if isinstance(found, list) and one.kind is Kind.OPEN and not _is_array(found):
            # Elements of several shapes, or none: what is known of them does not show.
            if one.shape.front:
                self._dim(one.shape.front[0], len(found), f"{name} {one.shape}, of {len(found)} elements")
            return
        _kind(one, found, name)
        self._shape(one.shape, np.shape(found), name)
        if one.number is not None:
            self._dim(one.number, int(found), name)

    def settle(self) -> None:
        """Compare what was left until all symbols were known. Raises TypeDoesNotHold."""
        pending, self.pending = self.pending, []
        for dim, size, name in pending:
            self._dim(dim, size, name)

    @contextmanager
    def round(self) -> Iterator[None]:
        """A round of a loop: what symbols stand for in it they stand for in this round only, but those known before."""
        dims, middles, pending = dict(self.dims), dict(self.middles), self.pending
        self.pending = []
        try:
            yield
            self.settle()
        finally:
            self.dims, self.middles, self.pending = dims, middles, pending

    def _shape(self, shape: Shape, sizes: Sequence[int], name: str) -> None:
        if len(sizes) < shape.least_rank or (shape.middle is None and len(sizes) != shape.least_rank):
            raise TypeDoesNotHold(f"{name} is {shape}, not {tuple(sizes)}")
        for dim, size in zip(shape.front, sizes, strict=False):
            self._dim(dim, size, f"{name} {shape} {tuple(sizes)}")
        if shape.middle is None:
            return
        end = len(sizes) - len(shape.back)
        for dim, size in zip(shape.back, sizes[end:], strict=True):
            self._dim(dim, size, f"{name} {shape} {tuple(sizes)}")
        middle = tuple(sizes[len(shape.front) : end])
        if self.middles.setdefault(shape.middle, middle) != middle:
            raise TypeDoesNotHold(f"{name} is {shape}: {shape.middle} is {self.middles[shape.middle]}, not {middle}")

    def _dim(self, dim: Dim, size: int, name: str) -> None:
        symbol = dim.as_symbol
        if symbol is not None:
            self.dims.setdefault(symbol, size)
        found = valued(dim, self.dims)
        if found is None:
            self.pending.append((dim, size, name))
        elif found != size:
            raise TypeDoesNotHold(f"{name}: {dim} is {found}, not {size}")


def _is_array(found: list[Any]) -> bool:
    """Whether NumPy reads a list as an array that has the shape of its elements behind its first dim."""
    return len({np.shape(one) for one in found}) == 1


def _kind(one: Type, found: Any, name: str) -> None:
    if one.kind is Kind.SCALAR and (isinstance(found, np.ndarray) or np.ndim(found)):
        raise TypeDoesNotHold(f"{name} is a scalar, not {type(found).__name__}")
    # The elements that a loop collects, or the gradients of a list's, are an array to the representation and a list
    # when it runs.
    if one.kind is Kind.ARRAY and not (isinstance(found, np.ndarray) or (isinstance(found, list) and _is_array(found))):
        raise TypeDoesNotHold(f"{name} is an array, not {type(found).__name__}")
    kinds = {DType.FLOAT: "f", DType.INT: "iu", DType.BOOL: "b"}.get(one.dtype)
    actual = np.asarray(found).dtype.kind
    if kinds is not None and actual not in kinds and np.size(found):
        raise TypeDoesNotHold(f"{name} is {one.dtype.value}, not {np.asarray(found).dtype}")


def valued(dim: Dim, known: Mapping[str, int]) -> int | None:
    """The integer that a dim is, or None where a symbol of it is not known."""
    total = 0
    for monomial, coefficient in dim.terms:
        product = coefficient
        for name in monomial:
            found = known.get(name)
            if found is None and isinstance(name, Quotient):
                numerator, divisor = valued(name.numerator, known), valued(name.divisor, known)
                found = name.of(numerator, divisor) if numerator is not None and divisor else None
            if found is None:
                return None
            product *= found
        total += product
    return total

"""Dims are integers: whatever is said of them with symbols holds for every size that the symbols may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.instances import valued

N, D, H = (Dim.symbol(name) for name in "NDH")
SYMBOLS = ("N", "D", "H")

sizes = st.fixed_dictionaries({name: st.integers(0, 6) for name in SYMBOLS})
leaves = st.one_of(st.integers(-3, 4).map(Dim.of), st.sampled_from([N, D, H]))
dims = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] - pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        inner.map(lambda one: -one),
    ),
    max_leaves=5,
)


def value(dim: Dim, known: dict[str, int]) -> int:
    """The integer that a dim is; opaque symbols are Python expressions."""
    opaque = {name: eval(name, {}, known) for name in dim.symbols() - known.keys()}
    found = valued(dim, {**known, **opaque})
    assert found is not None
    return found


@given(dims, dims, sizes)
def test_arithmetic_is_that_of_integers(one: Dim, two: Dim, known: dict[str, int]) -> None:
    a, b = value(one, known), value(two, known)
    assert value(one + two, known) == a + b
    assert value(one - two, known) == a - b
    assert value(one * two, known) == a * b
    assert value(-one, known) == -a
    assert value(one + 3, known) == a + 3
    if b:
        assert value(one // two, known) == a // b
        assert value(one % two, known) == a % b


@given(dims, dims)
def test_equal_dims_are_one_dim(one: Dim, two: Dim) -> None:
    assert one + two == two + one
    assert one * two == two * one
    assert (one + two) - two == one
    assert (one - one).constant == 0
    assert one * (two + 1) == one * two + one


@given(dims, sizes)
def test_the_text_of_a_dim_is_its_value(one: Dim, known: dict[str, int]) -> None:
    assert eval(str(one), {}, known) == value(one, known)


@given(dims, st.dictionaries(st.sampled_from(SYMBOLS), dims, max_size=2), sizes)
def test_substitution(one: Dim, given_dims: dict[str, Dim], known: dict[str, int]) -> None:
    replaced = {name: value(dim, known) for name, dim in given_dims.items()}
    assert value(one.substitute(given_dims), known) == value(one, known | replaced)


@given(dims, sizes)
def test_clipped_is_never_negative(one: Dim, known: dict[str, int]) -> None:
    clipped = one.clipped()
    opaque = {name: max(eval(name, {}, known), 0) for name in clipped.symbols() - known.keys()}
    assert valued(clipped, {**known, **opaque}) == max(value(one, known), 0)


@given(dims, sizes)
def test_never_negative_holds_for_every_size(one: Dim, known: dict[str, int]) -> None:
    if one.never_negative:
        assert value(one, known) >= 0
    if one.constant is not None:
        assert value(one, known) == one.constant
    if one.as_symbol is not None:
        assert value(one, known) == known[one.as_symbol]


def test_a_quotient_may_be_negative() -> None:
    """(N - 5) // 2 is -3 for N = 0: as the bound of a slice it would count from the end."""
    assert not ((N - 5) // 2).never_negative
    assert not (N % D).never_negative


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (Dim.of(0), "0"),
        (Dim.of(-2), "-2"),
        (N, "N"),
        (N - 1, "N - 1"),
        (-N, "-N"),
        (D - N, "D - N"),
        (N * D * 2 + 1, "2*D*N + 1"),
        ((N * 4) // 4, "N"),
        ((N * D) // D, "N"),
        (N // 2, "(N)//(2)"),
        ((N - 1).clipped(), "N-1"),
        ((N - 1).clipped() * 2, "2*(N-1)"),
        ((N - 1).clipped() + D, "D + N-1"),
        (Dim.of(7) // 2, "3"),
        (Dim.of(7) % 4, "3"),
        (Dim.of(-1).clipped(), "0"),
    ],
)
def test_text(dim: Dim, text: str) -> None:
    assert str(dim) == text


def test_clipped_is_no_dim_that_can_be_subtracted_from() -> None:
    """max(N - 1, 0) + 1 is not N where N is 0."""
    assert (N - 1).clipped() + 1 != N
    assert (N - 1).clipped() == (N - 1).clipped()
    assert (N + 1).clipped() == N + 1


@pytest.mark.parametrize(
    ("shape", "text", "rank", "size"),
    [
        (SCALAR, "()", 0, "1"),
        (Shape.of("N"), "(N,)", 1, "N"),
        (Shape.of("N", 3), "(N, 3)", 2, "3*N"),
        (Shape((N,), "x", (D,)), "(N, *x, D)", None, None),
        (Shape.unknown("x"), "(*x,)", None, None),
    ],
)
def test_shapes(shape: Shape, text: str, rank: int | None, size: str | None) -> None:
    assert str(shape) == text
    assert shape.rank == rank
    assert (None if shape.size() is None else str(shape.size())) == size
    assert shape.is_scalar is (shape == SCALAR)


def test_a_dim_of_a_shape() -> None:
    shape = Shape((N, D), "x", (H,))
    assert [shape.dim(axis) for axis in (0, 1, 2, -1, -2)] == [N, D, None, H, None]
    assert [Shape.of("N", "D").dim(axis) for axis in (0, 1, 2, -1, -2, -3)] == [N, D, None, D, N, None]

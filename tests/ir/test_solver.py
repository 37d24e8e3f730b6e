"""Unification and broadcasting: every claim holds for all sizes, and for every number of dims in an unknown middle."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flatgrad.ir.core import DType, Kind, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.instances import Instances, valued
from flatgrad.ir.solver import Contradiction, Solver, broadcast, pattern
from tests.ir.stages import run_stages, stages_of

N, D = Dim.symbol("N"), Dim.symbol("D")
Sizes = dict[str, int]
Middles = dict[str, tuple[int, ...]]

sizes = st.fixed_dictionaries({name: st.integers(0, 3) for name in "NDH"})
middles = st.fixed_dictionaries({name: st.lists(st.integers(0, 3), max_size=2).map(tuple) for name in ("a", "b")})
dims = st.one_of(
    st.sampled_from([N, D, Dim.symbol("H"), N * 2, N + D, N + 1]), st.sampled_from([0, 1, 1, 2, 3]).map(Dim.of)
)
dim_tuples = st.lists(dims, max_size=2).map(tuple)
shapes = st.one_of(
    st.lists(dims, max_size=3).map(lambda front: Shape(tuple(front))),
    st.builds(Shape, dim_tuples, st.sampled_from(["a", "b"]), dim_tuples),
)


def instance(shape: Shape, known: Sizes, inner: Middles) -> tuple[int, ...]:
    """The shape for some sizes of its symbols."""
    front, back = ([valued(dim, known) for dim in part] for part in (shape.front, shape.back))
    middle = inner[shape.middle] if shape.middle is not None else ()
    found = (*front, *middle, *back)
    assert None not in found
    return tuple(dim for dim in found if dim is not None)


def holds(shape: Shape, actual: tuple[int, ...], known: Sizes, inner: Middles) -> None:
    """The claim is true of what is: symbols that are not known may be anything, but each only one thing."""
    seen = Instances()
    seen.dims.update(known)
    seen.middles.update(inner)
    seen.observe(Value("result", Type(Kind.SHAPE, DType.INT, shape)), actual)
    seen.settle()


@given(shapes, shapes, sizes, middles)
def test_broadcasting_is_that_of_numpy(one: Shape, two: Shape, known: Sizes, inner: Middles) -> None:
    first, second = instance(one, known, inner), instance(two, known, inner)
    try:
        actual = np.broadcast_shapes(first, second)
    except ValueError:
        assume(False)
    holds(broadcast(one, two, Solver(), "z"), actual, known, inner)


@given(shapes, shapes)
def test_broadcasting_refuses_only_what_numpy_refuses(one: Shape, two: Shape) -> None:
    """A contradiction is one for all sizes."""
    try:
        broadcast(one, two, Solver(), "z")
    except Contradiction:
        for size in range(4):
            for middle in ((), (1,), (2,)):
                known = dict.fromkeys("NDH", size)
                inner = dict.fromkeys("ab", middle)
                with pytest.raises(ValueError, match="broadcast"):
                    np.broadcast_shapes(instance(one, known, inner), instance(two, known, inner))


def test_dims_on_both_sides_of_a_middle_are_not_taken_for_each_other() -> None:
    """(N, *x, D) with (D, *x, N): the first dim is not the last, whatever they broadcast to."""
    front, back = N * 2, D
    found = broadcast(Shape((front,), "x", (back,)), Shape((back,), "x", (front,)), Solver(), "z")
    assert found.front[0] != found.back[0]


@given(st.lists(st.tuples(shapes, shapes), max_size=3), shapes, sizes, middles)
def test_what_is_unified_is_right(pairs: list[tuple[Shape, Shape]], asked: Shape, known: Sizes, inner: Middles) -> None:
    """Where all the lines run, for sizes for which the pairs are equal, the resolved shape is the shape."""
    solver = Solver(frozenset("ND"))
    equal = [pair for pair in pairs if instance(pair[0], known, inner) == instance(pair[1], known, inner)]
    for one, two in equal:
        solver.same_shape(one, two)  # no contradiction: there are sizes for which they are equal
    holds(solver.resolve(asked), instance(asked, known, inner), known, inner)


@given(shapes, st.integers(0, 4), sizes, middles)
def test_ranks_that_a_line_demands(shape: Shape, count: int, known: Sizes, inner: Middles) -> None:
    actual = instance(shape, known, inner)
    for grown, runs in (
        (Solver.grow_front, len(actual) >= count),
        (Solver.grow_back, len(actual) >= count),
        (Solver.fix_rank, len(actual) == count),
    ):
        solver = Solver()
        if not runs:
            continue
        found = grown(solver, shape, count)
        holds(found, actual, known, {name: dims for name, dims in inner.items() if name not in solver.middles})
        if grown is Solver.fix_rank:
            assert found.rank == count


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (Shape.of(2), Shape.of(3)),
        (Shape.of("N"), Shape.of("N", "D")),
        (Shape.of("N"), SCALAR),
        (Shape((N,), "x"), SCALAR),
        (Shape((N,)), Shape((N + 1,))),
        (Shape.unknown("x"), Shape((N,), "x")),
    ],
)
def test_contradictions(one: Shape, two: Shape) -> None:
    for first, second in ((one, two), (two, one)):
        with pytest.raises(Contradiction):
            Solver().same_shape(first, second)


def test_contradictions_over_several_lines() -> None:
    solver = Solver(frozenset("N"))
    solver.same_dim(N, Dim.of(3))
    solver.same_shape(Shape.unknown("x"), Shape.of("N"))
    assert solver.resolve(Shape.unknown("x")) == Shape.of(3)
    with pytest.raises(Contradiction, match="3 is not 4"):
        solver.same_shape(Shape.unknown("x"), Shape.of(4))
    with pytest.raises(Contradiction, match="fewer than 2"):
        solver.grow_front(Shape.unknown("x"), 2)
    with pytest.raises(Contradiction, match="does not have 2"):
        solver.fix_rank(Shape.unknown("x"), 2)


def test_the_users_names_win() -> None:
    solver = Solver(frozenset("N"))
    solver.same_dim(N, Dim.symbol("3.1"))
    solver.same_dim(Dim.symbol("4.1"), Dim.symbol("3.1"))
    assert solver.resolve_dim(Dim.symbol("4.1")) == N


def test_fresh_names_are_all_different() -> None:
    solver = Solver()
    names = [solver.fresh(hint) for hint in ("x", "x", "x'", "x", "y")]
    assert len(set(names)) == len(names)


def test_a_name_stands_for_one_thing_in_every_sweep() -> None:
    """b.T has unknown dims when it is first seen and a known front later: the rest must not get the name of the whole.

    `b @ b.T` of one dim was given two, as the name of all of b.T was given to its middle in the next sweep.
    """
    solver = Solver()
    open_, grown = (pattern([Type.open("b")]), pattern([Type(Kind.OPEN, DType.OPEN, Shape((N,), "b"))]))
    labels = [solver.label("3", one) for one in (open_, open_, grown, grown, open_)]
    assert labels == ["3", "3", "3~1", "3~1", "3~2"]

    source = "import numpy as np\ndef f(b):\n    c = b @ b.T\n    return np.sum(b * b)\n"
    stages = stages_of(source)
    for b in (np.arange(3.0), np.ones((2, 3))):
        assert run_stages(stages, "f", {"b": b}).results


def test_a_pattern_forgets_names_but_not_which_are_equal() -> None:
    def seen(*dims: str) -> object:
        return pattern([Type(Kind.ARRAY, DType.FLOAT, Shape.of(*dims))])

    assert seen("N", "D") == seen("H", "N") != seen("N", "N")
    assert pattern([Type.open("x"), Type.open("x")]) != pattern([Type.open("x"), Type.open("y")])
    different = [Shape.of(1), Shape.of(2), Shape.of("N"), Shape((N * 2,)), Shape((N,), "x"), Shape.unknown("x"), SCALAR]
    patterns = [pattern([Type(Kind.OPEN, DType.OPEN, shape)]) for shape in different]
    assert all(one != two for one, two in pairwise(patterns))
    assert len(set(patterns)) == len(patterns)

"""`x[index]`: the shape that is claimed and what the index is said to be, against NumPy, for every size."""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from flatgrad.diagnostics import Refused
from flatgrad.facts.indexing import Style, index_shape, index_style
from flatgrad.ir.core import Attribute, DType, Kind, Slice, Type, Value
from flatgrad.ir.dims import SCALAR, Dim, Shape
from flatgrad.ir.instances import Instances, valued
from flatgrad.ir.solver import Contradiction, Solver
from tests.ir.stages import run_stages, stages_of
from tests.support import check_module

N, D, H = (Dim.symbol(name) for name in "NDH")
DRAWS = 6000


@dataclass(frozen=True, slots=True)
class Drawn:
    """An index and an array for it: as the compiler knows them, and as they are."""

    sizes: Mapping[str, int]
    shape: Shape
    middle: tuple[int, ...]
    actual: tuple[int, ...]
    items: tuple[Attribute, ...]
    real: tuple[Any, ...]
    types: Mapping[Value, Type]
    counters: frozenset[Value]


def size_of(dim: Dim, sizes: Mapping[str, int]) -> int:
    opaque = {name: eval(name, {}, dict(sizes)) for name in dim.symbols() - sizes.keys()}
    found = valued(dim, {**sizes, **opaque})
    assert found is not None
    return found


class _Draw:
    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.sizes = {name: rng.choice((0, 1, 1, 2, 3, 4)) for name in "NDH"}
        self.dims = [
            rng.choice((N, N, D, D, H, Dim.of(rng.randint(0, 4)), N * 2, N + D)) for _ in range(rng.randint(1, 3))
        ]
        self.actual = [size_of(dim, self.sizes) for dim in self.dims]
        self.types: dict[Value, Type] = {}
        self.counters: set[Value] = set()
        self.items: list[Attribute] = []
        self.real: list[Any] = []
        self.axis = 0

    def drawn(self) -> Drawn:
        rng, rank = self.rng, len(self.dims)
        for _ in range(rng.randint(1, rank + 1)):
            if self.axis < rank or rng.random() < 0.2:
                self._item()
        if not self.items:
            self._add(Slice(), slice(None))
        shape, middle = Shape(tuple(self.dims)), ()
        if rng.random() < 0.5:
            start = rng.randint(0, rank)
            end = rng.randint(start, rank)
            shape, middle = Shape(tuple(self.dims[:start]), "m", tuple(self.dims[end:])), tuple(self.actual[start:end])
        return Drawn(
            self.sizes, shape, middle, tuple(self.actual), tuple(self.items), tuple(self.real), self.types,
            frozenset(self.counters),
        )  # fmt: skip

    def _add(self, item: Attribute, real: Any, uses: int = 1) -> None:
        self.items.append(item)
        self.real.append(real)
        self.axis += uses

    def _value(self, kind: Kind, dtype: DType, shape: Shape, number: Dim | None = None) -> Value:
        one = Type(kind, dtype, shape, number)
        value = Value("i", one)
        self.types[value] = one
        return value

    def _item(self) -> None:
        rng = self.rng
        here = self.actual[self.axis] if self.axis < len(self.actual) else 1
        kind = rng.choices(
            ("new", "all", "whole", "slice", "integer", "array", "mask", "truth"), (3, 2, 2, 5, 3, 5, 3, 1)
        )[0]
        match kind:
            case "new":
                self._add(None, None, 0)
            case "all" if Ellipsis not in self.items:
                self._add(Ellipsis, Ellipsis, 0)
                self.axis = max(self.axis, len(self.dims) - rng.randint(0, 2))
            case "slice":
                self._slice()
            case "integer" if here:
                self._integer(rng.randrange(-here, here))
            case "array":
                self._array(here)
            case "mask" if self.axis < len(self.actual):
                self._mask()
            case "truth":
                truth = rng.random() < 0.5
                self._add(self._value(Kind.SCALAR, DType.BOOL, SCALAR), truth, 0)
            case _:
                self._add(Slice(), slice(None))

    def _slice(self) -> None:
        (start, low), (stop, high) = self._bound(), self._bound()
        step = self.rng.choice((None, None, None, 1, -1, 2))
        self._add(Slice(start, stop, step), slice(low, high, step))

    def _bound(self) -> tuple[Attribute, int | None]:
        rng = self.rng
        if rng.random() < 0.35:
            return None, None
        if rng.random() < 0.5:
            number = rng.randint(-3, 3)
            return number, number
        own = self.dims[min(self.axis, len(self.dims) - 1)]
        dim = rng.choice((N, D, N * 2, N - 1, N - 2, H - D, N // 2, (N - 5) // 2, own, own - 1, own - D))
        known = dim if rng.random() < 0.9 else None
        return self._value(Kind.SCALAR, DType.INT, SCALAR, known), size_of(dim, self.sizes)

    def _integer(self, number: int) -> None:
        match self.rng.choice(("literal", "scalar", "open")):
            case "literal":
                self._add(number, number)
            case "scalar":
                self._add(self._value(Kind.SCALAR, DType.INT, SCALAR), number)
            case "open":
                shape = self.rng.choice((SCALAR, Shape.unknown(f"i{len(self.items)}")))
                real = self.rng.choice((number, np.int64(number), np.array(number)))
                self._add(self._value(Kind.OPEN, DType.INT, shape), real)

    def _array(self, here: int) -> None:
        rng = self.rng
        shape = rng.choice(
            (Shape.of("N"), Shape.of("D"), Shape.of(1), Shape.of(2), Shape.of(2, "D"), Shape.unknown("u"))
        )
        if rng.random() < 0.3 and self.axis < len(self.dims):
            counter = self._value(Kind.ARRAY, DType.INT, Shape((self.dims[self.axis],)))
            self.counters.add(counter)
            self._add(counter, np.arange(here))
            return
        if not here:
            self._add(self._value(Kind.ARRAY, DType.INT, Shape.of(0)), np.zeros(0, int))
            return
        dims = [size_of(dim, self.sizes) for dim in shape.front] if shape.middle is None else [rng.randint(0, 3)]
        places = np.array([rng.randrange(-here, here) for _ in range(int(np.prod(dims)))], int).reshape(dims)
        if shape.middle is not None:
            shape = Shape.unknown(f"u{len(self.items)}")
        self._add(self._value(rng.choice((Kind.ARRAY, Kind.OPEN)), DType.INT, shape), places)

    def _mask(self) -> None:
        rng = self.rng
        width = min(rng.choice((1, 1, 2)), len(self.dims) - self.axis)
        dims = tuple(self.dims[self.axis : self.axis + width])
        actual = self.actual[self.axis : self.axis + width]
        mask = np.array([rng.random() < 0.5 for _ in range(int(np.prod(actual)))], bool).reshape(actual)
        shape = Shape(dims) if rng.random() < 0.7 else Shape.unknown(f"k{len(self.items)}")
        # Nothing says of a parameter that it is a mask.
        dtype = rng.choice((DType.BOOL, DType.BOOL, DType.OPEN))
        self._add(self._value(rng.choice((Kind.ARRAY, Kind.OPEN)), dtype, shape), mask, width)


def check(seed: int) -> str:
    """What became of one draw."""
    one = _Draw(seed).drawn()
    x = np.arange(int(np.prod(one.actual))).reshape(one.actual)
    try:
        found = x[one.real]
    except (IndexError, ValueError):
        return "refused by NumPy"
    style = index_style(one.items, one.types.__getitem__, one.counters.__contains__)
    if style is not Style.REPEATING:
        assert np.unique(found).size == found.size, f"{seed}: {style} {one.real} of {one.actual}"
    if style in (Style.BASIC, Style.NEW_AXES) and found.ndim and found.size:
        assert np.shares_memory(x, found), f"{seed}: {style} {one.real}"
    solver = Solver(frozenset("NDH"))
    claim = solver.resolve(index_shape(one.shape, one.items, one.types.__getitem__, solver, "r"))
    seen = Instances()
    seen.dims.update(one.sizes)
    if one.shape.middle is not None:
        seen.middles[one.shape.middle] = one.middle
    seen.observe(_shape_value(solver.resolve(one.shape)), one.actual)
    for item, real in zip(one.items, one.real, strict=True):
        if isinstance(item, Value) and one.types[item].kind is not Kind.SCALAR and one.types[item].dtype is DType.INT:
            seen.observe(_shape_value(solver.resolve(one.types[item].shape)), np.shape(real))
    try:
        seen.observe(_shape_value(claim), found.shape)
        seen.settle()
    except AssertionError as error:
        raise AssertionError(f"{seed}: {one.shape}{one.items} is {claim}, not {found.shape} for {one.sizes}") from error
    for name, size in seen.dims.items():
        if name not in one.sizes and re.fullmatch(r"[NDH0-9*+-]+", name):
            assert size == max(eval(name, {}, dict(one.sizes)), 0), f"{seed}: {name} is {size} for {one.sizes}"
    return "open" if claim.middle is not None and not claim.least_rank else "claimed"


def _shape_value(shape: Shape) -> Value:
    return Value("x", Type(Kind.SHAPE, DType.INT, shape))


def test_random_indices() -> None:
    verdicts = [check(seed) for seed in range(DRAWS)]
    assert verdicts.count("claimed") > DRAWS / 3
    assert verdicts.count("refused by NumPy") < DRAWS / 5


def claim(shape: Shape, *items: Attribute, known: Mapping[Value, Type] | None = None) -> str:
    types = dict(known or {})
    for item in items:
        for part in (item.start, item.stop) if isinstance(item, Slice) else (item,):
            if isinstance(part, Value):
                types[part] = part.type
    return str(index_shape(shape, items, types.__getitem__, Solver(frozenset("NDH")), "r"))


def scalar(number: Dim | None = None, dtype: DType = DType.INT) -> Value:
    return Value("k", Type(Kind.SCALAR, dtype, SCALAR, number))


def array(*dims: str | int, dtype: DType = DType.INT) -> Value:
    return Value("i", Type(Kind.ARRAY, dtype, Shape.of(*dims)))


ND = Shape.of("N", "D")


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        ((0,), "(D,)"),
        ((Slice(), 0), "(N,)"),
        ((None,), "(1, N, D)"),
        ((Ellipsis, None), "(N, D, 1)"),
        ((Slice(1),), "(N-1, D)"),
        ((Slice(None, -1),), "(N-1, D)"),
        ((Slice(None, scalar(N - 1)),), "(N-1, D)"),
        ((Slice(1, -1),), "(N-2, D)"),
        ((Slice(2),), "(N-2, D)"),
        ((Slice(None, -2),), "(N-2, D)"),
        ((Slice(None, None, -1),), "(N, D)"),
        ((Slice(None, 2),), "(r.0, D)"),
        ((Slice(-2),), "(r.0, D)"),
        ((Slice(None, None, 2),), "(r.0, D)"),
        ((Slice(None, scalar(N)),), "(N, D)"),
        ((Slice(None, scalar()),), "(r.0, D)"),
        ((array("H"),), "(H, D)"),
        ((array("N"), array("N")), "(N,)"),
        ((Slice(), array("H")), "(N, H)"),
        ((array("H"), None), "(H, 1, D)"),
        ((0, Slice(), array("H")), "<too many>"),
        ((array("N", "D", dtype=DType.BOOL),), "(r.mask0,)"),
        ((array("N", dtype=DType.BOOL),), "(r.mask0, D)"),
        ((array("N", dtype=DType.OPEN),), "(*r,)"),
        ((scalar(dtype=DType.BOOL),), "(*r,)"),
        ((True,), "(*r,)"),
        ((Value("s", Type(Kind.SHAPE, DType.INT, ND)),), "(*r,)"),
    ],
)
def test_claims(items: tuple[Attribute, ...], wanted: str) -> None:
    if wanted == "<too many>":
        with pytest.raises(Contradiction):
            claim(ND, *items)
    else:
        assert claim(ND, *items) == wanted


def test_advanced_items_that_stand_apart_come_first() -> None:
    cube = Shape.of("N", "D", "H")
    assert claim(cube, array(2), Slice(), array(2)) == "(2, D)"
    assert claim(cube, Slice(), array(2), array(2)) == "(N, 2)"
    assert claim(cube, 0, Slice(), array(2)) == "(2, D)"
    assert claim(cube, Slice(), array(2), Ellipsis, array(2)) == "(2, N)"


def test_parts_of_one_gate() -> None:
    """`z[:, 0:H]`, `z[:, H : 2 * H]` of (N, 4*H)."""
    z = Shape((N, H * 4))
    parts = [Slice(scalar(H * k), scalar(H * (k + 1))) for k in range(4)]
    assert [claim(z, Slice(), part) for part in parts] == ["(N, H)"] * 4
    assert claim(z, Slice(), Slice(scalar(H))) == "(N, 3*H)"


# --- what was wrong once


def test_a_bound_that_may_be_negative_counts_from_the_end() -> None:
    """With m = (N - 5) // 2, z[:m] of a z of 2*N + m elements was taken for m elements; for N = 4 it has 2*N - 2."""
    m = (N - 5) // 2
    assert claim(Shape((N * 2 + m,)), Slice(None, scalar(m))) == "(r.0,)"


def test_all_but_the_first_of_nothing() -> None:
    """x[1:] was N - 1 long, so that with one more row it was N again: not for N = 0."""
    assert claim(Shape.of("N"), Slice(1)) == "(N-1,)"
    assert (N - 1).clipped() + 1 != N


def test_a_parameter_that_may_be_a_mask() -> None:
    """x[m] of a mask was given the shape of m where its dims were claimed: (N, D, D) here."""
    source = 'import numpy as np\ndef f(x: "N D", m: "N D", w: "N D"):\n    return np.sum(x[m] ** 2) + np.sum(w * w)\n'
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(3, 2)), rng.normal(size=(3, 2))
    stages = stages_of(source, wrt=("x",))
    run = run_stages(stages, "f", {"x": x, "m": x > 0, "w": w})
    assert np.allclose(run.gradients["x"], run.upstream[0] * 2 * x * (x > 0))
    check_module(source, {"x": x, "m": x > 0, "w": w}, wrt=("x",))


def test_a_mask_beside_an_integer() -> None:
    """x[0, m] was taken for integers, as there were two items."""
    source = 'import numpy as np\ndef f(x: "N D", m: "D"):\n    return np.mean(x[0, m] ** 2)\n'
    x = np.random.default_rng(0).normal(size=(3, 4))
    run_stages(stages_of(source, wrt=("x",)), "f", {"x": x, "m": np.array([True, False, True, False])})
    check_module(source, {"x": x, "m": np.array([True, False, True, False])}, wrt=("x",))


def test_a_single_truth_adds_a_dim() -> None:
    """x[a > 0] of a number a was taken for an element."""
    source = "import numpy as np\ndef f(x, a: float):\n    return np.sum(x[a > 0] * 2.0)\n"
    for a in (1.0, -1.0):
        run_stages(stages_of(source, wrt=("x",)), "f", {"x": np.ones((2, 3)), "a": a})


def test_an_array_without_dims_is_no_number() -> None:
    """`x[..., 0]` and np.where of numbers can be written to: `u = t; u += 1` changes t, too."""
    body = "t = np.where(a > 0, a, 0.5); s = x[..., 0]; return t * s"
    source = f"import numpy as np\ndef f(x, a: float): {body}\n"
    stages = stages_of(source, shapes=(("x", "N"),))
    run_stages(stages, "f", {"x": np.ones(3), "a": 2.0})
    kinds = {v.name: v.type.kind for step in stages.lowered["f"].function.block.body for v in step.outs}
    assert kinds["t"] is kinds["s"] is Kind.OPEN


def test_differences_of_neighbours_need_no_helper() -> None:
    source = 'import numpy as np\ndef f(x: "N D"):\n    return np.sum((x[2:] - 2 * x[1:-1] + x[:-2]) ** 2)\n'
    stages = stages_of(source)
    assert run_stages(stages, "f", {"x": np.zeros((0, 2))}).gradients["x"].shape == (0, 2)
    body = stages.backward["f"].block.body
    assert "unbroadcast" not in {getattr(step, "gate", "") for step in body}
    for rows in range(1, 5):
        check_module(source, {"x": np.random.default_rng(rows).normal(size=(rows, 2))})


@pytest.mark.parametrize(
    "lines", ["i = (0, 1); p = x[i]", "p = x[np.tril_indices(3)]", "i = np.tril_indices(3); p = x[i]"]
)
def test_a_tuple_is_an_index_of_several_items(lines: str) -> None:
    """It was taken for an array: x[i] of i = (0, 1) for two rows."""
    source = f'import numpy as np\ndef f(x: "N N"): {lines}; return np.sum(p**2)\n'
    with contextlib.suppress(Refused):
        check_module(source, {"x": np.random.default_rng(0).normal(size=(3, 3))})
